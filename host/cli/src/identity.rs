//! The identity under which this process holds the Lease.
//!
//! In a pod it is the pod's name and UID. After a SIGKILL the kubelet starts the container again only once the old
//! process has ended, and the new process recognizes the Lease as its own. Two processes with one identity would both
//! lead. A claim prevents that: a socket in Linux' abstract namespace, which all containers of a pod share and which
//! the kernel frees when its process ends. If the identity is already claimed, or no pod is configured, the process
//! gets a random identity and waits for the Lease like any other process.

use std::io;
use std::os::unix::net::UnixDatagram;

use uuid::Uuid;

/// Replaces the name of a host that has none.
const UNNAMED_HOST: &str = "kulta";

pub struct Identity {
    name: String,
    /// Held while the identity is in use.
    _claim: Option<UnixDatagram>,
}

impl Identity {
    /// The pod's identity, or a random one if there is none or another process has it.
    pub fn of_process(pod_name: Option<&str>, pod_uid: Option<&str>) -> Self {
        let host = std::env::var("HOSTNAME").unwrap_or_else(|_| UNNAMED_HOST.to_owned());
        let random = || Self { name: format!("{host}_{}", Uuid::new_v4()), _claim: None };
        let (Some(name), Some(uid)) = (pod_name, pod_uid) else { return random() };
        match claim(uid) {
            Ok(claim) => Self { name: format!("{name}_{uid}"), _claim: Some(claim) },
            Err(error) => {
                tracing::warn!(
                    "a random identity is used: the identity of pod {name} with UID {uid} is not to be had: {error}"
                );
                random()
            }
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }
}

#[cfg(target_os = "linux")]
fn claim(pod_uid: &str) -> io::Result<UnixDatagram> {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::SocketAddr;

    UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(format!("kulta/lease/{pod_uid}"))?)
}

/// Pods run on Linux.
#[cfg(not(target_os = "linux"))]
fn claim(_: &str) -> io::Result<UnixDatagram> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_that_is_restarted_in_its_pod_has_the_same_identity_again() {
        let uid = Uuid::new_v4().to_string();
        drop(Identity::of_process(Some("kulta-0"), Some(&uid)));

        let again = Identity::of_process(Some("kulta-0"), Some(&uid));

        assert_eq!(again.name(), format!("kulta-0_{uid}"));
    }

    #[test]
    fn a_second_process_in_the_pod_has_another_identity() {
        let uid = Uuid::new_v4().to_string();
        let first = Identity::of_process(Some("kulta-0"), Some(&uid));

        let second = Identity::of_process(Some("kulta-0"), Some(&uid));

        assert_ne!(first.name(), second.name());
    }

    #[test]
    fn two_processes_outside_a_pod_have_different_identities() {
        assert_ne!(Identity::of_process(None, None).name(), Identity::of_process(None, None).name());
    }
}

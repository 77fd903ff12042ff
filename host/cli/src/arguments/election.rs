//! The election of one active controller.

use clap::Args;
use kulta_controller::lease::LeaseTimes;

use super::values::{Span, switch};

#[derive(Args, Debug)]
#[command(next_help_heading = "Leader election")]
pub struct ElectionArguments {
    /// Elect one active controller by a Lease: true, false, or auto, which is true in a pod and false outside one
    #[arg(long, env = "KULTA_LEADER_ELECT", default_value = "auto", num_args = 0..=1, default_missing_value = "true",
          value_name = "auto|BOOL", value_parser = leader_elect)]
    pub leader_elect: LeaderElect,
    /// Namespace of the Lease; if unset, the controller's own namespace
    #[arg(long, env = "KULTA_LEASE_NAMESPACE", alias = "leader-election-namespace", value_name = "NAMESPACE")]
    pub lease_namespace: Option<String>,
    /// How long a holder that does not renew the Lease keeps it
    #[arg(long, env = "KULTA_LEADER_ELECTION_LEASE_DURATION", default_value = "15s", value_name = "DURATION")]
    pub leader_election_lease_duration: Span,
    /// How long the holder may fail to renew the Lease before it stops; less than the Lease's duration
    #[arg(long, env = "KULTA_LEADER_ELECTION_RENEW_DEADLINE", default_value = "10s", value_name = "DURATION")]
    pub leader_election_renew_deadline: Span,
    /// Time between two attempts to acquire or to renew the Lease; less than the deadline for renewals
    #[arg(long, env = "KULTA_LEADER_ELECTION_RETRY_PERIOD", default_value = "2s", value_name = "DURATION")]
    pub leader_election_retry_period: Span,
    /// Name of the controller's pod. With --pod-uid it is the holder's identity in the Lease, so that a container that
    /// restarts in its pod leads again at once. If unset, the identity is the host name and a random part
    #[arg(long, env = "KULTA_POD_NAME", value_name = "NAME")]
    pub pod_name: Option<String>,
    /// UID of the controller's pod
    #[arg(long, env = "KULTA_POD_UID", value_name = "UID")]
    pub pod_uid: Option<String>,
    /// The controller's own namespace, with the Secrets that Plugins name; can also be set by POD_NAMESPACE. If unset,
    /// the pod's namespace, or default outside a pod
    #[arg(long, env = "KULTA_OWN_NAMESPACE", value_name = "NAMESPACE")]
    pub own_namespace: Option<String>,
}

impl ElectionArguments {
    pub fn times(&self) -> LeaseTimes {
        LeaseTimes {
            duration: self.leader_election_lease_duration.0,
            renew_deadline: self.leader_election_renew_deadline.0,
            retry: self.leader_election_retry_period.0,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaderElect {
    Auto,
    True,
    False,
}

fn leader_elect(text: &str) -> Result<LeaderElect, String> {
    if text.eq_ignore_ascii_case("auto") {
        return Ok(LeaderElect::Auto);
    }
    let on = switch(text).map_err(|_| "expected auto, true or false (or 1, 0, yes, no)".to_owned())?;
    Ok(if on { LeaderElect::True } else { LeaderElect::False })
}

impl LeaderElect {
    /// In a pod a service account is mounted.
    pub fn wanted(self, in_pod: bool) -> bool {
        match self {
            Self::Auto => in_pod,
            Self::True => true,
            Self::False => false,
        }
    }
}

//! Counts the controller's writes at the API server.

use std::sync::atomic::{AtomicU64, Ordering};

use kulta_controller::kinds::{Kind, MANAGER};
use kulta_embedded::faults::{Call, Delivery, Faults, Verdict};
use kulta_embedded::watch::WatchEvent;

/// Observes every request of the API server and rejects none.
#[derive(Debug, Default)]
pub struct Writes {
    events: AtomicU64,
    others: AtomicU64,
}

impl Writes {
    /// Kubernetes events written.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }

    /// All other objects written.
    #[must_use]
    pub fn others(&self) -> u64 {
        self.others.load(Ordering::Relaxed)
    }
}

impl Faults for Writes {
    fn before(&self, call: &Call) -> Verdict {
        if call.verb.is_write() && call.manager == MANAGER {
            let counted = if call.resource == Kind::Event.plural() { &self.events } else { &self.others };
            counted.fetch_add(1, Ordering::Relaxed);
        }
        Verdict::Pass
    }

    fn after(&self, _: &Call) -> Verdict {
        Verdict::Pass
    }

    fn event(&self, _: &Call, _: &WatchEvent) -> Delivery {
        Delivery::Send
    }
}

#[cfg(test)]
mod tests {
    use kulta_embedded::faults::Verb;

    use super::*;

    fn call(verb: Verb, resource: &str, manager: &str) -> Call {
        Call {
            verb,
            group: String::new(),
            resource: resource.to_owned(),
            subresource: String::new(),
            namespace: "shop".to_owned(),
            name: String::new(),
            manager: manager.to_owned(),
        }
    }

    #[test]
    fn only_the_controllers_own_writes_are_counted() {
        let writes = Writes::default();

        writes.before(&call(Verb::Patch, "rollouts", MANAGER));
        writes.before(&call(Verb::Create, "events", MANAGER));
        writes.before(&call(Verb::List, "rollouts", MANAGER));
        writes.before(&call(Verb::Patch, "rollouts", "user"));

        assert_eq!((writes.others(), writes.events()), (1, 1));
    }
}

//! Event ids that are derived from the cluster's state, so that a redelivery has the same id without stored state.

use uuid::Uuid;

/// Name for the id of a removal: a deleted Rollout stores no transition and so has no sequence number for it.
const REMOVED: &str = "removed";

/// All ids of one rollout's events.
pub(crate) struct Ids {
    namespace: Uuid,
}

impl Ids {
    /// A Kubernetes uid is a UUID; any other string is hashed to one.
    pub(crate) fn of(rollout_uid: &str) -> Self {
        let namespace =
            Uuid::try_parse(rollout_uid).unwrap_or_else(|_| Uuid::new_v5(&Uuid::NAMESPACE_OID, rollout_uid.as_bytes()));
        Self { namespace }
    }

    pub(crate) fn event(&self, sequence: u64) -> String {
        self.derive(&sequence.to_string())
    }

    pub(crate) fn chain(&self, first: u64) -> String {
        self.derive(&format!("chain-{first}"))
    }

    pub(crate) fn removed(&self) -> String {
        self.derive(REMOVED)
    }

    fn derive(&self, name: &str) -> String {
        Uuid::new_v5(&self.namespace, name.as_bytes()).to_string()
    }
}

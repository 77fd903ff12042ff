//! A rollout as every kind of plugin gets it: the one conversion to the WIT's type.

use kulta_core::decision::{RevisionState, Situation};
use kulta_core::workload::Revision;
use kulta_wasm::strategy as wit;

/// What plugins get of a rollout.
#[derive(Clone, Debug)]
pub struct RolloutView<'a> {
    pub namespace: &'a str,
    pub name: &'a str,
    pub replicas: u32,
    pub max_weight: u32,
    pub stable: Option<&'a RevisionState>,
    pub canary: &'a RevisionState,
    pub others: &'a [RevisionState],
}

impl RolloutView<'_> {
    #[must_use]
    pub fn to_wit(&self) -> wit::Rollout {
        wit::Rollout {
            namespace: self.namespace.to_owned(),
            name: self.name.to_owned(),
            replicas: self.replicas,
            max_weight: self.max_weight,
            stable: self.stable.map(revision_to_wit),
            canary: revision_to_wit(self.canary),
            others: self.others.iter().map(revision_to_wit).collect(),
            facts: Vec::new(),
        }
    }
}

impl<'a> From<&'a Situation> for RolloutView<'a> {
    fn from(situation: &'a Situation) -> Self {
        Self {
            namespace: &situation.namespace,
            name: &situation.name,
            replicas: situation.replicas,
            max_weight: situation.max_weight,
            stable: situation.stable.as_ref(),
            canary: &situation.canary,
            others: &situation.others,
        }
    }
}

fn revision_to_wit(revision: &RevisionState) -> wit::Revision {
    wit::Revision {
        hash: revision.hash.clone(),
        number: revision.number,
        desired: revision.desired,
        created: revision.created,
        ready: revision.ready,
        available: revision.available,
    }
}

/// The state of the revision with this hash.
#[must_use]
pub fn revision<'a>(hash: &str, revisions: impl IntoIterator<Item = &'a Revision>) -> Option<RevisionState> {
    let mut revisions = revisions.into_iter();
    revisions.find(|revision| !hash.is_empty() && revision.hash() == hash).map(Revision::state)
}

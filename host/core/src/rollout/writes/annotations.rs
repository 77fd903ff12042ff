//! Annotations of ReplicaSets that follow from a decision.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kulta_api::annotations;

use crate::rollout::context::Context;
use crate::rollout::record::Record;

/// Annotations to set, or to remove, by the ReplicaSet's hash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AnnotationChanges(BTreeMap<String, BTreeMap<&'static str, Option<String>>>);

impl AnnotationChanges {
    /// The deadlines after which pods are deleted: those set in this reconciliation, each with its ReplicaSet's hash. A revision
    /// that is needed has none.
    pub fn deadlines(context: &Context, record: &Record, set: impl Iterator<Item = (String, Timestamp)>) -> Self {
        let key = annotations::SCALE_DOWN_DEADLINE;
        let is_new_wanted = !record.status.abort && context.faults.is_none();
        let wanted = context.stable.iter().chain(context.new.iter().filter(|_| is_new_wanted));
        let removed = wanted
            .filter(|revision| revision.annotations.contains_key(key))
            .map(|revision| (revision.hash().to_owned(), None));
        let set = set.map(|(hash, at)| (hash, Some(at.to_string())));
        Self(removed.chain(set).map(|(hash, value)| (hash, BTreeMap::from([(key, value)]))).collect())
    }

    /// The changes of one ReplicaSet.
    pub fn of(&self, hash: &str) -> impl Iterator<Item = (&'static str, Option<&str>)> {
        self.0.get(hash).into_iter().flatten().map(|(key, value)| (*key, value.as_deref()))
    }
}

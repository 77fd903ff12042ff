//! The rule that requests are not matched to a canary that cannot answer them.

use crate::traffic::available;
use crate::{Broken, Cluster};

/// A write adds the first rule that sends requests to the canary Service by what they match, or points the Service that has one at
/// other pods.
pub(crate) fn judge(before: &Cluster, after: &Cluster) -> Option<Broken> {
    let (old, new) = (before.routing.as_ref()?, after.routing.as_ref()?);
    let changes = !old.by_match || old.canary.selects != new.canary.selects;
    let nobody = before.replicas > 0 && available(before, &new.canary.selects) == 0;
    (new.by_match && changes && nobody).then(|| Broken::MatchedToNobody { given_to: new.canary.selects.clone() })
}

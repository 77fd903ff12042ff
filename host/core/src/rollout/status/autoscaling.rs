//! The number of pods that a HorizontalPodAutoscaler reads (`reference/argo-rollouts.md` section 5, row 16; upstream PR #4868).
//! For a metric with an average value the autoscaler can return this number as the wanted one. So pods that exist only for an
//! update would make it scale up.

use kulta_api::{Rollout, annotations};

use crate::rollout::context::Context;
use crate::rollout::record::Record;
use crate::workload::Revision;

/// `status.HPAReplicas`: the pods to which `spec.replicas` applies. Behind routes these are the stable revision's pods, and with
/// blue-green those of the active one, as in Argo. If both
/// sides share `spec.replicas`, these are all pods except those of a surge.
pub(super) fn hpa_replicas(context: &Context, record: &Record) -> u32 {
    let created = |revision: &Revision| revision.created_replicas;
    if let Some(active) = context.active() {
        return created(active);
    }
    let all = context.observed.revisions.iter().map(|revision| created(revision)).sum();
    if counts_all_pods(&context.observed.rollout) {
        return all;
    }
    let stays_whole = context.shape().is_some_and(|shape| !shape.dynamic_stable);
    if !stays_whole {
        return context.replicas.min(all);
    }
    let serving =
        if record.is_stable(context) { context.new.as_ref() } else { context.stable.as_ref().or(context.new.as_ref()) };
    serving.map_or(0, |serving| created(serving))
}

/// Counts as in Argo: the pods of all revisions.
fn counts_all_pods(rollout: &Rollout) -> bool {
    let annotations = rollout.metadata.annotations.as_ref();
    annotations.and_then(|all| all.get(annotations::HPA_COUNTS_ALL_PODS)).is_some_and(|value| value == "true")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::Value;

    use super::*;
    use crate::fixtures;
    use crate::observed::Observed;
    use crate::rollout::begin;
    use crate::rollout::questions::Turn;
    use crate::rollout::tests::support::{done, hold, now, status, steps, under_way};

    /// The value in the next status; `None` if it does not change.
    fn counted(observed: Observed) -> Value {
        let mut turn = begin(observed, now());
        while let Turn::Ask(ask) = turn {
            turn = ask.answer(Ok(hold(1, 50)));
        }
        done(turn).status.unwrap().patch["HPAReplicas"].clone()
    }

    /// Two stable pods and two canary pods. The canary gets half of the requests.
    fn halfway() -> Observed {
        under_way(steps(), 1, 2, 50)
    }

    #[test]
    fn behind_routes_the_canarys_pods_do_not_count() {
        assert_eq!(counted(halfway()), 2);
    }

    #[test]
    fn with_the_annotation_all_pods_count_as_with_argo() {
        let mut observed = halfway();
        let annotation = (annotations::HPA_COUNTS_ALL_PODS.to_owned(), "true".to_owned());
        observed.rollout.metadata.annotations = Some([annotation].into());

        assert_eq!(counted(observed), 4);
    }

    #[test]
    fn without_routes_the_pods_of_a_surge_do_not_count() {
        let mut observed = halfway();
        observed.rollout.spec.strategy.canary.as_mut().unwrap().fields.traffic_routing = None;

        assert_eq!(counted(observed), 2);
    }

    #[test]
    fn a_stable_side_that_shrinks_shares_the_count_with_the_canary() {
        let mut observed = under_way(steps(), 1, 1, 50);
        observed.rollout.spec.strategy.canary.as_mut().unwrap().fields.dynamic_stable_scale = Some(true);
        observed.revisions[1] = Arc::new(fixtures::revision("old", 1, 1, 1));

        assert_eq!(counted(observed), 2);
    }

    #[test]
    fn after_the_promotion_the_new_revisions_pods_count_and_the_old_ones_do_not() {
        let mut observed = under_way(steps(), 4, 2, 0);
        observed.revisions[1] = Arc::new(fixtures::revision("old", 1, 3, 3));
        status(&mut observed).stable_rs = status(&mut observed).current_pod_hash.clone();

        assert_eq!(counted(observed), 2);
    }

    #[test]
    fn a_first_revision_counts() {
        let mut observed = under_way(steps(), 0, 2, 0);
        observed.rollout.status = None;
        observed.revisions.truncate(1);

        assert_eq!(counted(observed), 2);
    }
}

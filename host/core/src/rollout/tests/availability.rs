//! Whole reconciliations of rollouts with unavailable pods while a user scales.

use std::sync::Arc;

use kulta_api::annotations;
use serde_json::json;

use crate::fixtures;
use crate::observed::Observed;
use crate::rollout::begin;
use crate::rollout::tests::support::{asked, done, hold, now, route_writes, scales, status, steps, under_way};
use crate::workload::Revision;

/// A user has scaled the rollout from `before` to `after` replicas. The sides have these wanted and available pods.
fn scaled(
    strategy: serde_json::Value,
    (before, after): (u32, u32),
    canary: (u32, u32),
    stable: (u32, u32),
) -> Observed {
    let mut observed = under_way(steps(), 1, 1, 50);
    observed.rollout.spec.strategy = fixtures::rollout(strategy).spec.strategy;
    observed.rollout.spec.replicas = Some(i32::try_from(after).unwrap());
    let hash = status(&mut observed).current_pod_hash.clone();
    let new = observed.revisions[0].annotations.clone();
    observed.revisions = [(hash.as_str(), 2, canary), ("old", 1, stable)]
        .into_iter()
        .map(|(hash, revision, (wanted, available))| {
            let mut set = fixtures::revision(hash, revision, wanted, available);
            if hash != "old" {
                set.annotations.clone_from(&new);
            }
            set.annotations.insert(annotations::DESIRED_REPLICAS.to_owned(), before.to_string());
            Arc::new(Revision { created_replicas: wanted, ..set })
        })
        .collect();
    observed
}

fn pods_of(plan: &crate::plan::Plan, name: &str) -> Option<u64> {
    scales(plan).into_iter().find(|(scaled, _)| scaled == name).map(|(_, pods)| pods)
}

#[test]
fn a_paused_rollout_without_routes_that_is_scaled_down_keeps_the_pods_that_serve() {
    let basic = json!({ "canary": { "steps": steps(), "maxSurge": 1, "maxUnavailable": 0 } });
    let mut observed = scaled(basic, (8, 4), (4, 0), (4, 4));
    observed.rollout.spec.paused = Some(true);

    let plan = done(begin(observed, now()));

    assert_eq!(pods_of(&plan, "web-old"), None, "{:?}", plan.writes);
}

#[test]
fn a_paused_rollout_without_routes_is_scaled_in_proportion() {
    let basic = json!({ "canary": { "steps": steps() } });
    let mut observed = scaled(basic, (4, 8), (1, 1), (3, 3));
    observed.rollout.spec.paused = Some(true);

    let plan = done(begin(observed, now()));

    let mut pods: Vec<_> = scales(&plan).into_iter().map(|(_, pods)| pods).collect();
    pods.sort_unstable();
    assert_eq!(pods, [2, 6]);
}

#[test]
fn a_stable_side_that_takes_its_traffic_back_is_not_scaled_down_with_the_rollout() {
    let mut strategy = crate::rollout::tests::support::routed(steps());
    strategy["canary"]["dynamicStableScale"] = json!(true);
    let observed = scaled(strategy, (8, 4), (4, 0), (4, 4));

    let plan = done(asked(begin(observed, now())).answer(Ok(hold(1, 50))));

    assert_eq!((pods_of(&plan, "web-old"), route_writes(&plan)), (None, vec![0]));
}

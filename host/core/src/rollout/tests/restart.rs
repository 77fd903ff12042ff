//! Restarts by `spec.restartAt` of a canary whose pods serve requests.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::fixtures;
use crate::observed::{Observed, Pod};
use crate::plan::{Action, Plan};
use crate::rollout::begin;
use crate::rollout::questions::{LookedUp, Need, Turn};
use crate::rollout::tests::support::{hold, now, plan_by, route, route_writes, service, status, steps, under_way};

fn ago(seconds: i64) -> Timestamp {
    now().checked_sub(SignedDuration::from_secs(seconds)).unwrap()
}

/// A ready pod of one of the rollout's ReplicaSets.
fn pod(name: &str, hash: &str, age: i64) -> Pod {
    Pod {
        name: name.into(),
        hash: hash.into(),
        owner: format!("uid-{hash}"),
        created: ago(age),
        ready: true,
        labels: BTreeMap::from([("app".into(), "web".into())]),
        ..Pod::default()
    }
}

/// A restart that was requested a minute ago. Stable's two pods have been restarted, the canary's only pod has not.
fn restarting(weight: u32) -> Restart {
    let mut observed = under_way(steps(), 1, 1, weight);
    observed.rollout.spec.restart_at = Some(kulta_api::Time(ago(60)));
    let hash = status(&mut observed).current_pod_hash.clone();
    let pods = vec![pod("old-a", "old", 9), pod("old-b", "old", 9), pod("canary", &hash, 600)];
    Restart { observed, pods }
}

/// A rollout with a restart in progress, and its pods.
#[derive(Clone)]
struct Restart {
    observed: Observed,
    pods: Vec<Pod>,
}

impl Restart {
    fn hash(&mut self) -> String {
        status(&mut self.observed).current_pod_hash.clone()
    }

    /// The plan when the strategy wants 50 % for the canary.
    fn plan(self) -> Plan {
        let known = LookedUp { pods: Some(self.pods), ..LookedUp::default() };
        plan_by(begin(self.observed, now()), &known, |_| hold(1, 50))
    }
}

fn evicted(plan: &Plan) -> Vec<&str> {
    let evictions = plan.writes.iter().filter_map(|write| match &write.action {
        Action::EvictPod { name } => Some(name.as_str()),
        _ => None,
    });
    evictions.collect()
}

#[test]
fn the_weight_is_moved_before_the_canarys_only_pod_is_evicted() {
    let plan = restarting(50).plan();

    assert_eq!((route_writes(&plan), evicted(&plan)), (vec![0], vec![]));
}

#[test]
fn the_canarys_only_pod_is_evicted_once_it_has_no_traffic() {
    let plan = restarting(0).plan();

    assert_eq!((route_writes(&plan), evicted(&plan)), (vec![], vec!["canary"]));
}

#[test]
fn the_weight_is_restored_only_with_a_pod_that_is_ready() {
    let mut restart = restarting(0);
    restart.pods[2].terminating = true;
    let waits = restart.clone().plan();
    let hash = restart.hash();
    restart.pods[2] = pod("fresh", &hash, 5);

    let back = restart.plan();

    assert_eq!((route_writes(&waits), route_writes(&back)), (vec![], vec![50]));
}

#[test]
fn a_paused_rollout_keeps_the_canarys_only_pod_and_its_weight() {
    let mut restart = restarting(50);
    restart.observed.rollout.spec.paused = Some(true);

    let plan = restart.plan();

    assert_eq!((route_writes(&plan), evicted(&plan)), (vec![], vec![]));
}

#[test]
fn one_of_several_canary_pods_is_evicted_under_its_weight() {
    let mut restart = restarting(50);
    let hash = restart.hash();
    restart.pods.push(pod("canary-2", &hash, 300));

    let plan = restart.plan();

    assert_eq!((route_writes(&plan), evicted(&plan)), (vec![], vec!["canary"]));
}

#[test]
fn the_last_pod_of_a_stable_side_that_shrank_is_not_evicted_while_it_has_traffic() {
    let mut restart = restarting(50);
    let mut strategy = crate::rollout::tests::support::routed(steps());
    strategy["canary"]["dynamicStableScale"] = json!(true);
    restart.observed.rollout.spec.strategy = fixtures::rollout(strategy).spec.strategy;
    restart.observed.revisions[1] = std::sync::Arc::new(fixtures::revision("old", 1, 1, 1));
    let hash = restart.hash();
    restart.pods = vec![pod("old-a", "old", 600), pod("canary", &hash, 9)];

    let plan = restart.plan();

    assert_eq!(evicted(&plan), Vec::<&str>::new());
}

/// An idle rollout with 2 pods older than the restart, of which one is not ready.
fn idle() -> Restart {
    let mut restart = restarting(0);
    let hash = restart.hash();
    let set = crate::workload::Revision {
        replicas: 2,
        created_replicas: 2,
        ..crate::workload::Revision::clone(&restart.observed.revisions[0])
    };
    restart.observed.revisions = vec![std::sync::Arc::new(set)];
    restart.observed.services.extend([service("canary", &hash), service("stable", &hash)]);
    restart.observed.routes = vec![route(0)];
    status(&mut restart.observed).stable_rs.clone_from(&hash);
    restart.pods = vec![pod("a", &hash, 600), Pod { ready: false, ..pod("b", &hash, 600) }];
    restart
}

#[test]
fn ready_pods_of_another_owner_do_not_count() {
    let mut restart = idle();
    let hash = restart.hash();
    let foreign = |name: &str| Pod { owner: "another".into(), ..pod(name, &hash, 9) };
    restart.pods.extend([foreign("x"), foreign("y")]);

    assert_eq!(evicted(&restart.plan()), Vec::<&str>::new());
}

#[test]
fn pods_of_another_owner_are_not_evicted() {
    let mut restart = idle();
    let hash = restart.hash();
    restart.pods =
        vec![pod("a", &hash, 9), pod("b", &hash, 9), Pod { owner: "another".into(), ..pod("theirs", &hash, 600) }];

    assert_eq!(evicted(&restart.plan()), Vec::<&str>::new());
}

#[test]
fn pods_are_looked_up_by_the_whole_selector() {
    let mut restart = idle();
    restart.observed.rollout.spec.selector = serde_json::from_value(json!({
        "matchLabels": { "app": "web" },
        "matchExpressions": [{ "key": "tier", "operator": "In", "values": ["front"] }]
    }))
    .unwrap();
    restart.observed.rollout.spec.template.0["metadata"]["labels"]["tier"] = json!("front");

    let Turn::LookUp(look_up) = begin(restart.observed, now()) else { panic!("not looked up") };

    assert_eq!(look_up.need, Need::Pods { selector: "app=web,tier in (front)".into() });
}

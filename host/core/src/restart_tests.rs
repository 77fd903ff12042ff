//! Restarts by `spec.restartAt` of a canary of which pods serve.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::fixtures;
use crate::observed::{Observed, Pod};
use crate::pass::{Turn, begin};
use crate::pass_tests::{done, hold, now, route, route_writes, service, status, steps, under_way};
use crate::plan::{Action, Need, Plan};

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

/// A restart that was asked for a minute ago: stable's two pods have been restarted, the canary's only pod has not.
fn restarting(weight: u32) -> Observed {
    let mut observed = under_way(steps(), 1, 1, weight);
    observed.rollout.spec.restart_at = Some(kulta_api::Time(ago(60)));
    let hash = status(&mut observed).current_pod_hash.clone();
    observed.looked_up.pods = Some(vec![pod("old-a", "old", 9), pod("old-b", "old", 9), pod("canary", &hash, 600)]);
    observed
}

/// What comes of it when the strategy wants 50 % for the canary.
fn led(observed: Observed) -> Plan {
    let mut turn = begin(observed, now());
    while let Turn::Ask(ask) = turn {
        turn = ask.answer(Ok(hold(1, 50)));
    }
    done(turn)
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
    let plan = led(restarting(50));

    assert_eq!((route_writes(&plan), evicted(&plan)), (vec![0], vec![]));
}

#[test]
fn the_canarys_only_pod_is_evicted_once_it_has_no_traffic() {
    let plan = led(restarting(0));

    assert_eq!((route_writes(&plan), evicted(&plan)), (vec![], vec!["canary"]));
}

#[test]
fn the_weight_comes_back_only_with_a_pod_that_is_ready() {
    let mut observed = restarting(0);
    observed.looked_up.pods.as_mut().unwrap()[2].terminating = true;
    let waits = led(observed.clone());
    let hash = status(&mut observed).current_pod_hash.clone();
    observed.looked_up.pods.as_mut().unwrap()[2] = pod("fresh", &hash, 5);

    let back = led(observed);

    assert_eq!((route_writes(&waits), route_writes(&back)), (vec![], vec![50]));
}

#[test]
fn a_paused_rollout_keeps_the_canarys_only_pod_and_its_weight() {
    let mut observed = restarting(50);
    observed.rollout.spec.paused = Some(true);

    let plan = done(begin(observed, now()));

    assert_eq!((route_writes(&plan), evicted(&plan)), (vec![], vec![]));
}

#[test]
fn one_of_several_canary_pods_is_evicted_under_its_weight() {
    let mut observed = restarting(50);
    let hash = status(&mut observed).current_pod_hash.clone();
    observed.looked_up.pods.as_mut().unwrap().push(pod("canary-2", &hash, 300));

    let plan = led(observed);

    assert_eq!((route_writes(&plan), evicted(&plan)), (vec![], vec!["canary"]));
}

#[test]
fn the_last_pod_of_a_stable_side_that_shrank_is_not_evicted_while_it_has_traffic() {
    let mut observed = restarting(50);
    let mut strategy = crate::pass_tests::routed(steps());
    strategy["canary"]["dynamicStableScale"] = json!(true);
    observed.rollout.spec.strategy = fixtures::rollout(strategy).spec.strategy;
    observed.replica_sets[1] = std::sync::Arc::new(fixtures::replica_set("old", 1, 1, 1));
    let hash = status(&mut observed).current_pod_hash.clone();
    observed.looked_up.pods = Some(vec![pod("old-a", "old", 600), pod("canary", &hash, 9)]);

    let plan = led(observed);

    assert_eq!(evicted(&plan), Vec::<&str>::new());
}

/// At rest with 2 pods of its own, one of which is not ready and both older than the restart.
fn at_rest() -> Observed {
    let mut observed = restarting(0);
    let hash = status(&mut observed).current_pod_hash.clone();
    let set = crate::observed::ReplicaSet {
        replicas: 2,
        created_replicas: 2,
        ..crate::observed::ReplicaSet::clone(&observed.replica_sets[0])
    };
    observed.replica_sets = vec![std::sync::Arc::new(set)];
    observed.services.extend([service("canary", &hash), service("stable", &hash)]);
    observed.routes = vec![route(0)];
    status(&mut observed).stable_rs.clone_from(&hash);
    observed.looked_up.pods = Some(vec![pod("a", &hash, 600), Pod { ready: false, ..pod("b", &hash, 600) }]);
    observed
}

#[test]
fn ready_pods_of_somebody_else_do_not_count() {
    let mut observed = at_rest();
    let hash = status(&mut observed).current_pod_hash.clone();
    let foreign = |name: &str| Pod { owner: "somebody".into(), ..pod(name, &hash, 9) };
    observed.looked_up.pods.as_mut().unwrap().extend([foreign("x"), foreign("y")]);

    assert_eq!(evicted(&done(begin(observed, now()))), Vec::<&str>::new());
}

#[test]
fn pods_of_somebody_else_are_not_evicted() {
    let mut observed = at_rest();
    let hash = status(&mut observed).current_pod_hash.clone();
    observed.looked_up.pods = Some(vec![
        pod("a", &hash, 9),
        pod("b", &hash, 9),
        Pod { owner: "somebody".into(), ..pod("theirs", &hash, 600) },
    ]);

    assert_eq!(evicted(&done(begin(observed, now()))), Vec::<&str>::new());
}

#[test]
fn pods_are_looked_up_by_the_whole_selector() {
    let mut observed = at_rest();
    observed.looked_up.pods = None;
    observed.rollout.spec.selector = serde_json::from_value(json!({
        "matchLabels": { "app": "web" },
        "matchExpressions": [{ "key": "tier", "operator": "In", "values": ["front"] }]
    }))
    .unwrap();
    observed.rollout.spec.template.0["metadata"]["labels"]["tier"] = json!("front");

    let need = done(begin(observed, now())).need;

    assert_eq!(need, Some(Need::Pods { selector: "app=web,tier in (front)".into() }));
}

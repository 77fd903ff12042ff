//! Whole reconciliations of a canary whose `trafficRouting` names no router: pods are counted as behind routes, and only the
//! Services' selectors decide who gets requests.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::decision::{Decision, Next, Scale};
use crate::fixtures;
use crate::observed::{Endpoints, Observed};
use crate::plan::{Action, Plan};
use crate::rollout::begin;
use crate::rollout::questions::LookedUp;
use crate::rollout::tests::support::{
    done, done_with, hold, now, plan_by, plan_with, route_writes, scales, service, status, steps, stored, under_way,
};
use crate::workload::Revision;

const REPLICAS: i32 = 10;

/// Revision 2 of a canary in progress at step 0, with these pods, wanted and available. `old` is stable.
fn unrouted(canary: (u32, u32), stable: (u32, u32)) -> Observed {
    let mut observed = under_way(steps(), 0, canary.0, 0);
    observed.rollout.spec.replicas = Some(REPLICAS);
    let fields = &mut observed.rollout.spec.strategy.canary.as_mut().unwrap().fields;
    fields.traffic_routing = Some(serde_json::from_value(json!({})).unwrap());
    observed.routes.clear();
    for (index, (replicas, available)) in [canary, stable].into_iter().enumerate() {
        let mut annotations = observed.revisions[index].annotations.clone();
        annotations.insert("rollout.argoproj.io/desired-replicas".into(), REPLICAS.to_string());
        observed.revisions[index] = Arc::new(Revision {
            annotations,
            replicas,
            created_replicas: replicas,
            ready_replicas: available,
            available_replicas: available,
            ..Revision::clone(&observed.revisions[index])
        });
    }
    observed
}

fn without_services(mut observed: Observed) -> Observed {
    let fields = &mut observed.rollout.spec.strategy.canary.as_mut().unwrap().fields;
    (fields.canary_service, fields.stable_service) = (None, None);
    observed.services.clear();
    observed
}

/// A stable revision without a Service of its own, so that it may shrink.
fn dynamic(mut observed: Observed) -> Observed {
    let fields = &mut observed.rollout.spec.strategy.canary.as_mut().unwrap().fields;
    (fields.dynamic_stable_scale, fields.stable_service) = (Some(true), None);
    observed.services.remove("stable");
    observed
}

fn selecting(mut observed: Observed, name: &str, hash: &str) -> Observed {
    let (name, selecting) = service(name, hash);
    observed.services.insert(name, selecting);
    observed
}

fn new_hash(observed: &Observed) -> String {
    observed.revisions[0].hash().to_owned()
}

fn pods(plan: &Plan, hash: &str) -> Option<u64> {
    scales(plan).into_iter().find(|(name, _)| *name == format!("web-{hash}")).map(|(_, pods)| pods)
}

/// The Services that the plan points at a revision, with its hash.
fn selectors(plan: &Plan) -> BTreeMap<String, String> {
    let switched = plan.writes.iter().filter_map(|write| match &write.action {
        Action::PatchService { name, patch } => {
            let hash = patch.pointer("/spec/selector/rollouts-pod-template-hash").and_then(Value::as_str)?;
            Some((name.clone(), hash.to_owned()))
        }
        _ => None,
    });
    switched.collect()
}

fn to_canary(hash: &str) -> BTreeMap<String, String> {
    BTreeMap::from([("canary".to_owned(), hash.to_owned())])
}

#[test]
fn the_canarys_pods_come_on_top_of_all_of_stables_and_no_route_is_written() {
    let observed = unrouted((0, 0), (10, 10));
    let hash = new_hash(&observed);

    let plan = plan_with(observed, &hold(0, 50));

    assert_eq!((pods(&plan, &hash), pods(&plan, "old"), route_writes(&plan)), (Some(5), None, vec![]));
}

#[test]
fn a_weight_step_is_in_place_once_its_pods_are_available_and_the_canary_service_selects_them() {
    let mut reached = Vec::new();
    for observed in [
        unrouted((5, 4), (10, 10)),
        selecting(unrouted((5, 5), (10, 10)), "canary", "old"),
        unrouted((5, 5), (10, 10)),
        without_services(unrouted((5, 5), (10, 10))),
    ] {
        let mut is_reached = false;
        plan_by(begin(observed, now()), &LookedUp::default(), |situation| {
            is_reached = situation.reached;
            hold(0, 50)
        });
        reached.push(is_reached);
    }

    assert_eq!(reached, [false, false, true, true]);
}

#[test]
fn the_status_has_no_weights_as_in_argo() {
    let observed = unrouted((5, 5), (10, 10));

    let stored = stored(observed.clone(), &plan_with(observed, &hold(0, 50)));

    assert_eq!(stored.rollout.status.unwrap().canary.weights, None);
}

#[test]
fn the_canary_service_selects_the_canary_once_all_its_pods_are_available() {
    for (available, switched) in [(4, false), (5, true)] {
        let observed = selecting(unrouted((5, available), (10, 10)), "canary", "old");
        let hash = new_hash(&observed);

        let plan = plan_with(observed, &hold(0, 50));

        assert_eq!(selectors(&plan), if switched { to_canary(&hash) } else { BTreeMap::new() });
    }
}

#[test]
fn a_canary_without_pods_is_given_no_service_and_a_canary_that_loses_its_pods_loses_its_service_first() {
    let observed = unrouted((5, 5), (10, 10));
    let hash = new_hash(&observed);
    let none = Decision { canary: Scale::Replicas(0), ..hold(0, 50) };
    let listed = BTreeMap::from([("canary".to_owned(), [format!("web-{hash}-00001")].into())]);
    let known = LookedUp { endpoints: Some(Endpoints { listed, ..Endpoints::default() }), ..LookedUp::default() };

    let plan = plan_by(begin(observed, now()), &known, |_| none.clone());

    assert_eq!((selectors(&plan), pods(&plan, &hash)), (to_canary("old"), None));
}

#[test]
fn a_smaller_weight_takes_pods_from_the_canary_while_stable_is_whole() {
    for (stable, expected) in [(10, Some(2)), (7, Some(3))] {
        let observed = unrouted((5, 5), (10, stable));
        let hash = new_hash(&observed);

        let plan = plan_with(observed, &hold(0, 20));

        assert_eq!(pods(&plan, &hash), expected, "{stable} pods of stable are available");
    }
}

#[test]
fn a_stable_revision_whose_scale_is_dynamic_shrinks_as_the_canarys_pods_become_available() {
    for (available, expected) in [(0, None), (3, Some(7)), (5, Some(5))] {
        let observed = dynamic(unrouted((5, available), (10, 10)));

        let plan = plan_with(observed, &hold(0, 50));

        assert_eq!(pods(&plan, "old"), expected, "{available} pods of the canary are available");
    }
}

#[test]
fn a_stable_revision_with_a_service_of_its_own_keeps_all_its_pods_even_if_its_scale_is_dynamic() {
    let mut observed = unrouted((5, 5), (10, 10));
    observed.rollout.spec.strategy.canary.as_mut().unwrap().fields.dynamic_stable_scale = Some(true);

    assert_eq!(pods(&plan_with(observed, &hold(0, 50)), "old"), None);
}

#[test]
fn a_dynamic_stable_revision_keeps_its_pods_while_no_request_can_reach_the_canary() {
    let observed = selecting(dynamic(unrouted((5, 4), (10, 10))), "canary", "old");

    assert_eq!(pods(&plan_with(observed, &hold(0, 50)), "old"), None);
}

#[test]
fn an_abort_points_the_canary_service_at_stable_before_the_canary_loses_its_pods() {
    let mut observed = unrouted((5, 5), (10, 10));
    status(&mut observed).abort = true;
    let hash = new_hash(&observed);

    let plan = done(begin(observed.clone(), now()));
    assert_eq!((selectors(&plan), pods(&plan, &hash)), (to_canary("old"), None));

    let restored = done(begin(selecting(stored(observed, &plan), "canary", "old"), now()));
    let finished = serde_json::to_string(&restored.status.unwrap().patch).unwrap();
    assert!(finished.contains("finished") && finished.contains("serviceRolledBack"), "{finished}");
}

#[test]
fn after_an_abort_a_canary_without_a_service_of_its_own_is_scaled_down_at_once() {
    let mut observed = without_services(unrouted((5, 5), (10, 10)));
    status(&mut observed).abort = true;
    let hash = new_hash(&observed);

    assert_eq!(pods(&done(begin(observed, now())), &hash), Some(0));
}

#[test]
fn an_abort_leaves_the_canary_service_until_a_dynamic_stable_revision_has_its_pods_again() {
    for (available, switched) in [(5, false), (10, true)] {
        let mut observed = dynamic(unrouted((5, 5), (10, available)));
        status(&mut observed).abort = true;
        let hash = new_hash(&observed);

        let plan = done(begin(observed, now()));

        assert_eq!(selectors(&plan), if switched { to_canary("old") } else { BTreeMap::new() });
        assert_eq!(pods(&plan, &hash), None);
    }
}

#[test]
fn a_promotion_needs_all_pods_of_the_new_revision_and_no_route() {
    let promoting = |canary| {
        let mut observed = unrouted(canary, (10, 10));
        status(&mut observed).current_step_index = Some(4);
        let hash = new_hash(&observed);
        let plan = done(begin(observed, now()));
        (plan.status.as_ref().unwrap().patch["stableRS"] == json!(hash), pods(&plan, &hash))
    };

    assert_eq!(promoting((5, 5)), (false, Some(10)));
    assert_eq!(promoting((10, 9)), (false, None));
    assert!(promoting((10, 10)).0);
}

#[test]
fn a_revision_that_was_stable_keeps_its_pods_until_the_stable_service_selects_the_new_one() {
    let mut observed = unrouted((10, 10), (10, 10));
    status(&mut observed).current_step_index = Some(4);
    let hash = new_hash(&observed);
    status(&mut observed).stable_rs.clone_from(&hash);
    observed.rollout.spec.strategy.canary.as_mut().unwrap().fields.scale_down_delay_seconds = Some(0);

    let plan = done(begin(observed.clone(), now()));
    assert_eq!((selectors(&plan)["stable"].clone(), pods(&plan, "old")), (hash.clone(), None));

    let plan = done(begin(selecting(observed, "stable", &hash), now()));
    assert_eq!(pods(&plan, "old"), Some(0));
}

#[test]
fn a_canary_that_is_superseded_gives_its_service_to_stable_and_keeps_its_pods_until_then() {
    let mut observed = unrouted((1, 0), (10, 10));
    observed.revisions.push(Arc::new(fixtures::revision("mid", 2, 5, 5)));
    let observed = selecting(observed, "canary", "mid");

    let plan = plan_with(observed.clone(), &hold(0, 10));
    assert_eq!((selectors(&plan), pods(&plan, "mid")), (to_canary("old"), None));

    let plan = plan_with(selecting(observed, "canary", "old"), &hold(0, 10));
    assert_eq!(pods(&plan, "mid"), Some(0));
}

#[test]
fn a_paused_rollout_changes_no_scale() {
    let mut observed = dynamic(unrouted((4, 4), (8, 8)));
    observed.rollout.spec.paused = Some(true);

    assert_eq!(scales(&done(begin(observed, now()))), []);
}

#[test]
fn the_last_pod_of_a_canary_that_its_service_still_lists_stays() {
    let mut observed = unrouted((1, 1), (10, 10));
    status(&mut observed).abort = true;
    let fields = &mut observed.rollout.spec.strategy.canary.as_mut().unwrap().fields;
    fields.abort_scale_down_delay_seconds = Some(1);
    let hash = new_hash(&observed);
    let mut canary = Revision::clone(&observed.revisions[0]);
    canary.annotations.insert("scale-down-deadline".into(), "2020-01-01T00:00:00Z".into());
    observed.revisions[0] = Arc::new(canary);
    let observed = selecting(observed, "canary", "old");
    let listed = BTreeMap::from([("canary".to_owned(), [format!("web-{hash}-00001")].into())]);
    let known = LookedUp { endpoints: Some(Endpoints { listed, ..Endpoints::default() }), ..LookedUp::default() };

    let kept = done_with(begin(observed.clone(), now()), &known);
    let gone = done(begin(observed, now()));

    assert_eq!((pods(&kept, &hash), pods(&gone, &hash)), (None, Some(0)));
}

#[test]
fn a_decision_to_promote_follows_when_the_last_step_is_in_place() {
    let observed = unrouted((5, 5), (10, 10));
    let hash = new_hash(&observed);

    let plan = plan_with(observed, &Decision { next: Next::Promote, ..hold(0, 50) });

    assert_eq!(pods(&plan, &hash), Some(10));
}

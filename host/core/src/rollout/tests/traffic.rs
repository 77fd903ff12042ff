//! Whole reconciliations about traffic: the writes of routes and Services, and the conditions if traffic cannot be moved.

use std::collections::BTreeMap;
use std::sync::Arc;

use kulta_api::{RouteKey, RouteKind};
use serde_json::{Value, json};

use crate::fixtures;
use crate::observed::{Endpoints, Observed, OtherRollout, Route, RouteState, RouteWrite, Service};
use crate::plan::{Action, Plan};
use crate::rollout::begin;
use crate::rollout::questions::{LookedUp, Need, Turn};
use crate::rollout::tests::support::{
    asked, done, done_with, hold, now, route, route_writes, scales, service, status, steps, under_way,
};
use crate::workload::PodController;
use crate::workload::Revision;

/// Changes the only route.
fn with_route(mut observed: Observed, change: impl FnOnce(&mut Route)) -> Observed {
    let RouteState::Found(found) = &observed.routes[0].state else { panic!("no route") };
    let mut route = Route::clone(found);
    change(&mut route);
    observed.routes[0].state = RouteState::Found(Arc::new(route));
    observed
}

fn with_available(mut observed: Observed, index: usize, replicas: u32, available: u32) -> Observed {
    let changed = Revision {
        replicas,
        created_replicas: replicas,
        ready_replicas: available,
        available_replicas: available,
        ..Revision::clone(&observed.revisions[index])
    };
    observed.revisions[index] = Arc::new(changed);
    observed
}

fn dynamic(mut observed: Observed) -> Observed {
    let canary = observed.rollout.spec.strategy.canary.as_mut().unwrap();
    canary.fields.dynamic_stable_scale = Some(true);
    observed
}

/// A third revision begins while the second, `mid`, has all the traffic and all the pods.
fn superseded() -> Observed {
    let mut observed = dynamic(under_way(steps(), 0, 0, 100));
    observed.revisions.push(Arc::new(fixtures::revision("mid", 2, 2, 2)));
    let (name, selecting) = service("canary", "mid");
    observed.services.insert(name, selecting);
    with_available(observed, 1, 0, 0)
}

fn condition(plan: &Plan, kind: &str) -> Value {
    let patch = plan.status.as_ref().map(|status| status.patch.clone()).unwrap_or_default();
    let all = patch["conditions"].as_array().cloned().unwrap_or_default();
    all.into_iter().find(|condition| condition["type"] == kind).unwrap_or_default()
}

fn service_writes(plan: &Plan) -> Vec<String> {
    let names = plan.writes.iter().filter_map(|write| match &write.action {
        Action::PatchService { name, .. } => Some(name.clone()),
        _ => None,
    });
    names.collect()
}

#[test]
fn without_replicas_a_weight_step_is_in_place_at_no_weight() {
    let mut observed = under_way(steps(), 0, 0, 0);
    observed.rollout.spec.replicas = Some(0);
    let observed = with_available(observed, 1, 0, 0);

    let again = asked(asked(begin(observed, now())).answer(Ok(hold(0, 50))));

    assert!(again.situation.reached);
}

#[test]
fn a_canary_that_is_superseded_keeps_its_traffic_until_stable_can_take_it() {
    let plan = done(asked(begin(superseded(), now())).answer(Ok(hold(0, 50))));

    assert_eq!(route_writes(&plan), Vec::<u32>::new());
    assert!(scales(&plan).contains(&("web-old".to_owned(), 2)), "stable becomes whole: {:?}", scales(&plan));
}

#[test]
fn a_canary_that_is_superseded_loses_as_much_traffic_as_stable_can_take() {
    let plan = done(asked(begin(with_available(superseded(), 1, 2, 1), now())).answer(Ok(hold(0, 50))));

    assert_eq!(route_writes(&plan), [50]);
}

#[test]
fn a_rollback_to_a_stable_revision_that_shrank_moves_the_weight_before_the_service() {
    let mut observed = superseded();
    let hash = status(&mut observed).current_pod_hash.clone();
    status(&mut observed).stable_rs = hash.clone();
    let (name, selecting) = service("stable", &hash);
    observed.services.insert(name, selecting);
    let observed = with_available(observed, 0, 2, 1);

    let plan = done(begin(observed, now()));

    assert_eq!((route_writes(&plan), service_writes(&plan)), (vec![50], Vec::new()));
}

#[test]
fn a_foreign_weight_is_corrected_even_while_the_spec_pauses_the_rollout() {
    let mut observed = with_route(under_way(steps(), 1, 1, 80), |route| {
        route.generation = 2;
        route.last_write = Some(RouteWrite { weight: 50, at: now(), generation: 1, ..RouteWrite::default() });
        route.foreign_managers = vec!["meddler".to_owned()];
    });
    observed.rollout.spec.paused = Some(true);

    let plan = done(begin(observed, now()));

    assert_eq!(route_writes(&plan), [50]);
}

#[test]
fn a_route_whose_patch_is_refused_is_reported_with_the_message_of_the_api_server() {
    let observed = with_route(under_way(steps(), 0, 1, 0), |route| route.refused = Some("policy says no".to_owned()));

    let plan = done(asked(begin(observed, now())).answer(Ok(hold(0, 50))));

    let messages = condition(&plan, "TrafficReady");
    assert_eq!(
        (&messages["reason"], &messages["message"]),
        (&json!("RouteConflict"), &json!("HTTPRoute \"web\": the API server refuses its weights: policy says no"))
    );
}

#[test]
fn a_route_whose_patch_is_refused_is_written_after_everything_else() {
    let observed = with_route(under_way(steps(), 0, 1, 0), |route| route.refused = Some("no".to_owned()));
    let observed = with_available(observed, 1, 1, 1);

    let plan = done(asked(begin(observed, now())).answer(Ok(hold(0, 50))));

    let last = plan.writes.last().map(|write| &write.action);
    assert!(matches!(last, Some(Action::PatchRoute { weight: 50, .. })) && plan.writes.len() > 1, "{:?}", plan.writes);
}

#[test]
fn with_one_route_refused_the_others_get_no_more_than_they_have() {
    let mut observed = with_route(under_way(steps(), 0, 1, 0), |route| route.refused = Some("no".to_owned()));
    observed
        .routes
        .push(crate::observed::ObservedRoute { key: RouteKey::new(RouteKind::Http, "shop", "second"), ..route(0) });

    let plan = done(asked(begin(observed, now())).answer(Ok(hold(0, 50))));

    assert_eq!(route_writes(&plan), [50]);
}

#[test]
fn a_route_that_may_not_be_changed_is_tried_again_in_time() {
    let mut observed = under_way(steps(), 0, 1, 0);
    let until = crate::time::after(now(), 15);
    observed.routes[0].state = RouteState::Forbidden { message: "no right".into(), until: Some(until) };

    let plan = done(asked(begin(observed, now())).answer(Ok(hold(0, 50))));

    assert!(plan.wake_up.is_some_and(|at| at <= until));
    assert_eq!(condition(&plan, "TrafficReady")["message"], "HTTPRoute \"web\": no right");
}

#[test]
fn a_route_of_another_namespace_is_reported_with_its_namespace() {
    let mut observed = under_way(steps(), 0, 1, 0);
    observed.routes[0].key.namespace = "edge".into();
    observed.routes[0].state = RouteState::Missing;

    let plan = done(asked(begin(observed, now())).answer(Ok(hold(0, 50))));

    assert_eq!(condition(&plan, "TrafficReady")["message"], "HTTPRoute \"edge/web\" not found");
}

#[test]
fn a_condition_about_traffic_stays_until_the_data_plane_has_accepted_the_weights() {
    let mut observed = under_way(steps(), 0, 1, 0);
    observed.routes[0].state = RouteState::Missing;
    let missing = done(asked(begin(observed.clone(), now())).answer(Ok(hold(0, 50))));
    status(&mut observed).conditions =
        serde_json::from_value(missing.status.unwrap().patch["conditions"].clone()).unwrap();
    observed.routes = vec![route(0)];
    let observed = with_route(observed, |route| {
        route.generation = 2;
        route.written = Some(now());
    });

    let plan = done(asked(begin(observed, now())).answer(Ok(hold(0, 50))));

    let messages = plan.status.is_some_and(|status| {
        status
            .patch
            .get("conditions")
            .is_some_and(|all| all.as_array().unwrap().iter().all(|condition| condition["type"] != "TrafficReady"))
    });
    assert!(!messages, "removed too early");
}

#[test]
fn a_service_that_this_rollout_manages_stays_its_own_when_another_names_it() {
    let mut observed = under_way(steps(), 0, 1, 50);
    observed.conflicting_services.insert("canary".into(), "newcomer".into());

    assert!(matches!(begin(observed, now()), crate::rollout::questions::Turn::Ask(_)));
}

#[test]
fn a_service_that_another_rollout_manages_is_refused_by_name() {
    let mut observed = under_way(steps(), 0, 1, 50);
    observed.conflicting_services.insert("canary".into(), "first".into());
    let foreign =
        Service { managed_by: Some("first".into()), ..Service::clone(observed.services["canary"].as_ref().unwrap()) };
    observed.services.insert("canary".into(), Some(Arc::new(foreign)));

    let plan = done(begin(observed, now()));

    assert_eq!(
        condition(&plan, "InvalidSpec")["message"],
        "The Rollout \"web\" is invalid: spec.strategy.canary.canaryService: service \"canary\" is used by Rollout \"first\" too"
    );
}

/// A revision of this name that is about to lose its pods, while the stable Service lists these pods.
fn to_be_emptied(name: &str, listed: &[&str], controlled: &[&str]) -> Vec<(String, u64)> {
    let mut observed = under_way(steps(), 4, 2, 0);
    let hash = status(&mut observed).current_pod_hash.clone();
    observed.services = BTreeMap::from([service("canary", &hash), service("stable", &hash)]);
    let old = Revision { name: name.to_owned(), ..fixtures::revision("bad", 1, 2, 0) };
    let names = |pods: &[&str]| pods.iter().map(|pod| (*pod).to_owned()).collect();
    let mut endpoints =
        Endpoints { listed: BTreeMap::from([("stable".into(), names(listed))]), ..Endpoints::default() };
    if !controlled.is_empty() {
        endpoints.controlled.insert(old.uid.clone(), names(controlled));
    }
    observed.revisions[1] = Arc::new(old);
    status(&mut observed).stable_rs = hash;
    let known = LookedUp { endpoints: Some(endpoints), ..LookedUp::default() };

    scales(&done_with(begin(observed, now()), &known))
}

#[test]
fn a_revision_whose_pod_a_service_lists_keeps_its_pods() {
    assert_eq!(to_be_emptied("web-bad", &["web-bad-x2x4x"], &[]), []);
}

#[test]
fn a_revision_whose_name_is_a_prefix_of_another_one_may_lose_its_pods() {
    assert_eq!(to_be_emptied("web-bad", &["web-bad-two-x2x4x"], &[]), [("web-bad".to_owned(), 0)]);
}

#[test]
fn a_revision_of_a_long_name_whose_pod_a_service_lists_keeps_its_pods() {
    let pod = format!("{}x2x4x", "a".repeat(58));

    assert_eq!(to_be_emptied(&"a".repeat(70), &[&pod], &[&pod]), []);
}

#[test]
fn a_revision_with_a_cut_name_may_lose_its_pods_while_a_service_lists_pods_of_another_one_with_the_same_prefix() {
    let [own, others] = ["x2x4x", "z2z4z"].map(|random| format!("{}{random}", "a".repeat(58)));

    assert_eq!(to_be_emptied(&"a".repeat(70), &[&others], &[&own]), [("a".repeat(70), 0)]);
}

#[test]
fn the_owner_of_pods_is_looked_up_where_their_names_are_cut() {
    let mut observed = under_way(steps(), 4, 2, 0);
    let hash = status(&mut observed).current_pod_hash.clone();
    observed.services = BTreeMap::from([service("canary", &hash), service("stable", &hash)]);
    let old = Revision { name: "a".repeat(70), ..fixtures::revision("bad", 1, 2, 0) };
    observed.revisions[1] = Arc::new(old);
    status(&mut observed).stable_rs = hash;

    let Turn::LookUp(look_up) = begin(observed, now()) else { panic!("not looked up") };

    let workloads = vec![PodController { uid: "uid-bad".into(), hash: "bad".into() }];
    assert_eq!(look_up.need, Need::Endpoints { services: vec!["stable".into()], workloads });
}

const LABEL: &str = "rollouts.argoproj.io/gatewayapi-canary";

/// A rollout that is paused at 50 %. Another writer removed its label, which was last corrected at the given time.
fn label_taken_off(corrected: Option<jiff::Timestamp>) -> Observed {
    with_route(under_way(steps(), 1, 1, 50), |route| {
        route.labels.clear();
        route.resource_version = "9".to_owned();
        route.foreign_managers = vec!["meddler".to_owned()];
        route.last_write = Some(RouteWrite {
            weight: 50,
            label: Some("in-progress".to_owned()),
            generation: 1,
            version: 8,
            label_corrected: corrected,
            ..RouteWrite::default()
        });
    })
}

fn reaches_50(observed: Observed) -> Plan {
    let again = asked(asked(begin(observed, now())).answer(Ok(hold(1, 50))));
    done(again.answer(Ok(hold(1, 50))))
}

#[test]
fn a_label_that_another_writer_removed_is_restored_at_once_with_an_event() {
    let plan = reaches_50(label_taken_off(None));

    let messages: Vec<_> =
        plan.writes.iter().flat_map(|write| &write.events).map(|event| event.message.as_str()).collect();
    assert_eq!(route_writes(&plan), [50]);
    assert_eq!(
        messages,
        ["HTTPRoute \"web\": field manager \"meddler\" changed the in-progress label that this rollout owns"]
    );
}

#[test]
fn a_label_that_was_just_restored_is_restored_again_only_after_ten_seconds() {
    let plan = reaches_50(label_taken_off(Some(now())));

    assert_eq!((route_writes(&plan), plan.wake_up), (vec![], Some(crate::time::after(now(), 10))));
}

#[test]
fn a_rollout_without_weight_leaves_the_label_to_another_one_of_the_route() {
    let mut observed = with_route(under_way(steps(), 4, 2, 0), |route| {
        route.labels.insert(LABEL.to_owned(), "in-progress".to_owned());
        let backends = json!([{ "name": "b-stable", "weight": 70 }, { "name": "b-canary", "weight": 30 }]);
        route.spec["rules"].as_array_mut().unwrap().push(json!({ "backendRefs": backends }));
        route.other_rollouts = vec![OtherRollout {
            name: "other".into(),
            managed: Vec::new(),
            namespace: "shop".into(),
            canary: "b-canary".into(),
            stable: "b-stable".into(),
            label: Some((LABEL.into(), "in-progress".into())),
        }];
    });
    let hash = status(&mut observed).current_pod_hash.clone();
    observed.services = BTreeMap::from([service("canary", &hash), service("stable", &hash)]);
    status(&mut observed).stable_rs = hash;

    assert_eq!(route_writes(&done(begin(observed, now()))), Vec::<u32>::new());
}

/// A promotion. Another writer has lowered the canary's weight from 80 to 10, and so many of the canary's two pods are available.
fn lowered(available: u32) -> Vec<u32> {
    let mut observed = with_route(under_way(steps(), 1, 2, 10), |route| {
        route.generation = 2;
        route.last_write = Some(RouteWrite { weight: 80, generation: 1, ..RouteWrite::default() });
    });
    let new = Revision { available_replicas: available, ..Revision::clone(&observed.revisions[0]) };
    observed.revisions[0] = Arc::new(new);
    status(&mut observed).promote_full = true;

    route_writes(&done(begin(observed, now())))
}

#[test]
fn a_weight_that_another_writer_lowered_comes_back_only_with_the_pods_for_it() {
    assert_eq!([lowered(1), lowered(2)], [vec![], vec![100]]);
}

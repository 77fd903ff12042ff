use serde_json::json;

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn condition(kind: &str, status: &str, generation: Option<i64>) -> Value {
    let mut condition = json!({ "type": kind, "status": status, "reason": "Why", "message": "because" });
    if let Some(generation) = generation {
        condition["observedGeneration"] = json!(generation);
    }
    condition
}

fn route(conditions: Value) -> Route {
    Route {
        generation: 4,
        spec: json!({ "parentRefs": [{ "name": "gw" }] }),
        status: json!({ "parents": [{
            "parentRef": { "group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "gw", "namespace": "shop" },
            "conditions": conditions
        }] }),
        ..Route::default()
    }
}

fn accepted(generation: Option<i64>) -> Route {
    route(json!([condition("Accepted", "True", generation), condition("ResolvedRefs", "True", generation)]))
}

fn of(route: &Route, namespace: &str, now: Timestamp) -> Acceptance {
    super::of(route, namespace, now).0
}

#[test]
fn a_route_is_accepted_when_its_parent_reports_so_for_this_generation() {
    assert_eq!(of(&accepted(Some(4)), "shop", at(0)), Acceptance::Accepted(None));
}

#[test]
fn an_older_generation_is_not_enough() {
    assert!(matches!(of(&accepted(Some(3)), "shop", at(0)), Acceptance::Waiting(why) if why.contains("generation 4")));
}

#[test]
fn a_parent_may_take_a_moment_to_report_a_change() {
    let stale = Route { written: Some(at(0)), ..accepted(Some(3)) };
    let silent = Route { status: json!({}), ..stale.clone() };

    let answers = [of(&stale, "shop", at(9)), of(&silent, "shop", at(9))];

    assert_eq!(answers, [Acceptance::Behind { until: at(10) }, Acceptance::Behind { until: at(10) }]);
}

#[test]
fn a_parent_that_reports_nothing_in_time_is_named() {
    let silent = Route { written: Some(at(0)), status: json!({}), ..accepted(None) };

    assert_eq!(of(&silent, "shop", at(10)), Acceptance::Waiting("parent Gateway \"gw\": no status yet".into()));
}

#[test]
fn the_time_of_an_own_write_is_more_precise_than_the_managed_fields() {
    let write = crate::observed::RouteWrite { weight: 1, at: at(1), generation: 4, ..Default::default() };
    let stale = Route { written: Some(at(0)), last_write: Some(write), ..accepted(Some(3)) };

    assert_eq!(of(&stale, "shop", at(10)), Acceptance::Behind { until: at(11) });
}

#[test]
fn a_refusal_names_the_parent_and_the_reason() {
    let refused = route(json!([condition("Accepted", "True", Some(4)), condition("ResolvedRefs", "False", Some(4))]));

    let Acceptance::Waiting(why) = of(&refused, "shop", at(0)) else { panic!("not waiting") };

    assert_eq!(why, "parent Gateway \"gw\": ResolvedRefs is False: Why: because");
}

#[test]
fn every_parent_must_have_accepted_the_route() {
    let mut two = accepted(Some(4));
    two.spec = json!({ "parentRefs": [{ "name": "gw" }, { "name": "second" }] });

    assert!(matches!(of(&two, "shop", at(0)), Acceptance::Waiting(why) if why.contains("second")));
}

#[test]
fn a_parent_that_reports_no_generation_counts_as_accepting_five_seconds_after_the_write() {
    let silent = Route { written: Some(at(0)), ..accepted(None) };

    let answers = [at(4), at(5)].map(|now| of(&silent, "shop", now));

    let message =
        "parent Gateway \"gw\" reports no observedGeneration: weights count as applied 5 s after they were written";
    let on_trust = Reservation { reason: ConditionReason::RouteStatusUnversioned, message: message.to_owned() };
    assert_eq!(answers, [Acceptance::TooFresh { until: at(5) }, Acceptance::Accepted(Some(on_trust))]);
}

#[test]
fn a_listener_of_the_same_gateway_is_another_parent() {
    let mut section = accepted(Some(4));
    section.spec = json!({ "parentRefs": [{ "name": "gw", "sectionName": "https" }] });

    assert!(matches!(of(&section, "shop", at(0)), Acceptance::Waiting(_)));
}

#[test]
fn a_refusal_is_reported_even_if_the_other_condition_is_missing() {
    let refused = route(json!([condition("Accepted", "False", Some(4))]));

    assert_eq!(
        of(&refused, "shop", at(0)),
        Acceptance::Waiting("parent Gateway \"gw\": Accepted is False: Why: because".into())
    );
}

#[test]
fn both_refusals_are_reported() {
    let refused = route(json!([condition("Accepted", "False", Some(4)), condition("ResolvedRefs", "False", Some(4))]));

    let Acceptance::Waiting(why) = of(&refused, "shop", at(0)) else { panic!("not waiting") };

    assert!(why.contains("Accepted is False") && why.contains("ResolvedRefs is False"), "{why}");
}

#[test]
fn a_condition_that_a_parent_does_not_report_is_named() {
    let silent = route(json!([condition("Accepted", "True", Some(4))]));

    assert!(
        matches!(of(&silent, "shop", at(0)), Acceptance::Waiting(why) if why.ends_with("no condition ResolvedRefs"))
    );
}

#[test]
fn a_message_names_the_listener_and_the_port() {
    let mut elsewhere = accepted(Some(4));
    elsewhere.spec = json!({ "parentRefs": [{ "name": "gw", "sectionName": "https", "port": 443 }] });

    assert_eq!(
        of(&elsewhere, "shop", at(0)),
        Acceptance::Waiting("parent Gateway \"gw\" sectionName \"https\" port 443: no status yet".into())
    );
}

#[test]
fn a_parent_that_the_gateway_reports_without_its_port_counts_with_a_reservation() {
    let mut with_port = accepted(Some(4));
    with_port.spec = json!({ "parentRefs": [{ "name": "gw", "port": 80 }] });

    let Acceptance::Accepted(Some(reservation)) = of(&with_port, "shop", at(0)) else { panic!("not accepted") };

    assert_eq!(reservation.reason, ConditionReason::RouteStatusWithoutPort);
    assert!(reservation.message.contains("Gateway \"gw\" port 80"), "{}", reservation.message);
}

#[test]
fn an_entry_with_the_port_counts_before_one_without() {
    let mut both = accepted(Some(4));
    both.spec = json!({ "parentRefs": [{ "name": "gw", "port": 80 }] });
    let mut refused = both.status["parents"][0].clone();
    refused["parentRef"]["port"] = json!(80);
    refused["conditions"][0]["status"] = json!("False");
    both.status["parents"].as_array_mut().unwrap().push(refused);

    assert!(matches!(of(&both, "shop", at(0)), Acceptance::Waiting(why) if why.contains("Accepted is False")));
}

#[test]
fn an_entry_for_another_port_does_not_count() {
    let mut other = accepted(Some(4));
    other.spec = json!({ "parentRefs": [{ "name": "gw", "port": 80 }] });
    other.status["parents"][0]["parentRef"]["port"] = json!(443);

    assert!(matches!(of(&other, "shop", at(0)), Acceptance::Waiting(why) if why.ends_with("no status yet")));
}

/// A route that was accepted, and that is refused since the given time, or from now on.
fn refused_since(since: Option<Timestamp>) -> Route {
    let before = AcceptedRoute { generation: 4, refused_since: since };
    Route { accepted: Some(before), ..route(json!([condition("Accepted", "False", Some(4))])) }
}

#[test]
fn an_accepted_route_stays_accepted_for_ten_seconds_after_it_is_refused() {
    let (now_refused, since) = (refused_since(None), refused_since(Some(at(20))));

    let answers =
        [(&now_refused, 20), (&since, 29), (&since, 30)].map(|(route, now)| super::of(route, "shop", at(now)));

    let remembered = Some(AcceptedRoute { generation: 4, refused_since: Some(at(20)) });
    let held = (Acceptance::Held { until: at(30) }, remembered);
    assert_eq!(answers[..2], [held.clone(), held]);
    assert!(matches!(&answers[2], (Acceptance::Waiting(_), kept) if *kept == remembered), "{:?}", answers[2]);
}

#[test]
fn a_route_whose_entry_is_missing_stays_accepted_for_ten_seconds_too() {
    let missing = Route { status: json!({}), ..refused_since(None) };

    assert_eq!(of(&missing, "shop", at(20)), Acceptance::Held { until: at(30) });
}

#[test]
fn a_change_of_the_route_has_to_be_accepted_again() {
    let changed = Route { generation: 5, ..refused_since(None) };

    assert!(matches!(super::of(&changed, "shop", at(20)), (Acceptance::Behind { .. } | Acceptance::Waiting(_), None)));
}

#[test]
fn a_route_that_is_accepted_again_is_no_longer_refused() {
    let again = Route { accepted: refused_since(Some(at(20))).accepted, ..accepted(Some(4)) };

    let remembered = super::of(&again, "shop", at(25)).1;

    assert_eq!(remembered, Some(AcceptedRoute { generation: 4, refused_since: None }));
}

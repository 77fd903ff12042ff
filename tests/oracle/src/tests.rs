//! Tests of each rule, with a write that keeps it and one that breaks it.

use std::collections::BTreeSet;

use crate::{Backend, Broken, Cluster, Revision, Routing, Selected, Services, Side, Threshold, Weights, restored};

/// Judges the first write of a reconciliation.
fn judge(before: &Cluster, after: &Cluster) -> Vec<Broken> {
    crate::judge(before, before, after)
}

fn revision(hash: &str, scale: u32, available: u32) -> Revision {
    let pods = (0..scale).map(|number| format!("{hash}-{number}")).collect();
    Revision { hash: hash.to_owned(), scale, available, pods }
}

fn selecting(hash: &str) -> Backend {
    Backend { selects: Selected::Revision(hash.to_owned()), listed: BTreeSet::new() }
}

fn weights(canary: u32) -> Weights {
    Weights { stable: 100 - canary, canary }
}

/// 10 pods, all of them stable's, and half as many of the canary, which has this weight.
fn routed(canary: u32) -> Cluster {
    Cluster {
        replicas: 10,
        revisions: vec![revision("old", 10, 10), revision("new", 5, 5)],
        stable: Some("old".to_owned()),
        canary: Some("new".to_owned()),
        routing: Some(Routing {
            max_weight: 100,
            stable: selecting("old"),
            canary: selecting("new"),
            rules: vec![weights(canary)],
            in_force: Vec::new(),
            by_match: false,
        }),
        ..Cluster::default()
    }
}

fn by_pods(stable: (u32, u32), canary: (u32, u32)) -> Cluster {
    Cluster {
        replicas: 4,
        revisions: vec![revision("old", stable.0, stable.1), revision("new", canary.0, canary.1)],
        ..Cluster { routing: None, ..routed(0) }
    }
}

fn routing(cluster: &mut Cluster) -> &mut Routing {
    cluster.routing.as_mut().unwrap()
}

fn with_weights(mut cluster: Cluster, weights: Weights) -> Cluster {
    routing(&mut cluster).rules = vec![weights];
    cluster
}

fn with_pods(mut cluster: Cluster, hash: &str, scale: u32, available: u32) -> Cluster {
    let found = cluster.revisions.iter_mut().find(|revision| revision.hash == hash).unwrap();
    (found.scale, found.available) = (scale, available);
    cluster
}

/// Judges a change of the canary's weight to this one.
fn moved(before: Cluster, canary: u32) -> Vec<Broken> {
    let after = with_weights(before.clone(), weights(canary));
    judge(&before, &after)
}

fn scaled(before: Cluster, hash: &str, to: u32) -> Vec<Broken> {
    let available = before.available(hash).min(to);
    let after = with_pods(before.clone(), hash, to, available);
    judge(&before, &after)
}

fn too_few_pods(broken: &[Broken]) -> Option<(u32, u32)> {
    match broken {
        [Broken::TooFewPods { available, needed, .. }] => Some((*available, *needed)),
        _ => None,
    }
}

#[test]
fn a_canary_with_the_pods_that_its_share_needs_may_get_it() {
    assert_eq!(moved(routed(0), 50), []);
}

#[test]
fn a_canary_with_fewer_available_pods_than_its_share_needs_may_not_get_it() {
    assert_eq!(too_few_pods(&moved(with_pods(routed(0), "new", 5, 4), 50)), Some((4, 5)));
}

#[test]
fn a_canary_whose_scale_the_strategy_sets_needs_no_more_pods_than_that() {
    let before = Cluster { canary_scale: Some(2), ..with_pods(routed(0), "new", 2, 2) };

    assert_eq!(moved(before, 50), []);
}

#[test]
fn a_canary_without_an_available_pod_gets_nothing_whatever_its_scale() {
    let before = Cluster { canary_scale: Some(0), ..with_pods(routed(0), "new", 0, 0) };

    assert_eq!(too_few_pods(&moved(before, 1)), Some((0, 1)));
}

#[test]
fn a_threshold_sets_how_many_of_the_pods_must_be_available() {
    let before = |available| Cluster { threshold: Threshold::Percent(60), ..with_pods(routed(0), "new", 5, available) };

    assert_eq!([3, 2].map(|available| moved(before(available), 50).len()), [0, 1]);
}

#[test]
fn weights_add_up_to_the_maximum() {
    let before = routed(0);
    let after = with_weights(before.clone(), Weights { stable: 100, canary: 10 });

    assert!(judge(&before, &after).iter().any(|one| matches!(one, Broken::Weights { .. })));
}

#[test]
fn weights_that_the_controller_did_not_write_break_no_rule() {
    let odd = with_weights(routed(0), Weights { stable: 7, canary: 0 });

    assert_eq!(judge(&odd, &odd), []);
}

#[test]
fn stable_gets_back_only_what_its_available_pods_can_serve() {
    let before = with_pods(routed(50), "old", 10, 7);

    assert_eq!((moved(before.clone(), 30), too_few_pods(&moved(before, 20))), (vec![], Some((7, 8))));
}

#[test]
fn stable_gets_everything_from_a_canary_without_an_available_pod() {
    let before = with_pods(with_pods(routed(50), "old", 10, 1), "new", 5, 0);

    assert_eq!(moved(before, 0), []);
}

#[test]
fn a_deleted_stable_revision_gets_nothing_from_a_canary_that_serves() {
    let mut before = routed(50);
    before.revisions.remove(0);

    assert_eq!(too_few_pods(&moved(before, 0)), Some((0, 10)));
}

#[test]
fn a_canary_takes_over_with_the_pods_that_it_has_when_stable_has_none() {
    let before = with_pods(routed(50), "old", 10, 0);

    assert_eq!(moved(before, 100), []);
}

#[test]
fn a_service_with_weight_is_not_pointed_at_a_revision_with_too_few_pods() {
    let before = with_pods(routed(50), "old", 10, 1);
    let mut after = before.clone();
    routing(&mut after).canary = selecting("old");

    assert_eq!(too_few_pods(&judge(&before, &after)), Some((1, 10)));
}

#[test]
fn a_service_without_weight_may_be_pointed_anywhere() {
    let mut before = routed(0);
    routing(&mut before).canary = selecting("old");

    assert_eq!(judge(&before, &with_pods(routed(0), "new", 5, 5)), []);
}

#[test]
fn a_service_that_selects_all_pods_is_narrowed_to_a_revision_that_can_serve_its_share() {
    let narrowed = |available| {
        let mut before = with_pods(routed(0), "old", 10, available);
        routing(&mut before).stable.selects = Selected::All;
        let mut after = before.clone();
        routing(&mut after).stable = selecting("old");
        judge(&before, &after)
    };

    assert_eq!((narrowed(10), too_few_pods(&narrowed(9))), (vec![], Some((9, 10))));
}

#[test]
fn a_share_that_may_still_be_in_force_is_no_increase() {
    let mut before = with_pods(routed(0), "new", 5, 1);
    routing(&mut before).in_force = vec![weights(50)];

    assert_eq!(moved(before, 50), []);
}

#[test]
fn each_side_keeps_the_pods_that_its_share_needs() {
    let (stable, canary) = (|to| scaled(routed(50), "old", to), |to| scaled(routed(50), "new", to));

    assert_eq!([stable(5).len(), stable(4).len(), canary(4).len()], [0, 1, 1]);
}

#[test]
fn each_side_keeps_the_pods_that_a_share_needs_which_may_still_be_in_force() {
    let mut before = routed(0);
    routing(&mut before).in_force = vec![weights(40)];

    assert_eq!([4, 3].map(|to| scaled(before.clone(), "new", to).len()), [0, 1]);
}

#[test]
fn a_side_that_has_too_few_pods_already_may_get_more() {
    assert_eq!(scaled(with_pods(routed(50), "old", 2, 2), "old", 3), []);
}

#[test]
fn with_zero_replicas_no_rule_keeps_pods() {
    assert_eq!(scaled(Cluster { replicas: 0, ..routed(50) }, "old", 0), []);
}

#[test]
fn a_revision_whose_pods_a_service_with_weight_lists_is_not_scaled_to_zero() {
    let gone = |listed_by: Side, canary| {
        let mut before = routed(canary);
        before.revisions.push(revision("older", 1, 1));
        let listed = BTreeSet::from(["older-0".to_owned()]);
        match listed_by {
            Side::Stable => routing(&mut before).stable.listed = listed,
            Side::Canary => routing(&mut before).canary.listed = listed,
        }
        scaled(before, "older", 0)
    };

    let found = [gone(Side::Stable, 0), gone(Side::Canary, 0), gone(Side::Canary, 50)].map(|broken| broken.len());
    assert_eq!(found, [1, 0, 1]);
}

#[test]
fn a_deleted_replica_set_is_one_without_pods() {
    let before = routed(50);
    let mut after = before.clone();
    after.revisions.remove(1);

    assert!(matches!(judge(&before, &after).as_slice(), [Broken::ScaledBelowShare { to: 0, .. }]));
}

#[test]
fn without_routing_the_wanted_number_of_pods_stays_available() {
    let before = by_pods((4, 4), (4, 3));

    assert_eq!([1, 0].map(|to| scaled(before.clone(), "old", to).len()), [0, 1]);
}

#[test]
fn without_routing_max_unavailable_pods_may_be_missing() {
    let before = Cluster { max_unavailable: 1, ..by_pods((4, 4), (4, 3)) };

    assert_eq!(scaled(before, "old", 0), []);
}

#[test]
fn without_routing_pods_that_are_not_available_may_be_deleted() {
    assert_eq!(scaled(by_pods((4, 2), (4, 0)), "old", 2), []);
    assert_eq!(scaled(by_pods((4, 4), (4, 0)), "new", 0), []);
}

#[test]
fn without_routing_serving_pods_are_not_deleted_for_a_version_that_is_not_available() {
    assert_eq!(scaled(by_pods((4, 4), (4, 0)), "old", 0).len(), 1);
}

#[test]
fn an_abort_gives_the_canary_nothing_more() {
    let before = Cluster { aborted: true, ..routed(20) };

    assert_eq!(moved(before, 50), [Broken::RaisedAfterAbort { from: 20, to: 50 }]);
}

#[test]
fn an_abort_takes_no_pods_from_stable() {
    let before = Cluster { aborted: true, ..routed(0) };
    let larger = with_pods(before.clone(), "old", 12, 12);

    assert_eq!(scaled(larger, "old", 10), []);
    assert_eq!(scaled(before, "old", 9).last(), Some(&Broken::ShrunkAfterAbort { from: 10, to: 9 }));
}

#[test]
fn an_abort_has_restored_stable_when_all_its_pods_are_available_and_get_all_traffic() {
    let aborted = |cluster: Cluster| restored(&Cluster { aborted: true, ..cluster });

    assert_eq!(aborted(routed(0)), None);
    assert!(aborted(routed(10)).unwrap().contains("weight 10"));
    assert!(aborted(with_pods(routed(0), "old", 10, 9)).unwrap().contains("9 available pods"));
    assert_eq!(restored(&routed(10)), None, "not aborted");
}

#[test]
fn without_routing_an_abort_has_restored_stable_when_the_canary_has_no_pods() {
    let aborted = |cluster: Cluster| restored(&Cluster { aborted: true, ..cluster });

    assert_eq!(aborted(by_pods((4, 4), (0, 0))), None);
    assert!(aborted(by_pods((4, 4), (1, 0))).unwrap().contains("1 pods"));
}

#[test]
fn a_service_and_its_weight_that_move_together_are_judged_by_where_the_requests_went_before() {
    let mut observed = with_pods(routed(10), "old", 10, 0);
    routing(&mut observed).canary = selecting("old");
    let switched = with_pods(routed(10), "old", 10, 0);

    let broken = crate::judge(&observed, &switched, &with_weights(switched.clone(), weights(0)));

    assert_eq!(broken, []);
}

/// 4 replicas, with traffic routing that names no router.
fn without_router(stable: (u32, u32), canary: (u32, u32)) -> Cluster {
    let services = Services { stable: selecting("old"), canary: selecting("new") };
    Cluster { services: Some(services), max_unavailable: 1, ..by_pods(stable, canary) }
}

#[test]
fn without_a_router_as_many_pods_as_replicas_stay_available() {
    let before = without_router((4, 3), (2, 2));

    let left = |floor| Broken::TooFewAvailable { hash: "new".into(), from: 2, to: 0, left: 3, floor };
    assert_eq!(judge(&before, &with_pods(before.clone(), "new", 1, 1)), []);
    assert_eq!(judge(&before, &with_pods(before.clone(), "new", 0, 0)), [left(4)]);
}

#[test]
fn without_a_router_a_service_is_not_pointed_at_a_revision_without_pods() {
    let pointed = |available| {
        let mut before = without_router((4, 4), (2, available));
        let mut after = before.clone();
        before.services.as_mut().unwrap().canary = selecting("old");
        after.services.as_mut().unwrap().canary = selecting("new");
        judge(&before, &after)
    };

    assert_eq!(pointed(1), []);
    assert_eq!(pointed(0), [Broken::SelectsNobody { hash: "new".into(), side: Side::Canary }]);
}

#[test]
fn without_a_router_a_revision_that_a_service_lists_keeps_its_last_pod() {
    let mut before = without_router((4, 4), (2, 2));
    before.services.as_mut().unwrap().canary.listed = BTreeSet::from(["new-1".to_owned()]);

    let broken = judge(&before, &with_pods(before.clone(), "new", 0, 0));

    assert_eq!(broken, [Broken::ListedPodsGo { hash: "new".into(), side: Side::Canary }]);
}

#[test]
fn without_a_router_an_abort_restores_stable_once_the_canary_service_selects_another_revision() {
    let mut aborted = Cluster { aborted: true, ..without_router((4, 4), (2, 2)) };
    assert_eq!(restored(&aborted), Some("the canary Service still selects new".to_owned()));

    aborted.services.as_mut().unwrap().canary = selecting("old");
    assert_eq!(restored(&aborted), None);
}

fn matched(mut cluster: Cluster) -> Cluster {
    routing(&mut cluster).by_match = true;
    cluster
}

#[test]
fn a_rule_may_match_requests_to_a_canary_with_an_available_pod() {
    assert_eq!(judge(&routed(0), &matched(routed(0))), []);
}

#[test]
fn no_rule_may_match_requests_to_a_canary_without_an_available_pod() {
    let before = with_pods(routed(0), "new", 5, 0);

    let given_to = Selected::Revision("new".to_owned());
    assert_eq!(judge(&before, &matched(before.clone())), [Broken::MatchedToNobody { given_to }]);
}

#[test]
fn a_canary_to_which_a_rule_matches_requests_keeps_a_pod() {
    assert_eq!(scaled(matched(routed(0)), "new", 1), []);
    assert!(matches!(scaled(matched(routed(0)), "new", 0).as_slice(), [Broken::ScaledBelowShare { needed: 1, .. }]));
}

#[test]
fn no_rule_begins_to_match_requests_to_an_aborted_canary_and_none_is_left() {
    let aborted = Cluster { aborted: true, ..routed(0) };

    assert_eq!(judge(&aborted, &matched(aborted.clone())), [Broken::MatchedAfterAbort]);
    assert_eq!(restored(&matched(aborted)), Some("a rule still sends requests to the canary Service".to_owned()));
}

/// 10 pods of each revision, and the active Service selects this one.
fn blue_green(active: &str) -> Cluster {
    let routing = Routing::by_active_service(selecting(active), selecting("new"));
    Cluster { routing: Some(routing), ..with_pods(routed(0), "new", 10, 10) }
}

/// Judges a switch of the active Service to the new revision with so many available pods.
fn switched(before: Cluster, available: u32) -> Vec<Broken> {
    let before = with_pods(before, "new", 10, available);
    let mut after = before.clone();
    routing(&mut after).stable = selecting("new");
    judge(&before, &after)
}

#[test]
fn the_active_service_is_switched_to_a_revision_that_is_whole() {
    assert_eq!(switched(blue_green("old"), 10), []);
    assert_eq!(too_few_pods(&switched(blue_green("old"), 9)), Some((9, 10)));
}

#[test]
fn a_preview_whose_scale_the_strategy_sets_needs_all_pods_for_the_switch() {
    let small = Cluster { canary_scale: Some(2), ..blue_green("old") };

    assert_eq!(too_few_pods(&switched(small, 2)), Some((2, 10)));
}

#[test]
fn the_preview_service_may_be_pointed_anywhere() {
    let before = with_pods(blue_green("old"), "new", 10, 0);
    let mut after = before.clone();
    routing(&mut after).canary = selecting("old");

    assert_eq!((judge(&before, &after), judge(&after, &before)), (vec![], vec![]));
}

#[test]
fn the_revision_of_the_active_service_keeps_all_its_pods() {
    assert_eq!(scaled(blue_green("old"), "new", 0), []);
    assert_eq!([9, 0].map(|to| scaled(blue_green("new"), "new", to).len()), [1, 1]);
}

#[test]
fn a_revision_whose_pods_the_active_service_still_lists_is_not_scaled_to_zero() {
    let mut before = blue_green("new");
    routing(&mut before).stable.listed = BTreeSet::from(["old-0".to_owned()]);

    let broken = scaled(before, "old", 0);

    assert_eq!(broken, [Broken::ListedPodsGo { hash: "old".into(), side: Side::Stable }]);
}

#[test]
fn an_abort_does_not_switch_the_active_service_to_the_canary() {
    let aborted = Cluster { aborted: true, ..blue_green("old") };

    assert_eq!(switched(aborted, 10), [Broken::RaisedAfterAbort { from: 0, to: 100 }]);
}

#[test]
fn an_abort_of_blue_green_restores_stable_once_the_active_service_does_not_select_the_canary() {
    let missing = |active| restored(&Cluster { aborted: true, ..blue_green(active) });

    assert_eq!(missing("new"), Some("the stable Service still selects new".to_owned()));
    assert_eq!(missing("old"), None);
}

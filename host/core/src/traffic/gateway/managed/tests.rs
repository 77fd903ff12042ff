//! The patches of rules of managed routes, applied to routes as the API server does.

mod grpc;

use kulta_api::RouteKind;

use super::*;
use crate::decision::{HeaderMatch, ManagedRouteKind, Mirror, RouteMatch, TextMatch};

const NAMES: &[&str] = &["beta", "copy"];

fn names() -> Vec<String> {
    NAMES.iter().map(|name| (*name).to_owned()).collect()
}

fn pair(canary: u64) -> Value {
    json!([{ "name": "stable", "port": 80, "weight": 100 - canary }, { "name": "canary", "port": 80, "weight": canary }])
}

fn split(path: &str) -> Value {
    json!({ "matches": [{ "path": { "type": "PathPrefix", "value": path } }], "backendRefs": pair(0) })
}

fn route(rules: Value) -> Route {
    Route { spec: json!({ "rules": rules }), ..Route::default() }
}

fn header(name: &str, value: TextMatch) -> HeaderMatch {
    HeaderMatch { name: name.to_owned(), value }
}

fn exact(value: &str) -> TextMatch {
    TextMatch::Exact(value.to_owned())
}

fn headers(all: Vec<HeaderMatch>) -> ManagedRoute {
    ManagedRoute { name: "beta".to_owned(), kind: ManagedRouteKind::Headers(all) }
}

fn beta() -> ManagedRoute {
    headers(vec![header("team", exact("qa"))])
}

fn mirror(percentage: Option<u32>, matches: Vec<RouteMatch>) -> ManagedRoute {
    ManagedRoute { name: "copy".to_owned(), kind: ManagedRouteKind::Mirror(Mirror { percentage, matches }) }
}

fn planned(route: &Route, goal: &ManagedGoal, weight: u32) -> Result<ManagedPatch, Blocked> {
    planned_on(RouteKind::Http, route, goal, weight)
}

fn planned_on(kind: RouteKind, route: &Route, goal: &ManagedGoal, weight: u32) -> Result<ManagedPatch, Blocked> {
    let names = names();
    let backends =
        Backends { namespace: "shop", canary: "canary", stable: "stable", max_weight: 100, managed: names.as_slice() };
    let key = RouteKey::new(kind, "shop", "web");
    let shown = key.shown("shop");
    let rules = SharedRules::find(&shown, "shop", route, backends)?;
    plan(Place { shown: &shown, key: &key, route, rules: &rules, backends }, goal, weight)
}

/// The rules after the write.
fn rules_after(route: &Route, wanted: &[ManagedRoute], weight: u32) -> Vec<Value> {
    let patch = planned(route, &ManagedGoal::Exactly(wanted.to_vec()), weight).unwrap();
    let operations: Vec<Value> = patch.tests.into_iter().chain(patch.operations).collect();
    let mut object = json!({ "spec": route.spec });
    let operations: json_patch::Patch = serde_json::from_value(json!(operations)).unwrap();
    json_patch::patch(&mut object, &operations).unwrap();
    object["spec"]["rules"].as_array().unwrap().clone()
}

fn with(rules: Value, wanted: &[ManagedRoute]) -> Vec<Value> {
    rules_after(&route(rules), wanted, 0)
}

fn matches_of(rule: Value, wanted: ManagedRoute) -> Value {
    with(json!([rule]), &[wanted])[0]["matches"].clone()
}

fn refusal(rules: Value, wanted: ManagedRoute) -> (ConditionReason, String) {
    let blocked = planned(&route(rules), &ManagedGoal::Exactly(vec![wanted]), 0).unwrap_err();
    (blocked.reason, blocked.message)
}

#[test]
fn requests_with_the_headers_go_to_the_canary_and_the_split_stays() {
    let rules = with(json!([split("/")]), &[beta()]);

    let expected = json!({
        "name": "beta",
        "matches": [{
            "path": { "type": "PathPrefix", "value": "/" },
            "headers": [{ "type": "Exact", "name": "team", "value": "qa" }],
        }],
        "backendRefs": [{ "name": "canary", "port": 80, "weight": 1 }],
    });
    assert_eq!(rules, [expected, split("/")]);
}

#[test]
fn a_rule_keeps_everything_of_its_source_but_the_match_and_the_backends() {
    let mut source = split("/");
    let more = json!({
        "name": "main",
        "filters": [{ "type": "URLRewrite", "urlRewrite": { "path": { "type": "ReplacePrefixMatch", "replacePrefixMatch": "/v2" } } }],
        "timeouts": { "request": "10s" }, "retry": { "attempts": 3 }, "sessionPersistence": { "sessionName": "s" },
        "ofTheFuture": { "a": 1 },
    });
    json_patch::merge(&mut source, &more);
    source["backendRefs"][1]["filters"] = json!([{ "type": "RequestHeaderModifier" }]);
    source["backendRefs"][1]["namespace"] = json!("shop");

    let mut made = with(json!([source]), &[beta()]).remove(0);

    assert_eq!(
        made["backendRefs"],
        json!([{ "name": "canary", "namespace": "shop", "port": 80, "weight": 1, "filters": [{ "type": "RequestHeaderModifier" }] }])
    );
    for member in ["name", "matches", "backendRefs"] {
        made[member] = source[member].clone();
    }
    assert_eq!(made, source);
}

#[test]
fn each_rule_that_splits_traffic_gets_its_own_in_the_order_of_the_managed_routes() {
    let other = json!({ "backendRefs": [{ "name": "other" }] });
    let rules = with(json!([split("/a"), other, split("/b")]), &[beta(), mirror(None, vec![RouteMatch::default()])]);

    let names: Vec<_> = rules.iter().map(|rule| rule["name"].as_str().unwrap_or("")).collect();
    assert_eq!(names, ["beta", "beta-1", "copy", "copy-1", "", "", ""]);
    assert_eq!(rules[1]["matches"][0]["path"]["value"], "/b");
}

#[test]
fn a_prefix_is_an_escaped_regular_expression_and_a_regular_expression_stays() {
    let wanted =
        headers(vec![header("a", TextMatch::Prefix("v1.2+".into())), header("b", TextMatch::Regex("x|y".into()))]);

    assert_eq!(
        matches_of(split("/"), wanted)[0]["headers"],
        json!([
            { "type": "RegularExpression", "name": "a", "value": "^v1\\.2\\+.*" },
            { "type": "RegularExpression", "name": "b", "value": "x|y" },
        ])
    );
}

#[test]
fn every_match_of_the_source_is_combined_with_the_headers() {
    let source = json!({
        "matches": [
            { "path": { "type": "Exact", "value": "/a" }, "method": "GET", "headers": [{ "type": "Exact", "name": "env", "value": "x" }] },
            { "queryParams": [{ "name": "q", "value": "1" }] },
        ],
        "backendRefs": pair(0),
    });

    let team = json!({ "type": "Exact", "name": "team", "value": "qa" });
    assert_eq!(
        matches_of(source, beta()),
        json!([
            { "path": { "type": "Exact", "value": "/a" }, "method": "GET",
              "headers": [{ "type": "Exact", "name": "env", "value": "x" }, team] },
            { "path": { "type": "PathPrefix", "value": "/" }, "queryParams": [{ "name": "q", "value": "1" }], "headers": [team] },
        ])
    );
}

fn with_header(name: &str, kind: &str, value: &str) -> Value {
    let mut source = split("/");
    source["matches"][0]["headers"] = json!([{ "type": kind, "name": name, "value": value }]);
    source
}

#[test]
fn a_source_that_matches_the_same_header_is_combined_if_that_is_possible() {
    let same = matches_of(with_header("Team", "Exact", "qa"), beta());
    let narrower =
        matches_of(with_header("team", "Exact", "qa-1"), headers(vec![header("Team", TextMatch::Prefix("qa".into()))]));

    assert_eq!(same[0]["headers"], json!([{ "type": "Exact", "name": "Team", "value": "qa" }]));
    assert_eq!(narrower[0]["headers"], json!([{ "type": "Exact", "name": "team", "value": "qa-1" }]));
}

#[test]
fn a_source_that_no_such_request_matches_gets_no_rule() {
    let dev = with_header("team", "Exact", "dev");

    assert_eq!(with(json!([dev, split("/b")]), &[beta()])[0]["matches"][0]["path"]["value"], "/b");
    assert_eq!(with(json!([dev]), &[beta()]), [dev]);
}

#[test]
fn headers_that_cannot_be_combined_are_reported_with_route_and_field() {
    let (reason, message) = refusal(json!([with_header("team", "RegularExpression", "q.")]), beta());

    assert_eq!(reason, ConditionReason::ManagedRouteConflict);
    assert!(
        message.starts_with("HTTPRoute \"web\": spec.rules[0].matches[0].headers: managed route \"beta\""),
        "{message}"
    );
}

#[test]
fn a_mirror_keeps_the_split_and_copies_requests_to_the_canary() {
    let rules = rules_after(&route(json!([split("/")])), &[mirror(Some(30), vec![RouteMatch::default()])], 20);

    let reference = json!({ "group": "", "kind": "Service", "name": "canary", "port": 80 });
    let filter = json!({ "type": "RequestMirror", "requestMirror": { "backendRef": reference, "percent": 30 } });
    assert_eq!((&rules[0]["backendRefs"], &rules[0]["filters"]), (&pair(20), &json!([filter])));
}

#[test]
fn a_mirror_of_all_requests_needs_no_percentage() {
    for percentage in [None, Some(100)] {
        let rules = with(json!([split("/")]), &[mirror(percentage, vec![RouteMatch::default()])]);

        assert_eq!(rules[0].pointer("/filters/0/requestMirror/percent"), None);
    }
}

#[test]
fn a_mirror_matches_method_path_and_headers() {
    let wanted = RouteMatch {
        method: Some(exact("GET")),
        path: Some(TextMatch::Prefix("/shop/cart".into())),
        headers: vec![header("team", exact("qa"))],
    };

    assert_eq!(
        matches_of(split("/shop"), mirror(None, vec![wanted])),
        json!([{
            "path": { "type": "PathPrefix", "value": "/shop/cart" }, "method": "GET",
            "headers": [{ "type": "Exact", "name": "team", "value": "qa" }],
        }])
    );
}

#[test]
fn paths_are_combined_to_the_narrower_one() {
    let of = |source: Value, path: TextMatch| {
        let source = json!({ "matches": [{ "path": source }], "backendRefs": pair(0) });
        let wanted = mirror(None, vec![RouteMatch { path: Some(path), ..RouteMatch::default() }]);
        let rules = with(json!([source]), &[wanted]);
        rules.first().filter(|_| rules.len() == 2).map(|rule| rule["matches"][0]["path"]["value"].clone())
    };
    let prefix = |value: &str| json!({ "type": "PathPrefix", "value": value });

    assert_eq!(of(prefix("/"), TextMatch::Regex("/a.*".into())), Some(json!("/a.*")));
    assert_eq!(of(prefix("/a"), exact("/a/b")), Some(json!("/a/b")));
    assert_eq!(of(prefix("/a/b"), TextMatch::Prefix("/a".into())), Some(json!("/a/b")));
    assert_eq!(of(json!({ "type": "Exact", "value": "/a" }), TextMatch::Prefix("/a/".into())), Some(json!("/a")));
    assert_eq!(of(prefix("/a"), TextMatch::Prefix("/ab".into())), None);
}

#[test]
fn a_path_that_cannot_be_combined_is_reported() {
    let regex = mirror(None, vec![RouteMatch { path: Some(TextMatch::Regex("/x.*".into())), ..RouteMatch::default() }]);

    let (reason, message) = refusal(json!([split("/shop")]), regex);

    assert_eq!(reason, ConditionReason::ManagedRouteConflict);
    assert!(
        message.starts_with("HTTPRoute \"web\": spec.rules[0].matches[0].path: managed route \"copy\""),
        "{message}"
    );
}

#[test]
fn a_narrower_path_is_not_combined_with_a_filter_that_rewrites_the_matched_prefix() {
    let mut source = split("/shop");
    source["filters"] = json!([{ "type": "URLRewrite", "urlRewrite": { "path": { "type": "ReplacePrefixMatch", "replacePrefixMatch": "/" } } }]);
    let wanted = mirror(None, vec![RouteMatch { path: Some(exact("/shop/cart")), ..RouteMatch::default() }]);

    assert_eq!(refusal(json!([source]), wanted).0, ConditionReason::ManagedRouteConflict);
}

#[test]
fn nothing_is_written_when_the_route_has_the_rules() {
    let wanted = [beta(), mirror(Some(5), vec![RouteMatch::default()])];
    let there = route(Value::Array(with(json!([split("/")]), &wanted)));

    let patch = planned(&there, &ManagedGoal::Exactly(wanted.to_vec()), 0).unwrap();

    assert_eq!((patch.operations, patch.tests, patch.rules.len()), (vec![], vec![], 2));
}

#[test]
fn all_rules_are_removed_when_none_is_wanted_and_only_those() {
    let own = json!({ "name": "canary-only", "backendRefs": [{ "name": "canary" }] });
    let mut rules = with(json!([own, split("/a"), split("/b")]), &[beta(), mirror(None, vec![RouteMatch::default()])]);
    rules.push(json!({ "name": "beta-x", "backendRefs": [{ "name": "canary" }] }));

    let left = with(Value::Array(rules.clone()), &[]);

    assert_eq!(left, [own, split("/a"), split("/b"), rules.last().unwrap().clone()]);
}

#[test]
fn a_rule_that_was_changed_or_moved_is_put_back() {
    let wanted = [beta()];
    let right = with(json!([split("/a"), split("/b")]), &wanted);
    let mut changed = right.clone();
    changed[0]["backendRefs"] = json!([{ "name": "canary", "weight": 0 }]);
    let mut moved = right.clone();
    moved.rotate_left(1);
    let first_user_rule = json!({ "backendRefs": [{ "name": "other" }] });
    let mut preceded = right.clone();
    preceded.insert(0, first_user_rule.clone());

    assert_eq!(with(json!(changed), &wanted), right);
    assert_eq!(with(json!(moved), &wanted)[..2], right[..2]);
    assert_eq!(with(json!(preceded), &wanted)[0], right[0]);
}

#[test]
fn a_changed_source_changes_its_rule() {
    let mut rules = with(json!([split("/")]), &[beta()]);
    rules[1]["timeouts"] = json!({ "request": "1s" });

    assert_eq!(with(json!(rules), &[beta()])[0]["timeouts"], json!({ "request": "1s" }));
}

#[test]
fn the_weights_of_a_mirror_follow_the_split() {
    let there = route(json!(with(json!([split("/")]), &[mirror(None, vec![RouteMatch::default()])])));

    assert_eq!(rules_after(&there, &[mirror(None, vec![RouteMatch::default()])], 40)[0]["backendRefs"], pair(40));
}

#[test]
fn present_rules_stay_but_for_the_weights_of_a_mirror() {
    let there = route(json!(with(json!([split("/")]), &[beta(), mirror(None, vec![RouteMatch::default()])])));

    let same = planned(&there, &ManagedGoal::Present, 0).unwrap();
    let moved = planned(&there, &ManagedGoal::Present, 40).unwrap();

    assert_eq!(same.operations, Vec::<Value>::new());
    let paths: Vec<_> =
        moved.operations.iter().filter(|one| one["op"] == "add").map(|one| one["path"].clone()).collect();
    assert_eq!(paths, ["/spec/rules/1/backendRefs/1/weight", "/spec/rules/1/backendRefs/0/weight"]);
}

#[test]
fn a_patch_fails_if_a_source_or_an_own_rule_has_changed() {
    let there = route(json!(with(json!([split("/")]), &[beta()])));

    let patch = planned(&there, &ManagedGoal::default(), 0).unwrap();

    let tested: Vec<_> = patch.tests.iter().map(|one| one["path"].clone()).collect();
    assert_eq!(tested, ["/spec/rules/1", "/spec/rules/0"]);
}

#[test]
fn a_route_with_sixteen_rules_gets_no_more_and_is_reported() {
    let rules: Vec<Value> = (0..16).map(|_| split("/")).collect();

    let (reason, message) = refusal(json!(rules), beta());

    assert_eq!(reason, ConditionReason::ManagedRouteLimit);
    assert!(message.starts_with("HTTPRoute \"web\": spec.rules: "), "{message}");
}

#[test]
fn a_match_with_sixteen_headers_gets_no_more_and_is_reported() {
    let mut source = split("/");
    let many: Vec<Value> = (0..16).map(|number| json!({ "name": format!("h{number}"), "value": "x" })).collect();
    source["matches"][0]["headers"] = json!(many);

    let (reason, message) = refusal(json!([source]), beta());

    assert_eq!(reason, ConditionReason::ManagedRouteLimit);
    assert!(message.contains("spec.rules[0].matches[0].headers"), "{message}");
}

#[test]
fn a_route_gets_no_more_matches_than_it_may_have() {
    let many: Vec<Value> = (0..65).map(|number| json!({ "method": format!("M{number}") })).collect();
    let source = json!({ "matches": many, "backendRefs": pair(0) });

    assert_eq!(refusal(json!([source]), beta()).0, ConditionReason::ManagedRouteLimit);
}

#[test]
fn a_users_rule_with_the_name_of_a_managed_route_is_reported_and_not_touched() {
    let mut main = split("/");
    main["name"] = json!("beta");
    let elsewhere = json!({ "name": "beta-3", "backendRefs": [{ "name": "other" }] });

    for rules in [json!([main]), json!([split("/"), elsewhere])] {
        let (reason, message) = refusal(rules.clone(), beta());
        assert_eq!(reason, ConditionReason::ManagedRouteConflict);
        assert!(message.contains("\"beta\"") && message.contains("rename it"), "{message}");
        assert_eq!(with(rules.clone(), &[]), *rules.as_array().unwrap());
    }
}

#[test]
fn a_rule_of_another_rollouts_managed_route_is_reported_by_the_rollouts_name() {
    let theirs = json!({ "name": "beta", "backendRefs": [{ "name": "other-canary" }] });
    let other = OtherRollout {
        name: "checkout".into(),
        namespace: "shop".into(),
        canary: "other-canary".into(),
        stable: "other-stable".into(),
        label: None,
        managed: vec!["beta".into()],
    };
    let shared = Route { other_rollouts: vec![other], ..route(json!([theirs, split("/")])) };

    let blocked = planned(&shared, &ManagedGoal::Exactly(vec![beta()]), 0).unwrap_err();

    assert!(blocked.message.contains("is of Rollout \"checkout\""), "{}", blocked.message);
}

#[test]
fn rules_of_another_rollouts_managed_routes_may_stand_before_ours() {
    let own = with(json!([split("/")]), &[beta()]);
    let theirs = json!({ "name": "vip", "backendRefs": [{ "name": "other-canary" }] });
    let other = OtherRollout {
        name: "checkout".into(),
        namespace: "shop".into(),
        canary: "other-canary".into(),
        stable: "other-stable".into(),
        label: None,
        managed: vec!["vip".into()],
    };
    let rules: Vec<Value> = std::iter::once(theirs).chain(own).collect();
    let shared = Route { other_rollouts: vec![other], ..route(json!(rules)) };

    let patch = planned(&shared, &ManagedGoal::Exactly(vec![beta()]), 0).unwrap();

    assert_eq!(patch.operations, Vec::<Value>::new());
}

#[test]
fn a_rule_that_has_lost_its_name_is_reported_and_not_written_again() {
    let mut rules = with(json!([split("/")]), &[beta()]);
    rules[0].as_object_mut().unwrap().remove("name");

    let (reason, message) = refusal(json!(rules), beta());

    assert_eq!(reason, ConditionReason::ManagedRouteNotStored);
    assert!(message.starts_with("HTTPRoute \"web\": spec.rules[0].name: "), "{message}");
}

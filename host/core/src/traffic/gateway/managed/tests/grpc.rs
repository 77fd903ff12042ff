//! Managed routes on GRPCRoutes, whose rules match methods of gRPC services instead of paths.

use super::*;

fn grpc_split() -> Value {
    json!({ "matches": [{ "method": { "type": "Exact", "service": "shop.Cart" } }], "backendRefs": pair(0) })
}

fn planned_on_grpc(wanted: ManagedRoute) -> Result<ManagedPatch, Blocked> {
    planned_on(RouteKind::Grpc, &route(json!([grpc_split()])), &ManagedGoal::Exactly(vec![wanted]), 0)
}

#[test]
fn on_a_grpc_route_the_headers_are_added_to_the_matches_of_methods() {
    let rules = planned_on_grpc(beta()).unwrap().rules;

    let expected = json!({
        "name": "beta",
        "matches": [{
            "method": { "type": "Exact", "service": "shop.Cart" },
            "headers": [{ "type": "Exact", "name": "team", "value": "qa" }],
        }],
        "backendRefs": [{ "name": "canary", "port": 80, "weight": 1 }],
    });
    assert_eq!(rules, [expected]);
}

#[test]
fn on_a_grpc_route_a_mirror_cannot_match_an_http_path() {
    let path = RouteMatch { path: Some(exact("/a")), ..RouteMatch::default() };

    let blocked = planned_on_grpc(mirror(None, vec![path])).unwrap_err();

    let place = "GRPCRoute \"web\": spec.rules[0].matches[0].path: managed route \"copy\"";
    let message = format!("{place}: a rule of a GRPCRoute cannot match its HTTP path");
    assert_eq!((blocked.reason, blocked.message), (ConditionReason::ManagedRouteConflict, message));
}

//! Validates the configuration under `plugins["argoproj-labs/gatewayAPI"]`. The CRD has no schema for it, so only this
//! check finds typos.

use serde_json::Value;

use super::pods::selector_is_sound;
use crate::decode;
use crate::field_error::{Faults, Path};
use crate::gateway::{ConfiguredRoutes, GatewayRouting, ROUTE_KEYS, RouteKind, is_known_key};

pub(super) fn validate(config: &Value, path: &Path, faults: &mut Faults) {
    if !config.is_object() {
        faults.add(path, "must be an object");
        return;
    }
    match decode::read::<GatewayRouting>(config, path) {
        Ok(routing) => routes(config, &routing, path, faults),
        Err(error) => faults.push(error),
    }
}

/// Fields that neither this build nor Argo's plugin knows: Argo's plugin ignores them.
pub(super) fn unknown_keys(config: &Value, path: &Path) -> Vec<Path> {
    let keys =
        |value: &Value| value.as_object().into_iter().flat_map(serde_json::Map::keys).cloned().collect::<Vec<_>>();
    let mut unknown: Vec<Path> =
        keys(config).iter().filter(|key| !is_known_key(key)).map(|key| path.field(key)).collect();
    for list in RouteKind::ALL.map(|kind| kind.keys().list) {
        let routes = config.get(list).and_then(Value::as_array).into_iter().flatten();
        for (index, route) in routes.enumerate() {
            let path = path.field(list).index(index);
            let of_route = keys(route);
            unknown
                .extend(of_route.iter().filter(|key| !ROUTE_KEYS.contains(&key.as_str())).map(|key| path.field(key)));
        }
    }
    unknown
}

fn routes(config: &Value, routing: &GatewayRouting, path: &Path, faults: &mut Faults) {
    for routes in routing.kinds() {
        of_kind(routes, path, faults);
    }
    if routing.kinds().any(|routes| !routes.is_empty()) {
        return;
    }
    // An unknown field may be a typo for the routes.
    for path in unknown_keys(config, path) {
        faults.add(&path, "is not a field of this plugin");
    }
    faults.add(path, "must name the routes: httpRoute, httpRoutes or httpRouteSelector, or those of grpc, tcp or tls");
}

fn of_kind(routes: ConfiguredRoutes<'_>, path: &Path, faults: &mut Faults) {
    let keys = routes.kind.keys();
    for (index, route) in routes.list.iter().enumerate() {
        let path = path.field(keys.list).index(index);
        faults.add_if(route.name.is_empty(), &path.field("name"), "is required");
    }
    if let Some(selector) = routes.selector {
        selector_is_sound(selector, &path.field(keys.selector), faults);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::gateway::RouteKind;
    use crate::rollout::Rollout;
    use crate::validation::tests::{assert_faults, canary, paths};

    const AT: &str = "spec.strategy.canary.trafficRouting.plugins[\"argoproj-labs/gatewayAPI\"]";

    fn configured(config: Value) -> Rollout {
        canary(json!({
            "canaryService": "canary", "stableService": "stable",
            "trafficRouting": { "plugins": { "argoproj-labs/gatewayAPI": config } },
        }))
    }

    fn assert_fault_at(config: Value, below: &str) {
        assert_eq!(paths(&configured(config.clone())), [format!("{AT}{below}")], "{config}");
    }

    #[test]
    fn routes_are_named_individually_in_a_list_or_by_labels() {
        assert_faults(vec![
            (configured(json!({ "httpRoute": "a" })), &[]),
            (configured(json!({ "httpRoutes": [{ "name": "a", "useHeaderRoutes": true }, { "name": "b" }] })), &[]),
            (configured(json!({ "httpRouteSelector": {} })), &[]),
            (configured(json!({ "httpRoute": "a", "httpRoutes": null })), &[]),
            (configured(json!({ "httpRouteSelector": { "matchLabels": { "app": "shop" } } })), &[]),
            (
                configured(json!({
                    "httpRoute": "a", "namespace": "edge", "disableInProgressLabel": true,
                    "inProgressLabelKey": "k", "inProgressLabelValue": "v", "grpcRoute": "", "tcpRoutes": [],
                })),
                &[],
            ),
        ]);
    }

    #[test]
    fn a_configuration_without_a_route_is_rejected() {
        for config in
            [json!({}), json!({ "httpRoute": "" }), json!({ "httpRoutes": [] }), json!({ "namespace": "edge" })]
        {
            assert_fault_at(config, "");
        }
    }

    #[test]
    fn a_value_that_is_not_an_object_is_rejected() {
        assert_fault_at(json!("httpRoute: a"), "");
    }

    #[test]
    fn each_kind_of_route_is_named_in_three_ways() {
        for keys in RouteKind::ALL.map(RouteKind::keys) {
            assert_faults(vec![
                (configured(json!({ keys.one: "a" })), &[]),
                (configured(json!({ keys.list: [{ "name": "a" }] })), &[]),
                (configured(json!({ keys.selector: {} })), &[]),
            ]);
        }
    }

    #[test]
    fn an_unknown_key_is_not_an_error() {
        assert_faults(vec![
            (configured(json!({ "httpRoute": "a", "httproute": "b" })), &[]),
            (configured(json!({ "httpRoutes": [{ "name": "a", "weight": 5 }] })), &[]),
        ]);
    }

    #[test]
    fn a_value_of_the_wrong_type_is_reported() {
        assert_fault_at(json!({ "httpRoute": ["a"] }), ".httpRoute");
        assert_fault_at(json!({ "httpRoutes": [{ "name": "a" }, { "name": 1 }] }), ".httpRoutes[1].name");
        assert_fault_at(json!({ "httpRoute": "a", "disableInProgressLabel": "yes" }), ".disableInProgressLabel");
    }

    #[test]
    fn an_entry_needs_a_name_and_a_selector_needs_known_operators() {
        assert_fault_at(json!({ "httpRoutes": [{ "useHeaderRoutes": true }] }), ".httpRoutes[0].name");
        assert_fault_at(json!({ "httpRoute": "a", "tcpRoutes": [{}] }), ".tcpRoutes[0].name");
        assert_fault_at(
            json!({ "httpRouteSelector": { "matchExpressions": [{ "key": "a", "operator": "Like" }] } }),
            ".httpRouteSelector.matchExpressions[0].operator",
        );
    }
}

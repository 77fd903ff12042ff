//! The configuration under `plugins["argoproj-labs/gatewayAPI"]`. The CRD has no schema for it, so a slip can only be told here.

use serde_json::Value;

use super::pods::selector_is_sound;
use crate::decode;
use crate::field_error::{Faults, Path};
use crate::gateway::{GatewayRouting, LATER_KEYS, ROUTE_KEYS, SERVED_KEYS};

pub(super) fn validate(config: &Value, path: &Path, faults: &mut Faults) {
    let Some(fields) = config.as_object() else {
        faults.add(path, "must be an object");
        return;
    };
    for (key, value) in fields {
        if LATER_KEYS.contains(&key.as_str()) {
            faults.unsupported(!says_nothing(value), &path.field(key));
        } else {
            faults.add_if(!SERVED_KEYS.contains(&key.as_str()), &path.field(key), "is no field of this plugin");
        }
    }
    unknown_route_keys(config, &path.field("httpRoutes"), faults);
    match decode::read::<GatewayRouting>(config, path) {
        Ok(routing) => routes(&routing, fields.keys().any(|key| LATER_KEYS.contains(&key.as_str())), path, faults),
        Err(error) => faults.push(error),
    }
}

/// Argo's plugin takes an empty value as none.
fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

fn unknown_route_keys(config: &Value, path: &Path, faults: &mut Faults) {
    let routes = config.get("httpRoutes").and_then(Value::as_array).into_iter().flatten();
    for (index, route) in routes.enumerate() {
        for key in route.as_object().into_iter().flat_map(serde_json::Map::keys) {
            let known = ROUTE_KEYS.contains(&key.as_str());
            faults.add_if(!known, &path.index(index).field(key), "is no field of a route");
        }
    }
}

/// A kind of route that comes later was refused already; that no HTTPRoute stands beside it is no second fault.
fn routes(routing: &GatewayRouting, other_kinds: bool, path: &Path, faults: &mut Faults) {
    for (index, route) in routing.http_routes.iter().enumerate() {
        faults.add_if(route.name.is_empty(), &path.field("httpRoutes").index(index).field("name"), "is required");
    }
    if let Some(selector) = &routing.http_route_selector {
        selector_is_sound(selector, &path.field("httpRouteSelector"), faults);
    }
    let named = routing.http_route.as_ref().is_some_and(|name| !name.is_empty()) || !routing.http_routes.is_empty();
    faults.add_if(
        !named && routing.http_route_selector.is_none() && !other_kinds,
        path,
        "must name the routes: httpRoute, httpRoutes or httpRouteSelector",
    );
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::gateway::LATER_KEYS;
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
    fn routes_are_named_singly_in_a_list_or_by_labels() {
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
    fn a_configuration_without_a_route_is_refused() {
        for config in
            [json!({}), json!({ "httpRoute": "" }), json!({ "httpRoutes": [] }), json!({ "namespace": "edge" })]
        {
            assert_fault_at(config, "");
        }
    }

    #[test]
    fn what_is_no_object_is_refused() {
        assert_fault_at(json!("httpRoute: a"), "");
    }

    #[test]
    fn other_kinds_of_routes_are_refused_by_their_name() {
        for key in LATER_KEYS {
            let value = if key.ends_with("Selector") { json!({}) } else { json!("a") };
            assert_fault_at(json!({ key: value }), &format!(".{key}"));
        }
    }

    #[test]
    fn an_unknown_key_is_named() {
        assert_fault_at(json!({ "httpRoute": "a", "httproute": "b" }), ".httproute");
        assert_fault_at(json!({ "httpRoutes": [{ "name": "a", "weight": 5 }] }), ".httpRoutes[0].weight");
    }

    #[test]
    fn a_value_of_the_wrong_type_is_named() {
        assert_fault_at(json!({ "httpRoute": ["a"] }), ".httpRoute");
        assert_fault_at(json!({ "httpRoutes": [{ "name": "a" }, { "name": 1 }] }), ".httpRoutes[1].name");
        assert_fault_at(json!({ "httpRoute": "a", "disableInProgressLabel": "yes" }), ".disableInProgressLabel");
    }

    #[test]
    fn an_entry_needs_a_name_and_a_selector_known_operators() {
        assert_fault_at(json!({ "httpRoutes": [{ "useHeaderRoutes": true }] }), ".httpRoutes[0].name");
        assert_fault_at(
            json!({ "httpRouteSelector": { "matchExpressions": [{ "key": "a", "operator": "Like" }] } }),
            ".httpRouteSelector.matchExpressions[0].operator",
        );
    }
}

//! Validates the configuration under `plugins["argoproj-labs/gatewayAPI"]`. The CRD has no schema for it, so only this
//! check finds typos.

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
        let later = LATER_KEYS.contains(&key.as_str());
        faults.unsupported(later && !says_nothing(value), &path.field(key));
    }
    match decode::read::<GatewayRouting>(config, path) {
        Ok(routing) => {
            routes(config, &routing, fields.keys().any(|key| LATER_KEYS.contains(&key.as_str())), path, faults)
        }
        Err(error) => faults.push(error),
    }
}

/// Argo's plugin treats an empty value as absent.
fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

/// Fields that neither this build nor Argo's plugin knows: Argo's plugin ignores them.
pub(super) fn unknown_keys(config: &Value, path: &Path) -> Vec<Path> {
    let known = |key: &str| SERVED_KEYS.contains(&key) || LATER_KEYS.contains(&key);
    let keys =
        |value: &Value| value.as_object().into_iter().flat_map(serde_json::Map::keys).cloned().collect::<Vec<_>>();
    let mut unknown: Vec<Path> = keys(config).iter().filter(|key| !known(key)).map(|key| path.field(key)).collect();
    let routes = config.get("httpRoutes").and_then(Value::as_array).into_iter().flatten();
    for (index, route) in routes.enumerate() {
        let path = path.field("httpRoutes").index(index);
        unknown.extend(keys(route).iter().filter(|key| !ROUTE_KEYS.contains(&key.as_str())).map(|key| path.field(key)));
    }
    unknown
}

/// An unsupported kind of route is already an error; a missing HTTPRoute is then not reported as well.
fn routes(config: &Value, routing: &GatewayRouting, other_kinds: bool, path: &Path, faults: &mut Faults) {
    for (index, route) in routing.http_routes.iter().enumerate() {
        faults.add_if(route.name.is_empty(), &path.field("httpRoutes").index(index).field("name"), "is required");
    }
    if let Some(selector) = &routing.http_route_selector {
        selector_is_sound(selector, &path.field("httpRouteSelector"), faults);
    }
    let named = routing.http_route.as_ref().is_some_and(|name| !name.is_empty()) || !routing.http_routes.is_empty();
    if named || routing.http_route_selector.is_some() || other_kinds {
        return;
    }
    // An unknown field may be a typo for the routes.
    for path in unknown_keys(config, path) {
        faults.add(&path, "is not a field of this plugin");
    }
    faults.add(path, "must name the routes: httpRoute, httpRoutes or httpRouteSelector");
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
    fn other_kinds_of_routes_are_rejected_by_their_name() {
        for key in LATER_KEYS {
            let value = if key.ends_with("Selector") { json!({}) } else { json!("a") };
            assert_fault_at(json!({ key: value }), &format!(".{key}"));
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
        assert_fault_at(
            json!({ "httpRouteSelector": { "matchExpressions": [{ "key": "a", "operator": "Like" }] } }),
            ".httpRouteSelector.matchExpressions[0].operator",
        );
    }
}

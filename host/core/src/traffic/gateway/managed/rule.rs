//! Makes a rule of a managed route from a rule that splits traffic. Everything that is not about the match or the backends is
//! copied, so that fields which this build does not know are kept.

use kulta_api::RouteKind;
use serde_json::{Map, Value, json};

use super::combine::{self, NotCombined};
use crate::decision::{HeaderMatch, ManagedRoute, ManagedRouteKind, Mirror, RouteMatch};
use crate::traffic::gateway::route::Source;

/// The percentage that mirrors all requests, as the absence of the field does.
const ALL: u32 = 100;

/// The Services to which the rule's filters mirror requests.
pub(super) fn mirrors(rule: &Value) -> impl Iterator<Item = &Value> {
    let filters = rule.get("filters").and_then(Value::as_array).into_iter().flatten();
    filters.filter_map(|filter| filter.pointer("/requestMirror/backendRef"))
}

/// `None` if no request can match both. `weights` are the canary's weight and the maximum.
pub(super) fn of(
    kind: RouteKind,
    from: &Value,
    source: Source,
    managed: &ManagedRoute,
    name: String,
    weights: (u32, u32),
) -> Result<Option<Value>, NotCombined> {
    let Value::Object(mut rule) = from.clone() else { return Ok(None) };
    let matches = match &managed.kind {
        ManagedRouteKind::Headers(headers) => with_matches(kind, from, &[of_headers(headers)])?,
        ManagedRouteKind::Mirror(mirror) => with_matches(kind, from, &mirror.matches)?,
    };
    if matches.is_empty() {
        return Ok(None);
    }
    rule.insert("name".to_owned(), Value::String(name));
    rule.insert("matches".to_owned(), Value::Array(matches));
    match &managed.kind {
        ManagedRouteKind::Headers(_) => only_canary(&mut rule, source),
        ManagedRouteKind::Mirror(mirror) => with_mirror(&mut rule, source, mirror, weights),
    }
    Ok(Some(Value::Object(rule)))
}

fn of_headers(headers: &[HeaderMatch]) -> RouteMatch {
    RouteMatch { headers: headers.to_vec(), ..RouteMatch::default() }
}

/// Each match of the rule, combined with each of these.
fn with_matches(kind: RouteKind, from: &Value, more: &[RouteMatch]) -> Result<Vec<Value>, NotCombined> {
    // A rule without matches matches all requests.
    let everything = [json!({})];
    let matches = from.get("matches").and_then(Value::as_array).filter(|matches| !matches.is_empty());
    let matches = matches.map_or(everything.as_slice(), Vec::as_slice);
    let rewrites_prefix = rewrites_prefix(from);
    let mut all = Vec::new();
    for (index, present) in matches.iter().enumerate() {
        for wanted in more {
            if let Some(combined) = combine::matches(kind, present, wanted, index)? {
                if rewrites_prefix && combined.get("path") != present.get("path") {
                    let message =
                        "its path cannot be combined with a filter that rewrites or redirects the matched prefix";
                    return Err(combine::conflict(index, "path", message));
                }
                // Two matches of a mirror may combine to the same one.
                if !all.contains(&combined) {
                    all.push(combined);
                }
            }
        }
    }
    Ok(all)
}

/// A filter replaces the prefix that the match names, so a longer path would change what is replaced.
fn rewrites_prefix(rule: &Value) -> bool {
    let filters = rule.get("filters").and_then(Value::as_array).into_iter().flatten();
    filters
        .flat_map(|filter| [filter.pointer("/urlRewrite/path"), filter.pointer("/requestRedirect/path")])
        .flatten()
        .any(|path| path.get("replacePrefixMatch").is_some())
}

fn backends(rule: &mut Map<String, Value>) -> Option<&mut Vec<Value>> {
    rule.get_mut("backendRefs").and_then(Value::as_array_mut)
}

fn only_canary(rule: &mut Map<String, Value>, source: Source) {
    let Some(backends) = backends(rule) else { return };
    let mut canary = backends.get(source.canary).cloned().unwrap_or_default();
    set_weight(&mut canary, 1);
    *backends = vec![canary];
}

/// The backends keep the split, so that the answers come from where they come without the mirror.
fn with_mirror(rule: &mut Map<String, Value>, source: Source, mirror: &Mirror, (weight, max): (u32, u32)) {
    let mut reference = Map::new();
    if let Some(backends) = backends(rule) {
        for (position, weight) in [(source.canary, weight), (source.stable, max.saturating_sub(weight))] {
            if let Some(backend) = backends.get_mut(position) {
                set_weight(backend, weight);
            }
        }
        let canary = backends.get(source.canary);
        let members = ["name", "namespace", "port"];
        let named = members.into_iter().filter_map(|key| Some((key.to_owned(), canary?.get(key)?.clone())));
        // Written out as the API server's defaults, so that the stored rule is the written one.
        let defaults = [("group".to_owned(), json!("")), ("kind".to_owned(), json!("Service"))];
        reference.extend(defaults.into_iter().chain(named));
    }
    let mut filter = json!({ "type": "RequestMirror", "requestMirror": { "backendRef": reference } });
    if let Some(percentage) = mirror.percentage.filter(|percentage| *percentage < ALL)
        && let Some(mirror) = filter.get_mut("requestMirror").and_then(Value::as_object_mut)
    {
        mirror.insert("percent".to_owned(), json!(percentage));
    }
    let filters = rule.entry("filters").or_insert_with(|| json!([]));
    if let Some(filters) = filters.as_array_mut() {
        filters.push(filter);
    }
}

fn set_weight(backend: &mut Value, weight: u32) {
    if let Some(members) = backend.as_object_mut() {
        members.insert("weight".to_owned(), json!(weight));
    }
}

//! The rules of managed routes (`setHeaderRoute`, `setMirrorRoute`): which rules of a route are the rollout's own, and the JSON Patch
//! that makes them the wanted ones. A rule is the rollout's own by its name, and because it sends requests to the canary's Service.

mod combine;
mod rule;
#[cfg(test)]
mod tests;

use kulta_api::{ConditionReason, RouteKey};
use serde_json::{Value, json};

use super::route::{Backends, SharedRules, backend_refs, names_service};
use crate::decision::ManagedRoute;
use crate::observed::{OtherRollout, Route};
use crate::traffic::Blocked;

/// Maximum number of rules of a route (Gateway API).
const MAX_RULES: usize = 16;
/// Maximum number of matches of all rules of a route (Gateway API).
const MAX_MATCHES: usize = 128;

/// The rules of managed routes that are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ManagedGoal {
    /// The rules of these, in this order. Without any, the present rules are removed.
    Exactly(Vec<ManagedRoute>),
    /// The rules that this process last wrote; the present ones if it wrote none, or if the weight differs from that write's.
    AsWritten,
    /// The present rules stay as they are.
    Present,
}

impl Default for ManagedGoal {
    fn default() -> Self {
        Self::Exactly(Vec::new())
    }
}

impl ManagedGoal {
    /// Whether no rule is to be left.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// The planned change of the rules of managed routes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ManagedPatch {
    /// `test` operations, to be made before any change.
    pub tests: Vec<Value>,
    /// Changes of the rules, to be made after those of weights: they move the other rules.
    pub operations: Vec<Value>,
    /// The rules after the write.
    pub rules: Vec<Value>,
}

/// A route, with the Services of the rollout.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    /// The route as messages name it.
    pub shown: &'a str,
    pub key: &'a RouteKey,
    pub route: &'a Route,
    pub rules: &'a SharedRules,
    pub backends: Backends<'a>,
}

/// Whether the rule is of this managed route: it has the route's name, or that name and a number.
pub(super) fn is_named(rule_name: &str, managed: &str) -> bool {
    let number = |rest: &str| rest.strip_prefix('-').is_some_and(is_number);
    rule_name == managed || rule_name.strip_prefix(managed).is_some_and(number)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The managed route whose name the rule has.
fn managed_name<'a>(rule: &Value, managed: &'a [String]) -> Option<&'a str> {
    let name = rule.get("name").and_then(Value::as_str)?;
    managed.iter().map(String::as_str).find(|managed| is_named(name, managed))
}

/// Whether the rule is of a managed route of the rollout with these Services.
pub(super) fn is_own(rule: &Value, namespace: &str, backends: Backends<'_>) -> bool {
    if managed_name(rule, backends.managed).is_none() {
        return false;
    }
    let names = |reference: &Value, service: &str| names_service(reference, service, namespace, backends.namespace);
    let refers = |service: &str| backend_refs(rule).any(|reference| names(reference, service));
    let mirrors = rule::mirrors(rule).any(|reference| names(reference, backends.canary));
    mirrors || (refers(backends.canary) && !refers(backends.stable))
}

/// Whether the route has a rule of a managed route of the rollout with these Services.
pub(super) fn has_own(spec: &Value, namespace: &str, backends: Backends<'_>) -> bool {
    !backends.managed.is_empty() && rules_of(spec).iter().any(|rule| is_own(rule, namespace, backends))
}

fn rules_of(spec: &Value) -> &[Value] {
    spec.get("rules").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Names of the managed routes that have a rule in the route.
pub(super) fn present<'a>(place: Place<'a>) -> impl Iterator<Item = &'a str> {
    let own = rules_of(&place.route.spec).iter().filter(move |rule| is_own(rule, &place.key.namespace, place.backends));
    own.filter_map(move |rule| managed_name(rule, place.backends.managed))
}

/// Plans the change to the wanted rules, whose weights are `weight`.
///
/// # Errors
/// The route cannot have them. The error names the route and the field.
pub(super) fn plan(place: Place<'_>, goal: &ManagedGoal, weight: u32) -> Result<ManagedPatch, Blocked> {
    if place.backends.managed.is_empty() {
        return Ok(ManagedPatch::default());
    }
    let rules = rules_of(&place.route.spec);
    let own: Vec<(usize, &Value)> =
        rules.iter().enumerate().filter(|(_, rule)| is_own(rule, &place.key.namespace, place.backends)).collect();
    let last = place.route.last_write.as_ref().filter(|last| last.generation <= place.route.generation);
    let last = last.filter(|last| last.weight == weight && !last.managed.is_empty());
    let wanted = match (goal, last) {
        (ManagedGoal::Exactly(wanted), _) => wanted_rules(place, wanted, weight)?,
        (ManagedGoal::AsWritten, Some(last)) => last.managed.clone(),
        (ManagedGoal::AsWritten | ManagedGoal::Present, _) => {
            return Ok(ManagedPatch {
                operations: place.rules.patch_mirrors(weight, place.backends),
                rules: own.iter().map(|(_, rule)| (*rule).clone()).collect(),
                tests: Vec::new(),
            });
        }
    };
    check(place, &own, &wanted)?;
    let mut patch = change(place, &own, &wanted);
    if !patch.operations.is_empty() {
        let sources = place.rules.sources().filter_map(|source| Some((source.rule, rules.get(source.rule)?)));
        patch.tests.splice(0..0, sources.map(|(index, rule)| test(index, rule)));
    }
    patch.rules = wanted;
    Ok(patch)
}

/// The rules of the managed routes: for each of them one from each rule that splits traffic and can match the same requests.
fn wanted_rules(place: Place<'_>, wanted: &[ManagedRoute], weight: u32) -> Result<Vec<Value>, Blocked> {
    let rules = rules_of(&place.route.spec);
    let mut all = Vec::new();
    for managed in wanted {
        let mut number = 0;
        for source in place.rules.sources() {
            let Some(from) = rules.get(source.rule) else { continue };
            let name = if number == 0 { managed.name.clone() } else { format!("{}-{number}", managed.name) };
            let made = rule::of(place.key.kind, from, source, managed, name, (weight, place.backends.max_weight));
            let made = made.map_err(|combined| Blocked {
                reason: combined.reason,
                message: format!(
                    "{}: spec.rules[{}].{}: managed route {:?}: {}",
                    place.shown, source.rule, combined.field, managed.name, combined.message
                ),
            })?;
            if let Some(rule) = made {
                all.push(rule);
                number += 1;
            }
        }
    }
    Ok(all)
}

/// Checks that the route can have the wanted rules.
fn check(place: Place<'_>, own: &[(usize, &Value)], wanted: &[Value]) -> Result<(), Blocked> {
    if wanted.is_empty() {
        return Ok(());
    }
    let rules = rules_of(&place.route.spec);
    let kept = || rules.iter().enumerate().filter(|(index, _)| own.iter().all(|(of_own, _)| of_own != index));
    let blocked = |reason: ConditionReason, message: String| {
        Err(Blocked { reason, message: format!("{}: spec.rules{message}", place.shown) })
    };
    for (index, rule) in kept() {
        let name = rule.get("name").and_then(Value::as_str).unwrap_or_default();
        if let Some(managed) = managed_name(rule, place.backends.managed) {
            let owner = owner_of(place, rule, name);
            let message =
                format!("[{index}].name: {name:?} is a name of managed route {managed:?}, and the rule {owner}");
            return blocked(ConditionReason::ManagedRouteConflict, message);
        }
        let unnamed = |made: &&Value| is_same_but_for_name(made, rule);
        if name.is_empty() && wanted.iter().any(|made| unnamed(&made)) {
            let message = format!(
                "[{index}].name: a rule of a managed route has lost its name, so it is not recognised: delete the rule, and correct the writer that removes the name, or the CRD"
            );
            return blocked(ConditionReason::ManagedRouteNotStored, message);
        }
    }
    let count = kept().count() + wanted.len();
    if count > MAX_RULES {
        let message =
            format!(": with the rules of managed routes there are {count}, and a route has at most {MAX_RULES}");
        return blocked(ConditionReason::ManagedRouteLimit, message);
    }
    let matches_of = |rule: &Value| rule.get("matches").and_then(Value::as_array).map_or(1, |all| all.len().max(1));
    let matches: usize = kept().map(|(_, rule)| matches_of(rule)).chain(wanted.iter().map(matches_of)).sum();
    if matches > MAX_MATCHES {
        let message = format!(
            "[].matches: with those of managed routes there are {matches}, and a route has at most {MAX_MATCHES}"
        );
        return blocked(ConditionReason::ManagedRouteLimit, message);
    }
    Ok(())
}

/// Whose a rule with one of our names is, for messages.
fn owner_of(place: Place<'_>, rule: &Value, name: &str) -> String {
    let of_other = |other: &&OtherRollout| {
        let backends = Backends {
            namespace: &other.namespace,
            canary: &other.canary,
            stable: &other.stable,
            max_weight: place.backends.max_weight,
            managed: &other.managed,
        };
        is_own(rule, &place.key.namespace, backends) || other.managed.iter().any(|managed| is_named(name, managed))
    };
    match place.route.other_rollouts.iter().find(of_other) {
        Some(other) if other.namespace == place.backends.namespace => format!("is of Rollout {:?}", other.name),
        Some(other) => format!("is of Rollout {:?}", format!("{}/{}", other.namespace, other.name)),
        None => "is not one that the rollout makes: rename it".to_owned(),
    }
}

fn is_same_but_for_name(made: &Value, rule: &Value) -> bool {
    let mut made = made.clone();
    if let Some(members) = made.as_object_mut() {
        members.remove("name");
    }
    made == *rule
}

fn test(index: usize, rule: &Value) -> Value {
    json!({ "op": "test", "path": format!("/spec/rules/{index}"), "value": rule })
}

/// The operations that replace the present rules by the wanted ones: each in its place, or all anew at the beginning.
fn change(place: Place<'_>, own: &[(usize, &Value)], wanted: &[Value]) -> ManagedPatch {
    let (mut tests, mut operations) = (Vec::new(), Vec::new());
    if are_in_place(place, own, wanted) {
        for ((index, rule), wanted) in own.iter().zip(wanted).filter(|((_, rule), wanted)| rule != wanted) {
            tests.push(test(*index, rule));
            operations.push(json!({ "op": "replace", "path": format!("/spec/rules/{index}"), "value": wanted }));
        }
    } else {
        tests.extend(own.iter().map(|(index, rule)| test(*index, rule)));
        let removals = own.iter().rev();
        operations.extend(removals.map(|(index, _)| json!({ "op": "remove", "path": format!("/spec/rules/{index}") })));
        let added = wanted.iter().enumerate();
        operations.extend(
            added.map(|(index, rule)| json!({ "op": "add", "path": format!("/spec/rules/{index}"), "value": rule })),
        );
    }
    ManagedPatch { tests, operations, rules: Vec::new() }
}

/// The present rules have the wanted names, in their order, and only rules of other rollouts' managed routes stand before them.
fn are_in_place(place: Place<'_>, own: &[(usize, &Value)], wanted: &[Value]) -> bool {
    let same = own.len() == wanted.len()
        && own.iter().zip(wanted).all(|((_, rule), wanted)| rule.get("name") == wanted.get("name"));
    let last = own.last().map_or(0, |(index, _)| *index);
    let is_of_other = |rule: &Value| {
        let others = place.route.other_rollouts.iter();
        others.flat_map(|other| managed_name(rule, &other.managed)).next().is_some()
    };
    let before = rules_of(&place.route.spec).iter().take(last).enumerate();
    same && before.filter(|(index, _)| own.iter().all(|(of_own, _)| of_own != index)).all(|(_, rule)| is_of_other(rule))
}

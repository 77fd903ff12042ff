//! Whether the data plane has taken what a route says (design section 4): each parent's Accepted and ResolvedRefs, for this generation.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::observed::Route;

/// How long after a write a parent that reports no generation is believed to have taken it (Linkerd reports none).
const UNVERSIONED_WAIT: SignedDuration = SignedDuration::from_secs(5);
/// How long a parent may take to tell of a change of the route: gateways need a moment, and that is no reason for a condition.
const PATIENCE: SignedDuration = SignedDuration::from_secs(10);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acceptance {
    Accepted,
    /// A parent states no generation; taken on trust some seconds after the write. Names the parent.
    AcceptedOnTrust(String),
    /// A parent states no generation and the write is too fresh.
    TooFresh {
        until: Timestamp,
    },
    /// A parent has not told yet, and the change is fresh.
    Behind {
        until: Timestamp,
    },
    /// Not told for long, or refused: names the parent and the reason.
    Waiting(String),
}

/// The parents that a route names must each have taken it.
#[must_use]
pub fn of(route: &Route, namespace: &str, now: Timestamp) -> Acceptance {
    let written = route.written.max(route.last_write.as_ref().map(|write| write.at));
    let end_of = |wait| written.and_then(|at| at.checked_add(wait).ok()).filter(|until| *until > now);
    let not_told =
        |words: String| end_of(PATIENCE).map_or(Acceptance::Waiting(words), |until| Acceptance::Behind { until });
    let references = route.spec.get("parentRefs").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if references.is_empty() {
        return Acceptance::Waiting("spec.parentRefs is empty: no gateway serves it".to_owned());
    }
    let parents = route.status.get("parents").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let mut on_trust = None;
    for reference in references {
        let name = parent_name(reference);
        let entries = parents
            .iter()
            .filter(|parent| parent.get("parentRef").is_some_and(|written| same_parent(written, reference, namespace)));
        // Several controllers may report on one parent; the best report counts.
        let best = entries.map(|entry| report(entry, route.generation)).max_by_key(|report| report.rank());
        match best {
            None => return not_told(format!("parent {name}: no status yet")),
            Some(Report::Current) => {}
            Some(Report::Unversioned) => on_trust = Some(name),
            Some(Report::Stale) => {
                return not_told(format!("parent {name}: has not seen generation {}", route.generation));
            }
            Some(Report::Refused(reason)) => return Acceptance::Waiting(format!("parent {name}: {reason}")),
        }
    }
    let Some(parent) = on_trust else { return Acceptance::Accepted };
    end_of(UNVERSIONED_WAIT).map_or(Acceptance::AcceptedOnTrust(parent), |until| Acceptance::TooFresh { until })
}

/// One controller's word on one parent, worst first.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Report {
    Refused(String),
    Stale,
    Unversioned,
    Current,
}

impl Report {
    const fn rank(&self) -> u8 {
        match self {
            Self::Refused(_) => 0,
            Self::Stale => 1,
            Self::Unversioned => 2,
            Self::Current => 3,
        }
    }
}

fn report(parent: &Value, generation: i64) -> Report {
    let conditions = parent.get("conditions").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let mut worst = Report::Current;
    for kind in ["Accepted", "ResolvedRefs"] {
        let condition = conditions.iter().find(|condition| condition.get("type").and_then(Value::as_str) == Some(kind));
        let Some(condition) = condition else {
            return Report::Refused(format!("reports no condition {kind}"));
        };
        let text = |key: &str| condition.get(key).and_then(Value::as_str).unwrap_or_default();
        let one = match condition.get("observedGeneration").and_then(Value::as_i64) {
            Some(seen) if seen < generation => Report::Stale,
            _ if text("status") != "True" => {
                Report::Refused(format!("{kind} is {}: {}: {}", text("status"), text("reason"), text("message")))
            }
            Some(_) => Report::Current,
            None => Report::Unversioned,
        };
        if one.rank() < worst.rank() {
            worst = one;
        }
    }
    worst
}

fn same_parent(written: &Value, reference: &Value, namespace: &str) -> bool {
    let field =
        |value: &Value, key: &str, default: &str| value.get(key).and_then(Value::as_str).unwrap_or(default).to_owned();
    let port = |value: &Value| value.get("port").and_then(Value::as_i64);
    [
        ("group", "gateway.networking.k8s.io"),
        ("kind", "Gateway"),
        ("namespace", namespace),
        ("name", ""),
        ("sectionName", ""),
    ]
    .into_iter()
    .all(|(key, default)| field(written, key, default) == field(reference, key, default))
        && port(written) == port(reference)
}

fn parent_name(reference: &Value) -> String {
    let text = |key: &str, default: &str| reference.get(key).and_then(Value::as_str).unwrap_or(default).to_owned();
    format!("{} {:?}", text("kind", "Gateway"), text("name", ""))
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn a_route_is_taken_when_its_parent_says_so_for_this_generation() {
        assert_eq!(of(&accepted(Some(4)), "shop", at(0)), Acceptance::Accepted);
    }

    #[test]
    fn an_older_generation_is_not_enough() {
        assert!(
            matches!(of(&accepted(Some(3)), "shop", at(0)), Acceptance::Waiting(why) if why.contains("generation 4"))
        );
    }

    #[test]
    fn a_parent_may_take_a_moment_to_tell_of_a_change() {
        let stale = Route { written: Some(at(0)), ..accepted(Some(3)) };
        let silent = Route { status: json!({}), ..stale.clone() };

        let answers = [of(&stale, "shop", at(9)), of(&silent, "shop", at(9))];

        assert_eq!(answers, [Acceptance::Behind { until: at(10) }, Acceptance::Behind { until: at(10) }]);
    }

    #[test]
    fn a_parent_that_tells_nothing_for_long_is_named() {
        let silent = Route { written: Some(at(0)), status: json!({}), ..accepted(None) };

        assert_eq!(of(&silent, "shop", at(10)), Acceptance::Waiting("parent Gateway \"gw\": no status yet".into()));
    }

    #[test]
    fn an_own_write_is_told_more_finely_than_by_the_managed_fields() {
        let write = crate::observed::RouteWrite { weight: 1, at: at(1), generation: 4, ..Default::default() };
        let stale = Route { written: Some(at(0)), last_write: Some(write), ..accepted(Some(3)) };

        assert_eq!(of(&stale, "shop", at(10)), Acceptance::Behind { until: at(11) });
    }

    #[test]
    fn a_refusal_names_the_parent_and_the_reason() {
        let refused =
            route(json!([condition("Accepted", "True", Some(4)), condition("ResolvedRefs", "False", Some(4))]));

        let Acceptance::Waiting(why) = of(&refused, "shop", at(0)) else { panic!("not waiting") };

        assert_eq!(why, "parent Gateway \"gw\": ResolvedRefs is False: Why: because");
    }

    #[test]
    fn every_parent_must_have_taken_it() {
        let mut two = accepted(Some(4));
        two.spec = json!({ "parentRefs": [{ "name": "gw" }, { "name": "second" }] });

        assert!(matches!(of(&two, "shop", at(0)), Acceptance::Waiting(why) if why.contains("second")));
    }

    #[test]
    fn a_parent_that_states_no_generation_is_believed_five_seconds_after_the_write() {
        let silent = Route { written: Some(at(0)), ..accepted(None) };

        let answers = [at(4), at(5)].map(|now| of(&silent, "shop", now));

        assert_eq!(
            answers,
            [Acceptance::TooFresh { until: at(5) }, Acceptance::AcceptedOnTrust("Gateway \"gw\"".into())]
        );
    }

    #[test]
    fn a_listener_of_the_same_gateway_is_another_parent() {
        let mut section = accepted(Some(4));
        section.spec = json!({ "parentRefs": [{ "name": "gw", "sectionName": "https" }] });

        assert!(matches!(of(&section, "shop", at(0)), Acceptance::Waiting(_)));
    }
}

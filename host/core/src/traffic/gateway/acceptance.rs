//! Whether the data plane has accepted a route (design section 4), by each parent's Accepted and ResolvedRefs for this
//! generation.

use jiff::{SignedDuration, Timestamp};
use kulta_api::ConditionReason;
use serde_json::Value;

use crate::observed::{AcceptedRoute, Route};

/// Wait after a write until a parent that reports no generation counts as having accepted it. Linkerd reports none.
const UNVERSIONED_WAIT: SignedDuration = SignedDuration::from_secs(5);
/// Time in which a parent may report on a changed route before a condition says that it has not.
const PATIENCE: SignedDuration = SignedDuration::from_secs(10);

/// Time for which an accepted route still counts as accepted after its status says otherwise. Two gateway controllers may
/// overwrite each other's entries without end.
const CONFIRMED_STAYS: SignedDuration = SignedDuration::from_secs(10);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acceptance {
    /// All parents have accepted the route. A reservation says which part is assumed, not reported.
    Accepted(Option<Reservation>),
    /// All parents had accepted this generation, but for a short time an entry has been missing or not accepted.
    Held { until: Timestamp },
    /// A parent reports no generation, and the write is too recent.
    TooFresh { until: Timestamp },
    /// A parent has not reported yet, and the change is recent.
    Behind { until: Timestamp },
    /// A parent has not reported in time, or refuses the route. The message names the parent and the reason.
    Waiting(String),
}

/// A caveat about an accepted route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    pub reason: ConditionReason,
    pub message: String,
}

/// The route's acceptance, and the value to pass as [`Route::accepted`] next time.
#[must_use]
pub fn of(route: &Route, namespace: &str, now: Timestamp) -> (Acceptance, Option<AcceptedRoute>) {
    let before = route.accepted.filter(|accepted| accepted.generation == route.generation);
    let accepted = AcceptedRoute { generation: route.generation, refused_since: None };
    match judge(route, namespace, now) {
        accepted_now @ Acceptance::Accepted(_) => (accepted_now, Some(accepted)),
        other @ (Acceptance::Waiting(_) | Acceptance::Behind { .. }) => {
            let Some(before) = before else { return (other, None) };
            let since = before.refused_since.unwrap_or(now);
            let remembered = Some(AcceptedRoute { refused_since: Some(since), ..accepted });
            let until = since.checked_add(CONFIRMED_STAYS).ok().filter(|until| *until > now);
            (until.map_or(other, |until| Acceptance::Held { until }), remembered)
        }
        other => (other, before),
    }
}

/// Each parent that the route names must have accepted it.
fn judge(route: &Route, namespace: &str, now: Timestamp) -> Acceptance {
    let written = route.written.max(route.last_write.as_ref().map(|write| write.at));
    let end_of = |wait| written.and_then(|at| at.checked_add(wait).ok()).filter(|until| *until > now);
    let not_reported =
        |message: String| end_of(PATIENCE).map_or(Acceptance::Waiting(message), |until| Acceptance::Behind { until });
    let references = route.spec.get("parentRefs").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if references.is_empty() {
        return Acceptance::Waiting("spec.parentRefs is empty: no gateway serves it".to_owned());
    }
    let parents = route.status.get("parents").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let (mut unversioned, mut without_port) = (None, None);
    for reference in references {
        let name = parent_name(reference);
        let (entries, exact) = entries_of(parents, reference, namespace);
        // Several controllers may report on one parent. The best report counts.
        let best = entries.into_iter().map(|entry| report(entry, route.generation)).max_by_key(Report::rank);
        let shown = if exact { format!("parent {name}") } else { format!("parent {name} (reported without port)") };
        match best {
            None => return not_reported(format!("{shown}: no status yet")),
            Some(Report::Current) => {}
            Some(Report::Unversioned) => unversioned = Some(name.clone()),
            Some(Report::Stale) => {
                return not_reported(format!("{shown}: has not observed generation {}", route.generation));
            }
            Some(Report::Refused(reason)) => return Acceptance::Waiting(format!("{shown}: {reason}")),
        }
        if !exact {
            without_port = Some(name);
        }
    }
    if unversioned.is_some()
        && let Some(until) = end_of(UNVERSIONED_WAIT)
    {
        return Acceptance::TooFresh { until };
    }
    let unversioned = unversioned.map(|parent| Reservation {
        reason: ConditionReason::RouteStatusUnversioned,
        message: format!(
            "parent {parent} reports no observedGeneration: weights count as applied {} s after they were written",
            UNVERSIONED_WAIT.as_secs()
        ),
    });
    let without_port = without_port.map(|parent| Reservation {
        reason: ConditionReason::RouteStatusWithoutPort,
        message: format!("parent {parent} is reported without its port: the entry without port counts"),
    });
    Acceptance::Accepted(match (unversioned, without_port) {
        (Some(one), Some(other)) => Some(Reservation { message: format!("{}; {}", one.message, other.message), ..one }),
        (one, other) => one.or(other),
    })
}

/// The entries of a parent, and whether their port is the reference's. Some gateways report each parent without its port.
fn entries_of<'a>(parents: &'a [Value], reference: &Value, namespace: &str) -> (Vec<&'a Value>, bool) {
    let port = |value: &Value| value.get("port").and_then(Value::as_i64);
    let of_port = |wanted: Option<i64>| {
        let named = |entry: &&Value| {
            let written = entry.get("parentRef");
            written.is_some_and(|written| same_listener(written, reference, namespace) && port(written) == wanted)
        };
        parents.iter().filter(named).collect::<Vec<_>>()
    };
    let exact = of_port(port(reference));
    let without_port = if exact.is_empty() { of_port(None) } else { Vec::new() };
    if without_port.is_empty() { (exact, true) } else { (without_port, false) }
}

/// One controller's report on one parent, the worst first.
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

/// Reports all refusals first, because a missing condition may be their consequence.
fn report(parent: &Value, generation: i64) -> Report {
    let conditions = parent.get("conditions").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let (mut refusals, mut missing) = (Vec::new(), Vec::new());
    let mut worst = Report::Current;
    for kind in ["Accepted", "ResolvedRefs"] {
        let condition = conditions.iter().find(|condition| condition.get("type").and_then(Value::as_str) == Some(kind));
        let Some(condition) = condition else {
            missing.push(kind);
            continue;
        };
        let text = |key: &str| condition.get(key).and_then(Value::as_str).unwrap_or_default();
        let one = match condition.get("observedGeneration").and_then(Value::as_i64) {
            Some(observed) if observed < generation => Report::Stale,
            _ if text("status") != "True" => {
                refusals.push(format!("{kind} is {}: {}: {}", text("status"), text("reason"), text("message")));
                continue;
            }
            Some(_) => Report::Current,
            None => Report::Unversioned,
        };
        if one.rank() < worst.rank() {
            worst = one;
        }
    }
    match (refusals.is_empty(), missing.is_empty()) {
        (false, _) => Report::Refused(refusals.join("; ")),
        (true, false) if worst != Report::Stale => {
            Report::Refused(format!("reports no condition {}", missing.join(" and no condition ")))
        }
        (true, _) => worst,
    }
}

/// The references name the same parent and the same listener (`sectionName`).
fn same_listener(written: &Value, reference: &Value, namespace: &str) -> bool {
    let field =
        |value: &Value, key: &str, default: &str| value.get(key).and_then(Value::as_str).unwrap_or(default).to_owned();
    [
        ("group", "gateway.networking.k8s.io"),
        ("kind", "Gateway"),
        ("namespace", namespace),
        ("name", ""),
        ("sectionName", ""),
    ]
    .into_iter()
    .all(|(key, default)| field(written, key, default) == field(reference, key, default))
}

/// The parent in messages: with its sectionName and its port, if the reference has them.
fn parent_name(reference: &Value) -> String {
    let text = |key: &str| reference.get(key).and_then(Value::as_str);
    let section = text("sectionName").map(|section| format!(" sectionName {section:?}")).unwrap_or_default();
    let port = reference.get("port").and_then(Value::as_i64).map(|port| format!(" port {port}")).unwrap_or_default();
    format!("{} {:?}{section}{port}", text("kind").unwrap_or("Gateway"), text("name").unwrap_or_default())
}

#[cfg(test)]
#[path = "acceptance_tests.rs"]
mod tests;

//! Validates every answer of a plugin before it is used. The size limits are those of the WIT.

use crate::error::CallError;
use crate::fetch::Request;
use crate::strategy::{Decision, HeaderMatch, Label, Next, RouteKind, RouteMatch, Scale, Situation, TextMatch};
use crate::{analyzer, enricher, step};

const MAX_MEMORY_BYTES: usize = 4 << 10;
const MAX_REASON_BYTES: usize = 1 << 10;
const MAX_RUNS: usize = 16;
const MAX_ROUTES: usize = 16;
/// A share belongs to a run.
const MAX_SHARES: usize = MAX_RUNS;
const MAX_REQUESTS: usize = 16;
const MAX_BODY_BYTES: usize = 64 << 10;
const MAX_VALUE_BYTES: usize = 64 << 10;
/// Limit for a whole event, which is sent as one HTTP body: receivers must accept at least 64 KiB (CloudEvents 1.0.2,
/// size limits).
const MAX_ADDITION_BYTES: usize = 16 << 10;
const MAX_FACTS: usize = 32;
const MAX_FACT_BYTES: usize = 256;
/// Kubernetes' limit for names, applied to every name in an answer.
const MAX_NAME_BYTES: usize = 253;
/// Gateway API's limits for matches of a rule, headers of a match, and a value.
const MAX_MATCHES: usize = 64;
const MAX_HEADERS: usize = 16;
const MAX_TEXT_BYTES: usize = 4 << 10;
/// Kubernetes counts pods and steps in 32-bit signed integers.
const MAX_COUNT: u32 = i32::MAX as u32;
/// 9999-12-31T23:59:59Z in milliseconds: the last instant that the API can represent.
const LAST_INSTANT: u64 = 253_402_300_799_000;
const FULL_PERCENT: u32 = 100;

type Checked = Result<(), CallError>;

/// Rejects a decision that is too large or invalid.
pub(crate) fn check(decision: &Decision, situation: &Situation) -> Checked {
    sizes(decision)?;
    weights(decision, situation.rollout.max_weight)?;
    scale("canary", &decision.canary)?;
    scale("stable", &decision.stable)?;
    sane(decision.steps <= MAX_COUNT, || format!("{} steps", decision.steps))?;
    let within = decision.step <= MAX_COUNT && (decision.steps == 0 || decision.step <= decision.steps);
    sane(within, || format!("step {} of {}", decision.step, decision.steps))?;
    next(&decision.next)
}

/// Rejects an analyzer's answer that is too large or invalid.
pub(crate) fn check_measurement(action: &analyzer::Action) -> Checked {
    use analyzer::Action;
    let memory = match action {
        Action::Fetch(fetching) => {
            requests(&fetching.requests)?;
            &fetching.memory
        }
        Action::Wait(waiting) => {
            instant(waiting.until)?;
            &waiting.memory
        }
        Action::Measured(measured) => {
            at_most("value", measured.value.len(), MAX_VALUE_BYTES)?;
            // For a metric without a condition nothing else checks the value, and it would pass.
            let json = serde_json::from_str::<serde_json::Value>(&measured.value);
            json.map_err(|error| CallError::BadAnswer(format!("the value is not JSON: {error}")))?;
            labels("metadata", &measured.metadata)?;
            &measured.memory
        }
        Action::Judged(judged) => {
            at_most("value", judged.value.len(), MAX_VALUE_BYTES)?;
            at_most("reason", judged.reason.len(), MAX_REASON_BYTES)?;
            labels("metadata", &judged.metadata)?;
            &judged.memory
        }
    };
    at_most("memory", memory.len(), MAX_MEMORY_BYTES)
}

/// Rejects an enricher's answer that is too large or is not a JSON object.
pub(crate) fn check_addition(action: &enricher::Action) -> Checked {
    match action {
        enricher::Action::Fetch(fetching) => {
            requests(&fetching.requests)?;
            at_most("memory", fetching.memory.len(), MAX_MEMORY_BYTES)
        }
        enricher::Action::Add(addition) => {
            at_most("addition", addition.len(), MAX_ADDITION_BYTES)?;
            let object = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(addition);
            object
                .map(drop)
                .map_err(|error| CallError::BadAnswer(format!("the addition is not a JSON object: {error}")))
        }
    }
}

/// Rejects a step's answer that is too large or invalid.
pub(crate) fn check_work(action: &step::Action) -> Checked {
    use step::{Action, Outcome};
    let memory = match action {
        Action::Fetch(fetching) => {
            requests(&fetching.requests)?;
            &fetching.memory
        }
        Action::Wait(waiting) => {
            instant(waiting.until)?;
            at_most("reason", waiting.reason.len(), MAX_REASON_BYTES)?;
            &waiting.memory
        }
        Action::Finished(finished) => {
            at_most("reason", finished.reason.len(), MAX_REASON_BYTES)?;
            if let Outcome::Failed(why) = &finished.outcome {
                at_most("a failure's reason", why.len(), MAX_REASON_BYTES)?;
            }
            &finished.memory
        }
    };
    at_most("memory", memory.len(), MAX_MEMORY_BYTES)
}

fn requests(requests: &[Request]) -> Checked {
    sane(!requests.is_empty(), || "it returned no request".to_owned())?;
    at_most("requests", requests.len(), MAX_REQUESTS)?;
    requests.iter().try_for_each(request)
}

fn request(request: &Request) -> Checked {
    at_most("a request's body", request.body.len(), MAX_BODY_BYTES)
}

fn labels(what: &str, labels: &[Label]) -> Checked {
    at_most(what, labels.len(), MAX_FACTS)?;
    labels
        .iter()
        .try_for_each(|label| at_most("a fact", label.key.len().saturating_add(label.value.len()), MAX_FACT_BYTES))
}

fn instant(until: u64) -> Checked {
    sane(until <= LAST_INSTANT, || format!("waits until {until} ms"))
}

fn sizes(decision: &Decision) -> Checked {
    at_most("memory", decision.memory.len(), MAX_MEMORY_BYTES)?;
    at_most("reason", decision.reason.len(), MAX_REASON_BYTES)?;
    at_most("runs", decision.runs.len(), MAX_RUNS)?;
    at_most("additional", decision.additional.len(), MAX_SHARES)?;
    at_most("routes", decision.routes.len(), MAX_ROUTES)?;
    labels("facts", &decision.facts)?;
    for run in &decision.runs {
        at_most("a run's name", run.name.len(), MAX_NAME_BYTES)?;
    }
    for share in &decision.additional {
        at_most("a share's run", share.run.len(), MAX_NAME_BYTES)?;
        at_most("a share's template", share.template.len(), MAX_NAME_BYTES)?;
    }
    for route in &decision.routes {
        at_most("a route's name", route.name.len(), MAX_NAME_BYTES)?;
        match &route.kind {
            RouteKind::Headers(matches) => headers(matches)?,
            RouteKind::Mirror(mirror) => {
                let percentage = mirror.percentage.unwrap_or(FULL_PERCENT);
                sane(percentage <= FULL_PERCENT, || format!("mirrors {percentage} %"))?;
                at_most("a mirror's matches", mirror.matches.len(), MAX_MATCHES)?;
                mirror.matches.iter().try_for_each(route_match)?;
            }
        }
    }
    Ok(())
}

fn route_match(wanted: &RouteMatch) -> Checked {
    wanted.method.iter().chain(&wanted.path).try_for_each(text)?;
    headers(&wanted.headers)
}

fn headers(matches: &[HeaderMatch]) -> Checked {
    at_most("a route's headers", matches.len(), MAX_HEADERS)?;
    for header in matches {
        at_most("a header's name", header.name.len(), MAX_NAME_BYTES)?;
        text(&header.value)?;
    }
    Ok(())
}

fn text(wanted: &TextMatch) -> Checked {
    let (TextMatch::Exact(value) | TextMatch::Prefix(value) | TextMatch::Regex(value)) = wanted;
    at_most("a match's text", value.len(), MAX_TEXT_BYTES)
}

fn weights(decision: &Decision, max: u32) -> Checked {
    let additional = decision.additional.iter().map(|share| u64::from(share.weight)).sum::<u64>();
    let total = u64::from(decision.weight) + additional;
    sane(total <= u64::from(max), || format!("weight {total} is above the largest, {max}"))
}

fn scale(side: &str, scale: &Scale) -> Checked {
    match scale {
        Scale::FollowWeight => Ok(()),
        Scale::Weight(count) | Scale::Replicas(count) => {
            sane(*count <= MAX_COUNT, || format!("{side} scaled to {count}"))
        }
    }
}

fn next(next: &Next) -> Checked {
    let until = match next {
        Next::Until(until) => Some(*until),
        Next::Pause(pause) => pause.until,
        Next::Abort(failure) => {
            return at_most("an abort's reason", failure.reason.len(), MAX_REASON_BYTES);
        }
        Next::Hold(_) | Next::Promote => None,
    };
    instant(until.unwrap_or(0))
}

fn at_most(what: &str, size: usize, limit: usize) -> Checked {
    if size > limit {
        return Err(CallError::TooLarge(format!("{what}: {size}, at most {limit}")));
    }
    Ok(())
}

fn sane(holds: bool, otherwise: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(CallError::BadAnswer(otherwise())) }
}

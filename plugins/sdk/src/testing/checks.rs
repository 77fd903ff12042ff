//! The host's checks of an answer, so that a plugin's own tests report them first.

use crate::analyzer::{self, MAX_METADATA, MAX_METADATA_BYTES, MAX_VALUE_BYTES};
use crate::enricher::MAX_ADDITION_BYTES;
use crate::fetch::{MAX_BODY_BYTES, MAX_REQUESTS, Request};
use crate::memory::MAX_MEMORY_BYTES;
use crate::text::MAX_REASON_BYTES;
use crate::{Decision, Error, Label, Next, Situation, step};
use std::collections::BTreeMap;

const MAX_RUNS: usize = 16;
const MAX_ROUTES: usize = 16;
/// 9999-12-31T23:59:59Z: the last instant that the API can represent.
const LAST_INSTANT: u64 = 253_402_300_799_000;

pub(super) fn fetching(requests: &[Request], memory: &[u8]) -> Result<(), Error> {
    at_least("requests", requests.len(), 1)?;
    at_most("requests", requests.len(), MAX_REQUESTS)?;
    requests.iter().try_for_each(|request| at_most("bytes of a request's body", request.body.len(), MAX_BODY_BYTES))?;
    remembered(memory)
}

/// Checks the end of a measurement, or a wait.
pub(super) fn measurement(action: analyzer::Action) -> Result<analyzer::Action, Error> {
    match &action {
        analyzer::Action::Fetch(fetch) => fetching(&fetch.requests, &fetch.memory)?,
        analyzer::Action::Wait(waiting) => {
            instant(waiting.until)?;
            remembered(&waiting.memory)?;
        }
        analyzer::Action::Measured(measured) => {
            value(&measured.value)?;
            labels(&measured.metadata)?;
            remembered(&measured.memory)?;
        }
        analyzer::Action::Judged(judged) => {
            value(&judged.value)?;
            reason(&judged.reason)?;
            labels(&judged.metadata)?;
            remembered(&judged.memory)?;
        }
    }
    Ok(action)
}

/// Checks the end of a step, or a wait.
pub(super) fn step(action: step::Action) -> Result<step::Action, Error> {
    match &action {
        step::Action::Fetch(fetch) => fetching(&fetch.requests, &fetch.memory)?,
        step::Action::Wait(waiting) => {
            instant(waiting.until)?;
            reason(&waiting.reason)?;
            remembered(&waiting.memory)?;
        }
        step::Action::Finished(finished) => {
            if let step::Outcome::Failed(why) = &finished.outcome {
                reason(why)?;
            }
            reason(&finished.reason)?;
            remembered(&finished.memory)?;
        }
    }
    Ok(action)
}

/// Checks an enricher's addition.
pub(super) fn addition(text: String) -> Result<String, Error> {
    at_most("bytes to add", text.len(), MAX_ADDITION_BYTES)?;
    match serde_json::from_str::<BTreeMap<String, serde_json::Value>>(&text) {
        Ok(_) => Ok(text),
        Err(error) => refused(format!("what is added is no JSON object: {error}")),
    }
}

pub(super) fn decision(decision: Decision, situation: &Situation) -> Result<Decision, Error> {
    let max = situation.rollout.max_weight;
    let shares = decision.additional.iter().map(|share| u64::from(share.weight)).sum::<u64>();
    let weight = u64::from(decision.weight).saturating_add(shares);
    if weight > u64::from(max) {
        return refused(format!("weight {weight} is above the largest, {max}"));
    }
    if decision.steps != 0 && decision.step > decision.steps {
        return refused(format!("step {} of {}", decision.step, decision.steps));
    }
    at_most("runs", decision.runs.len(), MAX_RUNS)?;
    at_most("routes", decision.routes.len(), MAX_ROUTES)?;
    labels(&decision.facts)?;
    reason(&decision.reason)?;
    remembered(&decision.memory)?;
    match &decision.next {
        Next::Until(until) => instant(*until)?,
        Next::Pause(pause) => pause.until.map_or(Ok(()), instant)?,
        Next::Abort(failure) => reason(&failure.reason)?,
        Next::Hold(_) | Next::Promote => {}
    }
    Ok(decision)
}

fn value(value: &str) -> Result<(), Error> {
    at_most("bytes of a value", value.len(), MAX_VALUE_BYTES)?;
    match serde_json::from_str::<serde_json::Value>(value) {
        Ok(_) => Ok(()),
        Err(error) => refused(format!("a value that is no JSON: {error}")),
    }
}

fn labels(labels: &[Label]) -> Result<(), Error> {
    at_most("labels", labels.len(), MAX_METADATA)?;
    labels.iter().try_for_each(|label| {
        at_most("bytes of a label", label.key.len().saturating_add(label.value.len()), MAX_METADATA_BYTES)
    })
}

fn reason(reason: &str) -> Result<(), Error> {
    at_most("bytes of a reason", reason.len(), MAX_REASON_BYTES)
}

fn remembered(memory: &[u8]) -> Result<(), Error> {
    at_most("bytes of memory", memory.len(), MAX_MEMORY_BYTES)
}

fn instant(until: u64) -> Result<(), Error> {
    if until > LAST_INSTANT { refused(format!("waits until {until} ms")) } else { Ok(()) }
}

fn at_least(what: &str, size: usize, limit: usize) -> Result<(), Error> {
    if size < limit { refused(format!("{size} {what}, at least {limit}")) } else { Ok(()) }
}

fn at_most(what: &str, size: usize, limit: usize) -> Result<(), Error> {
    if size > limit { refused(format!("{size} {what}, at most {limit}")) } else { Ok(()) }
}

fn refused<T>(why: String) -> Result<T, Error> {
    Err(Error::Internal(format!("the host refuses: {why}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::strategy::situation;
    use crate::{Pause, PauseCause, Share, Verdict};

    fn message<T: std::fmt::Debug>(refused: Result<T, Error>) -> String {
        match refused {
            Err(Error::Internal(message)) => message,
            other => panic!("expected a refusal, got {other:?}"),
        }
    }

    #[test]
    fn requests_are_counted_and_their_bodies_measured() {
        let get = Request::get("http://a");
        for (requests, why) in [
            (vec![], "the host refuses: 0 requests, at least 1"),
            (vec![get.clone(); 17], "the host refuses: 17 requests, at most 16"),
            (vec![get.body(vec![0; 65_537])], "the host refuses: 65537 bytes of a request's body, at most 65536"),
        ] {
            assert_eq!(message(fetching(&requests, &[])), why);
        }
    }

    #[test]
    fn a_measurement_is_a_json_value_within_its_sizes() {
        use analyzer::Action;
        let mut judged = Action::judged(Verdict::Pass, "1", "");
        if let Action::Judged(judged) = &mut judged {
            judged.reason = "x".repeat(1_025);
        }
        for (action, why) in [
            (Action::measured("NaN"), "the host refuses: a value that is no JSON: "),
            (Action::measured("x".repeat(65_537)), "the host refuses: 65537 bytes of a value, at most 65536"),
            (Action::measured("1").with_memory(vec![0; 4_097]), "the host refuses: 4097 bytes of memory, at most 4096"),
            (Action::wait(u64::MAX), "the host refuses: waits until 18446744073709551615 ms"),
            (judged, "the host refuses: 1025 bytes of a reason, at most 1024"),
        ] {
            let message = message(measurement(action));
            assert!(message.starts_with(why), "{message}");
        }
        assert!(measurement(Action::measured("0.5")).is_ok());
    }

    #[test]
    fn a_step_waits_for_a_representable_instant() {
        use step::Action;
        assert_eq!(message(step(Action::wait(u64::MAX, ""))), "the host refuses: waits until 18446744073709551615 ms");
        assert!(step(Action::wait(1, "")).is_ok());
    }

    #[test]
    fn an_addition_is_a_json_object() {
        for text in ["[]", "{", "1", r#"{"a":NaN}"#] {
            let message = message(addition(text.into()));
            assert!(message.starts_with("the host refuses: what is added is no JSON object: "), "{message}");
        }
        assert_eq!(addition(r#"{"a":1}"#.into()), Ok(r#"{"a":1}"#.into()));
    }

    #[test]
    fn a_decision_is_within_its_bounds() {
        let share = Share { run: "steps/0/experiment".into(), template: "a".into(), weight: 51 };
        let heavy = Decision { weight: 50, additional: vec![share], ..Decision::at(0, 1) };
        let beyond = Decision::at(2, 1);
        let endless = Pause { cause: PauseCause::Step, until: Some(u64::MAX) };
        let endless = Decision { next: Next::Pause(endless), ..Decision::at(0, 1) };
        for (wrong, why) in [
            (heavy, "the host refuses: weight 101 is above the largest, 100"),
            (beyond, "the host refuses: step 2 of 1"),
            (endless, "the host refuses: waits until 18446744073709551615 ms"),
        ] {
            assert_eq!(message(decision(wrong, &situation())), why);
        }
    }
}

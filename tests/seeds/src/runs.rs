//! What analyses have to be like whatever happens, held against every change of a run and of its rollout.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::scenario::Scenario;
use crate::witness::{STALE, hash_of, number, text};

/// Where a rollout's status names its current runs.
const RECORDS: [&str; 2] =
    ["/status/canary/currentStepAnalysisRunStatus", "/status/canary/currentBackgroundAnalysisRunStatus"];
/// The newest process may need this long to end a run that the one before has left: it begins late, and is in trouble itself.
const LEFT_ALONE: SignedDuration = SignedDuration::from_mins(3);
/// As the API has it when a metric does not say.
const CONSECUTIVE_ERROR_LIMIT: i64 = 4;
/// As the API has it when a rollout does not say.
const HISTORY_LIMIT: usize = 5;

/// A run by its object's name.
type Name = String;

#[derive(Default)]
pub struct Runs {
    /// What the metrics server said, and the measurement that it is recorded in.
    serials: BTreeMap<i64, String>,
    /// Created by the controller.
    made: BTreeSet<Name>,
    /// What runs came to, and when; a name may be used again when its run was deleted.
    ended: BTreeMap<Name, BTreeMap<String, Timestamp>>,
    /// Since when a run is no longer the one that the rollout waits for.
    left: BTreeMap<Name, Timestamp>,
    /// A current run has failed, and no person has written to the rollout since.
    owed: Option<(Name, Timestamp)>,
    /// When a person last wrote to the rollout.
    pressed: Option<Timestamp>,
    /// The controller has stored a status since.
    settled: bool,
}

/// What is wrong, for a person.
type Complaints = Vec<String>;

impl Runs {
    /// How many runs the controller made, and how many measurements with a value are in them.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        (self.made.len(), self.serials.len())
    }

    /// A run was created, changed or deleted.
    pub fn moved(
        &mut self,
        name: &str,
        [before, after]: [Option<&Value>; 2],
        (rollout, scenario): (Option<&Value>, &Scenario),
        (person, now): (bool, Timestamp),
    ) -> Complaints {
        let mut wrong = Vec::new();
        let Some(after) = after else {
            // Whatever it said, the controller may not have seen it.
            self.owed.take_if(|(owed, _)| person && owed == name);
            return wrong;
        };
        if before.is_none() && !person {
            self.made.insert(name.to_owned());
        }
        let nothing = json!({});
        let before = before.unwrap_or(&nothing);
        wrong.extend(self.measured(name, before, after));
        let (was, is) = (text(before, "/status/phase"), text(after, "/status/phase"));
        let measured = measurements(before) < measurements(after);
        if measured && self.left.get(name).is_some_and(|left| now.duration_since(*left) > LEFT_ALONE) {
            wrong.push(format!("{name} goes on, and the rollout has left it"));
        }
        if is_ended(&was)
            && (was != is || before.pointer("/status/metricResults") != after.pointer("/status/metricResults"))
        {
            wrong.push(format!("{name} had ended as {was}, and has changed: {before} became {after}"));
        }
        if is_ended(&is) && !is_ended(&was) {
            self.ended.entry(name.to_owned()).or_default().insert(is.clone(), now);
            if !follows(&is, after) {
                wrong.push(format!("{name} is {is}, which does not follow from its metrics: {after}"));
            }
            let settled = self.settled || self.pressed.is_none_or(|at| now.duration_since(at) > STALE);
            let owes = rollout.is_some_and(|rollout| owes_abort(rollout, name, after));
            let windowed = scenario.spec.get("rollbackWindow").is_some();
            if matches!(is.as_str(), "Failed" | "Error") && settled && owes && !windowed {
                self.owed = Some((name.to_owned(), now));
            }
        }
        wrong
    }

    /// Counters and measurements.
    fn measured(&mut self, name: &str, before: &Value, after: &Value) -> Complaints {
        let mut wrong = Vec::new();
        for result in array(after, "/status/metricResults") {
            let metric = text(result, "/name");
            let nothing = json!({});
            let earlier = array(before, "/status/metricResults").find(|one| text(one, "/name") == metric);
            let earlier = earlier.unwrap_or(&nothing);
            let about = format!("{name} {metric}");
            for counter in ["/count", "/successful", "/failed", "/inconclusive", "/error"] {
                if number(result, counter) < number(earlier, counter) {
                    wrong.push(format!("{about}: {counter} fell: {earlier} became {result}"));
                }
            }
            let sum: i64 =
                ["/successful", "/failed", "/inconclusive"].map(|counter| number(result, counter)).iter().sum();
            let most = spec_of(after, &metric).map_or(0, |metric| number(metric, "/count"));
            let count = number(result, "/count");
            if count != sum || count > most {
                wrong.push(format!("{about}: counted {count} of {most}, and {sum} by their phases"));
            }
            let taken = |result: &Value| number(result, "/count") + number(result, "/error");
            let added = usize::try_from(taken(result) - taken(earlier)).unwrap_or_default();
            let all: Vec<&Value> = array(result, "/measurements").collect();
            let known: Vec<&Value> = array(earlier, "/measurements").collect();
            let (old, new) = all.split_at(all.len().saturating_sub(added));
            if added > 1 || !known.ends_with(old) {
                wrong.push(format!(
                    "{about}: {added} measurements at once, or others changed: {earlier} became {result}"
                ));
            }
            for measurement in new {
                wrong.extend(self.is_new(&about, measurement));
            }
        }
        wrong
    }

    fn is_new(&mut self, about: &str, measurement: &Value) -> Option<String> {
        let value: Value = serde_json::from_str(&text(measurement, "/value")).unwrap_or_default();
        let serial = value.get("serial")?.as_i64()?;
        let place = format!("{about}: {measurement}");
        let other = self.serials.insert(serial, place.clone())?;
        Some(format!("answer {serial} is recorded twice: {other} and {place}"))
    }

    /// Somebody changed the rollout.
    pub fn rollout_moved(&mut self, before: &Value, after: &Value, person: bool, now: Timestamp) -> Complaints {
        let mut wrong = Vec::new();
        let (was, is) = (recorded(before), recorded(after));
        for name in was.difference(&is) {
            self.left.insert(name.clone(), now);
        }
        for name in &is {
            self.left.remove(name);
        }
        let asked = |rollout: &Value| (rollout.get("spec").cloned(), rollout.get("status").cloned());
        if person {
            if asked(before) != asked(after) {
                self.owed = None;
                self.pressed = Some(now);
                self.settled = false;
            }
            return wrong;
        }
        self.settled |= before.get("status") != after.get("status");
        if let Some((name, at)) = &self.owed
            && !is_promoted(before)
            && is_promoted(after)
            && now.duration_since(*at) > STALE
        {
            wrong.push(format!("promoted, and {name} failed at {at}"));
        }
        wrong.extend(self.steps_passed(before, after));
        wrong
    }

    /// No analysis step is passed without a run that says so, or a person.
    fn steps_passed(&self, before: &Value, after: &Value) -> Option<String> {
        let same = |pointer: &str| before.pointer(pointer) == after.pointer(pointer);
        let skipped = |rollout: &Value| rollout.pointer("/status/promoteFull").and_then(Value::as_bool) == Some(true);
        let window = after.pointer("/spec/rollbackWindow").is_some();
        if !same("/status/currentPodHash") || skipped(before) || skipped(after) || window || is_promoted(after) {
            return None;
        }
        let index = |rollout: &Value| usize::try_from(number(rollout, "/status/currentStepIndex")).unwrap_or_default();
        let (from, to) = (index(before), index(after));
        let steps: Vec<&Value> = array(after, "/spec/strategy/canary/steps").collect();
        let passed = (from..to).find(|step| steps.get(*step).is_some_and(|step| step.get("analysis").is_some()))?;
        let run = text(before, "/status/canary/currentStepAnalysisRunStatus/name");
        let ended = self.ended.get(&run);
        let at = |phase: &str| ended.and_then(|phases| phases.get(phase));
        let lifted = at("Inconclusive").is_some_and(|at| self.pressed.is_some_and(|pressed| pressed >= *at));
        let passes = passed == from && (at("Successful").is_some() || lifted);
        (!passes).then(|| format!("step {passed} is passed, and its run {run:?} has come to {ended:?}"))
    }

    /// How things have to be when the rollout stands still. `hashes`: the revisions that are there.
    #[must_use]
    pub fn at_rest(&self, rollout: &Value, runs: &[(Name, Arc<Value>)], hashes: &BTreeSet<String>) -> Complaints {
        let mut wrong = Vec::new();
        let find = |name: &str| runs.iter().find(|(one, _)| one == name).map(|(_, run)| run);
        for (name, run) in runs {
            if !is_ended(&text(run, "/status/phase")) {
                wrong.push(format!("at rest {name} is under way: {run}"));
            }
        }
        let paused = rollout.pointer("/spec/paused").and_then(Value::as_bool) == Some(true);
        for record in RECORDS {
            let (name, says) = (text(rollout, &format!("{record}/name")), text(rollout, &format!("{record}/status")));
            match find(&name) {
                _ if name.is_empty() => {}
                Some(run) if text(run, "/status/phase") != says => {
                    wrong.push(format!("at rest the rollout says {says:?} of {name}: {run}"));
                }
                None if !is_ended(&says) && !paused => wrong.push(format!("at rest there is no {name}")),
                _ => {}
            }
        }
        if let Some((name, at)) = &self.owed {
            let aborted = rollout.pointer("/status/abort").and_then(Value::as_bool) == Some(true);
            let held = paused && find(name).is_some_and(|run| text(run, "/metadata/labels/rollout-type") == "Step");
            if !aborted && !held && !is_promoted(rollout) {
                wrong.push(format!("{name} failed at {at}, and the rollout is not aborted"));
            }
        }
        let orphans = runs.iter().filter(|(_, run)| !hashes.contains(&hash_of(run)));
        wrong.extend(orphans.map(|(name, _)| format!("{name} outlives its revision")));
        wrong.extend(history(rollout, runs));
        wrong
    }

    /// Every run was begun and ended as an event, in this order. `events`: those of a rollout, each once, by their sequence.
    #[must_use]
    pub fn told(&self, events: &[&Value]) -> Complaints {
        let mut wrong = Vec::new();
        let mut open: BTreeSet<String> = BTreeSet::new();
        let mut begun: BTreeSet<String> = BTreeSet::new();
        for event in events {
            let (kind, id) = (text(event, "/context/type"), text(event, "/subject/id"));
            if kind.starts_with("dev.cdevents.testsuiterun.started.") {
                begun.insert(id.clone());
                if !open.insert(id.clone()) {
                    wrong.push(format!("{id} was told to begin twice"));
                }
            }
            if kind.starts_with("dev.cdevents.testsuiterun.finished.") && !open.remove(&id) {
                wrong.push(format!("{id} was told to end, and had not begun: {event}"));
            }
        }
        if !open.is_empty() {
            wrong.push(format!("never told to end: {open:?}"));
        }
        let untold = self.made.iter().filter(|name| !begun.iter().any(|id| id.ends_with(&format!("/{name}"))));
        wrong.extend(untold.map(|name| format!("{name} was never told to begin")));
        wrong
    }
}

/// Ended runs beyond the limits are deleted, but for those that the rollout still names.
fn history(rollout: &Value, runs: &[(Name, Arc<Value>)]) -> Complaints {
    let current = recorded(rollout);
    let limit = |name: &str| {
        let limit = rollout.pointer(&format!("/spec/analysis/{name}")).and_then(Value::as_u64);
        limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(HISTORY_LIMIT)
    };
    let left = runs.iter().filter(|(name, _)| !current.contains(name));
    let (well, badly): (Vec<_>, Vec<_>) = left.partition(|(_, run)| text(run, "/status/phase") == "Successful");
    let kinds = [(well, "successfulRunHistoryLimit"), (badly, "unsuccessfulRunHistoryLimit")];
    let beyond = kinds.into_iter().filter(|(runs, name)| runs.len() > limit(name));
    beyond.map(|(runs, name)| format!("{} ended runs are kept, {name} is {}", runs.len(), limit(name))).collect()
}

/// The rollout waits for this run of its newest revision, and has seen what people last asked for.
fn owes_abort(rollout: &Value, name: &str, run: &Value) -> bool {
    let full = rollout.pointer("/status/promoteFull").and_then(Value::as_bool) == Some(true);
    let seen = text(rollout, "/status/observedGeneration") == number(rollout, "/metadata/generation").to_string();
    let newest = hash_of(run) == text(rollout, "/status/currentPodHash");
    recorded(rollout).contains(name) && newest && seen && !full && !is_promoted(rollout)
}

/// What the counters of its metrics say is what the run says.
fn follows(phase: &str, run: &Value) -> bool {
    let beyond = |counter: &str, limit: &str, default: i64| {
        array(run, "/status/metricResults").any(|result| {
            let spec = spec_of(run, &text(result, "/name"));
            let limit = spec.and_then(|spec| spec.pointer(limit)).and_then(Value::as_i64).unwrap_or(default);
            number(result, counter) > limit
        })
    };
    let failed = beyond("/failed", "/failureLimit", 0);
    let unsure = beyond("/inconclusive", "/inconclusiveLimit", 0);
    let error = beyond("/consecutiveError", "/consecutiveErrorLimit", CONSECUTIVE_ERROR_LIMIT);
    match phase {
        "Successful" => !failed && !unsure && !error,
        "Failed" => failed,
        "Inconclusive" => unsure && !failed,
        _ => error,
    }
}

fn spec_of<'a>(run: &'a Value, metric: &str) -> Option<&'a Value> {
    array(run, "/spec/metrics").find(|one| text(one, "/name") == metric)
}

/// Measurements that were ever taken.
fn measurements(run: &Value) -> i64 {
    array(run, "/status/metricResults").map(|result| number(result, "/count") + number(result, "/error")).sum()
}

fn recorded(rollout: &Value) -> BTreeSet<Name> {
    RECORDS.map(|record| text(rollout, &format!("{record}/name"))).into_iter().filter(|name| !name.is_empty()).collect()
}

fn is_promoted(rollout: &Value) -> bool {
    text(rollout, "/status/stableRS") == text(rollout, "/status/currentPodHash")
}

fn is_ended(phase: &str) -> bool {
    !matches!(phase, "" | "Pending" | "Running")
}

fn array<'a>(object: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    object.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

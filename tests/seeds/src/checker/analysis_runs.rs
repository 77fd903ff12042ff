//! Checks the invariants of analyses at every change of an AnalysisRun and of its Rollout.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::STALE;
use crate::fields::{hash_of, number, text};
use crate::scenario::Scenario;

/// Where a rollout's status names its current runs.
const RECORDS: [&str; 4] = [
    "/status/canary/currentStepAnalysisRunStatus",
    "/status/canary/currentBackgroundAnalysisRunStatus",
    "/status/blueGreen/prePromotionAnalysisRunStatus",
    "/status/blueGreen/postPromotionAnalysisRunStatus",
];
/// A new process may take this long to end a run that the rollout no longer names: it starts late, and has faults itself.
const END_WITHIN: SignedDuration = SignedDuration::from_mins(3);
/// The API's default for a metric.
const CONSECUTIVE_ERROR_LIMIT: i64 = 4;
/// The API's default for a rollout.
const HISTORY_LIMIT: usize = 5;

/// The name of an AnalysisRun.
type Name = String;

#[derive(Default)]
pub struct AnalysisRuns {
    /// Serial numbers of the metrics server's answers, each with the measurement that records it.
    serials: BTreeMap<i64, String>,
    /// Runs that the controller created.
    created: BTreeSet<Name>,
    /// When each run ended in which phase. After its deletion another run may have the same name.
    ended: BTreeMap<Name, BTreeMap<String, Timestamp>>,
    /// Since when the rollout's status no longer names a run.
    replaced: BTreeMap<Name, Timestamp>,
    /// A failed run for which the rollout must be aborted, unless a user writes to the rollout.
    pending_abort: Option<(Name, Timestamp)>,
    /// When a user last wrote to the rollout.
    last_user_write: Option<Timestamp>,
    /// The controller has written a status since then.
    status_written: bool,
}

/// One sentence for each violation.
type Violations = Vec<String>;

impl AnalysisRuns {
    /// The number of runs that the controller created, and of measurements with a value in them.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        (self.created.len(), self.serials.len())
    }

    /// Checks a run that was created, changed or deleted.
    pub fn run_changed(
        &mut self,
        name: &str,
        [before, after]: [Option<&Value>; 2],
        (rollout, scenario): (Option<&Value>, &Scenario),
        (by_user, now): (bool, Timestamp),
    ) -> Violations {
        let mut violations = Vec::new();
        let Some(after) = after else {
            // The controller may not have observed the phase of a run that a user deletes.
            self.pending_abort.take_if(|(failed, _)| by_user && failed == name);
            return violations;
        };
        if before.is_none() && !by_user {
            self.created.insert(name.to_owned());
        }
        let nothing = json!({});
        let before = before.unwrap_or(&nothing);
        violations.extend(self.check_results(name, before, after));
        let (was, is) = (text(before, "/status/phase"), text(after, "/status/phase"));
        let measured = measurements(before) < measurements(after);
        if measured && self.replaced.get(name).is_some_and(|since| now.duration_since(*since) > END_WITHIN) {
            violations.push(format!("{name} still measures, and the rollout no longer names it"));
        }
        if is_ended(&was)
            && (was != is || before.pointer("/status/metricResults") != after.pointer("/status/metricResults"))
        {
            violations.push(format!("{name} was {was} and changed: {before} became {after}"));
        }
        if is_ended(&is) && !is_ended(&was) {
            self.ended.entry(name.to_owned()).or_default().insert(is.clone(), now);
            if !matches_metrics(&is, after) {
                violations.push(format!("{name} is {is}, which its metrics contradict: {after}"));
            }
            let observed = self.status_written || self.last_user_write.is_none_or(|at| now.duration_since(at) > STALE);
            let must_abort = rollout.is_some_and(|rollout| must_abort(rollout, name, after));
            let rollback_window = scenario.spec.get("rollbackWindow").is_some();
            if matches!(is.as_str(), "Failed" | "Error") && observed && must_abort && !rollback_window {
                self.pending_abort = Some((name.to_owned(), now));
            }
        }
        violations
    }

    /// Checks the counters and measurements of a run.
    fn check_results(&mut self, name: &str, before: &Value, after: &Value) -> Violations {
        let mut violations = Vec::new();
        for result in array(after, "/status/metricResults") {
            let metric = text(result, "/name");
            let nothing = json!({});
            let earlier = array(before, "/status/metricResults").find(|one| text(one, "/name") == metric);
            let earlier = earlier.unwrap_or(&nothing);
            let metric_of_run = format!("{name} {metric}");
            for counter in ["/count", "/successful", "/failed", "/inconclusive", "/error"] {
                if number(result, counter) < number(earlier, counter) {
                    violations.push(format!("{metric_of_run}: {counter} fell: {earlier} became {result}"));
                }
            }
            let sum: i64 =
                ["/successful", "/failed", "/inconclusive"].map(|counter| number(result, counter)).iter().sum();
            let max = spec_of(after, &metric).map_or(0, |metric| number(metric, "/count"));
            let count = number(result, "/count");
            if count != sum || count > max {
                violations.push(format!("{metric_of_run}: count is {count} of at most {max}, and {sum} by phases"));
            }
            let taken = |result: &Value| number(result, "/count") + number(result, "/error");
            let added = usize::try_from(taken(result) - taken(earlier)).unwrap_or_default();
            let all: Vec<&Value> = array(result, "/measurements").collect();
            let known: Vec<&Value> = array(earlier, "/measurements").collect();
            let (old, new) = all.split_at(all.len().saturating_sub(added));
            if added > 1 || !known.ends_with(old) {
                violations.push(format!(
                    "{metric_of_run}: {added} measurements at once, or others changed: {earlier} became {result}"
                ));
            }
            for measurement in new {
                violations.extend(self.record_serial(&metric_of_run, measurement));
            }
        }
        violations
    }

    /// Checks that no other measurement records the same answer.
    fn record_serial(&mut self, metric_of_run: &str, measurement: &Value) -> Option<String> {
        let value: Value = serde_json::from_str(&text(measurement, "/value")).unwrap_or_default();
        let serial = value.get("serial")?.as_i64()?;
        let place = format!("{metric_of_run}: {measurement}");
        let other = self.serials.insert(serial, place.clone())?;
        Some(format!("answer {serial} is recorded twice: {other} and {place}"))
    }

    /// Checks a change of the rollout.
    pub fn rollout_changed(&mut self, before: &Value, after: &Value, by_user: bool, now: Timestamp) -> Violations {
        let mut violations = Vec::new();
        let (was, is) = (recorded(before), recorded(after));
        for name in was.difference(&is) {
            self.replaced.insert(name.clone(), now);
        }
        for name in &is {
            self.replaced.remove(name);
        }
        let desired = |rollout: &Value| (rollout.get("spec").cloned(), rollout.get("status").cloned());
        if by_user {
            if desired(before) != desired(after) {
                self.pending_abort = None;
                self.last_user_write = Some(now);
                self.status_written = false;
            }
            return violations;
        }
        self.status_written |= before.get("status") != after.get("status");
        if let Some((name, at)) = &self.pending_abort
            && !is_promoted(before)
            && is_promoted(after)
            && now.duration_since(*at) > STALE
        {
            violations.push(format!("the revision is promoted, and {name} failed at {at}"));
        }
        violations.extend(self.check_passed_steps(before, after));
        violations
    }

    /// Checks that no analysis step is passed unless its run is successful or a user promotes.
    fn check_passed_steps(&self, before: &Value, after: &Value) -> Option<String> {
        let same = |pointer: &str| before.pointer(pointer) == after.pointer(pointer);
        let skipped = |rollout: &Value| rollout.pointer("/status/promoteFull").and_then(Value::as_bool) == Some(true);
        let rollback_window = after.pointer("/spec/rollbackWindow").is_some();
        if !same("/status/currentPodHash") || skipped(before) || skipped(after) || rollback_window || is_promoted(after)
        {
            return None;
        }
        let index = |rollout: &Value| usize::try_from(number(rollout, "/status/currentStepIndex")).unwrap_or_default();
        let (from, to) = (index(before), index(after));
        let steps: Vec<&Value> = array(after, "/spec/strategy/canary/steps").collect();
        let passed = (from..to).find(|step| steps.get(*step).is_some_and(|step| step.get("analysis").is_some()))?;
        let run = text(before, "/status/canary/currentStepAnalysisRunStatus/name");
        let ended = self.ended.get(&run);
        let at = |phase: &str| ended.and_then(|phases| phases.get(phase));
        let promoted_by_user =
            at("Inconclusive").is_some_and(|at| self.last_user_write.is_some_and(|write| write >= *at));
        let passes = passed == from && (at("Successful").is_some() || promoted_by_user);
        (!passes).then(|| format!("step {passed} is passed, and its run {run:?} ended as {ended:?}"))
    }

    /// Checks the runs when the controller is idle. `hashes`: the revisions that exist.
    #[must_use]
    pub fn check_idle(&self, rollout: &Value, runs: &[(Name, Arc<Value>)], hashes: &BTreeSet<String>) -> Violations {
        let mut violations = Vec::new();
        let find = |name: &str| runs.iter().find(|(one, _)| one == name).map(|(_, run)| run);
        for (name, run) in runs {
            if !is_ended(&text(run, "/status/phase")) {
                violations.push(format!("the controller is idle, and {name} has not ended: {run}"));
            }
        }
        let paused = rollout.pointer("/spec/paused").and_then(Value::as_bool) == Some(true);
        for record in RECORDS {
            let (name, recorded) =
                (text(rollout, &format!("{record}/name")), text(rollout, &format!("{record}/status")));
            match find(&name) {
                _ if name.is_empty() => {}
                Some(run) if text(run, "/status/phase") != recorded => {
                    violations.push(format!(
                        "the controller is idle, and the rollout records {recorded:?} for {name}: {run}"
                    ));
                }
                None if !is_ended(&recorded) && !paused => {
                    violations.push(format!("the controller is idle, and {name} does not exist"))
                }
                _ => {}
            }
        }
        if let Some((name, at)) = &self.pending_abort {
            let aborted = rollout.pointer("/status/abort").and_then(Value::as_bool) == Some(true);
            // A background analysis aborts a rollout that the spec pauses too.
            let paused_in_step =
                paused && find(name).is_some_and(|run| text(run, "/metadata/labels/rollout-type") != "Background");
            if !aborted && !paused_in_step && !is_promoted(rollout) {
                violations.push(format!("{name} failed at {at}, and the rollout is not aborted"));
            }
        }
        let orphans = runs.iter().filter(|(_, run)| !hashes.contains(&hash_of(run)));
        violations.extend(orphans.map(|(name, _)| format!("{name} still exists, and its revision does not")));
        violations.extend(check_history(rollout, runs));
        violations
    }

    /// Checks that each run has a started and a finished event, in this order. `events`: each event of the rollout once, in sequence.
    #[must_use]
    pub fn check_events(&self, events: &[&Value]) -> Violations {
        let mut violations = Vec::new();
        let mut open: BTreeSet<String> = BTreeSet::new();
        let mut started: BTreeSet<String> = BTreeSet::new();
        for event in events {
            let (kind, id) = (text(event, "/context/type"), text(event, "/subject/id"));
            if kind.starts_with("dev.cdevents.testsuiterun.started.") {
                started.insert(id.clone());
                if !open.insert(id.clone()) {
                    violations.push(format!("{id} has two started events"));
                }
            }
            if kind.starts_with("dev.cdevents.testsuiterun.finished.") && !open.remove(&id) {
                violations.push(format!("{id} has a finished event before a started event: {event}"));
            }
        }
        if !open.is_empty() {
            violations.push(format!("no finished event for {open:?}"));
        }
        let missing = self.created.iter().filter(|name| !started.iter().any(|id| id.ends_with(&format!("/{name}"))));
        violations.extend(missing.map(|name| format!("no started event for {name}")));
        violations
    }
}

/// Checks that ended runs beyond the history limits are deleted, unless the rollout still names them.
fn check_history(rollout: &Value, runs: &[(Name, Arc<Value>)]) -> Violations {
    let current = recorded(rollout);
    let limit = |name: &str| {
        let limit = rollout.pointer(&format!("/spec/analysis/{name}")).and_then(Value::as_u64);
        limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(HISTORY_LIMIT)
    };
    let unnamed = runs.iter().filter(|(name, _)| !current.contains(name));
    let (successful, others): (Vec<_>, Vec<_>) =
        unnamed.partition(|(_, run)| text(run, "/status/phase") == "Successful");
    let kinds = [(successful, "successfulRunHistoryLimit"), (others, "unsuccessfulRunHistoryLimit")];
    let beyond = kinds.into_iter().filter(|(runs, name)| runs.len() > limit(name));
    beyond.map(|(runs, name)| format!("{} ended runs are kept, {name} is {}", runs.len(), limit(name))).collect()
}

/// Whether the failure of this run must abort the rollout: it is a current run of the newest revision, and the newest spec is observed.
fn must_abort(rollout: &Value, name: &str, run: &Value) -> bool {
    let full = rollout.pointer("/status/promoteFull").and_then(Value::as_bool) == Some(true);
    let observed = text(rollout, "/status/observedGeneration") == number(rollout, "/metadata/generation").to_string();
    let newest = hash_of(run) == text(rollout, "/status/currentPodHash");
    recorded(rollout).contains(name) && newest && observed && !full && !is_promoted(rollout)
}

/// Whether a run may have this phase according to the counters of its metrics.
fn matches_metrics(phase: &str, run: &Value) -> bool {
    let beyond = |counter: &str, limit: &str, default: i64| {
        array(run, "/status/metricResults").any(|result| {
            let spec = spec_of(run, &text(result, "/name"));
            let limit = spec.and_then(|spec| spec.pointer(limit)).and_then(Value::as_i64).unwrap_or(default);
            number(result, counter) > limit
        })
    };
    let failed = beyond("/failed", "/failureLimit", 0);
    let inconclusive = beyond("/inconclusive", "/inconclusiveLimit", 0);
    let error = beyond("/consecutiveError", "/consecutiveErrorLimit", CONSECUTIVE_ERROR_LIMIT);
    match phase {
        "Successful" => !failed && !inconclusive && !error,
        "Failed" => failed,
        "Inconclusive" => inconclusive && !failed,
        _ => error,
    }
}

fn spec_of<'a>(run: &'a Value, metric: &str) -> Option<&'a Value> {
    array(run, "/spec/metrics").find(|one| text(one, "/name") == metric)
}

/// The number of measurements so far.
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

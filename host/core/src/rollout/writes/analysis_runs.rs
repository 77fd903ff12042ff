//! The writes of AnalysisRuns: missing runs are created, runs that no update needs are terminated, and old runs are deleted.

use std::collections::BTreeSet;
use std::sync::Arc;

use kulta_api::analysis::{AnalysisRun, AnalysisRunSpec, AnalysisRunStatus};
use kulta_api::annotations;
use kulta_api::validation::{Path, joined};
use serde_json::{Value, json};

use crate::analysis::{self, HistoryLimits, Source};
use crate::observed::Analyzer;
use crate::plan::{Action, Write};
use crate::reference;
use crate::rollout::context::Context;
use crate::rollout::record::Record;
use crate::runs::analysis_of;
use crate::runs::current::{Current, current_runs};

/// The planned writes of runs.
#[derive(Debug, Default)]
pub(crate) struct RunWrites {
    pub writes: Vec<Write>,
    /// Runs that cannot be created, each with the reason.
    pub failed: Vec<(Current, String)>,
}

/// Plans the creation of the recorded runs, and the termination of all others.
pub(crate) fn plan(context: &Context, record: &Record) -> RunWrites {
    let mut planned = RunWrites::default();
    for current in current_runs(context, record) {
        if current.object.is_some() || current.is_completed() || !may_create(context) {
            continue;
        }
        match run_spec(context, record, &current) {
            Ok(spec) => {
                let body = run_body(context, &current, &spec);
                planned.writes.push(write(Action::CreateAnalysisRun { name: current.summary.name.clone(), body }));
            }
            Err(why) => planned.failed.push((current, why)),
        }
    }
    let left = left_runs(context, record);
    planned.writes.extend(terminations(&left).chain(deletions(context, &left)).map(write));
    planned
}

/// Runs are not created while the spec or its errors stop the rollout, or before the revision exists.
fn may_create(context: &Context) -> bool {
    !context.is_stopped() && context.faults.is_none() && context.new.is_some()
}

fn write(action: Action) -> Write {
    Write { action, events: Vec::new() }
}

/// # Errors
/// The reason why the run cannot be created.
fn run_spec(context: &Context, record: &Record, current: &Current) -> Result<AnalysisRunSpec, String> {
    let observed = &context.observed;
    let analysis = analysis_of(context, current.role).ok_or("the spec asks for no such analysis")?;
    let mut rollout = serde_json::to_value(&observed.rollout).unwrap_or_default();
    if let Some(object) = rollout.as_object_mut() {
        object.insert("status".to_owned(), json!(record.status));
    }
    let stable = record.status.stable_rs.as_str();
    let source =
        Source { rollout: &rollout, latest: &context.new_hash, stable: (!stable.is_empty()).then_some(stable) };
    let served: Vec<_> = observed.analyzers.iter().map(Analyzer::served).collect();
    let at = Path::new(&reference::analysis_path(&observed.rollout, current.role));
    analysis::resolve(analysis, &at, &source, &observed.templates, &served, current.role.is_endless())
        .map_err(|errors| joined(&errors))
}

fn run_body(context: &Context, current: &Current, spec: &AnalysisRunSpec) -> Value {
    let analysis = analysis_of(context, current.role);
    let mut body = analysis::body(
        &context.observed.rollout,
        &context.new_hash,
        context.revision_number(),
        current.role.run_type(),
        analysis.and_then(|analysis| analysis.analysis_run_metadata.as_ref()),
        spec,
        current.attempt - 1,
    );
    // The stored name applies, even if the revision's number has changed since.
    if let Some(metadata) = body.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("name".to_owned(), json!(current.summary.name));
        let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
        if let Some(annotations) = annotations.as_object_mut() {
            let pins = analysis::pins(spec, &context.observed.analyzers).to_string();
            annotations.insert(annotations::PLUGINS.to_owned(), json!(pins));
        }
    }
    body
}

/// The rollout's runs, except the current ones.
fn left_runs(context: &Context, record: &Record) -> Vec<Arc<AnalysisRun>> {
    let current: Vec<_> = current_runs(context, record).into_iter().map(|current| current.summary.name).collect();
    let is_left = |run: &&Arc<AnalysisRun>| run.metadata.name.as_ref().is_some_and(|name| !current.contains(name));
    context.observed.runs.iter().filter(is_left).cloned().collect()
}

fn is_completed(run: &AnalysisRun) -> bool {
    run.status.as_ref().is_some_and(AnalysisRunStatus::is_completed)
}

/// Terminates runs that no update needs.
fn terminations(left: &[Arc<AnalysisRun>]) -> impl Iterator<Item = Action> {
    let is_open = |run: &&Arc<AnalysisRun>| {
        !is_completed(run) && !run.spec.terminate && run.metadata.deletion_timestamp.is_none()
    };
    let patch = || json!({ "spec": { "terminate": true } });
    left.iter()
        .filter(is_open)
        .filter_map(|run| run.metadata.name.clone())
        .map(move |name| Action::PatchAnalysisRun { name, patch: patch() })
}

/// Deletes ended runs beyond the limits, and runs of revisions that no longer exist. A run that still measures is terminated
/// first.
fn deletions(context: &Context, left: &[Arc<AnalysisRun>]) -> impl Iterator<Item = Action> {
    let limits = HistoryLimits::of(context.observed.rollout.spec.analysis.as_ref());
    let there = context.observed.revisions.iter().filter(|revision| !revision.deleting);
    let hashes: BTreeSet<_> = there.map(|revision| revision.hash().to_owned()).collect();
    let left: Vec<_> = left.iter().map(|run| run.as_ref()).collect();
    let ended = analysis::to_delete(&left, &hashes, limits).into_iter().filter(|run| is_completed(run));
    let names: Vec<_> = ended.filter_map(|run| Some((run.metadata.name.clone()?, run.metadata.uid.clone()?))).collect();
    names.into_iter().map(|(name, uid)| Action::DeleteAnalysisRun { name, uid })
}

//! The writes that bring the cluster to the runs that there should be.

use std::collections::BTreeSet;
use std::sync::Arc;

use kulta_api::analysis::{AnalysisRun, AnalysisRunSpec, AnalysisRunStatus};
use kulta_api::annotations;
use kulta_api::validation::{Path, joined};
use serde_json::{Value, json};

use super::records::Current;
use crate::analysis::{self, HistoryLimits, Source};
use crate::pass::Pass;
use crate::plan::{Action, Write};
use crate::reference;

impl Pass {
    /// Plans the runs: what is missing is created, what nobody waits for is ended, and old ones go.
    pub fn settle_runs(&mut self) {
        for current in self.current_runs() {
            if current.object.is_none() && !current.is_completed() {
                self.create_run(&current);
            }
        }
        self.terminate_runs();
        self.collect_runs();
    }

    fn create_run(&mut self, current: &Current) {
        // Stopped by the spec, or by its faults, or nothing to measure.
        if self.scene.observed.rollout.spec.paused() || self.blocked.is_some() || self.scene.new.is_none() {
            return;
        }
        match self.run_spec(current) {
            Ok(spec) => {
                let body = self.run_body(current, &spec);
                self.write_run(Action::CreateAnalysisRun { name: current.record.name.clone(), body });
            }
            Err(why) => {
                self.run_cannot_be_made(current, why);
                // What follows from it begins with the next look.
                self.wake(self.scene.now);
            }
        }
    }

    /// # Errors
    /// Why there is none, for a person.
    fn run_spec(&self, current: &Current) -> Result<AnalysisRunSpec, String> {
        let observed = &self.scene.observed;
        let analysis = self.analysis_of(current.role).ok_or("the spec asks for no such analysis")?;
        let mut rollout = serde_json::to_value(&observed.rollout).unwrap_or_default();
        if let Some(object) = rollout.as_object_mut() {
            object.insert("status".to_owned(), json!(self.status));
        }
        let stable = self.status.stable_rs.as_str();
        let source =
            Source { rollout: &rollout, latest: &self.scene.new_hash, stable: (!stable.is_empty()).then_some(stable) };
        let served: Vec<_> = observed.analyzers.iter().map(crate::observed::Analyzer::served).collect();
        let at = Path::new(&reference::analysis_path(&observed.rollout, current.role));
        analysis::resolve(analysis, &at, &source, &observed.templates, &served, current.role.is_endless())
            .map_err(|errors| joined(&errors))
    }

    fn run_body(&self, current: &Current, spec: &AnalysisRunSpec) -> Value {
        let metadata = self.analysis_of(current.role).and_then(|analysis| analysis.analysis_run_metadata.as_ref());
        let mut body = analysis::body(
            &self.scene.observed.rollout,
            &self.scene.new_hash,
            self.scene.revision_number(),
            current.role.occasion(),
            metadata,
            spec,
            current.attempt - 1,
        );
        // The name that was stored counts, should the revision's number have moved since.
        if let Some(metadata) = body.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.insert("name".to_owned(), json!(current.record.name));
            let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
            if let Some(annotations) = annotations.as_object_mut() {
                annotations.insert(
                    annotations::PLUGINS.to_owned(),
                    json!(analysis::pins(spec, &self.scene.observed.analyzers).to_string()),
                );
            }
        }
        body
    }

    /// Nobody waits for these any more.
    fn terminate_runs(&mut self) {
        let open = |run: &Arc<AnalysisRun>| {
            let completed = run.status.as_ref().is_some_and(AnalysisRunStatus::is_completed);
            !completed && !run.spec.terminate && run.metadata.deletion_timestamp.is_none()
        };
        let names: Vec<_> =
            self.left_runs().into_iter().filter(open).filter_map(|run| run.metadata.name.clone()).collect();
        for name in names {
            self.write_run(Action::PatchAnalysisRun { name, patch: json!({ "spec": { "terminate": true } }) });
        }
    }

    /// Ended runs beyond the limits, and those of revisions that are gone.
    fn collect_runs(&mut self) {
        let limits = HistoryLimits::of(self.scene.observed.rollout.spec.analysis.as_ref());
        let there = self.scene.observed.replica_sets.iter().filter(|replica_set| !replica_set.deleting);
        let hashes: BTreeSet<_> = there.map(|replica_set| replica_set.hash().to_owned()).collect();
        let left = self.left_runs();
        let left: Vec<_> = left.iter().map(|run| run.as_ref()).collect();
        let old: Vec<_> = analysis::to_delete(&left, &hashes, limits)
            .into_iter()
            // One that still measures is ended first.
            .filter(|run| run.status.as_ref().is_some_and(AnalysisRunStatus::is_completed))
            .filter_map(|run| Some((run.metadata.name.clone()?, run.metadata.uid.clone()?)))
            .collect();
        for (name, uid) in old {
            self.write_run(Action::DeleteAnalysisRun { name, uid });
        }
    }

    /// The rollout's runs but the current ones.
    fn left_runs(&self) -> Vec<Arc<AnalysisRun>> {
        let current: Vec<_> = self.current_runs().into_iter().map(|current| current.record.name).collect();
        let is_left = |run: &&Arc<AnalysisRun>| run.metadata.name.as_ref().is_some_and(|name| !current.contains(name));
        self.scene.observed.runs.iter().filter(is_left).cloned().collect()
    }

    fn write_run(&mut self, action: Action) {
        self.writes.push(Write { action, events: Vec::new() });
    }
}

//! The runs that the status records, together with their objects.

use std::sync::Arc;

use kulta_api::analysis::{AnalysisPhase, AnalysisRun};
use kulta_api::blue_green::BlueGreenStatus;
use kulta_api::foreign_status::AnalysisRunSummary;

use super::role::{Named, Role};
use crate::rollout::context::Context;
use crate::rollout::record::Record;

/// A current run: what the status says of it, and the object if there is one.
#[derive(Clone, Debug)]
pub(crate) struct Current {
    pub role: Role,
    pub attempt: u32,
    pub summary: AnalysisRunSummary,
    pub object: Option<Arc<AnalysisRun>>,
}

impl Current {
    /// The object's phase, or the one that it last had when it is gone.
    pub fn phase(&self) -> Option<AnalysisPhase> {
        match &self.object {
            Some(object) => object.status.as_ref().and_then(|status| status.phase),
            None => phase(&self.summary.status),
        }
    }

    pub fn message(&self) -> &str {
        let message = self.object.as_ref().and_then(|object| object.status.as_ref()).map(|status| &status.message);
        message.map(String::as_str).or(self.summary.message.as_deref()).unwrap_or_default()
    }

    pub fn is_inconclusive(&self) -> bool {
        self.phase() == Some(AnalysisPhase::Inconclusive)
    }

    pub fn has_failed(&self) -> bool {
        matches!(self.phase(), Some(AnalysisPhase::Failed | AnalysisPhase::Error))
    }

    pub fn is_completed(&self) -> bool {
        self.phase().is_some_and(AnalysisPhase::is_completed)
    }
}

pub(super) fn phase(text: &str) -> Option<AnalysisPhase> {
    use AnalysisPhase::{Error, Failed, Inconclusive, Pending, Running, Successful};
    [Pending, Running, Successful, Failed, Error, Inconclusive].into_iter().find(|phase| phase.as_str() == text)
}

pub(super) fn summary_of(record: &mut Record, role: Role) -> &mut Option<AnalysisRunSummary> {
    match role {
        Role::Background => &mut record.status.canary.current_background_analysis_run_status,
        Role::Step(_) => &mut record.status.canary.current_step_analysis_run_status,
        Role::PrePromotion => &mut blue_green(record).pre_promotion_analysis_run_status,
        Role::PostPromotion => &mut blue_green(record).post_promotion_analysis_run_status,
    }
}

fn blue_green(record: &mut Record) -> &mut BlueGreenStatus {
    record.status.blue_green.get_or_insert_default()
}

/// The name of a run's object without the rollout's name and the revision's hash in front.
pub(super) fn suffix<'a>(context: &Context, name: &'a str, hash: &str) -> &'a str {
    let short = name.strip_prefix(context.rollout_name()).and_then(|rest| rest.strip_prefix('-'));
    short.and_then(|rest| rest.strip_prefix(hash)?.strip_prefix('-')).unwrap_or(name)
}

pub(super) fn find<'a>(context: &'a Context, name: &str) -> Option<&'a Arc<AnalysisRun>> {
    context.observed.runs.iter().find(|run| run.metadata.name.as_deref() == Some(name))
}

/// The runs that the status records, as far as their names can be read.
pub(crate) fn current_runs(context: &Context, record: &Record) -> Vec<Current> {
    let canary = &record.status.canary;
    let summaries = [&canary.current_step_analysis_run_status, &canary.current_background_analysis_run_status];
    let promotion = record.status.blue_green.iter().flat_map(|blue_green| {
        [&blue_green.pre_promotion_analysis_run_status, &blue_green.post_promotion_analysis_run_status]
    });
    summaries.into_iter().chain(promotion).flatten().filter_map(|summary| current(context, record, summary)).collect()
}

fn current(context: &Context, record: &Record, summary: &AnalysisRunSummary) -> Option<Current> {
    let Named { role, attempt } = Named::parse(suffix(context, &summary.name, &record.status.current_pod_hash))?;
    Some(Current { role, attempt, object: find(context, &summary.name).cloned(), summary: summary.clone() })
}

pub(super) fn current_run(context: &Context, record: &Record, role: Role) -> Option<Current> {
    current_runs(context, record).into_iter().find(|current| current.role == role)
}

/// Names of the current runs that are not completed, without the background analysis.
pub(crate) fn open_runs(context: &Context, record: &Record) -> Vec<String> {
    let open = |current: &Current| !current.is_completed() && current.role != Role::Background;
    current_runs(context, record).into_iter().filter(open).map(|current| current.summary.name).collect()
}

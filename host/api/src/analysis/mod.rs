//! Analysis: a rollout's requests for it, templates, and runs (`reference/argo-rollouts.md` sections 1.5 and 1.6).

mod limits;
mod metric;
mod request;
mod rule;
mod run;
mod status;
mod template;

pub use limits::{DEFAULT_CONSECUTIVE_ERROR_LIMIT, Limits, NumberError};
pub(crate) use metric::PLUGIN;
pub use metric::{Argument, ArgumentFrom, Metric, Provider, SecretKeyRef};
pub use request::{
    AnalysisArgument, AnalysisHistory, AnalysisTemplateRef, ArgumentSource, DryRun, FieldRef, MeasurementRetention,
    RolloutAnalysis, RunMetadata,
};
pub use rule::MetricRule;
pub use run::{AnalysisRun, AnalysisRunSpec, TtlStrategy};
pub use status::{AnalysisPhase, AnalysisRunStatus, Measurement, MetricResult, RunSummary};
pub use template::{AnalysisTemplate, AnalysisTemplateSpec, ClusterAnalysisTemplate, ClusterAnalysisTemplateSpec};

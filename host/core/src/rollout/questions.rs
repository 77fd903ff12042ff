//! The questions of a reconciliation: decisions of the strategy, and facts that no cache has. An answered question is not asked
//! again within the reconciliation, and a look-up does not ask the strategy a second time.

use jiff::Timestamp;
use kulta_api::PodTemplate;
use serde_json::Value;
use std::sync::Arc;

use super::context::Context;
use super::outcome::{Outcome, Progress};
use crate::decision::{Decision, Situation, StrategyFailure};
use crate::observed::{Endpoints, Observed, Pod};
use crate::plan::Plan;
use crate::workload::PodController;

/// A reconciliation either asks a question or is done.
#[derive(Debug)]
pub enum Turn {
    Ask(Box<Ask>),
    LookUp(Box<LookUp>),
    Done(Box<Plan>),
}

/// A question to the strategy, and the reconciliation that waits for the answer.
#[derive(Debug)]
pub struct Ask {
    /// Name of the plugin that decides.
    pub plugin: String,
    pub config: Value,
    /// The component with which the revision began: see [`crate::pins`].
    pub pin: Option<String>,
    pub situation: Situation,
    pub(super) context: Context,
    pub(super) progress: Progress,
}

impl Ask {
    /// Continues with the strategy's answer.
    #[must_use]
    pub fn answer(self: Box<Self>, answer: Result<Decision, StrategyFailure>) -> Turn {
        let Self { situation, context, progress, .. } = *self;
        super::answered(context, progress, &situation, answer)
    }
}

/// A question about the cluster, and the reconciliation that waits for the answer.
#[derive(Debug)]
pub struct LookUp {
    pub need: Need,
    pub(super) waiting: Waiting,
    pub(super) known: LookedUp,
}

/// The point at which a reconciliation waits for a look-up.
#[derive(Debug)]
pub(super) enum Waiting {
    /// The revision of the pod template is not known yet.
    Identity { observed: Arc<Observed>, now: Timestamp },
    /// Everything is decided except what is safe to write.
    Writes { context: Box<Context>, outcome: Box<Outcome> },
}

impl LookUp {
    /// Continues with the answer. If it does not answer [`LookUp::need`], the question is asked again.
    #[must_use]
    pub fn answer(self, answer: LookedUp) -> Turn {
        let Self { waiting, known, .. } = self;
        super::looked_up(waiting, known.and(answer))
    }
}

/// A fact that no cache has.
#[derive(Clone, Debug, PartialEq)]
pub enum Need {
    /// `dryRun=All` create of this workload. The answer is its pod template with the API server's defaults.
    DefaultedTemplate { body: Value },
    /// Which pods the EndpointSlices of these Services list, and which pods these workloads control.
    Endpoints { services: Vec<String>, workloads: Vec<PodController> },
    /// The pods that this label selector matches.
    Pods { selector: String },
}

/// Answers to [`Need`]s.
#[derive(Clone, Debug, Default)]
pub struct LookedUp {
    /// The template with the API server's defaults, or the message with which the server refuses it.
    pub defaulted_template: Option<Result<PodTemplate, String>>,
    pub endpoints: Option<Endpoints>,
    /// The pods that the need's selector matches.
    pub pods: Option<Vec<Pod>>,
}

impl LookedUp {
    fn and(self, later: Self) -> Self {
        Self {
            defaulted_template: later.defaulted_template.or(self.defaulted_template),
            endpoints: later.endpoints.or(self.endpoints),
            pods: later.pods.or(self.pods),
        }
    }
}

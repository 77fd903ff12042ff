//! What a reconciliation wants to know on its way: where the strategy wants to go, and facts that no cache holds. An answered question is
//! not asked again within the reconciliation, and a look-up never asks the strategy a second time.

use jiff::Timestamp;
use kulta_api::PodTemplate;
use serde_json::Value;
use std::sync::Arc;

use super::context::Context;
use super::outcome::{Outcome, Progress};
use crate::decision::{Decision, Situation, StrategyFailure};
use crate::observed::{Endpoints, Observed, Pod};
use crate::plan::{Plan, PodController};

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
    /// The component that the revision began with: see [`crate::pins`].
    pub pin: Option<String>,
    pub situation: Situation,
    pub(super) context: Context,
    pub(super) progress: Progress,
}

impl Ask {
    /// Goes on with the strategy's answer.
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

/// Where the reconciliation stands that waits for a look-up.
#[derive(Debug)]
pub(super) enum Waiting {
    /// It does not know yet which revision the template is.
    Identity { observed: Arc<Observed>, now: Timestamp },
    /// Everything is decided but what is safe to write.
    Writes { context: Box<Context>, outcome: Box<Outcome> },
}

impl LookUp {
    /// Goes on with the answer. One that does not answer [`LookUp::need`] is asked for again.
    #[must_use]
    pub fn answer(self: Box<Self>, answer: LookedUp) -> Turn {
        let Self { waiting, known, .. } = *self;
        super::looked_up(waiting, known.and(answer))
    }
}

/// A fact that no cache holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Need {
    /// `dryRun=All` create of this ReplicaSet; the answer is its template as the API server would store it.
    DefaultedTemplate { body: Value },
    /// Which pods the EndpointSlices of these Services list, and which pods these ReplicaSets control.
    Endpoints { services: Vec<String>, replica_sets: Vec<PodController> },
    /// The pods that this label selector matches.
    Pods { selector: String },
}

/// Answers to [`Need`]s.
#[derive(Clone, Debug, Default)]
pub struct LookedUp {
    /// The template as the API server would store it, or the message with which it refuses the template.
    pub defaulted_template: Option<Result<PodTemplate, String>>,
    pub endpoints: Option<Endpoints>,
    /// Pods that the selector of the need matches.
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

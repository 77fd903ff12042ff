//! One call of a step plugin, and its answer.

use jiff::Timestamp;
use serde_json::Value;

use crate::decision::Situation;
use crate::plugin_failure::FailureClass;

/// What a step plugin is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Do the work.
    Run,
    /// End it: the rollout goes on without it.
    Terminate,
    /// Undo it.
    Abort,
}

impl Operation {
    pub const ALL: [Self; 3] = [Self::Run, Self::Terminate, Self::Abort];

    /// As the status calls it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Run => "Run",
            Self::Terminate => "Terminate",
            Self::Abort => "Abort",
        }
    }
}

/// What tells a call from all others of its rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallId {
    /// Of the step.
    pub index: i32,
    pub operation: Operation,
    /// Of the operation.
    pub started_at: Timestamp,
    /// Calls of the operation that have been answered before.
    pub execution: i32,
}

/// A call that is due.
#[derive(Clone, Debug, PartialEq)]
pub struct StepCall {
    pub id: CallId,
    /// Name of the step plugin.
    pub plugin: String,
    pub config: Value,
    /// What the revision began with: see [`crate::pins`].
    pub pin: Option<String>,
    pub memory: Vec<u8>,
    /// The rollout, as a strategy would be told of it.
    pub situation: Situation,
}

impl StepCall {
    /// What it does for whom: an answer to it is one to every call of which this is the same.
    #[must_use]
    pub fn identity(&self) -> (CallId, &str, &Value, Option<&str>, &str) {
        (self.id, &self.plugin, &self.config, self.pin.as_deref(), &self.situation.canary.hash)
    }
}

/// What a call has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepAnswer {
    pub id: CallId,
    pub outcome: StepOutcome,
}

/// The reasons are for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepOutcome {
    /// To be called again at that time, or later.
    Waiting {
        until: Timestamp,
        reason: String,
        memory: Vec<u8>,
    },
    Successful {
        reason: String,
        memory: Vec<u8>,
    },
    Failed {
        reason: String,
        memory: Vec<u8>,
    },
    /// There was no usable answer.
    Errored {
        class: FailureClass,
        message: String,
    },
    /// It asks for a request that may change something, and its entry is not stored: it is called again once that is.
    NotStored,
}

//! One call of a step plugin, and its answer.

use jiff::Timestamp;
use serde_json::Value;

use crate::decision::Situation;
use crate::plugin_failure::FailureClass;

/// The operations of a step plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Do the work.
    Run,
    /// End it, because the rollout continues without it.
    Terminate,
    /// Undo it.
    Abort,
}

impl Operation {
    pub const ALL: [Self; 3] = [Self::Run, Self::Terminate, Self::Abort];

    /// Name of the operation in the status.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Run => "Run",
            Self::Terminate => "Terminate",
            Self::Abort => "Abort",
        }
    }
}

/// Identifies a call of a rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallId {
    /// Index of the step.
    pub index: i32,
    pub operation: Operation,
    /// Id of the operation.
    pub started_at: Timestamp,
    /// Number of answered calls of the operation.
    pub execution: i32,
}

/// A call that is due.
#[derive(Clone, Debug, PartialEq)]
pub struct StepCall {
    pub id: CallId,
    /// Name of the step plugin.
    pub plugin: String,
    pub config: Value,
    /// The component with which the revision began: see [`crate::pins`].
    pub pin: Option<String>,
    pub memory: Vec<u8>,
    /// The rollout, as a strategy gets it.
    pub situation: Situation,
}

impl StepCall {
    /// The call's effect and target. An answer applies to every call with an equal identity.
    #[must_use]
    pub fn identity(&self) -> (CallId, &str, &Value, Option<&str>, &str) {
        (self.id, &self.plugin, &self.config, self.pin.as_deref(), &self.situation.canary.hash)
    }
}

/// The outcome of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepAnswer {
    pub id: CallId,
    pub outcome: StepOutcome,
}

/// The reasons are for users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepOutcome {
    /// The plugin is to be called again at `until` or later.
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
    /// The call had no usable answer.
    Errored {
        class: FailureClass,
        message: String,
    },
    /// The plugin returned a request that may change something, but its entry is not stored. The plugin is called again once it
    /// is.
    NotStored,
}

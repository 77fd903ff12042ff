//! Errors of plugins, with a class for each kind of failure.

use crate::limits::{DeadlineExceeded, MemoryExceeded};
use crate::plugin::Kind;
use std::time::Duration;
use thiserror::Error;
use wasmtime::Trap;

/// Longer messages from a plugin are cut: they are shown in conditions and logs.
const MAX_MESSAGE_BYTES: usize = 1_024;

/// The class of a failure: a closed set, suitable as a metric's label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureClass {
    /// No plugin of that name.
    Unknown,
    /// Not loaded: not a component, wrong imports or exports, too large.
    Refused,
    Trapped,
    DeadlineExceeded,
    OutOfMemory,
    /// The answer is larger than allowed.
    TooLarge,
    /// The answer is invalid.
    BadAnswer,
    /// The plugin reported an invalid configuration.
    InvalidConfig,
    /// The plugin reported that it is unavailable; a retry may succeed.
    Unavailable,
    /// The plugin reported an error.
    Internal,
    /// Not the plugin's fault: the host is shutting down or could not start a task.
    Host,
}

impl FailureClass {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Refused => "refused",
            Self::Trapped => "trapped",
            Self::DeadlineExceeded => "deadline-exceeded",
            Self::OutOfMemory => "out-of-memory",
            Self::TooLarge => "too-large",
            Self::BadAnswer => "bad-answer",
            Self::InvalidConfig => "invalid-config",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
            Self::Host => "host",
        }
    }
}

/// Why a call has no usable answer.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum CallError {
    #[error("the plugin trapped: {0}")]
    Trapped(String),
    #[error("the plugin ran longer than {limit:?}")]
    DeadlineExceeded { limit: Duration },
    #[error("the plugin wanted more than {} MiB of memory", limit >> 20)]
    OutOfMemory {
        /// Bytes.
        limit: usize,
    },
    #[error("the plugin's answer is too large: {0}")]
    TooLarge(String),
    #[error("the plugin's answer makes no sense: {0}")]
    BadAnswer(String),
    #[error(transparent)]
    Reported(Report),
}

/// The plugin's own message, at most 1 KiB.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum Report {
    #[error("invalid configuration: {0}")]
    InvalidConfig(String),
    #[error("not available for now: {0}")]
    Unavailable(String),
    #[error("the plugin failed: {0}")]
    Internal(String),
}

impl CallError {
    pub fn class(&self) -> FailureClass {
        match self {
            Self::Trapped(_) => FailureClass::Trapped,
            Self::DeadlineExceeded { .. } => FailureClass::DeadlineExceeded,
            Self::OutOfMemory { .. } => FailureClass::OutOfMemory,
            Self::TooLarge(_) => FailureClass::TooLarge,
            Self::BadAnswer(_) => FailureClass::BadAnswer,
            Self::Reported(Report::InvalidConfig(_)) => FailureClass::InvalidConfig,
            Self::Reported(Report::Unavailable(_)) => FailureClass::Unavailable,
            Self::Reported(Report::Internal(_)) => FailureClass::Internal,
        }
    }

    /// Classifies wasmtime's errors. Our own limits and traps have types; any other error is an answer that could not
    /// be decoded.
    pub(crate) fn from_wasmtime(error: &wasmtime::Error) -> Self {
        if let Some(exceeded) = error.downcast_ref::<DeadlineExceeded>() {
            return Self::DeadlineExceeded { limit: exceeded.limit };
        }
        if let Some(exceeded) = error.downcast_ref::<MemoryExceeded>() {
            return Self::OutOfMemory { limit: exceeded.limit };
        }
        let message = shortened(error.root_cause().to_string());
        match error.downcast_ref::<Trap>() {
            Some(trap) => Self::Trapped(trap.to_string()),
            None if message.contains(ANSWER_LIMIT_REACHED) => Self::TooLarge(message),
            None => Self::BadAnswer(message),
        }
    }
}

/// wasmtime does not export the type of this error, so only its text identifies it; a test notices if it changes.
const ANSWER_LIMIT_REACHED: &str = "fuel allocated for hostcalls has been exhausted";

impl From<crate::bindings::any::kulta::plugin::types::Error> for Report {
    fn from(error: crate::bindings::any::kulta::plugin::types::Error) -> Self {
        use crate::bindings::any::kulta::plugin::types::Error;
        match error {
            Error::InvalidConfig(message) => Self::InvalidConfig(shortened(message)),
            Error::Unavailable(message) => Self::Unavailable(shortened(message)),
            Error::Internal(message) => Self::Internal(shortened(message)),
        }
    }
}

/// Why a component is not served.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum LoadError {
    #[error("the component has {bytes} bytes; at most {limit} are accepted")]
    TooLarge { bytes: usize, limit: usize },
    #[error("not a WebAssembly component: {0}")]
    NotAComponent(String),
    #[error("the component has imports that are not allowed: {}", .0.join(", "))]
    ForbiddenImports(Vec<String>),
    #[error("not a plugin of any kind: it exports none of {}, but {}", interfaces(), listed(.exports))]
    NoKind { exports: Vec<String> },
    #[error("the component does not fit the interface: {0}")]
    Incompatible(String),
    #[error("the plugin's configuration schema cannot be used: {0}")]
    Schema(String),
    #[error("the plugin could not describe itself: {0}")]
    Describe(#[source] CallError),
    #[error("the component could not be compiled: {0}")]
    TooCostly(String),
    /// Not an error of the component.
    #[error("the component could not be compiled now: {0}")]
    Compiler(String),
    #[error("the component could not be compiled now: the host is stopping")]
    Interrupted,
}

impl LoadError {
    pub fn class(&self) -> FailureClass {
        match self {
            Self::Describe(error) => error.class(),
            Self::Interrupted | Self::Compiler(_) => FailureClass::Host,
            _ => FailureClass::Refused,
        }
    }

    /// True if the same bytes would be rejected again, so that a retry is useless.
    pub fn is_final(&self) -> bool {
        !matches!(self, Self::Describe(_) | Self::TooCostly(_) | Self::Compiler(_) | Self::Interrupted)
    }
}

/// Why a plugin is not available by its name.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum LookupError {
    #[error("there is no {} plugin {name:?}; there are: {}", kind.as_str(), listed(.served))]
    Unknown { kind: Kind, name: String, served: Vec<String> },
    #[error("{} plugin {name:?}: {source}", kind.as_str())]
    Load { kind: Kind, name: String, source: LoadError },
}

impl LookupError {
    pub fn class(&self) -> FailureClass {
        match self {
            Self::Unknown { .. } => FailureClass::Unknown,
            Self::Load { source, .. } => source.class(),
        }
    }
}

/// One error of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// Such as `steps[1].pause.duration`, relative to the configuration; empty for the whole configuration.
    pub path: String,
    pub message: String,
}

/// Why a configuration was rejected.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum CheckError {
    /// At least one.
    #[error("{}", joined(.0))]
    Invalid(Vec<ConfigError>),
    #[error(transparent)]
    Call(#[from] CallError),
}

impl CheckError {
    pub fn class(&self) -> FailureClass {
        match self {
            Self::Invalid(_) => FailureClass::InvalidConfig,
            Self::Call(error) => error.class(),
        }
    }
}

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.path.as_str() {
            "" => f.write_str(&self.message),
            path => write!(f, "{path}: {}", self.message),
        }
    }
}

fn joined(errors: &[ConfigError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

fn listed(names: &[String]) -> String {
    match names {
        [] => "nothing".to_owned(),
        names => names.join(", "),
    }
}

fn interfaces() -> String {
    Kind::ALL.map(Kind::interface).join(", ")
}

/// Cuts a text at a character boundary.
pub(crate) fn shortened(mut text: String) -> String {
    if text.len() > MAX_MESSAGE_BYTES {
        text.truncate(text.floor_char_boundary(MAX_MESSAGE_BYTES));
    }
    text
}

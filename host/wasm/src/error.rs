//! What can go wrong with a plugin, in classes that are told apart by type.

use crate::limits::{DeadlineExceeded, MemoryExceeded};
use crate::plugin::Kind;
use std::time::Duration;
use thiserror::Error;
use wasmtime::Trap;

/// Longer messages from a plugin are cut: they end up in conditions and logs.
const MAX_MESSAGE_BYTES: usize = 1_024;

/// The kind of a failure; a bounded set, fit for a metric's label.
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
    /// The answer makes no sense.
    BadAnswer,
    /// The plugin itself said so.
    InvalidConfig,
    /// The plugin itself said so; it may be asked again.
    Unavailable,
    /// The plugin itself said so.
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

/// Why a call gave no usable answer.
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

/// The plugin's own words, at most 1 KiB.
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

    /// Sorts what wasmtime says. Our own limits and traps have types; what is left is an answer that could not be read.
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

/// wasmtime keeps the type of this error to itself, so its text is all there is; a test notices when it changes.
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
    #[error("the component imports what plugins may not have: {}", .0.join(", "))]
    ForbiddenImports(Vec<String>),
    #[error("no plugin of any kind: it exports none of {}, but {}", interfaces(), listed(.exports))]
    NoKind { exports: Vec<String> },
    #[error("the component does not fit the interface: {0}")]
    Incompatible(String),
    #[error("the plugin's configuration schema cannot be used: {0}")]
    Schema(String),
    #[error("the plugin could not describe itself: {0}")]
    Describe(#[source] CallError),
    #[error("the component could not be compiled: {0}")]
    TooCostly(String),
    /// Not the component's fault.
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

    /// Whether the same bytes will be refused again, so that trying is a waste.
    pub fn is_final(&self) -> bool {
        !matches!(self, Self::Describe(_) | Self::TooCostly(_) | Self::Compiler(_) | Self::Interrupted)
    }
}

/// Why a plugin cannot be had by its name.
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

/// One thing wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// As in `steps[1].pause.duration`, relative to the configuration; empty for the whole of it.
    pub path: String,
    pub message: String,
}

/// Why a configuration was not accepted.
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

/// Cuts a text at a character's boundary.
pub(crate) fn shortened(mut text: String) -> String {
    if text.len() > MAX_MESSAGE_BYTES {
        text.truncate(text.floor_char_boundary(MAX_MESSAGE_BYTES));
    }
    text
}

//! Which component is called, or why none is, and why it gave no usable answer.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use kulta_core::plugin_failure::FailureClass as PluginFailure;
use kulta_wasm::{CallError, FailureClass, LookupError};

use super::breaker::Breaker;
use super::policy::SharedPolicy;

/// The pin of a plugin that comes with the controller.
const BUILT_IN: &str = "built-in";

/// Which component a revision or a run began with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pin {
    /// It comes with the controller: whatever this version of the controller has.
    BuiltIn,
    /// `sha256:` and hex.
    Digest(String),
}

impl Pin {
    /// As [`Display`](fmt::Display) writes it; none when there is nothing written, or nothing that can be read.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        match text {
            BUILT_IN => Some(Self::BuiltIn),
            digest if digest.starts_with("sha256:") => Some(Self::Digest(digest.to_owned())),
            _ => None,
        }
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BuiltIn => BUILT_IN,
            Self::Digest(digest) => digest,
        })
    }
}

/// A plugin to be asked, and under which policy.
pub struct PluginHandle<P> {
    pub plugin: Arc<P>,
    pub policy: SharedPolicy,
    pub pin: Pin,
    /// None where it must not open: what comes with the controller serves everybody, and a condition is a user's own text, so that one
    /// user's mistakes would keep all others from being judged.
    pub(super) breaker: Option<Arc<Breaker>>,
}

/// Why a plugin is not called.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum HandleError {
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// Its Plugin has not been reconciled yet.
    #[error("it is being loaded")]
    Loading,
    /// Its Plugin cannot be served for now.
    #[error("Plugin {plugin} is not ready: {why}")]
    NotReady { plugin: String, why: String },
    #[error(
        "the component {digest} of {plugin} that this began with cannot be had: {why}; promote to go on with the one that is served now"
    )]
    Gone { plugin: String, digest: String, why: String },
}

/// Why there is no usable answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CallFailure {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("it has failed again and again, and is left alone for a while")]
    BreakerOpen,
}

impl HandleError {
    /// By the table of what follows from it.
    #[must_use]
    pub const fn class(&self) -> PluginFailure {
        match self {
            Self::Lookup(LookupError::Unknown { .. }) => PluginFailure::Unknown,
            Self::Lookup(LookupError::Load { .. }) => PluginFailure::Refused,
            Self::Loading => PluginFailure::Loading,
            Self::NotReady { .. } => PluginFailure::SourceUnavailable,
            Self::Gone { .. } => PluginFailure::DigestGone,
        }
    }
}

impl CallFailure {
    /// By the table of what follows from it.
    #[must_use]
    pub fn class(&self) -> PluginFailure {
        match self {
            Self::Call(error) => class_of(error.class()),
            Self::BreakerOpen => PluginFailure::BreakerOpen,
        }
    }
}

fn class_of(class: FailureClass) -> PluginFailure {
    match class {
        FailureClass::Unknown => PluginFailure::Unknown,
        FailureClass::Refused => PluginFailure::Refused,
        FailureClass::Trapped => PluginFailure::Trapped,
        FailureClass::DeadlineExceeded => PluginFailure::DeadlineExceeded,
        FailureClass::OutOfMemory => PluginFailure::OutOfMemory,
        FailureClass::TooLarge => PluginFailure::TooLarge,
        FailureClass::BadAnswer => PluginFailure::BadAnswer,
        FailureClass::InvalidConfig => PluginFailure::InvalidConfig,
        FailureClass::Unavailable => PluginFailure::Unavailable,
        FailureClass::Internal => PluginFailure::Internal,
        FailureClass::Host => PluginFailure::Host,
    }
}

impl<P> PluginHandle<P> {
    /// Makes a call, unless the plugin has failed too often of late. Only the future that `call` answers runs anything of it.
    ///
    /// # Errors
    /// As the call, or that it was not made.
    pub async fn with_breaker<T, F>(&self, now: Timestamp, call: F) -> Result<T, CallFailure>
    where
        F: Future<Output = Result<T, CallError>>,
    {
        let Some(breaker) = &self.breaker else { return call.await.map_err(CallFailure::Call) };
        breaker.admit(now).map_err(|_until| CallFailure::BreakerOpen)?;
        let answer = call.await;
        breaker.report(answer.as_ref().err().map(CallError::class), now);
        answer.map_err(CallFailure::Call)
    }
}

//! The failures of a plugin and their effects, in one table.

use kulta_api::ConditionReason;

/// Why a plugin gave no usable answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureClass {
    Trapped,
    DeadlineExceeded,
    OutOfMemory,
    /// The answer is larger than allowed.
    TooLarge,
    /// The answer is invalid.
    BadAnswer,
    /// The plugin itself reports this class.
    Internal,
    /// The plugin reports that something is missing for now.
    Unavailable,
    /// The plugin itself reports this class.
    InvalidConfig,
    /// The plugin requests something that this build does not support.
    NotServed,
    /// The strategy completes steps without end.
    Endless,
    /// The plugin's circuit breaker is open after too many failures.
    BreakerOpen,
    /// The component was refused when it was loaded.
    Refused,
    /// No plugin has this name.
    Unknown,
    /// Plugins are still being loaded, for example after a start.
    Loading,
    /// The plugin's source cannot be reached.
    SourceUnavailable,
    /// The component with which the revision began can no longer be loaded.
    DigestGone,
    /// The controller itself failed.
    Host,
}

/// The effect of a failure on the rollout, which holds in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The plugin is called again. After several failures in a row the rollout pauses for a user.
    Retried,
    /// The rollout pauses at once, because another call cannot help.
    Paused,
    /// The rollout waits without limit.
    Awaited,
    /// Like [`Awaited`](Self::Awaited), but without a report, because the wait is short.
    AwaitedSilently,
    /// The rollout pauses. Promoting it continues with the component that is served then.
    Repinned,
}

struct Entry {
    label: &'static str,
    reason: ConditionReason,
    effect: Effect,
}

impl FailureClass {
    const fn entry(self) -> Entry {
        use ConditionReason as Reason;
        let (label, reason, effect) = match self {
            Self::Trapped => ("trapped", Reason::PluginTrapped, Effect::Retried),
            Self::DeadlineExceeded => ("deadline-exceeded", Reason::PluginDeadlineExceeded, Effect::Retried),
            Self::OutOfMemory => ("out-of-memory", Reason::PluginOutOfMemory, Effect::Retried),
            Self::TooLarge => ("too-large", Reason::PluginBadAnswer, Effect::Retried),
            Self::BadAnswer => ("bad-answer", Reason::PluginBadAnswer, Effect::Retried),
            Self::Internal => ("internal", Reason::PluginFailed, Effect::Retried),
            Self::Unavailable => ("unavailable", Reason::PluginFailed, Effect::Retried),
            Self::InvalidConfig => ("invalid-config", Reason::PluginInvalidConfig, Effect::Paused),
            Self::NotServed => ("not-served", Reason::PluginBadAnswer, Effect::Paused),
            Self::Endless => ("endless", Reason::PluginBadAnswer, Effect::Retried),
            Self::BreakerOpen => ("breaker-open", Reason::PluginFailed, Effect::Awaited),
            Self::Refused => ("refused", Reason::PluginRefused, Effect::Retried),
            Self::Unknown => ("unknown", Reason::PluginUnknown, Effect::Retried),
            Self::Loading => ("loading", Reason::PluginUnavailable, Effect::AwaitedSilently),
            Self::SourceUnavailable => ("source-unavailable", Reason::PluginUnavailable, Effect::Awaited),
            Self::DigestGone => ("digest-gone", Reason::PluginDigestGone, Effect::Repinned),
            Self::Host => ("host", Reason::PluginFailed, Effect::Retried),
        };
        Entry { label, reason, effect }
    }

    /// Value of a metric's label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        self.entry().label
    }

    /// Reason of the condition that reports the failure.
    #[must_use]
    pub const fn reason(self) -> ConditionReason {
        self.entry().reason
    }

    #[must_use]
    pub const fn effect(self) -> Effect {
        self.entry().effect
    }
}

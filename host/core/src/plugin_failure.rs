//! What can go wrong with a plugin, and what follows from it: one table.

use kulta_api::ConditionReason;

/// Why a plugin gave no usable answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureClass {
    Trapped,
    DeadlineExceeded,
    OutOfMemory,
    /// Its answer is larger than allowed.
    TooLarge,
    /// Its answer makes no sense.
    BadAnswer,
    /// By its own word.
    Internal,
    /// By its own word: something is missing for now.
    Unavailable,
    /// By its own word.
    InvalidConfig,
    /// It asks for what this build does not serve.
    NotServed,
    /// Its steps never settle.
    Endless,
    /// It has failed too often of late and is not asked for a while.
    Resting,
    /// It was refused when it was loaded.
    Refused,
    /// There is none of that name.
    Unknown,
    /// Plugins are being loaded, as after a start.
    Loading,
    /// Its source cannot be reached.
    SourceUnavailable,
    /// The component that the revision began with is nowhere to be had.
    DigestGone,
    /// The controller's own trouble.
    Host,
}

/// What becomes of the rollout, beside holding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Asked again; after some failures in a row the rollout is paused for a person to look at.
    Retried,
    /// Paused at once: asking again cannot help.
    Paused,
    /// Waited for, for as long as it takes.
    Awaited,
    /// As [`Awaited`](Self::Awaited), and nobody is told: it takes moments.
    AwaitedSilently,
    /// Paused; promoting goes on with the component that is served then.
    PinnedAnew,
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
            Self::Resting => ("resting", Reason::PluginFailed, Effect::Awaited),
            Self::Refused => ("refused", Reason::PluginRefused, Effect::Retried),
            Self::Unknown => ("unknown", Reason::PluginUnknown, Effect::Retried),
            Self::Loading => ("loading", Reason::PluginUnavailable, Effect::AwaitedSilently),
            Self::SourceUnavailable => ("source-unavailable", Reason::PluginUnavailable, Effect::Awaited),
            Self::DigestGone => ("digest-gone", Reason::PluginDigestGone, Effect::PinnedAnew),
            Self::Host => ("host", Reason::PluginFailed, Effect::Retried),
        };
        Entry { label, reason, effect }
    }

    /// Fit for a metric's label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        self.entry().label
    }

    /// Of the condition that tells it.
    #[must_use]
    pub const fn reason(self) -> ConditionReason {
        self.entry().reason
    }

    #[must_use]
    pub const fn effect(self) -> Effect {
        self.entry().effect
    }
}

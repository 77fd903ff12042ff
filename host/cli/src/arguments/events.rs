//! CDEvents: where they are sent and what they say.

use clap::{Args, ValueEnum};
use kulta_fetch::CloudEventsMode;

use super::values::non_empty;

#[derive(Args, Debug)]
#[command(next_help_heading = "Events")]
pub struct EventArguments {
    /// URL to send each transition to as a CDEvent (HTTP POST of a CloudEvent); if unset, no events are sent
    #[arg(long, env = "KULTA_CDEVENTS_SINK", value_name = "URL", hide_env_values = true)]
    cdevents_sink: Option<String>,
    /// Content mode of CloudEvents
    #[arg(long, env = "KULTA_CDEVENTS_MODE", value_enum, default_value_t = CdEventsMode::Binary, value_name = "MODE")]
    pub cdevents_mode: CdEventsMode,
    /// Name of the environment in events, such as production
    #[arg(long, env = "KULTA_ENVIRONMENT", default_value = "default", value_name = "NAME")]
    pub environment: String,
    /// Source of events: a URI or a path
    #[arg(long, env = "KULTA_EVENT_SOURCE", default_value = "/kulta", value_name = "URI")]
    pub event_source: String,
    /// Annotations that hold the git commit, comma separated; the first one that is set is used
    #[arg(
        long,
        env = "KULTA_GIT_COMMIT_ANNOTATIONS",
        value_delimiter = ',',
        default_value = "kulta.io/git-commit,org.opencontainers.image.revision",
        value_name = "KEYS"
    )]
    pub git_commit_annotations: Vec<String>,
}

impl EventArguments {
    pub fn sink(&self) -> Option<String> {
        non_empty(self.cdevents_sink.as_deref())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CdEventsMode {
    /// Attributes in HTTP headers; the body is the CDEvent
    Binary,
    /// Attributes in the body, with the CDEvent as its data
    Structured,
}

impl From<CdEventsMode> for CloudEventsMode {
    fn from(mode: CdEventsMode) -> Self {
        match mode {
            CdEventsMode::Binary => Self::Binary,
            CdEventsMode::Structured => Self::Structured,
        }
    }
}

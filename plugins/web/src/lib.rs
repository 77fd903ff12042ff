//! The web analyzer: what one HTTP request answers, or a part of it, is the measurement's value.
//!
//! Configuration: `provider.web` as in Argo Rollouts. Value: the JSON that `jsonPath` finds first, without one the whole body; a body
//! that is no JSON is a text as it stands, with its line ends, whatever `jsonPath` says; one without content is the empty text. It keeps
//! no memory.

mod jsonpath;
mod policy;
#[cfg(test)]
mod policy_tests;
#[cfg(test)]
mod recorded;

pub use policy::analyze;

use kulta_plugin::analyzer::{Action, Occasion};
use kulta_plugin::auth::{Authentication, Header};
use kulta_plugin::{About, Analyzer, Error};
use schemars::JsonSchema;
use serde::Deserialize;

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Config {
    pub url: String,
    #[serde(default)]
    pub method: Method,
    #[serde(default)]
    pub headers: Vec<Header>,
    /// With POST and PUT; not beside `jsonBody`.
    #[serde(default)]
    pub body: String,
    /// With POST and PUT; not beside `body`. Sets the content type.
    pub json_body: Option<serde_json::Value>,
    /// 0 or less, or absent: 10.
    #[serde(default)]
    pub timeout_seconds: i64,
    /// As kubectl reads it, for example `{$.data.ok}`. Empty or absent: the whole body.
    #[serde(default)]
    pub json_path: String,
    /// Accept any certificate.
    #[serde(default)]
    pub insecure: bool,
    #[serde(default)]
    pub authentication: Authentication,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    #[default]
    Get,
    Post,
    Put,
}

pub struct Web;

impl Analyzer for Web {
    const ABOUT: About = About {
        name: env!("CARGO_PKG_NAME"),
        version: env!("CARGO_PKG_VERSION"),
        summary: "Measures what an HTTP request answers",
    };

    type Config = Config;

    fn check_config(config: &Config) -> Result<(), Error> {
        policy::check(config)
    }

    fn analyze(config: Config, occasion: &Occasion) -> Result<Action, Error> {
        policy::analyze(&config, occasion)
    }
}

kulta_plugin::export!(analyzer: Web);

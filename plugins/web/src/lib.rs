//! The web analyzer: the measurement's value is the answer to one HTTP request, or a part of it.
//!
//! Configuration: `provider.web` as in Argo Rollouts. Value: the first JSON value at `jsonPath`, without one the whole
//! body. A body that is not JSON is a text, unchanged, whatever `jsonPath` is; an empty body is the empty text. It has
//! no state.

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
    /// With POST and PUT; not with `jsonBody`.
    #[serde(default)]
    pub body: String,
    /// With POST and PUT; not with `body`. Sets the content type.
    pub json_body: Option<serde_json::Value>,
    /// 0 or less, or absent: 10.
    #[serde(default)]
    pub timeout_seconds: i64,
    /// In kubectl's syntax, for example `{$.data.ok}`. Empty or absent: the whole body.
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

    fn analyze(config: Config, input: &Occasion) -> Result<Action, Error> {
        policy::analyze(&config, input)
    }
}

kulta_plugin::export!(analyzer: Web);

//! Conditions: judge a value by an expression.

use crate::bindings::condition::exports::kulta::plugin::condition;
use crate::bindings::exports::kulta::plugin::plugin;
use crate::{About, Error, config, description};
use schemars::JsonSchema;
use std::marker::PhantomData;

/// A condition language, for `successCondition` and `failureCondition`.
pub trait Condition {
    const ABOUT: About;

    /// Judges `value` (JSON text) by the expression. Must be a pure function.
    /// `invalid-config` when the expression is at fault, `unavailable` when it cannot be applied to this value.
    fn evaluate(expression: &str, value: &str) -> Result<bool, Error>;
}

/// A condition language has no configuration: only `{}` is accepted.
#[derive(serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NoConfig {}

/// A [`Condition`] as the component's exports; [`export!`](crate::export) uses it.
pub struct Exported<T>(PhantomData<T>);

impl<T: Condition> plugin::Guest for Exported<T> {
    fn describe() -> plugin::Info {
        description::info::<NoConfig>(T::ABOUT)
    }

    fn check_config(config: String) -> Result<(), Error> {
        config::parse::<NoConfig>(&config).map(|NoConfig {}| ())
    }
}

impl<T: Condition> condition::Guest for Exported<T> {
    fn evaluate(expression: String, value: String) -> Result<bool, Error> {
        T::evaluate(&expression, &value).map_err(crate::text::brief)
    }
}

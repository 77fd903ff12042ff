//! Builds the request, and reads the value from the answer.

use crate::time::instant;
use crate::{Config, RangeQuery};
use kulta_plugin::Error;
use kulta_plugin::analyzer::{Action, MAX_VALUE_BYTES, Occasion};
use promql::{Query, Reply, read};
use serde::de::IgnoredAny;

/// Argo Rollouts' name.
const QUERY_METADATA: &str = "ResolvedPrometheusQuery";
const WARNINGS_METADATA: &str = "warnings";

/// Checks that do not depend on the input. An error begins with the field's path.
pub fn check(config: &Config) -> Result<(), Error> {
    if config.query.trim().is_empty() {
        return Err(Error::InvalidConfig("query: missing".into()));
    }
    config.server().check()?;
    query(config, 0).map(|_| ())
}

/// Returns the request, and in the second call the value.
pub fn analyze(config: &Config, input: &Occasion) -> Result<Action, Error> {
    match input.answers.first() {
        None => {
            check(config)?;
            let request = config.server().request(input, &query(config, input.now)?)?;
            Ok(Action::fetch(vec![request]))
        }
        Some(answer) => measured(config, &read(answer)?),
    }
}

fn measured(config: &Config, reply: &Reply<IgnoredAny>) -> Result<Action, Error> {
    let value = reply.data.to_json();
    if value.len() > MAX_VALUE_BYTES {
        return Err(Error::Unavailable(format!(
            "the query answers a value of {} bytes, at most {MAX_VALUE_BYTES}: aggregate it, for example with sum()",
            value.len()
        )));
    }
    let measured = Action::measured(value).with_metadata(QUERY_METADATA, &config.query);
    if reply.warnings.is_empty() {
        return Ok(measured);
    }
    let warnings: Vec<String> = reply.warnings.iter().map(|warning| format!("\"{warning}\"")).collect();
    Ok(measured.with_metadata(WARNINGS_METADATA, &warnings.join(", ")))
}

fn query(config: &Config, now: u64) -> Result<Query<'_>, Error> {
    let query = config.query.as_str();
    let Some(RangeQuery { start, end, step }) = &config.range_query else {
        return Ok(Query::Instant { query, time: None });
    };
    let step = step.as_millis();
    if step == 0 {
        return Err(Error::InvalidConfig("rangeQuery.step: must be longer than 0".into()));
    }
    let at = |field: &str, text: &str| {
        instant(text, now).map_err(|error| Error::InvalidConfig(format!("rangeQuery.{field}: {error}")))
    };
    Ok(Query::Range { query, start: at("start", start)?, end: at("end", end)?, step })
}

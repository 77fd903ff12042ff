//! Builds requests, and judges their answers.

use crate::config::Config;
use crate::judge::{Findings, judge};
use crate::queries::{Asked, asked, check as check_queries};
use kulta_plugin::Error;
use kulta_plugin::analyzer::{Action, Occasion};
use kulta_plugin::fetch::{Answer, Request};
use kulta_plugin::text::shortened;
use promql::{Data, Query, read};
use serde::de::IgnoredAny;

/// Checks that do not depend on the input. An error begins with the field's path.
pub fn check(config: &Config) -> Result<(), Error> {
    config.limits()?;
    if config.minimum == 0 {
        return Err(Error::InvalidConfig("minimum: must be at least 1".into()));
    }
    check_queries(config)?;
    config.server().check()
}

/// Returns all requests, and in the second call the verdict.
pub fn analyze(config: &Config, input: &Occasion) -> Result<Action, Error> {
    check(config)?;
    let limits = config.limits()?;
    let Some(asked) = asked(config, &limits, input)? else {
        let none = Findings { requests: 0.0, errors: f64::NAN, latency: vec![f64::NAN; limits.latency.len()] };
        return Ok(judge(&limits, config.minimum, config.no_data, &none));
    };
    if input.answers.is_empty() {
        return requests(config, &asked, input).map(Action::fetch);
    }
    let findings = findings(&asked, &input.answers)?;
    Ok(judge(&limits, config.minimum, config.no_data, &findings))
}

/// All for one instant, so that the counts are consistent.
fn requests(config: &Config, asked: &Asked, input: &Occasion) -> Result<Vec<Request>, Error> {
    let server = config.server();
    let instant = |query| Query::Instant { query, time: Some(input.now) };
    asked.queries().map(|query| server.request(input, &instant(query))).collect()
}

fn findings(asked: &Asked, answers: &[Answer]) -> Result<Findings, Error> {
    let numbers: Vec<Option<f64>> =
        answers.iter().zip(asked.queries()).map(|(answer, query)| number(answer, query)).collect::<Result<_, _>>()?;
    if numbers.len() != asked.queries().count() {
        return Err(Error::Internal(format!("{} answers, {} were asked for", answers.len(), asked.queries().count())));
    }
    let mut numbers = numbers.into_iter();
    let mut next = || numbers.next().flatten();
    let requests = next().unwrap_or(f64::NAN);
    // The first error creates the series of errors.
    let errors = if asked.errors.is_some() { next().unwrap_or(0.0) } else { f64::NAN };
    let latency = asked.latency.iter().map(|_| next().unwrap_or(f64::NAN) * asked.latency_scale).collect();
    Ok(Findings { requests, errors, latency })
}

/// Bytes of a query that an error quotes.
const QUERY_BYTES: usize = 256;

/// One number, or none.
fn number(answer: &Answer, query: &str) -> Result<Option<f64>, Error> {
    let query = shortened(query, QUERY_BYTES);
    match read::<IgnoredAny>(answer)?.data {
        Data::Scalar(number) => Ok(Some(number)),
        Data::Vector(samples) => match samples.as_slice() {
            [] => Ok(None),
            [sample] => Ok(Some(sample.value)),
            samples => Err(Error::InvalidConfig(format!(
                "queries: {} series where one is needed, aggregate them, for example with sum(): {query}",
                samples.len()
            ))),
        },
        Data::Matrix(_) => Err(Error::InvalidConfig(format!("queries: a range where a number is needed: {query}"))),
    }
}

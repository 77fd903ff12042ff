//! Judges a number that a URL answers: it passes while it is at most `max`.

use kulta_plugin::analyzer::{Action, Occasion};
use kulta_plugin::fetch::Request;
use kulta_plugin::{About, Analyzer, Error, Verdict};

pub struct Plugin;

/// A metric's configuration, below `provider.plugin.<name>`.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Answers a JSON number.
    url: String,
    /// The largest number that passes.
    max: f64,
}

impl Analyzer for Plugin {
    const ABOUT: About = About {
        name: env!("CARGO_PKG_NAME"),
        version: env!("CARGO_PKG_VERSION"),
        summary: "Judges a number that a URL answers",
    };

    type Config = Config;

    /// Called twice for each measurement: without answers it returns a request, with answers its verdict.
    fn analyze(config: Config, input: &Occasion) -> Result<Action, Error> {
        let response = match input.answers.first() {
            None => return Ok(Action::fetch(vec![Request::get(config.url)])),
            Some(Ok(response)) if response.is_success() => response,
            Some(Ok(response)) => {
                return Err(Error::Unavailable(format!("{} {}", response.status, response.excerpt())));
            }
            Some(Err(failure)) => return Err(failure.clone().into()),
        };
        let number: f64 = response.json()?;
        let verdict = if number <= config.max {
            Verdict::Pass
        } else {
            Verdict::Fail(format!("{number} is more than {}", config.max))
        };
        Ok(Action::judged(verdict, number.to_string(), &format!("{number}, at most {} passes", config.max)))
    }
}

kulta_plugin::export!(analyzer: Plugin);

#[cfg(test)]
mod tests {
    use kulta_plugin::testing::analyzer::Run;
    use kulta_plugin::testing::{canned, respond};

    use super::*;

    const CONFIG: &str = r#"{"url":"http://shop/errors","max":0.05}"#;

    #[test]
    fn a_number_passes_up_to_the_largest() {
        let course = Run::<Plugin>::new(CONFIG).count(2).play(canned([respond(200, "0.05"), respond(200, "0.06")]));

        let verdicts = course.verdicts();
        assert_eq!(verdicts, [&Verdict::Pass, &Verdict::Fail("0.06 is more than 0.05".into())]);
    }

    #[test]
    fn an_answer_that_is_no_number_is_an_error() {
        let course = Run::<Plugin>::new(CONFIG).play(|_| respond(503, "try later"));

        assert_eq!(course.verdicts(), Vec::<&Verdict>::new());
        assert_eq!(course.errors()[0], &Error::Unavailable("503 try later".into()));
    }
}

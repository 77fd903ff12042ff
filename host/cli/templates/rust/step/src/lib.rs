//! Notifies a URL that a rollout has reached this step, and continues once the URL has accepted it.

use kulta_plugin::fetch::Request;
use kulta_plugin::step::{Action, Occasion};
use kulta_plugin::{About, Error, Step};

pub struct Plugin;

/// A step's configuration, below `plugin.config`.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Gets a POST of `{"rollout": "namespace/name", "step": 2}`.
    url: String,
}

/// The host's minimum delay, in milliseconds.
const RETRY: u64 = 10_000;

impl Step for Plugin {
    const ABOUT: About = About {
        name: env!("CARGO_PKG_NAME"),
        version: env!("CARGO_PKG_VERSION"),
        summary: "Notifies a URL of the reached step",
    };

    type Config = Config;

    /// Called until it is finished: after its requests, or after a wait, it is called again.
    fn run(config: Config, input: &Occasion) -> Result<Action, Error> {
        let later = |why: String| Action::wait(input.now.saturating_add(RETRY), &why);
        Ok(match input.answers.first() {
            None => {
                let rollout = format!("{}/{}", input.rollout.namespace, input.rollout.name);
                let body = serde_json::json!({ "rollout": rollout, "step": input.index });
                Action::fetch(vec![Request::post(config.url).json(&body)?])
            }
            Some(Ok(response)) if response.is_success() => Action::successful("notified"),
            Some(Ok(response)) if response.status >= 500 => later(format!("not yet: {}", response.status)),
            Some(Ok(response)) => Action::failed(&format!("refused: {} {}", response.status, response.excerpt())),
            Some(Err(failure)) => later(format!("not yet: {:?}", Error::from(failure.clone()))),
        })
    }
}

kulta_plugin::export!(step: Plugin);

#[cfg(test)]
mod tests {
    use kulta_plugin::step::Outcome;
    use kulta_plugin::testing::step::Run;
    use kulta_plugin::testing::{canned, respond};

    use super::*;

    const CONFIG: &str = r#"{"url":"http://chat"}"#;

    #[test]
    fn it_continues_once_the_url_has_accepted_it() {
        let mut step = Run::<Plugin>::new(CONFIG);

        let played = step.run(canned([respond(503, ""), respond(204, "")]));

        assert_eq!(played.finished.unwrap().outcome, Outcome::Successful);
        assert_eq!(step.elapsed(), RETRY);
        assert_eq!(played.requests[0].body, br#"{"rollout":"shop/web","step":1}"#);
    }

    #[test]
    fn a_url_that_refuses_it_fails_the_step() {
        let played = Run::<Plugin>::new(CONFIG).run(|_| respond(403, "who are you?"));

        assert_eq!(played.finished.unwrap().outcome, Outcome::Failed("refused: 403 who are you?".into()));
    }
}

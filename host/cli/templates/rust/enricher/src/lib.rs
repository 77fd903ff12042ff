//! Adds the team that owns a rollout to its events, from an annotation.

use kulta_plugin::enricher::{Action, Occasion};
use kulta_plugin::{About, Enricher, Error};

pub struct Plugin;

/// The configuration, from `spec.config` of the Plugin object.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Annotation of the Rollout that names the team; default: `example.com/team`.
    annotation: Option<String>,
}

const ANNOTATION: &str = "example.com/team";

impl Enricher for Plugin {
    const ABOUT: About = About {
        name: env!("CARGO_PKG_NAME"),
        version: env!("CARGO_PKG_VERSION"),
        summary: "Adds the team that owns a rollout",
    };

    type Config = Config;

    /// The addition is stored as `customData.<name of the plugin>`.
    fn enrich(config: Config, input: &Occasion) -> Result<Action, Error> {
        let annotations = input.annotations()?;
        match annotations.get(config.annotation.as_deref().unwrap_or(ANNOTATION)) {
            Some(team) => Action::add(&serde_json::json!({ "name": team })),
            None => Ok(Action::nothing()),
        }
    }
}

kulta_plugin::export!(enricher: Plugin);

#[cfg(test)]
mod tests {
    use kulta_plugin::testing::canned;
    use kulta_plugin::testing::enricher::{addition, annotated, input};

    use super::*;

    #[test]
    fn the_annotations_team_is_added() {
        let (added, _) = addition::<Plugin>("{}", &annotated(&[(ANNOTATION, "checkout")]), canned([]));

        assert_eq!(added, Ok(r#"{"name":"checkout"}"#.to_owned()));
    }

    #[test]
    fn without_the_annotation_nothing_is_added() {
        let (added, _) = addition::<Plugin>(r#"{"annotation":"owner"}"#, &input(), canned([]));

        assert_eq!(added, Ok("{}".to_owned()));
    }
}

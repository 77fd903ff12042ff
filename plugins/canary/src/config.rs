//! The steps, as a user writes them in a Rollout.

use std::collections::BTreeMap;

use kulta_plugin::{Duration, Error};
use schemars::JsonSchema;
use serde::Deserialize;

/// Kubernetes stores weights and replica counts in signed 32-bit integers.
const MAX_COUNT: u32 = i32::MAX as u32;

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    #[serde(default)]
    pub steps: Vec<Step>,
    /// Absent: no background analysis.
    pub analysis: Option<Background>,
}

/// An analysis in the background of the update. The host evaluates its content.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Background {
    /// Index of the step with which it begins; default: it begins with the update.
    #[schemars(range(max = MAX_COUNT))]
    pub starting_step: Option<u32>,
}

/// One step. It has a field for each kind, as in Argo's own type, so that an unknown kind is an error that names it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schemars(extend("minProperties" = 1))]
pub struct Step {
    /// The new version's traffic, in parts of the maximum weight.
    #[schemars(range(max = MAX_COUNT))]
    pub set_weight: Option<u32>,
    /// Waits for a duration, or until a user promotes.
    pub pause: Option<Pause>,
    /// The new version's pods, independent of its traffic from this step on.
    pub set_canary_scale: Option<SetCanaryScale>,
    /// Waits for an analysis, and continues if it passes.
    pub analysis: Option<Analysis>,
    /// Waits for a step plugin's work, and continues when it is done.
    pub plugin: Option<Plugin>,
    /// Requests with these headers go to the new version, from this step on.
    pub set_header_route: Option<SetHeaderRoute>,
    /// Requests that match are copied to the new version, from this step on.
    pub set_mirror_route: Option<SetMirrorRoute>,
}

/// Without a match the route ends.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetHeaderRoute {
    pub name: String,
    #[serde(default, rename = "match")]
    pub matches: Vec<Header>,
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Header {
    pub header_name: String,
    pub header_value: Text,
}

/// Without a match the route ends.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetMirrorRoute {
    pub name: String,
    /// Absent: all matching requests are copied.
    #[schemars(range(max = 100))]
    pub percentage: Option<u32>,
    #[serde(default, rename = "match")]
    pub matches: Vec<Match>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Match {
    pub method: Option<Text>,
    pub path: Option<Text>,
    #[serde(default)]
    pub headers: BTreeMap<String, Text>,
}

/// Exactly one kind of match.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Text {
    Exact(String),
    Prefix(String),
    Regex(String),
}

/// The host passes its configuration to the step plugin.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
pub struct Plugin {
    pub name: String,
}

/// Only its presence matters here: the host evaluates its content.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize, JsonSchema)]
pub struct Analysis {}

#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pause {
    /// Absent: until a user promotes.
    pub duration: Option<Duration>,
}

/// `matchTrafficWeight` takes precedence over `replicas`, which takes precedence over `weight`. Without any, pods
/// follow the weight.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct SetCanaryScale {
    #[schemars(range(max = MAX_COUNT))]
    pub replicas: Option<u32>,
    #[schemars(range(max = MAX_COUNT))]
    pub weight: Option<u32>,
    #[serde(default)]
    pub match_traffic_weight: bool,
}

impl Config {
    /// Checks rules that the schema cannot express. All errors at once, one per line.
    pub fn check(&self) -> Result<(), Error> {
        let errors: Vec<String> = self
            .steps
            .iter()
            .enumerate()
            .filter_map(|(index, step)| Some(format!("steps[{index}]: {}", step.error()?)))
            .collect();
        if errors.is_empty() {
            return Ok(());
        }
        Err(Error::InvalidConfig(errors.join("\n")))
    }
}

impl Step {
    /// It changes traffic or pods.
    pub fn moves(&self) -> bool {
        self.set_weight.is_some()
            || self.set_canary_scale.is_some()
            || self.set_header_route.is_some()
            || self.set_mirror_route.is_some()
    }

    /// It has a kind that may stand beside others.
    fn has_other(&self) -> bool {
        self.set_canary_scale.is_some()
            || self.plugin.is_some()
            || self.set_header_route.is_some()
            || self.set_mirror_route.is_some()
    }

    fn error(&self) -> Option<&'static str> {
        let kinds = [self.set_weight.is_some(), self.pause.is_some(), self.analysis.is_some()];
        match kinds.into_iter().filter(|present| *present).count() {
            0 if !self.has_other() => Some(
                "must have one of setWeight, pause, setCanaryScale, setHeaderRoute, setMirrorRoute, analysis, plugin",
            ),
            0 | 1 => None,
            // A plugin may stand beside each of them, as in Argo Rollouts.
            _ => Some("setWeight, pause and analysis exclude each other"),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::Canary;
    use kulta_plugin::Error;
    use kulta_plugin::testing::strategy;

    fn error_of(steps: &str) -> String {
        match strategy::check_config::<Canary>(&format!(r#"{{"steps":{steps}}}"#)) {
            Err(Error::InvalidConfig(message)) => message,
            other => panic!("expected an invalid configuration for {steps}, got {other:?}"),
        }
    }

    #[test]
    fn every_kind_of_step_that_argo_accepts_is_accepted() {
        for steps in [
            "[]",
            r#"[{"setWeight":0},{"setWeight":100}]"#,
            r#"[{"pause":{}},{"pause":{"duration":30}},{"pause":{"duration":"30"}},{"pause":{"duration":"1h30m"}}]"#,
            r#"[{"setCanaryScale":{"replicas":3}},{"setCanaryScale":{"weight":25}},{"setCanaryScale":{"matchTrafficWeight":true}}]"#,
            r#"[{"setCanaryScale":{}}]"#,
            r#"[{"setWeight":10,"setCanaryScale":{"replicas":3}}]"#,
            r#"[{"analysis":{}},{"analysis":{"templates":[{"templateName":"errors"}],"args":[{"name":"a","value":"b"}]}}]"#,
            r#"[{"plugin":{"name":"team/gate","config":{"url":"x"},"disabled":true}},{"plugin":{"name":"team/gate"}}]"#,
            r#"[{"setHeaderRoute":{"name":"a","match":[{"headerName":"x","headerValue":{"exact":"y"}}]}},{"setHeaderRoute":{"name":"a"}}]"#,
            r#"[{"setMirrorRoute":{"name":"a","percentage":5,"match":[{"method":{"exact":"GET"},"path":{"prefix":"/"},"headers":{"x":{"regex":"y"}}}]}}]"#,
            r#"[{"setWeight":10,"plugin":{"name":"a"}},{"pause":{},"plugin":{"name":"a"}},{"analysis":{},"plugin":{"name":"a"}}]"#,
        ] {
            let checked = strategy::check_config::<Canary>(&format!(r#"{{"steps":{steps}}}"#));
            assert_eq!(checked, Ok(()), "{steps}");
        }
        assert_eq!(strategy::check_config::<Canary>("{}"), Ok(()), "no steps at all");
    }

    #[test]
    fn an_unknown_kind_of_step_is_named_by_its_path() {
        let message = error_of(r#"[{"setWeight":10},{"experiment":{}}]"#);
        assert!(message.starts_with("steps[1].experiment: "), "{message}");
    }

    #[test]
    fn a_background_analysis_is_accepted_with_all_that_it_measures() {
        for analysis in [r"{}", r#"{"startingStep":2,"templates":[{"templateName":"errors"}]}"#] {
            let checked = strategy::check_config::<Canary>(&format!(r#"{{"steps":[],"analysis":{analysis}}}"#));
            assert_eq!(checked, Ok(()), "{analysis}");
        }
    }

    #[test]
    fn a_negative_starting_step_is_named_by_its_path() {
        match strategy::check_config::<Canary>(r#"{"analysis":{"startingStep":-1}}"#) {
            Err(Error::InvalidConfig(message)) => {
                assert!(message.starts_with("analysis.startingStep: "), "{message}")
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_bad_duration_is_named_by_its_path() {
        for duration in [r#""5 minutes""#, "-1", r#""-1m""#, "1.5", "true"] {
            let message = error_of(&format!(r#"[{{"pause":{{"duration":{duration}}}}}]"#));
            assert!(message.starts_with("steps[0].pause.duration: "), "{message}");
        }
    }

    #[test]
    fn a_negative_weight_is_named_by_its_path() {
        let message = error_of(r#"[{"setWeight":-1}]"#);
        assert!(message.starts_with("steps[0].setWeight: "), "{message}");
    }

    #[test]
    fn all_impossible_steps_are_named_at_once() {
        let message = error_of(
            r#"[{},{"setWeight":1},{"setWeight":1,"pause":{}},{"setWeight":1,"analysis":{}},{"analysis":{},"pause":{}}]"#,
        );
        assert_eq!(
            message,
            "steps[0]: must have one of setWeight, pause, setCanaryScale, setHeaderRoute, setMirrorRoute, analysis, plugin\n\
             steps[2]: setWeight, pause and analysis exclude each other\n\
             steps[3]: setWeight, pause and analysis exclude each other\n\
             steps[4]: setWeight, pause and analysis exclude each other"
        );
    }
}

//! Tests of loading: served plugins, rejected components, and equal answers of components and native code.

use crate::analyzer::{Action, Occasion};
use crate::strategy::{Decision, Next, Situation};
use crate::testing::{BUILT_IN, HOSTILE, plugins, situation};
use crate::{CallError, CheckError, FailureClass, Kind, Limits, LoadError, Report};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

/// Answers of the native policies, recorded by the plugins' own tests.
const RECORDED: [(&str, &str); 3] = [
    ("blue-green", include_str!("../../../plugins/blue-green/recorded.jsonl")),
    ("canary", include_str!("../../../plugins/canary/recorded.jsonl")),
    ("linear", include_str!("../../../plugins/linear/recorded.jsonl")),
];

#[derive(Deserialize)]
struct Recorded {
    config: String,
    situation: Situation,
    answer: Result<Decision, crate::bindings::any::kulta::plugin::types::Error>,
}

async fn refusal(component: Vec<u8>) -> LoadError {
    BUILT_IN.load("theirs", component, Limits::default()).await.unwrap_err()
}

fn component(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

#[tokio::test]
async fn components_answer_as_the_native_policies_do() {
    let plugins = &*BUILT_IN;
    for (name, recorded) in RECORDED {
        let plugin = plugins.strategy(name).await.unwrap();
        for line in recorded.lines() {
            let recorded: Recorded = serde_json::from_str(line).unwrap();
            let answer = plugin.decide(&recorded.config, &recorded.situation).await;
            let expected = recorded.answer.map_err(|error| CallError::Reported(error.into()));
            assert_eq!(answer, expected, "{line}");
        }
    }
}

#[derive(Deserialize)]
struct RecordedMeasurement {
    config: String,
    /// The recordings use the name of the WIT.
    #[serde(rename = "occasion")]
    input: Occasion,
    answer: Result<Action, crate::bindings::any::kulta::plugin::types::Error>,
}

#[tokio::test]
async fn components_measure_as_the_native_analyzers_do() {
    for (name, recorded) in [
        ("prometheus", include_str!("../../../plugins/prometheus/recorded.jsonl")),
        ("web", include_str!("../../../plugins/web/recorded.jsonl")),
        ("datadog", include_str!("../../../plugins/datadog/recorded.jsonl")),
        ("graphite", include_str!("../../../plugins/graphite/recorded.jsonl")),
        ("influxdb", include_str!("../../../plugins/influxdb/recorded.jsonl")),
        ("newRelic", include_str!("../../../plugins/newrelic/recorded.jsonl")),
        ("skywalking", include_str!("../../../plugins/skywalking/recorded.jsonl")),
        ("wavefront", include_str!("../../../plugins/wavefront/recorded.jsonl")),
        ("threshold", include_str!("../../../plugins/threshold/recorded.jsonl")),
        ("sequential", include_str!("../../../plugins/sequential/recorded.jsonl")),
    ] {
        let plugin = BUILT_IN.analyzer(name).await.unwrap();
        for line in recorded.lines() {
            let recorded: RecordedMeasurement = serde_json::from_str(line).unwrap();
            let answer = plugin.analyze(&recorded.config, &recorded.input).await;
            let expected = recorded.answer.map_err(|error| CallError::Reported(error.into()));
            assert_eq!(answer, expected, "{name}: {line}");
        }
    }
}

#[derive(Deserialize)]
struct RecordedCondition {
    expression: String,
    value: String,
    answer: Result<bool, crate::bindings::any::kulta::plugin::types::Error>,
}

#[tokio::test]
async fn components_judge_as_the_native_conditions_do() {
    let plugin = BUILT_IN.condition(crate::CONDITION_LANGUAGE).await.unwrap();
    for line in include_str!("../../../plugins/conditions/recorded.jsonl").lines() {
        let recorded: RecordedCondition = serde_json::from_str(line).unwrap();
        let answer = plugin.evaluate("", &recorded.expression, &recorded.value).await;
        let expected = recorded.answer.map_err(|error| CallError::Reported(error.into()));
        assert_eq!(answer, expected, "{line}");
    }
}

#[tokio::test]
async fn an_expression_that_exhausts_its_memory_ends_only_its_own_call() {
    let plugin = BUILT_IN.condition(crate::CONDITION_LANGUAGE).await.unwrap();

    let hungry = plugin.evaluate("", "len(0..asInt(result)) > 0", "\"100000000\"").await;
    let next = plugin.evaluate("", "result > 1", "2").await;

    assert!(hungry.is_err(), "{hungry:?}");
    assert_eq!(next, Ok(true));
}

#[tokio::test]
async fn the_built_in_plugins_describe_themselves() {
    let plugins = &*BUILT_IN;
    plugins.warm().await;
    assert_eq!(plugins.names(Kind::Strategy), ["blue-green", "canary", "linear"]);
    for name in plugins.names(Kind::Strategy) {
        let plugin = plugins.strategy(&name).await.unwrap();
        assert_eq!(plugin.info().name, name);
        assert_eq!(plugin.info().version, env!("CARGO_PKG_VERSION"));
        assert!(!plugin.info().summary.is_empty());
        assert_eq!(plugin.digest().len(), "sha256:".len() + 64);
        assert!(plugin.config_schema().contains("2020-12"));
    }
}

#[tokio::test]
async fn an_unknown_name_is_reported_with_the_known_names() {
    let error = BUILT_IN.strategy("blue").await.unwrap_err();
    assert_eq!(error.to_string(), "there is no strategy plugin \"blue\"; there are: blue-green, canary, linear");
    assert_eq!(error.class(), FailureClass::Unknown);
}

#[tokio::test]
async fn concurrent_calls_get_the_same_plugin() {
    let plugins = plugins();
    let (one, other) = tokio::join!(plugins.strategy("linear"), plugins.strategy("linear"));
    assert!(Arc::ptr_eq(&one.unwrap(), &other.unwrap()));
}

#[tokio::test]
async fn a_component_reports_its_kinds_and_imports() {
    let loaded = BUILT_IN.load("theirs", HOSTILE.to_vec(), Limits::default()).await.unwrap();

    assert_eq!(loaded.kinds(), [Kind::Strategy]);
    assert!(loaded.imports().iter().any(|name| name == "kulta:plugin/log@0.1.0"), "{:?}", loaded.imports());
}

#[tokio::test]
async fn each_plugin_has_its_own_limits() {
    let limits = Limits { memory_bytes: 64 << 10, ..Limits::default() };

    let refused = BUILT_IN.load("theirs", HOSTILE.to_vec(), limits).await.unwrap_err();

    assert_eq!(refused.class(), FailureClass::OutOfMemory, "{refused}");
}

#[tokio::test]
async fn imports_other_than_the_log_are_rejected_by_name() {
    let error = refusal(component(
        r#"(component
            (import "wasi:clocks/wall-clock@0.2.0" (instance (export "now" (func (result u64)))))
            (import "run" (func))
            (import "kulta:plugin/types@0.1.0" (instance (type $n (record (field "n" u32))) (export "named" (type (eq $n)))))
        )"#,
    ));
    let error = error.await;
    let names = vec!["wasi:clocks/wall-clock@0.2.0".to_owned(), "run".to_owned()];
    assert_eq!(error, LoadError::ForbiddenImports(names));
    assert_eq!(error.class(), FailureClass::Refused);
}

#[tokio::test]
async fn an_unknown_function_of_the_log_is_rejected() {
    let hostile = r#"(component
        (import "kulta:plugin/log@0.1.0" (instance (export "erase" (func))))
        (instance $strategy)
        (export "kulta:plugin/strategy@0.1.0" (instance $strategy))
    )"#;
    let error = refusal(component(hostile)).await;
    assert!(matches!(&error, LoadError::Incompatible(why) if why.contains("erase")), "{error}");
}

#[tokio::test]
async fn a_component_of_no_known_kind_is_rejected_with_its_exports() {
    let error = refusal(component(r#"(component (instance $i) (export "acme:cats/purr" (instance $i)))"#));
    assert_eq!(
        error.await.to_string(),
        "not a plugin of any kind: it exports none of kulta:plugin/strategy, kulta:plugin/analyzer, kulta:plugin/enricher, \
         kulta:plugin/step, kulta:plugin/condition, but acme:cats/purr"
    );
}

#[tokio::test]
async fn bytes_that_are_no_component_are_rejected() {
    for bytes in [b"hello".to_vec(), Vec::new(), component("(module)")] {
        let error = refusal(bytes).await;
        assert!(matches!(error, LoadError::NotAComponent(_)), "{error}");
    }
}

#[tokio::test]
async fn a_component_over_the_size_limit_is_rejected_unread() {
    let error = refusal(vec![0; (32 << 20) + 1]).await;
    assert_eq!(error, LoadError::TooLarge { bytes: (32 << 20) + 1, limit: 32 << 20 });
}

#[tokio::test]
async fn good_configurations_pass_both_checks() {
    let plugins = &*BUILT_IN;
    for (name, config) in [
        ("canary", json!({"steps": []})),
        ("canary", json!({"steps": [{"setWeight": 10}, {"pause": {"duration": "1h30m"}}, {"pause": {}}]})),
        ("canary", json!({"steps": [{"setCanaryScale": {"replicas": 3}}, {"pause": {"duration": 30}}]})),
        ("linear", json!({"stepWeight": 10, "interval": "1m"})),
        ("linear", json!({"stepWeight": 10, "interval": 60, "maxWeight": 50})),
    ] {
        let checked = plugins.strategy(name).await.unwrap().check_config(&config).await;
        assert_eq!(checked, Ok(()), "{name} {config}");
    }
}

#[tokio::test]
async fn errors_of_a_configuration_are_named_by_their_paths() {
    let plugins = &*BUILT_IN;
    for (name, config, expected) in [
        ("canary", json!({"steps": [{"setWeight": 1}, {"experiment": {}}]}), "steps[1].experiment: unknown field"),
        ("canary", json!({"steps": [{"setWeight": -1}]}), "steps[0].setWeight: -1 is less than the minimum of 0"),
        ("canary", json!({"steps": [{"pause": {"duration": -1}}]}), "steps[0].pause.duration: -1 is less than"),
        ("canary", json!({"steps": [{"pause": {"duration": "5d"}}]}), "steps[0].pause.duration: \"5d\" does not match"),
        (
            "canary",
            json!({"steps": [{"pause": {"duration": "600000h"}}]}),
            "steps[0].pause.duration: a duration cannot be longer",
        ),
        ("canary", json!({"steps": [{"setCanaryScale": {"pods": 3}}]}), "steps[0].setCanaryScale.pods: unknown field"),
        (
            "canary",
            json!({"steps": [{"setWeight": 1, "pause": {}}]}),
            "steps[0]: setWeight, pause and analysis exclude each other",
        ),
        ("canary", json!({"step": []}), "step: unknown field"),
        ("linear", json!({"interval": 60}), "stepWeight: required"),
        ("linear", json!({"stepWeight": 0, "interval": 60}), "stepWeight: 0 is less than the minimum of 1"),
        ("linear", json!({"stepWeight": 10, "interval": 60, "maxWeight": 5}), "stepWeight: 10 is above maxWeight 5"),
    ] {
        let checked = plugins.strategy(name).await.unwrap().check_config(&config).await;
        let Err(error @ CheckError::Invalid(_)) = checked else {
            panic!("expected {config} to be invalid, got {checked:?}");
        };
        assert!(error.to_string().starts_with(expected), "{config}: {error}");
    }
}

#[tokio::test]
async fn a_weight_above_the_rollouts_largest_is_an_error_of_the_configuration() {
    let plugin = BUILT_IN.strategy("canary").await.unwrap();
    let config = r#"{"steps":[{"setWeight":150}]}"#;
    let error = plugin.decide(config, &situation()).await.unwrap_err();
    let message = "steps[0].setWeight: 150 is above the largest weight 100".to_owned();
    assert_eq!(error, CallError::Reported(Report::InvalidConfig(message)));
}

#[tokio::test]
async fn calls_work_again_after_the_clock_has_slept() {
    let plugin = BUILT_IN.strategy("canary").await.unwrap();
    // The clock goes to sleep after a second without calls.
    tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    let decision = plugin.decide(r#"{"steps":[]}"#, &situation()).await.unwrap();
    assert_eq!(decision.next, Next::Promote);
}

#[tokio::test]
async fn without_deadlines_the_answers_are_the_same() {
    let untimed = crate::Plugins::untimed(crate::Limits::default()).unwrap();
    let config = json!({ "steps": [{ "setWeight": 20 }] }).to_string();
    let timed = BUILT_IN.strategy("canary").await.unwrap().decide(&config, &situation()).await;

    let answer = untimed.strategy("canary").await.unwrap().decide(&config, &situation()).await;

    assert_eq!(format!("{answer:?}"), format!("{timed:?}"));
}

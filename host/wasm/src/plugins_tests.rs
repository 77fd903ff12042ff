//! Loading: what is served, what is refused, and that components answer as the native code does.

use crate::analyzer::{Action, Occasion};
use crate::strategy::{Decision, Next, Situation};
use crate::testing::{BUILT_IN, plugins, situation};
use crate::{CallError, CheckError, FailureClass, Kind, LoadError, LookupError, Report};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

/// Answers of the native policies, written by the plugins' own tests.
const RECORDED: [(&str, &str); 2] = [
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
    let plugins = plugins();
    plugins.insert(Kind::Strategy, "theirs", component);
    match plugins.strategy("theirs").await {
        Err(LookupError::Load { source, .. }) => source,
        other => panic!("expected a refusal, got {other:?}"),
    }
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
    occasion: Occasion,
    answer: Result<Action, crate::bindings::any::kulta::plugin::types::Error>,
}

#[tokio::test]
async fn components_measure_as_the_native_analyzers_do() {
    for (name, recorded) in [
        ("prometheus", include_str!("../../../plugins/prometheus/recorded.jsonl")),
        ("web", include_str!("../../../plugins/web/recorded.jsonl")),
        ("threshold", include_str!("../../../plugins/threshold/recorded.jsonl")),
        ("sequential", include_str!("../../../plugins/sequential/recorded.jsonl")),
    ] {
        let plugin = BUILT_IN.analyzer(name).await.unwrap();
        for line in recorded.lines() {
            let recorded: RecordedMeasurement = serde_json::from_str(line).unwrap();
            let answer = plugin.analyze(&recorded.config, &recorded.occasion).await;
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
async fn an_expression_that_wants_all_the_memory_only_ends_its_own_call() {
    let plugin = BUILT_IN.condition(crate::CONDITION_LANGUAGE).await.unwrap();

    let hungry = plugin.evaluate("", "len(0..asInt(result)) > 0", "\"100000000\"").await;
    let next = plugin.evaluate("", "result > 1", "2").await;


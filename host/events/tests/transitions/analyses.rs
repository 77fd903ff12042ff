//! Events of analysis runs and metrics, and links to a failed analysis.

use kulta_api::{OutboxEntry, Outcome, TransitionKind};
use serde_json::json;

use crate::support::{entry, origin, subject};

/// The run of step 1.
fn ended(kind: TransitionKind) -> OutboxEntry {
    OutboxEntry { run: Some("2-1".into()), outcome: Some(Outcome::Failure), why: Some("slow".into()), ..entry(kind) }
}

#[test]
fn a_run_is_a_test_suite_run_with_the_name_of_its_object() {
    let event = origin().event(&ended(TransitionKind::AnalysisFinished), &subject()).unwrap();

    assert_eq!(event.subject, "shop/checkout-7c9d8b6f5d-2-1");
    let content = &event.body["subject"]["content"];
    assert_eq!(
        (&content["testSuite"], &content["outcome"], &content["reason"]),
        (
            &json!({ "id": "shop/checkout/steps/1/analysis", "name": "steps/1/analysis" }),
            &json!("failure"),
            &json!("slow")
        )
    );
}

#[test]
fn a_run_without_a_step_is_the_background_analysis() {
    let entry = OutboxEntry { step: None, ..ended(TransitionKind::AnalysisStarted) };

    let event = origin().event(&entry, &subject()).unwrap();

    assert_eq!(event.body["subject"]["content"]["testSuite"]["name"], "background");
}

#[test]
fn a_metric_is_a_test_case_of_its_run() {
    let entry = OutboxEntry { metric: Some("latency".into()), ..ended(TransitionKind::MetricFinished) };

    let event = origin().event(&entry, &subject()).unwrap();

    let content = &event.body["subject"]["content"];
    assert_eq!(event.subject, "shop/checkout-7c9d8b6f5d-2-1/latency");
    assert_eq!(content["testSuiteRun"]["id"], "shop/checkout-7c9d8b6f5d-2-1");
    assert_eq!(content["testCase"], json!({ "id": "latency", "name": "latency", "type": "performance" }));
}

#[test]
fn the_effect_of_a_failed_analysis_links_to_it() {
    let cause = origin().event(&OutboxEntry { seq: 6, ..ended(TransitionKind::AnalysisFinished) }, &subject()).unwrap();
    for kind in [TransitionKind::ServiceRolledBack, TransitionKind::Finished] {
        let event = origin().event(&OutboxEntry { seq: 9, cause: Some(6), ..entry(kind) }, &subject()).unwrap();

        let link = json!({ "linkType": "RELATION", "linkKind": "causedBy", "target": { "contextId": cause.id } });
        assert!(event.body["context"]["links"].as_array().unwrap().contains(&link), "{}", event.body);
    }
}

use std::sync::PoisonError;

use serde_json::{Value as Json, json};

use super::fixtures::*;
use crate::{
    metrics::promql::{Evaluator, Query, Value},
    world::Settings,
};

const RATE: u32 = 100;

async fn stage(seed: u64) -> Stage {
    let stage = Stage::new(Settings { requests_per_second: RATE, seed, ..Settings::default() });
    for object in [class(), gateway(), service("good"), service("bad")] {
        stage.create(object).await;
    }
    stage.create(set("good", 2, &[])).await;
    stage.create(set("bad", 1, &[("kulta.test/error-ratio", "0.5"), ("kulta.test/latency", "300ms")])).await;
    stage
}

fn ask(stage: &Stage, query: &str) -> Vec<(String, f64)> {
    let store = stage.metrics.read().unwrap_or_else(PoisonError::into_inner);
    let answer = Evaluator::new(&store).instant(&Query::parse(query).unwrap(), stage.store.clock().now()).unwrap();
    let Value::Vector(rows) = answer else { panic!("no vector") };
    rows.into_iter().map(|row| (row.labels.get("app").to_owned(), row.value)).collect()
}

#[tokio::test(start_paused = true)]
async fn requests_follow_the_route_s_weights_and_answers_the_pods_labels() {
    let stage = stage(1).await;
    stage.create(route(&[("good", 80), ("bad", 20)])).await;

    pass(60_000).await;

    let rates = ask(&stage, "sum by (app) (rate(http_requests_total[30s]))");
    assert_eq!(rates.iter().map(|(app, _)| app.as_str()).collect::<Vec<_>>(), ["bad", "good"]);
    assert!((rates[0].1 - 20.0).abs() < 6.0 && (rates[1].1 - 80.0).abs() < 6.0, "{rates:?}");
    let errors = ask(
        &stage,
        "sum by (app) (rate(http_requests_total{code=~\"5..\"}[30s])) / sum by (app) (rate(http_requests_total[30s]))",
    );
    assert!((errors[0].1 - 0.5).abs() < 0.1 && errors[1].1 == 0.0, "{errors:?}");
    let median =
        ask(&stage, "histogram_quantile(0.5, sum by (le, app) (rate(http_request_duration_seconds_bucket[30s])))");
    assert!(median[0].1 > 0.2 && median[1].1 < 0.05, "{median:?}");
}

#[tokio::test(start_paused = true)]
async fn requests_are_sent_at_a_constant_rate_and_none_is_lost() {
    let stage = stage(1).await;
    stage.create(route(&[("good", 100), ("bad", 0)])).await;

    pass(10_000).await;

    let tally = stage.tallies.all()["default/app"];
    assert_eq!((tally.failed, tally.unserved), (0, 0));
    assert!(tally.succeeded.abs_diff(10 * u64::from(RATE)) <= u64::from(RATE), "{tally:?}");
}

#[tokio::test(start_paused = true)]
async fn requests_to_a_backend_without_endpoints_are_counted_as_unserved() {
    let stage = stage(1).await;
    stage.create(route(&[("good", 0), ("bad", 100)])).await;
    pass(5000).await;
    assert_eq!(stage.tallies.all()["default/app"].unserved, 0);

    stage.patch("ReplicaSet", "bad", json!({"spec": {"replicas": 0}})).await;
    pass(2000).await;

    let tally = stage.tallies.all()["default/app"];
    assert!(tally.unserved.abs_diff(2 * u64::from(RATE)) <= u64::from(RATE), "{tally:?}");
    let refused =
        ask(&stage, "envoy_cluster_upstream_rq{envoy_cluster_name=\"default_bad_80\",envoy_response_code=\"503\"}");
    assert!(refused[0].1 > 0.0 && refused.len() == 1, "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn a_deleted_pod_has_no_series_any_more() {
    let stage = stage(1).await;
    stage.create(route(&[("good", 50), ("bad", 50)])).await;
    pass(5000).await;

    stage.delete("ReplicaSet", "bad").await;
    pass(4000).await;

    assert_eq!(ask(&stage, "sum by (app) (http_requests_total)").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn labels_that_configure_the_simulation_are_not_on_the_series() {
    let stage = stage(1).await;
    pass(2000).await;

    assert!(ask(&stage, "http_requests_total{kulta_test_error_ratio!=\"\"}").is_empty());
    assert_eq!(
        ask(&stage, "http_requests_total{version=\"v1\",namespace=\"default\",pod=~\"bad-.+\",code=\"500\"}").len(),
        1
    );
}

/// The final state of a scenario: objects and samples.
async fn simulate(seed: u64) -> (Vec<Json>, String) {
    let stage = stage(seed).await;
    stage.create(route(&[("good", 50), ("bad", 50)])).await;
    pass(5000).await;
    stage.patch("ReplicaSet", "good", json!({"spec": {"replicas": 1}})).await;
    pass(5000).await;
    let kinds = ["Pod", "ReplicaSet", "EndpointSlice", "HTTPRoute", "Gateway"];
    let objects = kinds.iter().flat_map(|kind| stage.list(kind)).map(|object| Json::clone(&object)).collect();
    let samples = format!("{:?}", stage.metrics.read().unwrap_or_else(PoisonError::into_inner));
    (objects, samples)
}

#[tokio::test(start_paused = true)]
async fn the_same_scenario_twice_gives_the_same_objects_and_samples() {
    let (objects, samples) = simulate(1).await;
    let (again, samples_again) = simulate(1).await;

    assert_eq!(objects, again);
    assert_eq!(samples, samples_again);
    assert_ne!(samples, simulate(2).await.1);
}

#[tokio::test(start_paused = true)]
async fn a_version_that_becomes_bad_shows_it_in_the_next_scrape() {
    let stage = stage(1).await;
    stage.create(route(&[("good", 100), ("bad", 0)])).await;
    pass(10_000).await;
    let errors = "sum(increase(http_requests_total{app=\"good\",code=\"500\"}[2s]))";
    assert_eq!(ask(&stage, errors)[0].1, 0.0);

    for pod in stage.list("Pod").iter().filter(|pod| pod["metadata"]["labels"]["app"] == "good") {
        let name = pod["metadata"]["name"].as_str().unwrap();
        stage.patch("Pod", name, json!({"metadata": {"labels": {"kulta.test/error-ratio": "1"}}})).await;
    }
    pass(2000).await;

    assert!(ask(&stage, errors)[0].1 > 0.0);
}

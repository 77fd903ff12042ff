use axum::{
    body::{self, Body},
    http::{Method, Request, StatusCode},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value as Json, json};
use tower::ServiceExt;

use super::*;
use crate::metrics::Labels;

async fn ask(method: Method, target: &str, form: &'static str) -> (StatusCode, Json) {
    let mut store = Store::new(SignedDuration::from_hours(1));
    store.append(&Labels::metric("up").with("pod", "a"), Timestamp::from_second(10).unwrap(), 1.0).unwrap();
    let clock = Clock::starting_at(Timestamp::from_second(20).unwrap());
    let request = Request::builder()
        .method(method)
        .uri(target)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::from(form))
        .unwrap();
    let response = router(Arc::new(RwLock::new(store)), clock).oneshot(request).await.unwrap();
    let status = response.status();
    let bytes = body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, serde_json::from_slice(&bytes).unwrap_or_else(|_| String::from_utf8(bytes.to_vec()).unwrap().into()))
}

#[tokio::test(start_paused = true)]
async fn a_query_without_a_time_is_evaluated_now() {
    let (status, answer) = ask(Method::GET, "/api/v1/query?query=up", "").await;

    assert_eq!(status, StatusCode::OK);
    let row = json!({"metric": {"__name__": "up", "pod": "a"}, "value": [20, "1"]});
    assert_eq!(answer, json!({"status": "success", "data": {"resultType": "vector", "result": [row]}}));
}

#[tokio::test(start_paused = true)]
async fn a_form_is_answered_as_a_url_is() {
    let (status, answer) =
        ask(Method::POST, "/api/v1/query_range", "query=up+%2B+1&start=10&end=11.5&step=1s&timeout=5s").await;

    assert_eq!(status, StatusCode::OK);
    let run = json!({"metric": {"pod": "a"}, "values": [[10, "2"], [11, "2"]]});
    assert_eq!(answer, json!({"status": "success", "data": {"resultType": "matrix", "result": [run]}}));
}

#[tokio::test(start_paused = true)]
async fn an_unsupported_query_is_unprocessable_and_named() {
    let (status, answer) = ask(Method::GET, "/api/v1/query?query=deriv(up%5B1m%5D)", "").await;

    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(answer, json!({"status": "error", "errorType": "execution", "error": "deriv is not served"}));
}

#[tokio::test(start_paused = true)]
async fn bad_parameters_are_bad_data() {
    for target in [
        "query",
        "query?query=sum(",
        "query?query=up&time=noon",
        "query_range?query=up",
        "query_range?query=up&start=1&end=2",
        "query_range?query=up&start=2&end=1&step=1",
        "query_range?query=up&start=1&end=2&step=0",
        "query_range?query=up&start=1&end=20000&step=1",
        "query_range?query=up%5B1m%5D&start=1&end=2&step=1",
    ] {
        let (status, answer) = ask(Method::GET, &format!("/api/v1/{target}"), "").await;

        assert_eq!((status, &answer["errorType"]), (StatusCode::BAD_REQUEST, &json!("bad_data")), "{target}: {answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_unsupported_parameter_is_rejected() {
    let (status, answer) = ask(Method::GET, "/api/v1/query?query=up&limit=1", "").await;

    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(answer["error"], "the parameter limit is not served");
}

#[tokio::test(start_paused = true)]
async fn it_is_ready() {
    let (status, _) = ask(Method::GET, "/-/ready", "").await;

    assert_eq!(status, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn any_other_path_is_answered_with_the_served_ones() {
    let (status, answer) = ask(Method::GET, "/api/v1/labels", "").await;

    assert_eq!((status, &answer["errorType"]), (StatusCode::NOT_FOUND, &json!("not_found")));
}

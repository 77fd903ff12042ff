//! A server that speaks SkyWalking's query protocol, for tests: it checks method, path and the duration as the API does.

use kulta_plugin::fetch::{Answer, Request};
use kulta_plugin::testing::respond;
use serde_json::{Value, json};

/// Answers a query with this data.
pub fn skywalking(request: &Request, data: &Value) -> Answer {
    if request.method != "POST" || request.url != "http://oap:12800/graphql" {
        return respond(404, "");
    }
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let duration = &body["variables"]["duration"];
    let is_minute = |field: &str| duration[field].as_str().is_some_and(|text| text.len() == "2026-01-01 0930".len());
    if !body["query"].is_string() || duration["step"] != "MINUTE" || !is_minute("start") || !is_minute("end") {
        return respond(200, r#"{"errors":[{"message":"Variable 'duration' has an invalid value"}]}"#);
    }
    respond(200, &json!({ "data": data }).to_string())
}

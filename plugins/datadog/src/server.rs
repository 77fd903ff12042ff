//! A server that speaks Datadog's protocol, for tests: it checks method, path, keys and body as the API does.

use kulta_plugin::fetch::{Answer, Request, Response};
use kulta_plugin::testing::{NOW, respond};
use serde_json::{Value, json};

pub const API_KEY: &str = "kulta-secret-00000000000000000000000000000001";
pub const APP_KEY: &str = "kulta-secret-00000000000000000000000000000002";

/// Answers with this value: to v1 as the last point, to v2 as the only number.
pub fn datadog(request: &Request, value: Value) -> Answer {
    let header =
        |name: &str| request.headers.iter().find(|header| header.key == name).map(|header| header.value.as_str());
    if header("DD-API-KEY") != Some(API_KEY) || header("DD-APPLICATION-KEY") != Some(APP_KEY) {
        return respond(403, r#"{"errors":["Forbidden"]}"#);
    }
    let path = request.url.split_once("//").and_then(|(_, rest)| rest.find('/').and_then(|slash| rest.get(slash..)));
    match (request.method.as_str(), path.unwrap_or_default()) {
        ("GET", path) if path.starts_with("/api/v1/query?") => {
            ok(json!({ "status": "ok", "series": [{ "pointlist": [[NOW - 1, 7], [NOW, value]], "length": 2 }] }))
        }
        ("POST", "/api/v2/query/scalar") => scalar(&request.body, value),
        _ => respond(404, r#"{"errors":["Not Found"]}"#),
    }
}

fn scalar(body: &[u8], value: Value) -> Answer {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let attributes = &body["data"]["attributes"];
    let milliseconds = |field: &str| attributes[field].as_u64().is_some_and(|time| time > 1_000_000_000_000);
    let named = attributes["queries"].as_array().is_some_and(|queries| {
        queries.iter().all(|query| {
            query["data_source"] == "metrics" && query["name"].is_string() && query["aggregator"].is_string()
        })
    });
    if body["data"]["type"] != "scalar_request" || !milliseconds("from") || !milliseconds("to") || !named {
        return respond(400, r#"{"errors":["Bad Request"]}"#);
    }
    let columns = json!([{ "name": "query", "type": "number", "values": [value] }]);
    ok(json!({ "data": { "type": "scalar_response", "attributes": { "columns": columns } } }))
}

fn ok(body: Value) -> Answer {
    Ok(Response::new(200, body.to_string()))
}

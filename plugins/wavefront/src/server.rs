//! A server that speaks Wavefront's query API, for tests: it checks method, URL, token and parameters as the API does.

use kulta_plugin::fetch::{Answer, Request};
use kulta_plugin::testing::{NOW, respond};
use serde_json::{Value, json};

pub const TOKEN: &str = "kulta-secret-00000000000000000000000000000001";

/// Answers a query with these points, each a time in seconds and a value, as the only series.
pub fn wavefront(request: &Request, points: &Value) -> Answer {
    let header =
        |name: &str| request.headers.iter().find(|header| header.key == name).map(|header| header.value.as_str());
    if header("Authorization") != Some(format!("Bearer {TOKEN}").as_str()) {
        return respond(401, r#"{"status":{"result":"ERROR","message":"Unauthorized","code":401}}"#);
    }
    let (path, parameters) = request.url.split_once('?').unwrap_or((&request.url, ""));
    if request.method != "GET" || path != "https://example.wavefront.com/api/v2/chart/api" {
        return respond(404, "");
    }
    let of = |name: &str| parameters.split('&').find_map(|parameter| parameter.strip_prefix(name)?.strip_prefix('='));
    let now = NOW.to_string();
    let is_instant = of("s") == Some(now.as_str()) && of("e") == Some(now.as_str());
    if of("q").is_none() || !is_instant || of("g") != Some("s") || of("i") != Some("true") {
        return respond(400, r#"{"status":{"result":"ERROR","message":"bad parameters","code":400}}"#);
    }
    let answer =
        json!({ "query": "q", "timeseries": [{ "label": "a", "host": "h", "data": points }], "granularity": 1 });
    respond(200, &answer.to_string())
}

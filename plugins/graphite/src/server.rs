//! A server that speaks Graphite's render API, for tests: it checks method, path and parameters as the API does.

use kulta_plugin::fetch::{Answer, Request};
use kulta_plugin::testing::respond;
use serde_json::{Value, json};

/// Renders these points, each a value and a time, as the only series.
pub fn graphite(request: &Request, points: &Value) -> Answer {
    let (path, parameters) = request.url.split_once('?').unwrap_or((&request.url, ""));
    if request.method != "GET" || !path.ends_with("/render") {
        return respond(404, "Not Found");
    }
    let of = |name: &str| parameters.split('&').filter(|parameter| parameter.split('=').next() == Some(name)).count();
    if of("target") == 0 || of("format") != 1 || !parameters.contains("format=json") || parameters.contains(' ') {
        return respond(400, "bad parameters");
    }
    respond(200, &json!([{ "target": "a", "tags": {}, "datapoints": points }]).to_string())
}

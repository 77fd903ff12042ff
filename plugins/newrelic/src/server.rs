//! A server that speaks NerdGraph, for tests: it checks method, URL, key, query and variables as the API does.

use kulta_plugin::fetch::{Answer, Request};
use kulta_plugin::testing::respond;
use serde_json::{Value, json};

pub const API_KEY: &str = "kulta-secret-00000000000000000000000000000001";
pub const ACCOUNT: &str = "1234567";

/// Answers an NRQL query with these rows.
pub fn nerdgraph(request: &Request, rows: &Value) -> Answer {
    let header =
        |name: &str| request.headers.iter().find(|header| header.key == name).map(|header| header.value.as_str());
    if header("Api-Key") != Some(API_KEY) {
        return respond(401, r#"{"errors":[{"message":"Invalid credentials provided"}]}"#);
    }
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let variables = &body["variables"];
    if request.method != "POST"
        || !request.url.ends_with("/graphql")
        || header("Content-Type") != Some("application/json")
    {
        return respond(404, "");
    }
    let known = |name: &str| body["query"].as_str().is_some_and(|query| query.contains(&format!("${name}:")));
    let declared = variables.as_object().is_some_and(|all| all.keys().all(|name| known(name)));
    if !declared || variables["accountId"].as_u64().is_none() || !variables["query"].is_string() {
        return respond(200, r#"{"errors":[{"message":"Variables are not declared"}]}"#);
    }
    let answer = json!({ "data": { "actor": { "account": { "nrql": { "results": rows } } } } });
    respond(200, &answer.to_string())
}

//! `recorded.jsonl`: the policy's answers to many inputs. The host replays it through the component.
//! `UPDATE_RECORDED=1 cargo test` regenerates it.

use crate::Prometheus;
use kulta_plugin::analyzer::{Call, Occasion};
use kulta_plugin::fetch::{Answer, Failure};
use kulta_plugin::testing::analyzer::{input, record, with_fact};
use kulta_plugin::testing::respond;

const CONFIGS: [&str; 4] = [
    r#"{"query":"up"}"#,
    r#"{"query":"sum(x{a=\"ü\"})","address":"https://p/prom","timeout":5,"insecure":true,"headers":[{"key":"X-Scope-OrgID","value":"t"}],"authentication":{"basicAuth":{"username":"u","password":"p"}}}"#,
    r#"{"query":"up","address":"http://p","rangeQuery":{"start":"now() - duration(\"1h\")","end":"now()","step":"30s"},"authentication":{"oauth2":{"tokenUrl":"https://t","clientId":"i","clientSecret":"s","scopes":["a"]}}}"#,
    r#"{"query":"up","address":"nowhere"}"#,
];

#[test]
fn the_recording_equals_the_policys_answers() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/recorded.jsonl");
    let answers = record::<Prometheus>(&calls()).unwrap();
    if std::env::var_os("UPDATE_RECORDED").is_some() {
        std::fs::write(path, &answers).unwrap();
    }
    let recorded = std::fs::read_to_string(path).unwrap_or_default();
    assert!(recorded == answers, "recorded.jsonl is stale: UPDATE_RECORDED=1 cargo test");
}

fn answers() -> Vec<Answer> {
    let data = |result: &str| respond(200, &format!(r#"{{"status":"success","data":{result}}}"#));
    vec![
        data(r#"{"resultType":"scalar","result":[1767225600,"0.5"]}"#),
        data(
            r#"{"resultType":"vector","result":[{"metric":{"a":"b"},"value":[1767225600.123,"0.95"]},{"metric":{},"value":[1,"NaN"]}]}"#,
        ),
        data(r#"{"resultType":"vector","result":[]}"#),
        data(r#"{"resultType":"matrix","result":[{"metric":{},"values":[[1,"1"],[2,"+Inf"]]}]}"#),
        data(r#"{"resultType":"string","result":[1,"x"]}"#),
        respond(400, r#"{"status":"error","errorType":"bad_data","error":"1:5: parse error"}"#),
        respond(200, "<html></html>"),
        Err(Failure::Timeout),
        Err(Failure::TooLarge(2_097_152)),
        Err(Failure::Denied("169.254.169.254".into())),
    ]
}

fn calls() -> Vec<(String, Occasion)> {
    let mut calls = Vec::new();
    for config in CONFIGS {
        calls.push((config.to_owned(), input()));
        calls.push((config.to_owned(), with_fact(input(), promql::ADDRESS_FACT, "http://default:9090")));
    }
    for answer in answers() {
        calls.push((CONFIGS[0].to_owned(), Occasion { answers: vec![answer], ..input() }));
    }
    calls.push((CONFIGS[0].to_owned(), Occasion { call: Call::Terminate, ..input() }));
    calls
}

//! `recorded.jsonl`: what the language answers. The host replays it through the component.
//! `UPDATE_RECORDED=1 cargo test` regenerates it.

use crate::Conditions;
use kulta_plugin::testing::condition::record;

const EXPRESSIONS: [&str; 22] = [
    "result[0] >= 0.95",
    "len(result) > 0 && result[0] < 1",
    "isNaN(result[0])",
    "isInf(result)",
    "default(result, 0) < 0.05",
    "isNil(result) || asFloat(result) > 1",
    "all(result, # < 1000)",
    "result.ok == true",
    "asInt(result) == 1",
    "result | filter(# > 1) | len() == 1",
    "result",
    "missing > 1",
    "result[0] >",
    "len(0..100000000) > 1",
    "result matches \"^[0-9.]+$\"",
    "result not contains \"x\"",
    "all(result, {# < 1})",
    "now().Year() == 2025",
    "/*now:1764432000000*/now() - date(\"2025-11-29\") == duration(\"16h\")",
    "fromJSON(toJSON(result)) == result",
    "let copy = result; copy == result",
    "isNaN(result)",
];
const VALUES: [&str; 9] =
    ["[0.95]", "[]", r#"["NaN"]"#, r#""+Inf""#, "null", "0.01", r#"{"ok":true}"#, r#""1""#, "[1,2,3]"];

#[test]
fn the_recording_holds_what_the_language_answers() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/recorded.jsonl");
    // As deep and as long as an expression may be.
    let deep = format!("{}true{}", "(".repeat(128), ")".repeat(128));
    let long = format!("{} == 256", vec!["1"; 256].join("+"));
    let calls: Vec<(String, String)> = EXPRESSIONS
        .iter()
        .flat_map(|expression| VALUES.map(|value| ((*expression).to_owned(), value.to_owned())))
        .chain([deep, long].map(|expression| (expression, "1".to_owned())))
        .collect();
    let answers = record::<Conditions>(&calls).unwrap();
    if std::env::var_os("UPDATE_RECORDED").is_some() {
        std::fs::write(path, &answers).unwrap();
    }
    let recorded = std::fs::read_to_string(path).unwrap_or_default();
    assert!(recorded == answers, "recorded.jsonl is stale: UPDATE_RECORDED=1 cargo test");
}

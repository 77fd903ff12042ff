//! The language by tables, called as the host calls it: the value as JSON.

use crate::Conditions;
use kulta_plugin::Error;
use kulta_plugin::testing::condition::{check_config, evaluate};

/// A debug build takes several times the stack that the component does.
const STACK_BYTES: usize = 16 << 20;

fn holds(expression: &str, value: &str) -> bool {
    evaluate::<Conditions>(expression, value).unwrap_or_else(|error| panic!("{expression} of {value}: {error:?}"))
}

fn invalid(expression: &str, value: &str) -> String {
    match evaluate::<Conditions>(expression, value) {
        Err(Error::InvalidConfig(message)) => message,
        other => panic!("expected an invalid expression for {expression} of {value}, got {other:?}"),
    }
}

fn unavailable(expression: &str, value: &str) -> String {
    match evaluate::<Conditions>(expression, value) {
        Err(Error::Unavailable(message)) => message,
        other => panic!("expected unavailable for {expression} of {value}, got {other:?}"),
    }
}

#[test]
fn conditions_of_argo_rollouts_documentation_hold() {
    for (expression, value) in [
        ("result[0] >= 0.95", "[0.95]"),
        ("len(result) == 0 || result[0] >= 0.95", "[]"),
        ("len(result) > 0 && result[0] <= 0.05", "[0.01]"),
        ("isNaN(result[0]) || result[0] >= 0.95", r#"["NaN"]"#),
        ("isInf(result[0])", r#"["+Inf"]"#),
        ("isInf(result)", r#""-Inf""#),
        ("all(result, # < 1000)", "[1,999.9]"),
        ("all(result, {# > 1})", "[2,3]"),
        (
            "all(result.service_apdex.values.values, {# > 1})",
            r#"{"service_apdex":{"label":null,"values":{"values":[2,2]}}}"#,
        ),
        ("any(result, {# > 1})", "[0,3]"),
        ("2 in result", "[2,2]"),
        ("result == true", "true"),
        ("result.ok && result.successPercent >= 0.90", r#"{"ok":true,"successPercent":0.95}"#),
        ("asInt(result) == 1", r#""1""#),
        ("asInt(result) == 1", "1.123"),
        ("asFloat(result) >= 1.1", r#""1.1""#),
        ("asFloat(result) == 1", "1"),
        ("default(result, 0) < 0.05", "null"),
        ("default(result, 0) < 0.05", "0.01"),
        ("isNil(result) || result <= 0.05", "null"),
        ("result == nil", "null"),
        ("result <= 0.05 ? true : false", "0.05"),
        ("not (result[0] > 1) and result[-1] == 1", "[0,1]"),
        ("(result[0] ?? 1) < 1", "[0]"),
        ("result | filter(# > 1) | len() == 1", "[1,2]"),
        ("filter(result, # > 1)[0] == 2", "[1,2]"),
        ("sum(result) / len(result) < 2", "[1,2]"),
        ("let worst = max(result); worst < 3", "[1,2]"),
        ("result.status in [\"ok\", 'fine']", r#"{"status":"ok"}"#),
        ("result contains \"ok\"", r#""all ok""#),
    ] {
        assert!(holds(expression, value), "{expression} of {value}");
    }
}

#[test]
fn what_is_not_so_is_not() {
    for (expression, value) in [
        ("result[0] >= 0.95", "[0.94]"),
        ("result[0] >= 0.95", r#"["NaN"]"#),
        ("result[0] < 0.95", r#"["NaN"]"#),
        ("result[0] == result[0]", r#"["NaN"]"#),
        ("result == true", "false"),
        ("isNil(result)", "[]"),
        ("isNaN(result)", "1"),
        ("asFloat(result) == \"1.1\"", r#""1.1""#),
    ] {
        assert!(!holds(expression, value), "{expression} of {value}");
    }
}

#[test]
fn default_and_is_nil_look_at_the_whole_result() {
    assert!(holds("default(result[0], 5) == result", "[1]"));
    assert!(!holds("isNil(nil)", "[1]"));
    assert!(holds("isNil(1)", "null"));
}

#[test]
fn an_answer_that_is_no_bool_is_refused() {
    for (expression, value, name) in [
        ("1", "true", "int"),
        ("result", "1", "float64"),
        ("\"true\"", "1", "string"),
        ("nil", "1", "<nil>"),
        ("result", "[1]", "[]interface {}"),
    ] {
        assert_eq!(invalid(expression, value), format!("expected bool, but got {name}"));
    }
}

#[test]
fn unknown_names_are_named() {
    assert_eq!(invalid("invalidVariable", "true"), "unknown name invalidVariable");
    assert_eq!(invalid("isBad(result)", "true"), "unknown name isBad");
}

#[test]
fn an_index_that_is_not_there_is_an_error_and_never_true() {
    for expression in ["result[1] != 5", "result[1] == nil", "!(result[1] > 5)", "result[-3] != 5"] {
        let message = unavailable(expression, "[1,2]".replace("1,2", "1").as_str());
        assert!(message.starts_with("index out of range: "), "{expression}: {message}");
    }
    assert!(holds("result[\"missing\"] == nil", r#"{"a":1}"#));
}

#[test]
fn no_data_is_said_to_be_so() {
    for (expression, value) in [("result[0] >= 1", "[]"), ("result >= 1", "null"), ("result", "null")] {
        assert!(unavailable(expression, value).starts_with("metric result is nil or empty"), "{expression}");
    }
}

#[test]
fn what_cannot_be_applied_is_unavailable() {
    for (expression, value, start) in [
        ("asInt(result) == 1", r#""1.1""#, "strconv.ParseInt: parsing \"1.1\": invalid syntax"),
        ("asFloat(result) == 1", r#""NotANum""#, "strconv.ParseFloat: parsing \"NotANum\": invalid syntax"),
        ("asFloat(result) == 1", r#""1e999""#, "strconv.ParseFloat: parsing \"1e999\": value out of range"),
        ("asInt(result) == 1", "true", "asInt() not supported on bool"),
        ("isNaN(result)", r#""x""#, "isNaN() takes a number, not string"),
        ("result[0] == 1", "1", "cannot take 0 out of float64"),
        ("result > 1", r#""x""#, "Invalid operands"),
        ("result > 1", "{", "the value is not JSON: "),
        ("default(result)", "1", "default() takes 2 arguments"),
    ] {
        let message = unavailable(expression, value);
        assert!(message.starts_with(start), "{expression} of {value}: {message}");
    }
}

#[test]
fn what_is_no_expression_says_where() {
    for (expression, start) in [
        ("", "not an expression at 1:1: expected "),
        ("result[0] >=", "not an expression at 1:13: expected "),
        ("result[0] >= 1 &&& true", "not an expression at 1:18: expected "),
        ("result[0", "brackets do not match"),
    ] {
        let message = invalid(expression, "[1]");
        assert!(message.starts_with(start), "{expression}: {message}");
    }
}

#[test]
fn what_the_language_lacks_here_is_said() {
    for expression in ["result matches \"a.*\"", "now() == result", "result.Name() == 'hi'"] {
        assert!(unavailable(expression, r#"{"Name":1}"#).contains("feature"), "{expression}");
    }
}

#[test]
fn hostile_expressions_end_in_an_error() {
    let value = "[1]";
    let nested = |open: &str, close: &str, times: usize| format!("{}1{} == 1", open.repeat(times), close.repeat(times));
    for expression in [
        "len(0..100000000) > 1".to_owned(),
        "x".repeat(5 << 20),
        nested("(", ")", 10_000),
        nested("[", "]", 1_000),
        nested("f(", ")", 1_000),
        "!".repeat(4_000),
        "a?".repeat(200),
        "result".to_owned() + &"[0".repeat(1_000),
    ] {
        invalid(&expression, value);
    }
}

#[test]
fn expressions_at_their_bounds_are_judged() {
    let deep = format!("{}true{}", "(".repeat(32), ")".repeat(32));
    let long = format!("{} == 256", vec!["1"; 256].join("+"));
    let ternaries = format!("{}true", "false ? false : ".repeat(128));
    let indexed = format!("{}0{} == 0", "[0][".repeat(4), "]".repeat(4));
    let judged = std::thread::Builder::new()
        .stack_size(STACK_BYTES)
        .spawn(move || [deep, long, ternaries, indexed].map(|expression| holds(&expression, "1")));
    assert_eq!(judged.unwrap().join().unwrap(), [true; 4]);
}

#[test]
fn a_value_larger_than_the_host_keeps_is_refused() {
    let value = format!("\"{}\"", "x".repeat(5 << 20));
    assert!(unavailable("true", &value).starts_with("the value is 5242882 bytes long"));
}

#[test]
fn nothing_can_be_configured() {
    assert_eq!(check_config::<Conditions>("{}"), Ok(()));
    assert!(check_config::<Conditions>(r#"{"a":1}"#).is_err());
}

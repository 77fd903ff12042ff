//! Table tests of the language, called as the host calls it: the value as JSON.

use crate::Conditions;
use kulta_plugin::Error;
use kulta_plugin::testing::condition::{check_config, evaluate};

/// A debug build takes several times the stack of the component.
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
        ("isNil(result) || true", "null"),
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
fn false_conditions_are_false() {
    for (expression, value) in [
        ("result[0] >= 0.95", "[0.94]"),
        ("result[0] >= 0.95", r#"["NaN"]"#),
        ("result[0] < 0.95", r#"["NaN"]"#),
        ("result[0] == result[0]", r#"["NaN"]"#),
        ("result == true", "false"),
        ("isNil(result)", "[]"),
        ("isNaN(result)", "1"),
    ] {
        assert!(!holds(expression, value), "{expression} of {value}");
    }
}

#[test]
fn default_and_is_nil_apply_to_the_whole_result() {
    assert!(holds("default(result[0], 5) == result", "[1]"));
    assert!(!holds("isNil(nil)", "[1]"));
    assert!(holds("isNil(1)", "null"));
}

#[test]
fn a_condition_that_is_never_a_boolean_is_rejected() {
    for (expression, words) in [("1", "an integer"), ("\"true\"", "a string"), ("nil", "nil"), ("1 / 2", "a number")] {
        assert_eq!(invalid(expression, "1"), format!("the condition is {words}, a boolean is wanted"));
    }
}

#[test]
fn an_answer_that_is_not_a_boolean_is_an_error_for_this_value() {
    for (value, words) in [("1", "a number"), ("[1]", "a list"), ("\"true\"", "a string"), ("{}", "an object")] {
        assert_eq!(unavailable("result", value), format!("the condition is {words}, a boolean is wanted"));
    }
}

#[test]
fn unknown_names_are_named() {
    assert_eq!(invalid("invalidVariable", "true"), "unknown name invalidVariable");
    assert_eq!(invalid("isBad(result)", "true"), "unknown name isBad");
}

#[test]
fn an_index_out_of_range_is_an_error_and_never_true() {
    for expression in ["result[1] != 5", "result[1] == nil", "!(result[1] > 5)", "result[-3] != 5"] {
        let message = unavailable(expression, "[1,2]".replace("1,2", "1").as_str());
        assert!(message.contains("index out of range: "), "{expression}: {message}");
    }
    assert!(holds("result[\"missing\"] == nil", r#"{"a":1}"#));
}

#[test]
fn an_empty_result_is_reported() {
    for (expression, value) in [("result[0] >= 1", "[]"), ("result >= 1", "null"), ("result", "null")] {
        assert!(unavailable(expression, value).starts_with("metric result is nil or empty"), "{expression}");
    }
}

#[test]
fn an_inapplicable_expression_is_unavailable() {
    for (expression, value, start) in [
        ("asInt(result) == 1", r#""1.1""#, "asInt(): \"1.1\" is no integer"),
        ("asFloat(result) == 1", r#""NotANum""#, "asFloat(): \"NotANum\" is no number"),
        ("asFloat(result) == 1", r#""1e999""#, "asFloat(): \"1e999\" is out of range"),
        ("asInt(result) == 1", "true", "asInt() takes a number or a string, not a boolean"),
        ("isNaN(result)", r#""x""#, "isNaN() takes a number, not a string"),
        ("result[0] == 1", "1", "result is a number, which has no 0"),
        ("result > 1", r#""x""#, "> cannot be applied: result is a string, 1 is an integer"),
        ("result > 1", "[2]", "result is a list: write result[0] (> cannot be applied to a list)"),
        ("isNaN(result)", "[2]", "result is a list: write result[0] (isNaN() takes a number, not a list)"),
        ("result.a > 1", r#"{"a":[2]}"#, "result.a is a list: write result.a[0] (> cannot be applied to a list)"),
        ("result.a > 1", r#"[{"a":2}]"#, "result is a list, which has no a: write result[0].a or all(result, .a …)"),
        ("result > 1", "{", "the value is not JSON: "),
    ] {
        let message = unavailable(expression, value);
        assert!(message.starts_with(start), "{expression} of {value}: {message}");
    }
}

#[test]
fn a_syntax_error_is_reported_with_its_position() {
    for (expression, start) in [
        ("", "not an expression at 1:1: unexpected the end"),
        ("result[0] >=", "not an expression at 1:13: unexpected the end"),
        ("result[0] >= 1 &&& true", "not an expression at 1:18: unexpected &"),
        ("result[0", "not an expression at 1:9: expected ], found the end"),
        ("result == 1 # 2", "not an expression at 1:13: unexpected #"),
        ("# > 1", "not an expression at 1:1: # means an element of a list"),
        ("result ?? 1 < 2", "not an expression at 1:13: < and ?? cannot be mixed"),
        ("result == \n\"a", "not an expression at 2:1: the text is not closed"),
    ] {
        let message = invalid(expression, "[1]");
        assert!(message.starts_with(start), "{expression}: {message}");
    }
}

#[test]
fn an_expression_that_is_invalid_for_every_value_is_rejected() {
    for (expression, start) in [
        ("default(result)", "default() takes 2 arguments"),
        ("result matches \"[\"", "\"[\" is no regular expression"),
        ("\"a\" > 1", "> cannot be applied: \"a\" is a string, 1 is an integer"),
        ("len(result, 1) > 1", "len() takes 1 argument, not 2"),
        ("asFloat(result) == \"1.1\"", "== cannot be applied: asFloat(result) is a number, \"1.1\" is a string"),
        ("let x = 1; let x = 2; true", "x is known already"),
    ] {
        for value in ["null", "[1]", "1"] {
            let message = invalid(expression, value);
            assert!(message.starts_with(start), "{expression}: {message}");
        }
    }
}

#[test]
fn now_is_the_time_that_the_host_passes() {
    // 2025-11-29T16:00:00Z, a Saturday.
    let at = |expression: &str| format!("/*now:1764432000000*/{expression}");
    for expression in [
        "now().Year() == 2025 and now().Hour() == 16",
        "now().Month().String() == \"November\" and now().Weekday().String() == \"Saturday\"",
        "now() - date(\"2025-11-29\") == duration(\"16h\")",
        "date(result) > now() - duration(\"1h30m\")",
        "now().Sub(date(result)).Minutes() <= 90",
        "now().Unix() - date(result).Unix() == 3600",
        "now().Format(\"2006-01-02 15:04 Mon Jan 2 3PM .000\") == \"2025-11-29 16:00 Sat Nov 29 4PM .000\"",
        "date(\"29 Nov 25 16:00 UTC\") == now()",
        "date(\"Sat, 29 Nov 2025 16:00:00 GMT\") == now()",
        "date(\"29/11/2025 18:00 +0200\", \"02/01/2006 15:04 -0700\") == now()",
        "now().AddDate(0, 1, 2).Day() == 31",
        "string(duration(\"90m\")) == \"1h30m0s\" and string(duration(\"1.5ms\")) == \"1.5ms\"",
        "string(now()) == \"2025-11-29 16:00:00 +0000 UTC\"",
    ] {
        assert!(holds(&at(expression), "\"2025-11-29T15:00:00Z\""), "{expression}");
    }
    assert!(unavailable("now() > date(result)", "\"2025-11-29\"").contains("the time is not given"));
}

#[test]
fn an_index_ends_a_search_only_if_an_element_is_missing() {
    for (expression, value) in [
        ("result?.a?.b == nil", r#"{"a":null}"#),
        ("result?.[0] == 1", "[1]"),
        ("result.a not contains \"x\" and result.a not in [\"b\"]", r#"{"a":"c"}"#),
        ("result.n + 1 not in [1]", r#"{"n":1}"#),
        ("if result > 1 {true} else if result == 1 {true} else {false}", "1"),
        ("sum(map(filter(result, .n > 1), .n)) == 5", r#"[{"n":1},{"n":2},{"n":3}]"#),
        ("reduce(result, #acc + #.n, 0) == 6", r#"[{"n":1},{"n":2},{"n":3}]"#),
        ("groupBy(result, .ok)[true][0].n == 1", r#"[{"n":1,"ok":true},{"n":2,"ok":false}]"#),
        ("sortBy(result, \"n\", \"desc\")[0].n == 2", r#"[{"n":1},{"n":2}]"#),
        ("result | map(.n) | sort() | last() == 2", r#"[{"n":2},{"n":1}]"#),
        ("fromJSON(result).a[0] == 1", r#""{\"a\":[1]}""#),
        ("fromBase64(toBase64(result)) == result", "\"naïve\""),
        ("result matches \"(?i)^OK\" and result not matches \"\\\\d\"", "\"ok\""),
        ("split(result, \",\")[1] == \"b\" and join(split(result, \",\"), \"-\") == \"a-b\"", "\"a,b\""),
        ("toJSON(result) == \"{\\n  \\\"a\\\": [\\n    1.5\\n  ]\\n}\"", r#"{"a":[1.5]}"#),
        ("string(1000000.0) == \"1e+06\" and string([1, nil]) == \"[1 <nil>]\"", "1"),
        ("7 / 2 == 3.5 and 7 % 2 == 1 and 2 ** 3 == 8 and -2 ** 2 == -4", "1"),
        ("1..3 != [1, 2, 3] and [1] != [1.0] and 1 == 1.0", "1"),
        ("max(result) == 3 and max(1, 2.5) == 2.5", "[1,3]"),
    ] {
        assert!(holds(expression, value), "{expression} of {value}");
    }
}

#[test]
fn hostile_expressions_end_in_an_error() {
    let value = "[1]";
    let nested = |open: &str, close: &str, times: usize| format!("{}1{} == 1", open.repeat(times), close.repeat(times));
    for expression in [
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
    for expression in ["len(0..100000000) > 1", "len(repeat(\"a\", 100000000)) > 1", "any(0..999, len(0..99999) == #)"]
    {
        let message = unavailable(expression, value);
        assert!(message.contains("too many elements") || message.contains("more than"), "{expression}: {message}");
    }
}

#[test]
fn expressions_at_their_limits_are_evaluated() {
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
fn a_value_over_the_hosts_limit_is_rejected() {
    let value = format!("\"{}\"", "x".repeat(5 << 20));
    assert!(unavailable("true", &value).starts_with("the value is 5242882 bytes long"));
}

#[test]
fn there_is_no_configuration() {
    assert_eq!(check_config::<Conditions>("{}"), Ok(()));
    assert!(check_config::<Conditions>(r#"{"a":1}"#).is_err());
}

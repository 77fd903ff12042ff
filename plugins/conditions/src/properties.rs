//! Whatever is written, there is an answer or an error.

use crate::Conditions;
use kulta_plugin::testing::condition::evaluate;
use proptest::prelude::*;

fn piece() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "result",
        "[",
        "]",
        "(",
        ")",
        "{",
        "}",
        "0",
        "1.5",
        ".",
        "?.",
        "?",
        ":",
        "??",
        "|",
        "||",
        "&&",
        "!",
        "not ",
        " in ",
        ",",
        "'a'",
        "\"",
        "`",
        "#",
        "..",
        "-",
        "+",
        "**",
        ">",
        "==",
        "len",
        "all",
        "filter",
        "let ",
        "x",
        "=",
        ";",
        " if ",
        " else ",
        "é",
        "//",
        "/*",
        "asInt",
        "isNaN",
        "default",
        "nil",
        "true",
        " not in ",
        " matches ",
        "now()",
        "date('2023-08-14')",
        "duration('1h')",
        ".Year()",
        "reduce",
        "#acc",
        "split",
        "toJSON",
        "sortBy",
    ])
}

proptest! {
    #[test]
    fn any_text_is_judged_or_refused(expression in ".{0,64}", value in prop::sample::select(vec!["[1,2]", "null", "{\"a\":[1]}", "\"x\""])) {
        let _ = evaluate::<Conditions>(&expression, value);
    }

    #[test]
    fn any_pieces_of_the_language_are_judged_or_refused(pieces in prop::collection::vec(piece(), 0..24)) {
        let _ = evaluate::<Conditions>(&pieces.concat(), "[1,2]");
    }
}

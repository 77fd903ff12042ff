//! Whatever is written, there is an answer or an error.

use crate::Conditions;
use crate::source::prepared;
use kulta_plugin::testing::condition::evaluate;
use proptest::prelude::*;

fn piece() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "result", "[", "]", "(", ")", "{", "}", "0", "1.5", ".", "?.", "?", ":", "??", "|", "||", "&&", "!", "not ",
        " in ", ",", "'a'", "\"", "`", "#", "..", "-", "+", "**", ">", "==", "len", "all", "filter", "let ", "x", "=",
        ";", " if ", " else ", "é", "//", "/*", "asInt", "isNaN", "default", "nil", "true",
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

    #[test]
    fn preparing_changes_nothing_but_brackets(pieces in prop::collection::vec(piece(), 0..24)) {
        let expression = pieces.concat();
        if let Ok(source) = prepared(&expression) && !source.contains("__index(") {
            prop_assert_eq!(source, expression);
        }
    }
}

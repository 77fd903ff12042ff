//! What is done to an expression before it is parsed: its bounds are checked, and `a[b]` becomes a call.
//!
//! The parser goes back and forth over brackets and recurses with nesting, and an AST is as deep as it has operators: bounds
//! keep both small. The evaluator takes an index that an array does not have for nil, so that `result[0] != 5` would hold for
//! a query without an answer; the function that the index becomes says that there is nothing, as the Go original does.

use crate::token::{Kind, Token, tokens};
use std::collections::BTreeMap;
use std::fmt;

/// Takes what is indexed and the index.
pub const INDEX_FUNCTION: &str = "__index";

/// Conditions are a line or two.
const MAX_BYTES: usize = 4 << 10;
const MAX_DEPTH: usize = 32;
/// The parser's time doubles with each of these.
const MAX_SQUARE_DEPTH: usize = 8;
/// The evaluator's stack grows with each of these; twice as many fit into a component's.
const MAX_OPERATORS: usize = 256;
/// The largest literal that a range may begin or end with; hexadecimal ones are none. What is written otherwise is for the sandbox.
const MAX_RANGE: u64 = 100_000;

const WORD_OPERATORS: [&str; 12] =
    ["and", "or", "not", "in", "contains", "startsWith", "endsWith", "matches", "let", "if", "else", "nil"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceError {
    TooLong(usize),
    TooDeep,
    TooManyOperators,
    RangeTooLong,
    Unbalanced,
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong(bytes) => write!(f, "{bytes} bytes long, at most {MAX_BYTES}"),
            Self::TooDeep => write!(f, "nested deeper than {MAX_DEPTH} brackets, {MAX_SQUARE_DEPTH} of them square"),
            Self::TooManyOperators => write!(f, "more than {MAX_OPERATORS} operators"),
            Self::RangeTooLong => write!(f, "a range to more than {MAX_RANGE}"),
            Self::Unbalanced => f.write_str("brackets do not match"),
        }
    }
}

/// Checks the bounds and answers the expression that is to be parsed.
pub fn prepared(expression: &str) -> Result<String, SourceError> {
    if expression.len() > MAX_BYTES {
        return Err(SourceError::TooLong(expression.len()));
    }
    let tokens = tokens(expression);
    check_operators(&tokens)?;
    check_ranges(&tokens)?;
    let mut walk = Walk::default();
    for token in &tokens {
        walk.step(token)?;
    }
    if !walk.open.is_empty() {
        return Err(SourceError::Unbalanced);
    }
    Ok(walk.edits.apply(expression))
}

fn check_operators(tokens: &[Token<'_>]) -> Result<(), SourceError> {
    let is_operator = |token: &&Token<'_>| match token.kind {
        Kind::Operator | Kind::Open => true,
        Kind::Word => WORD_OPERATORS.contains(&token.text),
        Kind::Number | Kind::Text | Kind::Close | Kind::Comma => false,
    };
    match tokens.iter().filter(is_operator).count() {
        0..=MAX_OPERATORS => Ok(()),
        _ => Err(SourceError::TooManyOperators),
    }
}

fn check_ranges(tokens: &[Token<'_>]) -> Result<(), SourceError> {
    let too_large = |token: &Token<'_>| match token.kind {
        Kind::Number => token.text.replace('_', "").parse::<u64>().map_or(true, |number| number > MAX_RANGE),
        _ => false,
    };
    for three in tokens.windows(3) {
        let [from, Token { text: "..", .. }, to] = three else { continue };
        if too_large(from) || too_large(to) {
            return Err(SourceError::RangeTooLong);
        }
    }
    Ok(())
}

/// Something that can be indexed: where it begins, and whether it is the call behind a pipe.
#[derive(Debug, Clone, Copy)]
struct Operand {
    start: usize,
    piped: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bracket {
    /// What is in it is indexed by; `optional` after `?.`.
    Index { optional: bool },
    /// Anything else: a group, arguments, a list, a map, a block.
    Other,
}

struct Open {
    text: &'static str,
    at: usize,
    bracket: Bracket,
    /// What the brackets and what stands before them are together.
    operand: Operand,
    /// Ternaries whose colon is still to come.
    ternaries: usize,
    /// A colon that belongs to no ternary: this is a slice.
    colon: bool,
}

/// Goes over the tokens and knows, at each, which operand has just ended.
#[derive(Default)]
struct Walk {
    open: Vec<Open>,
    square: usize,
    operand: Option<Operand>,
    /// After a dot: what the name belongs to.
    member_of: Option<Operand>,
    optional: bool,
    after_pipe: bool,
    edits: Edits,
}

impl Walk {
    fn step(&mut self, token: &Token<'_>) -> Result<(), SourceError> {
        match token.kind {
            Kind::Word if self.member_of.is_none() && WORD_OPERATORS.contains(&token.text) => self.operator(),
            Kind::Word | Kind::Number | Kind::Text => {
                let new = Operand { start: token.at, piped: self.after_pipe };
                self.operand = Some(self.member_of.unwrap_or(new));
                self.forget_before();
            }
            Kind::Open => self.open(token)?,
            Kind::Close => self.close(token)?,
            Kind::Comma => self.operator(),
            Kind::Operator => self.symbol(token),
        }
        Ok(())
    }

    fn symbol(&mut self, token: &Token<'_>) {
        let before = self.operand;
        self.operator();
        match token.text {
            "." | "?." => {
                self.member_of = Some(before.unwrap_or(Operand { start: token.at, piped: false }));
                self.optional = token.text == "?.";
            }
            "|" => self.after_pipe = true,
            "?" => self.innermost(|open| open.ternaries += 1),
            ":" => self.innermost(|open| match open.ternaries {
                0 => open.colon = true,
                _ => open.ternaries -= 1,
            }),
            _ => {}
        }
    }

    fn operator(&mut self) {
        self.operand = None;
        self.forget_before();
    }

    fn forget_before(&mut self) {
        self.member_of = None;
        self.optional = false;
        self.after_pipe = false;
    }

    fn innermost(&mut self, change: impl FnOnce(&mut Open)) {
        if let Some(open) = self.open.last_mut() {
            change(open);
        }
    }

    fn open(&mut self, token: &Token<'_>) -> Result<(), SourceError> {
        let text = match token.text {
            "(" => "(",
            "[" => "[",
            _ => "{",
        };
        self.square += usize::from(text == "[");
        if self.open.len() >= MAX_DEPTH || self.square > MAX_SQUARE_DEPTH {
            return Err(SourceError::TooDeep);
        }
        // `a?.[b]` has its bracket where the name would be.
        let before = self.operand.or(self.member_of);
        let bracket = match (text, before) {
            ("[", Some(_)) => Bracket::Index { optional: self.optional },
            _ => Bracket::Other,
        };
        // A brace never goes on with what stands before it.
        let operand = before.filter(|_| text != "{").unwrap_or(Operand { start: token.at, piped: false });
        self.open.push(Open { text, at: token.at, bracket, operand, ternaries: 0, colon: false });
        self.operator();
        Ok(())
    }

    fn close(&mut self, token: &Token<'_>) -> Result<(), SourceError> {
        let open =
            self.open.pop().filter(|open| matches!((open.text, token.text), ("(", ")") | ("[", "]") | ("{", "}")));
        let Some(open) = open else { return Err(SourceError::Unbalanced) };
        self.square -= usize::from(open.text == "[");
        if open.bracket == (Bracket::Index { optional: false }) && !open.colon {
            self.edits.call(&open, token.at);
        }
        self.operator();
        self.operand = Some(open.operand);
        Ok(())
    }
}

/// By offset in the expression: text to put before it, and text in place of the one byte there.
#[derive(Default)]
struct Edits {
    before: BTreeMap<usize, String>,
    instead: BTreeMap<usize, String>,
}

impl Edits {
    /// `a[b]` becomes `f(a, b)`; behind a pipe, where the call takes what is left of it, `| f(b)`.
    fn call(&mut self, open: &Open, close: usize) {
        if open.operand.piped {
            self.instead.insert(open.at, format!(" | {INDEX_FUNCTION}("));
        } else {
            self.before.entry(open.operand.start).or_default().push_str(&format!("{INDEX_FUNCTION}("));
            self.instead.insert(open.at, ", ".into());
        }
        self.instead.insert(close, ")".into());
    }

    fn apply(&self, expression: &str) -> String {
        let mut edited = String::with_capacity(expression.len());
        for (at, c) in expression.char_indices() {
            edited.push_str(self.before.get(&at).map_or("", String::as_str));
            match self.instead.get(&at) {
                Some(instead) => edited.push_str(instead),
                None => edited.push(c),
            }
        }
        edited
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_becomes_a_call() {
        for (expression, expected) in [
            ("result[0] >= 0.95", "__index(result, 0) >= 0.95"),
            ("!isNaN(result[0])", "!isNaN(__index(result, 0))"),
            ("result[0][1]", "__index(__index(result, 0), 1)"),
            ("result.a.b[0].c[-1]", "__index(__index(result.a.b, 0).c, -1)"),
            ("result[\"a[\"]", "__index(result, \"a[\")"),
            ("result[result[0]]", "__index(result, __index(result, 0))"),
            ("filter(result, {#[0] > 1})[0]", "__index(filter(result, {__index(#, 0) > 1}), 0)"),
            ("(result)[0]", "__index((result), 0)"),
            ("[1, 2][0]", "__index([1, 2], 0)"),
            ("-result[0] in [1, 2]", "-__index(result, 0) in [1, 2]"),
            ("not result[0]", "not __index(result, 0)"),
            ("result[a ? 0 : 1]", "__index(result, a ? 0 : 1)"),
            ("a ? [1] : b[0]", "a ? [1] : __index(b, 0)"),
            ("result.in[0]", "__index(result.in, 0)"),
            ("result | filter(# > 1)[0]", "result | filter(# > 1) | __index(0)"),
            ("result | first()[0][1]", "result | first() | __index(0) | __index(1)"),
            ("let x = result[0]; x[1] > 2", "let x = __index(result, 0); __index(x, 1) > 2"),
            ("if a {result[0]} else {[1][0]}", "if a {__index(result, 0)} else {__index([1], 0)}"),
        ] {
            assert_eq!(prepared(expression).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn what_is_no_index_stays() {
        for expression in [
            "[1, 2]",
            "1 in [1, 2]",
            "result[1:2]",
            "result[:2]",
            "result[a ? 1 : 2 : 3]",
            "result?.[0]",
            "result?.a",
            "{\"a\": [1]}",
            "all(result, # < 1000)",
            "all([1], {# > [1]})",
            "\"result[0]\" == `result[0]`",
            "1 // result[0]",
        ] {
            assert_eq!(prepared(expression).as_deref(), Ok(expression));
        }
    }

    #[test]
    fn an_expression_out_of_bounds_is_refused() {
        let long = format!("\"{}\" == result", "x".repeat(MAX_BYTES));
        let deep = |open: &str, close: &str, times: usize| format!("{}1{}", open.repeat(times), close.repeat(times));
        for (expression, error) in [
            (long.as_str(), SourceError::TooLong(long.len())),
            (&deep("(", ")", 33), SourceError::TooDeep),
            (&deep("[", "]", 9), SourceError::TooDeep),
            (&deep("result[", "]", 9), SourceError::TooDeep),
            (&"+1".repeat(257), SourceError::TooManyOperators),
            (&" not".repeat(257), SourceError::TooManyOperators),
            ("all(0..100000000, true)", SourceError::RangeTooLong),
            ("len(-1..100_001) > 1", SourceError::RangeTooLong),
            ("len(1..0xFFFFFFFF) > 1", SourceError::RangeTooLong),
            ("result[0", SourceError::Unbalanced),
            ("result]", SourceError::Unbalanced),
            ("(result]", SourceError::Unbalanced),
        ] {
            assert_eq!(prepared(expression), Err(error), "{}", expression.get(..20).unwrap_or(expression));
        }
    }

    #[test]
    fn an_expression_within_the_bounds_is_not() {
        let deep = format!("{}1{}", "(".repeat(32), ")".repeat(32));
        let long = vec!["1"; 257].join("+");
        for expression in [deep.as_str(), &long, "1..100000"] {
            assert_eq!(prepared(expression).as_deref(), Ok(expression));
        }
    }
}

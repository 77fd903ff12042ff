//! The expression cut into tokens: enough to count, to nest and to find what is indexed. The grammar is the parser's.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A name, a keyword or a literal such as `true`.
    Word,
    Number,
    Text,
    /// One of `(`, `[`, `{`.
    Open,
    /// One of `)`, `]`, `}`.
    Close,
    Comma,
    Operator,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token<'a> {
    pub kind: Kind,
    pub text: &'a str,
    /// Offset of the text in the expression, in bytes.
    pub at: usize,
}

/// Longer ones first.
const OPERATORS: [&str; 12] = ["?.", "??", "||", "&&", "==", "!=", "<=", ">=", "..", "**", "//", "/*"];

/// Cuts the expression up. White space and comments are left out. Text that is never closed reaches to the end.
pub fn tokens(expression: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(rest) = expression.get(at..).filter(|rest| !rest.is_empty()) {
        let (kind, length) = next(rest);
        if let (Some(kind), Some(text)) = (kind, rest.get(..length)) {
            tokens.push(Token { kind, text, at });
        }
        at += length;
    }
    tokens
}

/// The kind and length of what the text begins with; no kind for what is left out.
fn next(text: &str) -> (Option<Kind>, usize) {
    let mut chars = text.chars();
    let Some(first) = chars.next() else { return (None, 0) };
    let second = chars.next();
    match first {
        c if c.is_whitespace() => (None, c.len_utf8()),
        '"' | '\'' | '`' => (Some(Kind::Text), quoted(text, first)),
        '0'..='9' => (Some(Kind::Number), number(text)),
        '.' if second.is_some_and(|c| c.is_ascii_digit()) => (Some(Kind::Number), number(text)),
        c if is_word(c) || c == '#' || c == '$' => (Some(Kind::Word), run(text, 1, is_word)),
        '(' | '[' | '{' => (Some(Kind::Open), 1),
        ')' | ']' | '}' => (Some(Kind::Close), 1),
        ',' => (Some(Kind::Comma), 1),
        // A ternary with a number such as `.5`.
        '?' if second == Some('.')
            && text.get(2..).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) =>
        {
            (Some(Kind::Operator), 1)
        }
        _ => match OPERATORS.iter().find(|operator| text.starts_with(**operator)) {
            Some(&"//") => (None, text.find('\n').unwrap_or(text.len())),
            Some(&"/*") => (None, text.find("*/").map_or(text.len(), |end| end + "*/".len())),
            Some(operator) => (Some(Kind::Operator), operator.len()),
            None => (Some(Kind::Operator), first.len_utf8()),
        },
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Length of a run of such characters from the offset on.
fn run(text: &str, from: usize, belongs: impl Fn(char) -> bool) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    from + rest.find(|c| !belongs(c)).unwrap_or(rest.len())
}

fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' if quote != '`' => escaped = true,
            c if c == quote => return at + quote.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

/// `12`, `0x1F`, `1_000.5`, `.5`, `1e-3`; the dots of `1..3` are not part of it.
fn number(text: &str) -> usize {
    let hexadecimal = text.starts_with("0x") || text.starts_with("0X");
    let mut end = run(text, 0, is_word);
    if text.get(end..).is_some_and(|rest| rest.starts_with('.') && !rest.starts_with("..")) {
        end = run(text, end + 1, is_word);
    }
    let exponent = text.get(..end).is_some_and(|written| written.ends_with(['e', 'E'])) && !hexadecimal;
    if exponent && text.get(end..).is_some_and(|rest| rest.starts_with(['+', '-'])) {
        end = run(text, end + 1, is_word);
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(expression: &str) -> Vec<&str> {
        tokens(expression).into_iter().map(|token| token.text).collect()
    }

    #[test]
    fn an_expression_is_cut_where_the_language_cuts_it() {
        for (expression, expected) in [
            ("result[0]>=0.95", &["result", "[", "0", "]", ">=", "0.95"][..]),
            ("a?.b ?? c ? .5 : 1", &["a", "?.", "b", "??", "c", "?", ".5", ":", "1"]),
            ("a ?.5:1", &["a", "?", ".5", ":", "1"]),
            ("1..3", &["1", "..", "3"]),
            ("1.5e-3+0xE+1", &["1.5e-3", "+", "0xE", "+", "1"]),
            ("{# > 1}", &["{", "#", ">", "1", "}"]),
            ("#acc**2", &["#acc", "**", "2"]),
            (r#""a\"[" + 'b]' + `c\`"#, &[r#""a\"[""#, "+", "'b]'", "+", "`c\\`"]),
            ("a // [\n+ b /* ] */ + c", &["a", "+", "b", "+", "c"]),
            ("ü == \"ü\"", &["ü", "==", "\"ü\""]),
            ("\"never closed", &["\"never closed"]),
            ("1 /* never closed", &["1"]),
        ] {
            assert_eq!(texts(expression), expected, "{expression}");
        }
    }
}

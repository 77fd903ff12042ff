//! The expression cut into tokens, as expr-lang 1.15 cuts it (`parser/lexer`), with text in backticks as newer ones have it.

use crate::fault::Fault;

#[derive(Debug, Clone, PartialEq)]
pub enum Token {
    /// A name or a word such as `true`.
    Name,
    Number,
    /// Text with its escapes replaced.
    Text(String),
    /// One of `([{}])`.
    Bracket,
    Operator,
    End,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Spanned<'a> {
    pub token: Token,
    pub text: &'a str,
    /// Offset of the text in the expression, in bytes.
    pub at: usize,
}

const WORDS: [&str; 8] = ["in", "or", "and", "matches", "contains", "startsWith", "endsWith", "let"];

pub fn tokens(expression: &str) -> Result<Vec<Spanned<'_>>, Fault> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(rest) = expression.get(at..).filter(|rest| !rest.is_empty()) {
        let (token, length) = next(rest).map_err(|message| Fault::at(at, message))?;
        let text = rest.get(..length).unwrap_or_default();
        if let Some(token) = token {
            // `#acc` is `#` and the name right behind it.
            tokens.push(Spanned { token, text, at });
        }
        at += length.max(1);
    }
    tokens.push(Spanned { token: Token::End, text: "", at: expression.len() });
    Ok(tokens)
}

/// The kind and length of what the text begins with; no kind for what is left out.
fn next(text: &str) -> Result<(Option<Token>, usize), String> {
    let mut chars = text.chars();
    let Some(first) = chars.next() else { return Ok((None, 0)) };
    let second = chars.next();
    let operator = |length: usize| Ok((Some(Token::Operator), length));
    let pair = |followers: &str| 1 + usize::from(second.is_some_and(|c| followers.contains(c)));
    match first {
        c if c.is_whitespace() => Ok((None, c.len_utf8())),
        '"' | '\'' => {
            let (value, length) = quoted(text, first)?;
            Ok((Some(Token::Text(value)), length))
        }
        '`' => match text.get(1..).and_then(|rest| rest.find('`')) {
            Some(length) => Ok((Some(Token::Text(text.get(1..=length).unwrap_or_default().into())), length + 2)),
            None => Err("the text is not closed".into()),
        },
        '0'..='9' => number(text),
        '.' if second.is_some_and(|c| c.is_ascii_digit()) => number(text),
        '.' => operator(pair(".")),
        '?' => operator(pair(".?")),
        '|' => operator(pair("|")),
        '&' | '!' | '=' | '*' | '<' | '>' => operator(pair("&=*")),
        ',' | ':' | ';' | '%' | '+' | '-' | '^' | '#' => operator(1),
        '/' if second == Some('/') => Ok((None, text.find('\n').unwrap_or(text.len()))),
        '/' if second == Some('*') => match text.get(2..).and_then(|rest| rest.find("*/")) {
            Some(length) => Ok((None, length + "/**/".len())),
            None => Err("the comment is not closed".into()),
        },
        '/' => operator(1),
        '(' | ')' | '[' | ']' | '{' | '}' => Ok((Some(Token::Bracket), 1)),
        c if is_word(c) => {
            let length = run(text, is_word);
            let word = text.get(..length).unwrap_or_default();
            let is_operator = word == "not" || WORDS.contains(&word);
            Ok((Some(if is_operator { Token::Operator } else { Token::Name }), length))
        }
        c => Err(format!("unexpected character {c:?}")),
    }
}

fn is_word(c: char) -> bool {
    c == '_' || c == '$' || c.is_alphanumeric()
}

fn run(text: &str, belongs: impl Fn(char) -> bool) -> usize {
    text.find(|c| !belongs(c)).unwrap_or(text.len())
}

/// `12`, `0x1F`, `1_000.5`, `.5`, `1e-3`; the dots of `1..3` are not part of it.
fn number(text: &str) -> Result<(Option<Token>, usize), String> {
    let rest = |at: usize| text.get(at..).unwrap_or_default();
    let hexadecimal = text.starts_with("0x") || text.starts_with("0X");
    let mut end = match hexadecimal {
        true => 2 + run(rest(2), |c| c.is_ascii_hexdigit() || c == '_'),
        false => run(text, |c| c.is_ascii_digit() || c == '_'),
    };
    let digits = |at: usize| run(rest(at), |c| c.is_ascii_digit() || c == '_');
    if !hexadecimal {
        if rest(end).starts_with('.') && !rest(end).starts_with("..") {
            end += 1 + digits(end + 1);
        }
        if rest(end).starts_with(['e', 'E']) {
            end += 1 + usize::from(rest(end + 1).starts_with(['+', '-']));
            end += digits(end);
        }
    }
    match rest(end).chars().next().filter(|c| is_word(*c)) {
        Some(_) => Err(format!("not a number: {}", text.get(..=end).unwrap_or(text))),
        None => Ok((Some(Token::Number), end)),
    }
}

/// The text between the quotes with its escapes replaced, and how long both are.
fn quoted(text: &str, quote: char) -> Result<(String, usize), String> {
    const OPEN: &str = "the text is not closed";
    const ESCAPE: &str = "the text has an unknown escape";
    let mut value = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        let escaped = match c {
            c if c == quote => return Ok((value, at + 1)),
            '\n' => return Err(OPEN.into()),
            '\\' => chars.next().ok_or(OPEN)?.1,
            c => {
                value.push(c);
                continue;
            }
        };
        let mut digits = |first: Option<char>, more: usize, radix: u32| -> Option<char> {
            let mut code = first.map_or(Some(0), |first| first.to_digit(radix))?;
            for _ in 0..more {
                code = code.checked_mul(radix)?.checked_add(chars.next()?.1.to_digit(radix)?)?;
            }
            char::from_u32(code)
        };
        value.push(match escaped {
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            '\\' => '\\',
            c if c == quote => quote,
            'x' => digits(None, 2, 16).ok_or(ESCAPE)?,
            'u' => digits(None, 4, 16).ok_or(ESCAPE)?,
            'U' => digits(None, 8, 16).ok_or(ESCAPE)?,
            '0'..='3' => digits(Some(escaped), 2, 8).ok_or(ESCAPE)?,
            _ => return Err(ESCAPE.into()),
        });
    }
    Err(OPEN.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(expression: &str) -> Vec<&str> {
        tokens(expression).unwrap().into_iter().map(|spanned| spanned.text).filter(|text| !text.is_empty()).collect()
    }

    #[test]
    fn an_expression_is_cut_where_the_language_cuts_it() {
        for (expression, expected) in [
            ("result[0]>=0.95", &["result", "[", "0", "]", ">=", "0.95"][..]),
            ("a?.b ?? c ? .5 : 1", &["a", "?.", "b", "??", "c", "?", ".5", ":", "1"]),
            ("1..3", &["1", "..", "3"]),
            ("1.5e-3+0xE+1", &["1.5e-3", "+", "0xE", "+", "1"]),
            ("{.dev > 1}", &["{", ".", "dev", ">", "1", "}"]),
            ("#acc**2", &["#", "acc", "**", "2"]),
            ("a // [\n+ b /* ] */ + c", &["a", "+", "b", "+", "c"]),
            ("ü == \"ü\"", &["ü", "==", "\"ü\""]),
        ] {
            assert_eq!(texts(expression), expected, "{expression}");
        }
    }

    #[test]
    fn escapes_are_replaced() {
        for (expression, expected) in
            [(r#""a\"[\n""#, "a\"[\n"), (r"'it\'s'", "it's"), (r#""\x41\u00e9\101""#, "AéA"), ("`c\\`", "c\\")]
        {
            assert_eq!(tokens(expression).unwrap()[0].token, Token::Text(expected.into()), "{expression}");
        }
    }

    #[test]
    fn what_is_no_token_is_an_error() {
        for expression in ["\"open", "'open\n'", "`open", "/* open", "1x", "0x", "\"\\q\"", "\"\\u00\"", "~"] {
            let error = tokens(expression).err();
            assert!(error.is_some() || expression == "0x", "{expression}");
        }
    }
}

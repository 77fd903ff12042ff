//! Parses a path.

use super::{Comparison, Filter, Operand, ParseError, Path, Step};
use std::str::FromStr;

/// Longer than any sensible path.
pub(super) const MAX_BYTES: usize = 1 << 10;

const COMPARISONS: [(&str, Comparison); 6] = [
    ("==", Comparison::Equal),
    ("!=", Comparison::NotEqual),
    ("<=", Comparison::LessOrEqual),
    (">=", Comparison::GreaterOrEqual),
    ("<", Comparison::Less),
    (">", Comparison::Greater),
];

impl FromStr for Path {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        if text.len() > MAX_BYTES {
            return Err(ParseError::TooLong);
        }
        let text = text.trim();
        let path = match text.strip_prefix('{') {
            Some(inside) => inside.strip_suffix('}').ok_or(ParseError::Template)?,
            None => text,
        };
        let mut parser = Parser { text: path, at: 0 };
        let steps = parser.path()?;
        parser.skip_spaces();
        match parser.rest() {
            "" => Ok(Self(steps)),
            rest if rest.contains(['{', '}']) => Err(ParseError::Template),
            _ => Err(parser.expected("a dot or a bracket")),
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl Parser<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn take(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    fn need(&mut self, text: &'static str) -> Result<(), ParseError> {
        self.skip_spaces();
        if self.take(text) { Ok(()) } else { Err(self.expected(text)) }
    }

    fn expected(&self, what: &'static str) -> ParseError {
        ParseError::Expected(what, self.at)
    }

    fn skip_spaces(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn take_while(&mut self, belongs: impl Fn(char) -> bool) -> &str {
        let start = self.at;
        let rest = self.rest();
        self.at += rest.find(|c| !belongs(c)).unwrap_or(rest.len());
        self.text.get(start..self.at).unwrap_or_default()
    }

    /// `$`, `@` or nothing, then steps for as long as there are any.
    fn path(&mut self) -> Result<Vec<Step>, ParseError> {
        self.skip_spaces();
        let mut steps = Vec::new();
        // A first name needs no dot.
        if !self.take("$") && !self.take("@") && self.peek().is_some_and(is_name) {
            steps.push(self.name()?);
        }
        loop {
            if self.take("..") {
                steps.push(Step::Descendants);
                match self.peek() {
                    Some('[') => {}
                    _ => steps.push(self.name()?),
                }
            } else if self.take(".") {
                // `{.}` is the document.
                if self.peek().is_some_and(|c| is_name(c) || c == '*' || c == '\\') {
                    steps.push(self.name()?);
                } else if self.peek().is_some_and(|c| c != '[') || !steps.is_empty() {
                    return Err(self.expected("a name"));
                }
            } else if self.take("[") {
                steps.push(self.bracket()?);
            } else {
                return Ok(steps);
            }
        }
    }

    /// A name, in which a backslash escapes the next character; or `*`.
    fn name(&mut self) -> Result<Step, ParseError> {
        if self.take("*") {
            return Ok(Step::Wildcard);
        }
        let mut name = String::new();
        while let Some(c) = self.peek() {
            if c == '\\' {
                self.at += c.len_utf8();
                let Some(escaped) = self.peek() else { return Err(self.expected("a character")) };
                name.push(escaped);
                self.at += escaped.len_utf8();
            } else if is_name(c) {
                name.push(c);
                self.at += c.len_utf8();
            } else {
                break;
            }
        }
        if name.is_empty() { Err(self.expected("a name")) } else { Ok(Step::Field(name)) }
    }

    fn bracket(&mut self) -> Result<Step, ParseError> {
        self.skip_spaces();
        if self.take("?(") {
            let filter = self.filter()?;
            self.need(")")?;
            self.need("]")?;
            return Ok(Step::Filter(filter));
        }
        let mut choices = vec![self.choice()?];
        loop {
            self.skip_spaces();
            if self.take("]") {
                break;
            }
            if !self.take(",") {
                return Err(self.expected("] or ,"));
            }
            choices.push(self.choice()?);
        }
        match choices.pop() {
            Some(only) if choices.is_empty() => Ok(only),
            last => Ok(Step::Union(choices.into_iter().chain(last).collect())),
        }
    }

    /// An item of a list in brackets.
    fn choice(&mut self) -> Result<Step, ParseError> {
        self.skip_spaces();
        match self.peek() {
            Some('*') => {
                self.at += 1;
                Ok(Step::Wildcard)
            }
            Some('\'' | '"') => self.quoted().map(Step::Field),
            _ => self.index_or_slice(),
        }
    }

    fn index_or_slice(&mut self) -> Result<Step, ParseError> {
        let from = self.integer()?;
        if !self.take(":") {
            return from.map(Step::Index).ok_or_else(|| self.expected("an index, a name in quotes, * or a filter"));
        }
        let to = self.integer()?;
        let step = if self.take(":") { self.integer()? } else { None };
        match step.unwrap_or(1) {
            step if step > 0 => Ok(Step::Slice { from, to, step }),
            _ => Err(self.expected("a step above 0")),
        }
    }

    fn integer(&mut self) -> Result<Option<i64>, ParseError> {
        self.skip_spaces();
        let error = self.expected("a smaller number");
        let text = self.take_while(|c| c == '-' || c.is_ascii_digit());
        if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(|_| error) }
    }

    fn quoted(&mut self) -> Result<String, ParseError> {
        let quote = self.peek().unwrap_or('"');
        self.at += quote.len_utf8();
        let mut text = String::new();
        while let Some(c) = self.peek() {
            self.at += c.len_utf8();
            match c {
                c if c == quote => return Ok(text),
                '\\' => {
                    let Some(escaped) = self.peek() else { break };
                    text.push(escaped);
                    self.at += escaped.len_utf8();
                }
                c => text.push(c),
            }
        }
        Err(self.expected("the closing quote"))
    }

    fn filter(&mut self) -> Result<Filter, ParseError> {
        let left = self.operand()?;
        self.skip_spaces();
        let found = COMPARISONS.into_iter().find(|(text, _)| self.rest().starts_with(text));
        let right = match found {
            Some((text, comparison)) => {
                self.at += text.len();
                Some((comparison, self.operand()?))
            }
            None => None,
        };
        Ok(Filter { left, right })
    }

    fn operand(&mut self) -> Result<Operand, ParseError> {
        self.skip_spaces();
        match self.peek() {
            Some('@' | '$' | '.') => self.path().map(Operand::Path),
            Some('\'' | '"') => self.quoted().map(|text| Operand::Value(text.into())),
            _ => {
                let error = self.expected("a path, a text in quotes, a number, true, false or null");
                let literal = self.take_while(|c| c.is_ascii_alphanumeric() || ['-', '+', '.'].contains(&c));
                serde_json::from_str(literal).map(Operand::Value).map_err(|_| error)
            }
        }
    }
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '-' || c == '/'
}

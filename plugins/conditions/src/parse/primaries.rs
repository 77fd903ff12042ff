//! Literals, names, lists and objects.

use super::Parser;
use crate::fault::Fault;
use crate::syntax::{Kind, Node, Pointer, Unary};
use crate::token::{Spanned, Token};

impl Parser<'_> {
    pub(super) fn primary(&mut self) -> Result<Node, Fault> {
        let from = self.current().at;
        if self.current().token == Token::Operator {
            if let Some(operator) = Unary::of(self.current().text) {
                self.next();
                let operand = self.expression(operator.precedence())?;
                let node = self.node(from, Kind::Unary(operator, Box::new(operand)))?;
                return self.postfix(from, node);
            }
            if self.is_operator("#") || self.is_operator(".") {
                let pointer = self.pointer()?;
                let node = self.node(from, Kind::Pointer(pointer))?;
                return self.postfix(from, node);
            }
        }
        if self.take_bracket("(") {
            let node = self.expression(0)?;
            self.expect_bracket(")")?;
            return self.postfix(from, node);
        }
        if self.is_bracket("[") {
            let elements = self.elements("[", "]")?;
            let node = self.node(from, Kind::List(elements))?;
            return self.postfix(from, node);
        }
        if self.is_bracket("{") {
            let node = self.object()?;
            return self.postfix(from, node);
        }
        self.literal(from)
    }

    /// A leading dot is not consumed: it selects a field of `#`.
    pub(super) fn pointer(&mut self) -> Result<Pointer, Fault> {
        if self.bodies == 0 {
            let message =
                format!("{} means an element of a list and stands only in a body such as that of all()", self.found());
            return Err(Fault::at(self.current().at, message));
        }
        if !self.take_operator("#") || self.current().token != Token::Name {
            return Ok(Pointer::Element);
        }
        match self.current().text {
            "index" => self.at += 1,
            "acc" => {
                self.at += 1;
                return Ok(Pointer::Accumulator);
            }
            _ => return Err(self.expected("#, #index or #acc")),
        }
        Ok(Pointer::Index)
    }

    pub(super) fn literal(&mut self, from: usize) -> Result<Node, Fault> {
        let token = self.current().clone();
        let kind = match token.token {
            Token::Name => match token.text {
                "true" => Kind::Bool(true),
                "false" => Kind::Bool(false),
                "nil" => Kind::Nil,
                name => {
                    self.next();
                    let node = self.named(from, name, None)?;
                    return self.postfix(from, node);
                }
            },
            Token::Number => number(&token)?,
            Token::Text(text) => Kind::Text(text.into()),
            Token::Bracket | Token::Operator | Token::End => return Err(self.unexpected()),
        };
        self.next();
        self.node(from, kind)
    }

    /// Elements between brackets, separated by commas; a list may have a trailing comma.
    pub(super) fn elements(&mut self, open: &str, close: &str) -> Result<Vec<Node>, Fault> {
        self.expect_bracket(open)?;
        let mut elements = Vec::new();
        while !self.take_bracket(close) {
            if !elements.is_empty() {
                self.expect_operator(",")?;
                if open == "[" && self.take_bracket(close) {
                    break;
                }
            }
            elements.push(self.expression(0)?);
        }
        Ok(elements)
    }

    pub(super) fn object(&mut self) -> Result<Node, Fault> {
        let from = self.current().at;
        self.expect_bracket("{")?;
        let mut pairs = Vec::new();
        while !self.take_bracket("}") {
            if !pairs.is_empty() {
                self.expect_operator(",")?;
                if self.take_bracket("}") {
                    break;
                }
            }
            let key = self.key()?;
            self.expect_operator(":")?;
            pairs.push((key, self.expression(0)?));
        }
        self.node(from, Kind::Object(pairs))
    }

    pub(super) fn key(&mut self) -> Result<Node, Fault> {
        let token = self.current().clone();
        let text = match token.token {
            Token::Name | Token::Number => token.text.into(),
            Token::Text(text) => text.into(),
            Token::Bracket if token.text == "(" => return self.expression(0),
            _ => return Err(self.expected("a key: a name, a number, a text or an expression in parentheses")),
        };
        self.next();
        self.node(token.at, Kind::Text(text))
    }
}

fn number(token: &Spanned<'_>) -> Result<Kind, Fault> {
    let text = token.text.replace('_', "");
    let integer = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => i64::from_str_radix(digits, 16).ok(),
        None if text.contains(['.', 'e', 'E']) => {
            let float = text.parse::<f64>().ok().filter(|float| float.is_finite());
            return float.map(Kind::Float).ok_or_else(|| Fault::at(token.at, format!("{text} is no number")));
        }
        None => text.parse().ok(),
    };
    integer.map(Kind::Int).ok_or_else(|| Fault::at(token.at, format!("{text} is too large")))
}

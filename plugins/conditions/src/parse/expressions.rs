//! Operators, branches and declarations.

use super::{MAX_NESTING, Parser};
use crate::fault::Fault;
use crate::syntax::{Kind, Node, Operator, Unary};
use crate::token::Token;

impl Parser<'_> {
    pub(super) fn expression(&mut self, precedence: u32) -> Result<Node, Fault> {
        self.nesting += 1;
        if self.nesting > MAX_NESTING {
            return Err(Fault::at(self.current().at, format!("nested deeper than {MAX_NESTING}")));
        }
        let node = self.unguarded(precedence);
        self.nesting -= 1;
        node
    }

    pub(super) fn unguarded(&mut self, precedence: u32) -> Result<Node, Fault> {
        if precedence == 0 && self.is_operator("let") {
            return self.declaration();
        }
        if precedence == 0 && self.is(&Token::Name, "if") && self.begins_branch() {
            return self.branch();
        }
        let from = self.current().at;
        let mut left = self.primary()?;
        let mut previous = None;
        while self.current().token == Token::Operator {
            let negated = self.is_operator("not");
            let word = if negated { self.tokens.get(self.at + 1) } else { Some(self.current()) };
            let operator = word.filter(|word| word.token == Token::Operator).and_then(|word| Operator::of(word.text));
            let Some(operator) = operator.filter(|operator| !negated || operator.can_be_negated()) else { break };
            if operator.precedence() < precedence {
                break;
            }
            let at = self.current().at;
            self.at += 1 + usize::from(negated);
            if operator == Operator::Pipe {
                left = self.pipe(left)?;
            } else {
                if previous == Some(Operator::Coalesce) && operator != Operator::Coalesce {
                    let text = operator.text();
                    return Err(Fault::at(
                        at,
                        format!("{text} and ?? cannot be mixed: put one of them in parentheses"),
                    ));
                }
                let above = operator.precedence() + u32::from(operator != Operator::Power);
                let right = self.expression(above)?;
                left = self.node(from, Kind::Binary(operator, Box::new(left), Box::new(right)))?;
                if negated {
                    left = self.node(from, Kind::Unary(Unary::Not, Box::new(left)))?;
                }
            }
            previous = Some(operator);
        }
        if precedence == 0 { self.conditional(from, left) } else { Ok(left) }
    }

    pub(super) fn declaration(&mut self) -> Result<Node, Fault> {
        let from = self.next().at;
        let name = self.name()?.into();
        self.expect_operator("=")?;
        let value = self.expression(0)?;
        self.expect_operator(";")?;
        let body = self.expression(0)?;
        self.node(from, Kind::Let(name, Box::new(value), Box::new(body)))
    }

    /// True if the next token shows that `if` is the keyword and not a name.
    pub(super) fn begins_branch(&self) -> bool {
        let next = self.tokens.get(self.at + 1);
        next.is_some_and(|next| !matches!(next.token, Token::Operator | Token::End | Token::Bracket))
    }

    /// `if a {b} else {c}`, `if a {b} else if c {d} else {e}`.
    pub(super) fn branch(&mut self) -> Result<Node, Fault> {
        let from = self.next().at;
        let condition = self.expression(0)?;
        let yes = self.block()?;
        if !self.take(&Token::Name, "else") {
            return Err(self.expected("else"));
        }
        let no = if self.is(&Token::Name, "if") { self.expression(0)? } else { self.block()? };
        self.node(from, Kind::Conditional(Box::new(condition), Some(Box::new(yes)), Box::new(no)))
    }

    pub(super) fn block(&mut self) -> Result<Node, Fault> {
        self.expect_bracket("{")?;
        let node = self.expression(0)?;
        self.expect_bracket("}")?;
        Ok(node)
    }

    pub(super) fn conditional(&mut self, from: usize, mut node: Node) -> Result<Node, Fault> {
        while self.take_operator("?") {
            let yes = if self.is_operator(":") { None } else { Some(Box::new(self.expression(0)?)) };
            self.expect_operator(":")?;
            let no = self.expression(0)?;
            node = self.node(from, Kind::Conditional(Box::new(node), yes, Box::new(no)))?;
        }
        Ok(node)
    }

    pub(super) fn pipe(&mut self, left: Node) -> Result<Node, Fault> {
        let from = left.from;
        let name = self.name()?;
        if !self.is_bracket("(") {
            return Err(self.expected("("));
        }
        let node = self.named(from, name, Some(left))?;
        self.postfix(from, node)
    }
}

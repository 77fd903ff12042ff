//! Calls, loops, members, indexes and slices.

use super::Parser;
use crate::builtins;
use crate::fault::Fault;
use crate::syntax::{Kind, Loop, Node};
use crate::token::Token;

impl Parser<'_> {
    /// A name, or a call of it; the value of a pipe is the first argument.
    pub(super) fn named(&mut self, from: usize, name: &str, piped: Option<Node>) -> Result<Node, Fault> {
        if !self.is_bracket("(") {
            return self.node(from, Kind::Name(name.into()));
        }
        if let Some(kind) = Loop::of(name) {
            return self.repeated(from, kind, piped);
        }
        let behind = self.behind();
        let arguments: Vec<Node> = piped.into_iter().chain(self.elements("(", ")")?).collect();
        if let Some(builtin) = builtins::find(name) {
            return self.node(from, Kind::Builtin(builtin, arguments));
        }
        let callee = Node { kind: Kind::Name(name.into()), from, to: behind, depth: 1 };
        self.node(from, Kind::Call(Box::new(callee), arguments))
    }

    pub(super) fn repeated(&mut self, from: usize, kind: Loop, piped: Option<Node>) -> Result<Node, Fault> {
        self.expect_bracket("(")?;
        let list = match piped {
            Some(piped) => piped,
            None => {
                let list = self.expression(0)?;
                self.expect_operator(",")?;
                list
            }
        };
        let body = self.body()?;
        let initial = match kind == Loop::Reduce && self.take_operator(",") {
            true => Some(Box::new(self.expression(0)?)),
            false => None,
        };
        self.expect_bracket(")")?;
        self.node(from, Kind::Loop(kind, Box::new(list), Box::new(body), initial))
    }

    pub(super) fn body(&mut self) -> Result<Node, Fault> {
        let braced = self.take_bracket("{");
        self.bodies += 1;
        let node = self.expression(0);
        self.bodies -= 1;
        let node = node?;
        if braced {
            self.expect_bracket("}")?;
        }
        Ok(node)
    }

    /// Members, indexes, slices and calls after a node.
    pub(super) fn postfix(&mut self, from: usize, mut node: Node) -> Result<Node, Fault> {
        loop {
            let optional = self.is_operator("?.");
            if optional || self.is_operator(".") {
                self.next();
                node = match optional && self.take_bracket("[") {
                    true => {
                        let index = self.expression(0)?;
                        self.expect_bracket("]")?;
                        self.member(from, node, index, true)?
                    }
                    false => {
                        let name = self.property()?;
                        self.member(from, node, name, optional)?
                    }
                };
            } else if self.take_bracket("[") {
                node = self.indexed(from, node)?;
            } else {
                return Ok(node);
            }
        }
    }

    pub(super) fn property(&mut self) -> Result<Node, Fault> {
        let token = self.current().clone();
        let is_word = token.text.starts_with(|c: char| c.is_alphabetic() || c == '_' || c == '$');
        match token.token {
            Token::Name | Token::Operator if is_word => {
                self.next();
                self.node(token.at, Kind::Text(token.text.into()))
            }
            _ => Err(self.expected("a name")),
        }
    }

    pub(super) fn member(&mut self, from: usize, node: Node, name: Node, optional: bool) -> Result<Node, Fault> {
        let (chained, of) = match node.kind {
            Kind::Chain(inner) => (true, inner),
            kind => (false, Box::new(Node { kind, ..node })),
        };
        let mut member = self.node(from, Kind::Member { of, name: Box::new(name), optional })?;
        if self.is_bracket("(") {
            let arguments = self.elements("(", ")")?;
            member = self.node(from, Kind::Call(Box::new(member), arguments))?;
        }
        if chained || optional { self.node(from, Kind::Chain(Box::new(member))) } else { Ok(member) }
    }

    /// After the bracket of `a[1]`, `a[1:2]`, `a[:2]`, `a[1:]`, `a[:]`.
    pub(super) fn indexed(&mut self, from: usize, node: Node) -> Result<Node, Fault> {
        let of = Box::new(node);
        let first = if self.is_operator(":") { None } else { Some(Box::new(self.expression(0)?)) };
        let kind = match (self.take_operator(":"), first) {
            (true, first) => {
                let to = if self.is_bracket("]") { None } else { Some(Box::new(self.expression(0)?)) };
                Kind::Slice { of, from: first, to }
            }
            (false, Some(name)) => Kind::Member { of, name, optional: false },
            (false, None) => return Err(self.unexpected()),
        };
        self.expect_bracket("]")?;
        self.node(from, kind)
    }
}

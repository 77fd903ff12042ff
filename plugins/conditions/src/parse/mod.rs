//! Parses tokens into a tree, with the grammar of expr-lang 1.15 (`parser/parser.go`), which Argo Rollouts 1.9 uses. It also accepts
//! unambiguous syntax of newer versions: text in backticks, `a?.[0]` and `if a {b} else {c}`.

mod calls;
mod expressions;
mod primaries;

use crate::fault::Fault;
use crate::syntax::{Kind, Node};
use crate::token::{Spanned, Token, tokens};

/// Conditions have one or two lines.
const MAX_BYTES: usize = 4 << 10;
/// Limit of nested brackets, unary operators, branches and bodies: each level takes parser stack.
const MAX_NESTING: usize = 130;
/// Limit of the tree's depth: each level takes evaluator stack.
const MAX_DEPTH: usize = 260;

pub fn parse(expression: &str) -> Result<Node, Fault> {
    if expression.len() > MAX_BYTES {
        return Err(Fault::at(0, format!("{} bytes long, at most {MAX_BYTES}", expression.len())));
    }
    let tokens = tokens(expression)?;
    let end = Spanned { token: Token::End, text: "", at: expression.len() };
    let mut parser = Parser { tokens, at: 0, end, nesting: 0, bodies: 0 };
    let node = parser.expression(0)?;
    match parser.current().token {
        Token::End => Ok(node),
        _ => Err(parser.unexpected()),
    }
}

struct Parser<'a> {
    tokens: Vec<Spanned<'a>>,
    at: usize,
    end: Spanned<'a>,
    nesting: usize,
    /// Number of enclosing loop bodies: `#` and a leading dot are valid only there.
    bodies: usize,
}

impl<'a> Parser<'a> {
    fn current(&self) -> &Spanned<'a> {
        self.tokens.get(self.at).unwrap_or(&self.end)
    }

    fn next(&mut self) -> Spanned<'a> {
        let token = self.current().clone();
        self.at += 1;
        token
    }

    fn is(&self, token: &Token, text: &str) -> bool {
        self.current().token == *token && self.current().text == text
    }

    fn is_operator(&self, text: &str) -> bool {
        self.is(&Token::Operator, text)
    }

    fn is_bracket(&self, text: &str) -> bool {
        self.is(&Token::Bracket, text)
    }

    fn take(&mut self, token: &Token, text: &str) -> bool {
        let is = self.is(token, text);
        self.at += usize::from(is);
        is
    }

    fn take_operator(&mut self, text: &str) -> bool {
        self.take(&Token::Operator, text)
    }

    fn take_bracket(&mut self, text: &str) -> bool {
        self.take(&Token::Bracket, text)
    }

    fn expect_operator(&mut self, text: &str) -> Result<(), Fault> {
        if self.take_operator(text) { Ok(()) } else { Err(self.expected(text)) }
    }

    fn expect_bracket(&mut self, text: &str) -> Result<(), Fault> {
        if self.take_bracket(text) { Ok(()) } else { Err(self.expected(text)) }
    }

    fn name(&mut self) -> Result<&'a str, Fault> {
        match self.current().token {
            Token::Name => Ok(self.next().text),
            _ => Err(self.expected("a name")),
        }
    }

    fn found(&self) -> &'a str {
        match self.current().token {
            Token::End => "the end",
            _ => self.current().text,
        }
    }

    fn expected(&self, what: &str) -> Fault {
        Fault::at(self.current().at, format!("expected {what}, found {}", self.found()))
    }

    fn unexpected(&self) -> Fault {
        Fault::at(self.current().at, format!("unexpected {}", self.found()))
    }

    /// The end of the previous token.
    fn behind(&self) -> usize {
        let before = self.at.checked_sub(1).and_then(|at| self.tokens.get(at));
        before.map_or(0, |before| before.at + before.text.len())
    }

    fn node(&self, from: usize, kind: Kind) -> Result<Node, Fault> {
        let depth = 1 + deepest(&kind);
        if depth > MAX_DEPTH {
            return Err(Fault::at(from, format!("more than {MAX_DEPTH} operators on one another")));
        }
        Ok(Node { kind, from, to: self.behind(), depth })
    }
}

/// Depth of the deepest child.
fn deepest(kind: &Kind) -> usize {
    let of = |nodes: &[Node]| nodes.iter().map(|node| node.depth).max().unwrap_or(0);
    let maybe = |node: &Option<Box<Node>>| node.as_ref().map_or(0, |node| node.depth);
    match kind {
        Kind::Nil
        | Kind::Bool(_)
        | Kind::Int(_)
        | Kind::Float(_)
        | Kind::Text(_)
        | Kind::Name(_)
        | Kind::Pointer(_) => 0,
        Kind::Unary(_, node) | Kind::Chain(node) => node.depth,
        Kind::Binary(_, left, right) | Kind::Let(_, left, right) => left.depth.max(right.depth),
        Kind::Conditional(condition, yes, no) => condition.depth.max(maybe(yes)).max(no.depth),
        Kind::Member { of, name, .. } => of.depth.max(name.depth),
        Kind::Slice { of, from, to } => of.depth.max(maybe(from)).max(maybe(to)),
        Kind::Call(callee, arguments) => callee.depth.max(of(arguments)),
        Kind::Builtin(_, arguments) => of(arguments),
        Kind::Loop(_, list, body, initial) => list.depth.max(body.depth).max(maybe(initial)),
        Kind::List(elements) => of(elements),
        Kind::Object(pairs) => pairs.iter().map(|(key, value)| key.depth.max(value.depth)).max().unwrap_or(0),
    }
}

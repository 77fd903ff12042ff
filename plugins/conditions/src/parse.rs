//! From tokens to a tree, with the grammar of expr-lang 1.15 (`parser/parser.go`), which Argo Rollouts 1.9 uses. Of newer versions
//! it takes what can have only one meaning: text in backticks, `a?.[0]` and `if a {b} else {c}`.

use crate::builtins;
use crate::fault::Fault;
use crate::syntax::{Kind, Loop, Node, Operator, Pointer, Unary};
use crate::token::{Spanned, Token, tokens};

/// Conditions are a line or two.
const MAX_BYTES: usize = 4 << 10;
/// Brackets, unary operators, branches and bodies within each other: each costs the parser's stack.
const MAX_NESTING: usize = 130;
/// The evaluator's stack grows with each node on the way down.
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
    /// Bodies of loops that the parser is in: `#` and a leading dot mean something there.
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

    /// The end of the token before.
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

    fn expression(&mut self, precedence: u32) -> Result<Node, Fault> {
        self.nesting += 1;
        if self.nesting > MAX_NESTING {
            return Err(Fault::at(self.current().at, format!("nested deeper than {MAX_NESTING}")));
        }
        let node = self.unguarded(precedence);
        self.nesting -= 1;
        node
    }

    fn unguarded(&mut self, precedence: u32) -> Result<Node, Fault> {
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

    fn declaration(&mut self) -> Result<Node, Fault> {
        let from = self.next().at;
        let name = self.name()?.into();
        self.expect_operator("=")?;
        let value = self.expression(0)?;
        self.expect_operator(";")?;
        let body = self.expression(0)?;
        self.node(from, Kind::Let(name, Box::new(value), Box::new(body)))
    }

    /// Something follows that `if` cannot be the name of.
    fn begins_branch(&self) -> bool {
        let next = self.tokens.get(self.at + 1);
        next.is_some_and(|next| !matches!(next.token, Token::Operator | Token::End | Token::Bracket))
    }

    /// `if a {b} else {c}`, `if a {b} else if c {d} else {e}`.
    fn branch(&mut self) -> Result<Node, Fault> {
        let from = self.next().at;
        let condition = self.expression(0)?;
        let yes = self.block()?;
        if !self.take(&Token::Name, "else") {
            return Err(self.expected("else"));
        }
        let no = if self.is(&Token::Name, "if") { self.expression(0)? } else { self.block()? };
        self.node(from, Kind::Conditional(Box::new(condition), Some(Box::new(yes)), Box::new(no)))
    }

    fn block(&mut self) -> Result<Node, Fault> {
        self.expect_bracket("{")?;
        let node = self.expression(0)?;
        self.expect_bracket("}")?;
        Ok(node)
    }

    fn conditional(&mut self, from: usize, mut node: Node) -> Result<Node, Fault> {
        while self.take_operator("?") {
            let yes = if self.is_operator(":") { None } else { Some(Box::new(self.expression(0)?)) };
            self.expect_operator(":")?;
            let no = self.expression(0)?;
            node = self.node(from, Kind::Conditional(Box::new(node), yes, Box::new(no)))?;
        }
        Ok(node)
    }

    fn primary(&mut self) -> Result<Node, Fault> {
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

    /// A leading dot is left where it is: it takes a field of `#`.
    fn pointer(&mut self) -> Result<Pointer, Fault> {
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

    fn literal(&mut self, from: usize) -> Result<Node, Fault> {
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

    fn pipe(&mut self, left: Node) -> Result<Node, Fault> {
        let from = left.from;
        let name = self.name()?;
        if !self.is_bracket("(") {
            return Err(self.expected("("));
        }
        let node = self.named(from, name, Some(left))?;
        self.postfix(from, node)
    }

    /// A name, or a call of it; what a pipe brings is the first argument.
    fn named(&mut self, from: usize, name: &'a str, piped: Option<Node>) -> Result<Node, Fault> {
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

    fn repeated(&mut self, from: usize, kind: Loop, piped: Option<Node>) -> Result<Node, Fault> {
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

    fn body(&mut self) -> Result<Node, Fault> {
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

    /// What stands between the brackets, by commas; the last one may have a comma in a list.
    fn elements(&mut self, open: &str, close: &str) -> Result<Vec<Node>, Fault> {
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

    fn object(&mut self) -> Result<Node, Fault> {
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

    fn key(&mut self) -> Result<Node, Fault> {
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

    /// Members, indexes, slices and calls behind a node.
    fn postfix(&mut self, from: usize, mut node: Node) -> Result<Node, Fault> {
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

    fn property(&mut self) -> Result<Node, Fault> {
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

    fn member(&mut self, from: usize, node: Node, name: Node, optional: bool) -> Result<Node, Fault> {
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

    /// Behind the bracket of `a[1]`, `a[1:2]`, `a[:2]`, `a[1:]`, `a[:]`.
    fn indexed(&mut self, from: usize, node: Node) -> Result<Node, Fault> {
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

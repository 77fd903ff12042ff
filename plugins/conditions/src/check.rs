//! Checks the types of an expression before it runs, by the rules of expr-lang 1.15 (`checker/checker.go`).
//!
//! An expression is checked twice: with a result of any type, where an error is an error of the expression itself; and
//! with the type of the current value.

use crate::builtins;
use crate::fault::Fault;
use crate::functions::{self, Function};
use crate::methods;
use crate::syntax::{Kind, Loop, Node, Operator, Pointer, Unary};
use crate::types::Type;
use regex_lite::Regex;
use std::rc::Rc;

pub const RESULT: &str = "result";
/// All predefined names, as an object.
const ENVIRONMENT: &str = "$env";

pub fn check(expression: &str, node: &Node, result: &Type) -> Result<Type, Fault> {
    let mut checker = Checker { expression, result, variables: Vec::new(), bodies: Vec::new() };
    checker.visit(node)
}

struct Checker<'a> {
    expression: &'a str,
    result: &'a Type,
    variables: Vec<(Rc<str>, Type)>,
    bodies: Vec<Body>,
}

struct Body {
    element: Type,
    has_index: bool,
    has_accumulator: bool,
}

type Checked = Result<Type, Fault>;

impl Checker<'_> {
    fn visit(&mut self, node: &Node) -> Checked {
        match &node.kind {
            Kind::Nil => Ok(Type::Nil),
            Kind::Bool(_) => Ok(Type::Bool),
            Kind::Int(_) => Ok(Type::Int),
            Kind::Float(_) => Ok(Type::Float),
            Kind::Text(_) => Ok(Type::Text),
            Kind::Name(name) => self.name(node, name),
            Kind::Pointer(pointer) => self.pointer(node, *pointer),
            Kind::Unary(operator, operand) => self.unary(*operator, operand),
            Kind::Binary(operator, left, right) => self.binary(*operator, left, right),
            Kind::Conditional(condition, yes, no) => self.conditional(condition, yes.as_deref(), no),
            Kind::Member { of, name, optional } => self.member(of, name, *optional),
            Kind::Chain(inner) => self.visit(inner),
            Kind::Slice { of, from, to } => self.slice(of, [from.as_deref(), to.as_deref()]),
            Kind::Call(callee, arguments) => self.call(node, callee, arguments),
            Kind::Builtin(builtin, arguments) => {
                let types = self.all(arguments)?;
                builtin
                    .check(&types)
                    .map_err(|message| Fault::at(node.from, self.with_hint(arguments, &types, message)))
            }
            Kind::Loop(kind, list, body, initial) => self.repeated(*kind, list, body, initial.as_deref()),
            Kind::Let(name, value, body) => self.declaration(node, name, value, body),
            Kind::List(elements) => {
                self.all(elements)?;
                Ok(Type::list(Type::Any))
            }
            Kind::Object(pairs) => {
                for (key, value) in pairs {
                    self.visit(key)?;
                    self.visit(value)?;
                }
                Ok(Type::Object(Box::new(Type::Any)))
            }
        }
    }

    fn all(&mut self, nodes: &[Node]) -> Result<Vec<Type>, Fault> {
        nodes.iter().map(|node| self.visit(node)).collect()
    }

    fn name(&self, node: &Node, name: &str) -> Checked {
        if let Some((_, known)) = self.variables.iter().rev().find(|(known, _)| **known == *name) {
            return Ok(known.clone());
        }
        match name {
            RESULT => Ok(self.result.clone()),
            ENVIRONMENT => Ok(Type::Object(Box::new(Type::Any))),
            _ if Function::of(name).is_some() || builtins::find(name).is_some() || Loop::of(name).is_some() => {
                Ok(Type::Function)
            }
            _ => Err(Fault::at(node.from, format!("unknown name {name}"))),
        }
    }

    fn pointer(&self, node: &Node, pointer: Pointer) -> Checked {
        let known = self.bodies.last().and_then(|body| match pointer {
            Pointer::Element => Some(body.element.clone()),
            Pointer::Index => body.has_index.then_some(Type::Int),
            Pointer::Accumulator => body.has_accumulator.then_some(Type::Any),
        });
        known.ok_or_else(|| Fault::at(node.from, format!("{} has no meaning here", self.source(node))))
    }

    fn unary(&mut self, operator: Unary, operand: &Node) -> Checked {
        let of = self.visit(operand)?;
        match operator {
            Unary::Not if of.is_bool() || of.is_any() => Ok(Type::Bool),
            Unary::Minus | Unary::Plus if of.is_number() || of.is_any() => Ok(of),
            _ => Err(self.mismatch(operator.text(), &[(operand, &of)])),
        }
    }

    fn binary(&mut self, operator: Operator, left: &Node, right: &Node) -> Checked {
        let l = self.visit(left)?;
        let r = self.visit(right)?;
        if operator == Operator::Matches
            && let Kind::Text(pattern) = &right.kind
        {
            regex(pattern).map_err(|message| Fault::at(right.from, message))?;
        }
        if operator == Operator::In {
            return self.inside((left, &l), (right, &r));
        }
        combine(operator, &l, &r).ok_or_else(|| self.mismatch(operator.text(), &[(left, &l), (right, &r)]))
    }

    /// `needle in list` or `key in object`.
    fn inside(&mut self, needle: (&Node, &Type), of: (&Node, &Type)) -> Checked {
        let fits = match of.1 {
            Type::Any => true,
            Type::Keyed(_) => true,
            Type::Object(_) => matches!(needle.1, Type::Nil | Type::Any | Type::Text),
            Type::List(element) => {
                let written = self.element_of(of.0)?;
                let known = needle.1.is_comparable_to(element);
                known && written.is_none_or(|written| needle.1.is_comparable_to(&written))
            }
            Type::Text => needle.1.is_any(),
            _ => false,
        };
        if fits { Ok(Type::Bool) } else { Err(self.mismatch("in", &[needle, of])) }
    }

    /// The common type of all elements of a list literal.
    fn element_of(&mut self, node: &Node) -> Result<Option<Type>, Fault> {
        let Kind::List(elements) = &node.kind else { return Ok(None) };
        let types = self.all(elements)?;
        let Some(first) = types.first() else { return Ok(None) };
        let same = types.iter().all(|element| *element != Type::Nil && element.is_kind_of(first));
        Ok(types.last().filter(|_| same).cloned())
    }

    fn conditional(&mut self, condition: &Node, yes: Option<&Node>, no: &Node) -> Checked {
        let of = self.visit(condition)?;
        if !of.is_bool() && !of.is_any() {
            return Err(self.mismatch("?", &[(condition, &of)]));
        }
        let yes = match yes {
            Some(yes) => self.visit(yes)?,
            None => of,
        };
        let no = self.visit(no)?;
        Ok(match (&yes, &no) {
            (Type::Nil, _) => no,
            (_, Type::Nil) => yes,
            _ if yes.is_assignable_to(&no) => yes,
            _ => Type::Any,
        })
    }

    fn member(&mut self, of: &Node, name: &Node, optional: bool) -> Checked {
        let base = self.visit(of)?;
        let key = self.visit(name)?;
        if let (Kind::Name(environment), Kind::Text(text)) = (&of.kind, &name.kind)
            && **environment == *ENVIRONMENT
        {
            let known = self.name(name, text);
            return if optional { Ok(known.unwrap_or(Type::Any)) } else { known };
        }
        if let Kind::Text(text) = &name.kind
            && methods::answer(&base, text).is_some()
        {
            return Ok(Type::Function);
        }
        match base {
            Type::Any => Ok(Type::Any),
            Type::Object(element) if matches!(key, Type::Nil | Type::Any | Type::Text) => Ok(*element),
            Type::Keyed(element) => Ok(*element),
            Type::List(element) if key.is_integer() || key.is_any() => Ok(*element),
            _ => Err(self.no_member(of, &base, name, &key)),
        }
    }

    fn no_member(&self, of: &Node, base: &Type, name: &Node, key: &Type) -> Fault {
        let (whole, part) = (self.source(of), self.source(name));
        let message = match base {
            Type::List(_) => {
                format!("{whole} is a list, which has no {part}: write {whole}[0].{part} or all({whole}, .{part} …)")
            }
            Type::Object(_) => format!("{whole} is an object, which has no element by {}", key.name()),
            Type::Nil => format!("{whole} is nil, which has no {part}"),
            other => format!("{whole} is {}, which has no {part}", other.name()),
        };
        Fault::at(name.from, message)
    }

    fn slice(&mut self, of: &Node, bounds: [Option<&Node>; 2]) -> Checked {
        let base = self.visit(of)?;
        if !(base.is_any() || base.is_text() || base.is_list()) {
            return Err(self.mismatch("[:]", &[(of, &base)]));
        }
        for bound in bounds.into_iter().flatten() {
            let of = self.visit(bound)?;
            if !(of.is_integer() || of.is_any()) {
                return Err(self.mismatch("[:]", &[(bound, &of)]));
            }
        }
        Ok(base)
    }

    fn call(&mut self, node: &Node, callee: &Node, arguments: &[Node]) -> Checked {
        let types = self.all(arguments)?;
        match &callee.kind {
            Kind::Name(name) if self.variables.iter().all(|(known, _)| known != name) && **name != *RESULT => {
                let Some(function) = Function::of(name) else {
                    return Err(Fault::at(node.from, format!("unknown name {name}")));
                };
                let written: Vec<bool> = arguments.iter().map(Node::is_written_number).collect();
                functions::check(function, &types, &written)
                    .map_err(|message| Fault::at(node.from, self.with_hint(arguments, &types, message)))
            }
            Kind::Member { of, name, .. } => {
                let base = self.visit(of)?;
                let Kind::Text(text) = &name.kind else { return self.not_callable(callee) };
                match methods::answer(&base, text) {
                    Some(answer) => Ok(answer),
                    None if self.visit(callee)?.is_any() => Ok(Type::Any),
                    None => self.not_callable(callee),
                }
            }
            _ => self.not_callable(callee),
        }
    }

    fn not_callable(&mut self, callee: &Node) -> Checked {
        let of = self.visit(callee)?;
        if of.is_any() {
            return Ok(Type::Any);
        }
        Err(Fault::at(callee.from, format!("{} is {}, which cannot be called", self.source(callee), of.name())))
    }

    fn repeated(&mut self, kind: Loop, list: &Node, body: &Node, initial: Option<&Node>) -> Checked {
        let of = self.visit(list)?;
        let element = match &of {
            Type::Any => Type::Any,
            Type::List(element) => (**element).clone(),
            other => {
                let message = format!("{} is {}, a list is wanted", self.source(list), other.name());
                return Err(Fault::at(list.from, message));
            }
        };
        let has_index = matches!(kind, Loop::Map | Loop::Reduce);
        self.bodies.push(Body { element: element.clone(), has_index, has_accumulator: kind == Loop::Reduce });
        let answer = self.visit(body);
        self.bodies.pop();
        let answer = answer?;
        if let Some(initial) = initial {
            self.visit(initial)?;
        }
        if answer == Type::Nil {
            return Err(Fault::at(body.from, format!("{} is always nil", self.source(body))));
        }
        if kind.is_predicate() && !(answer.is_bool() || answer.is_any()) {
            let message = format!("{} is {}, a boolean is wanted", self.source(body), answer.name());
            return Err(Fault::at(body.from, message));
        }
        Ok(match kind {
            Loop::All | Loop::None | Loop::Any | Loop::One => Type::Bool,
            Loop::Filter => Type::list(element),
            Loop::Map => Type::list(answer),
            Loop::Count | Loop::FindIndex | Loop::FindLastIndex => Type::Int,
            Loop::Find | Loop::FindLast => element,
            Loop::GroupBy => Type::Keyed(Box::new(Type::list(Type::Any))),
            Loop::Reduce => answer,
        })
    }

    fn declaration(&mut self, node: &Node, name: &Rc<str>, value: &Node, body: &Node) -> Checked {
        let known = Node { kind: Kind::Name(name.clone()), from: node.from, to: node.to, depth: 1 };
        if self.name(&known, name).is_ok() {
            return Err(Fault::at(node.from, format!("{name} is known already: take another name")));
        }
        let of = self.visit(value)?;
        self.variables.push((name.clone(), of));
        let answer = self.visit(body);
        self.variables.pop();
        answer
    }

    fn source(&self, node: &Node) -> &str {
        self.expression.get(node.from..node.to).unwrap_or_default().trim()
    }

    /// Describes the operands, and how to select a number of the result if it is a list.
    fn mismatch(&self, operator: &str, operands: &[(&Node, &Type)]) -> Fault {
        let at = operands.first().map_or(0, |(node, _)| node.from);
        let are: Vec<String> =
            operands.iter().map(|(node, of)| format!("{} is {}", self.source(node), of.name())).collect();
        let list = operands.iter().find(|(node, of)| of.is_list() && !matches!(node.kind, Kind::List(_)));
        let hint = list.map(|(node, _)| format!(": write {}[0]", self.source(node))).unwrap_or_default();
        match hint.as_str() {
            "" => Fault::at(at, format!("{operator} cannot be applied: {}", are.join(", "))),
            hint => {
                let list = list.map(|(node, _)| self.source(node)).unwrap_or_default();
                Fault::at(at, format!("{list} is a list{hint} ({operator} cannot be applied to a list)"))
            }
        }
    }

    fn with_hint(&self, arguments: &[Node], types: &[Type], message: String) -> String {
        let list = arguments.iter().zip(types).find(|(node, of)| of.is_list() && !matches!(node.kind, Kind::List(_)));
        match list {
            Some((node, _)) => {
                let list = self.source(node);
                format!("{list} is a list: write {list}[0] ({message})")
            }
            None => message,
        }
    }
}

/// A regular expression in RE2's syntax.
pub fn regex(pattern: &str) -> Result<Regex, String> {
    Regex::new(pattern).map_err(|error| format!("{pattern:?} is no regular expression: {error}"))
}

/// The result type of an operator for two operand types; `None` if it is not defined.
fn combine(operator: Operator, l: &Type, r: &Type) -> Option<Type> {
    let numbers = l.is_number() && r.is_number();
    let either = |is: fn(&Type) -> bool| (l.is_any() && (r.is_any() || is(r))) || (r.is_any() && is(l));
    let of = |condition: bool, answer: Type| condition.then_some(answer);
    match operator {
        Operator::Equal | Operator::NotEqual => of(l.is_comparable_to(r), Type::Bool),
        Operator::And | Operator::Or => of((l.is_bool() && r.is_bool()) || either(Type::is_bool), Type::Bool),
        Operator::Less | Operator::More | Operator::LessOrEqual | Operator::MoreOrEqual => {
            let same = numbers || (l.is_text() && r.is_text()) || (l.is_time() && r.is_time());
            of(same || either(|of| of.is_number() || of.is_text() || of.is_time()), Type::Bool)
        }
        Operator::Add => match (l, r) {
            _ if numbers => Some(combined(l, r)),
            (Type::Text, Type::Text) => Some(Type::Text),
            (Type::Time, Type::Duration) | (Type::Duration, Type::Time) => Some(Type::Time),
            _ => of(either(|of| of.is_number() || of.is_text() || of.is_time()), Type::Any),
        },
        Operator::Subtract => match (l, r) {
            _ if numbers => Some(combined(l, r)),
            (Type::Time, Type::Time) => Some(Type::Duration),
            (Type::Time, Type::Duration) => Some(Type::Time),
            _ => of(either(|of| of.is_number() || of.is_time()), Type::Any),
        },
        Operator::Multiply if numbers => Some(combined(l, r)),
        Operator::Multiply => of(either(Type::is_number), Type::Any),
        Operator::Divide | Operator::Power => of(numbers || either(Type::is_number), Type::Float),
        Operator::Modulo if l.is_integer() && r.is_integer() => Some(combined(l, r)),
        Operator::Modulo => of(either(Type::is_integer), Type::Any),
        Operator::Matches | Operator::Contains | Operator::StartsWith | Operator::EndsWith => {
            of((l.is_text() && r.is_text()) || either(Type::is_text), Type::Bool)
        }
        Operator::Range => of((l.is_integer() && r.is_integer()) || either(Type::is_integer), Type::list(Type::Int)),
        Operator::Coalesce => Some(match (l, r) {
            (Type::Nil, other) | (other, Type::Nil) => other.clone(),
            _ if r.is_assignable_to(l) => l.clone(),
            _ => Type::Any,
        }),
        Operator::In | Operator::Pipe => None,
    }
}

fn combined(l: &Type, r: &Type) -> Type {
    match (l, r) {
        _ if l.is_kind_of(r) => l.clone(),
        (Type::Float, _) | (_, Type::Float) => Type::Float,
        _ => Type::Int,
    }
}

//! Evaluates an expression, with the semantics of expr-lang 1.15 (`compiler`, `vm`).

mod loops;
mod messages;

use crate::check::{RESULT, regex};
use crate::context::{Context, TOO_LARGE};
use crate::fault::Fault;
use crate::functions::{self, Function};
use crate::methods;
use crate::operators;
use crate::syntax::{Kind, Loop, Node, Operator, Pointer, Unary};
use crate::types::Type;
use crate::value::{ListKind, Value};
use std::collections::BTreeMap;
use std::rc::Rc;

/// Limit of the elements of all lists of an expression together (`vm.MemoryBudget`).
const MAX_ELEMENTS: usize = 1_000_000;

pub fn run(node: &Node, context: &Context<'_>) -> Result<Value, Fault> {
    let mut run = Run { context, variables: Vec::new(), bodies: Vec::new(), elements: 0 };
    run.value(node).map_err(|stop| match stop {
        Stop::Fault(fault) => fault,
        Stop::Nothing => Fault::at(node.from, "nothing to chain"),
    })
}

enum Stop {
    Fault(Fault),
    /// A `?.` met nil: the chain around it is nil.
    Nothing,
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

struct Run<'a> {
    context: &'a Context<'a>,
    variables: Vec<(Rc<str>, Value)>,
    bodies: Vec<Element>,
    elements: usize,
}

struct Element {
    value: Value,
    index: usize,
    accumulator: Value,
}

type Answer = Result<Value, Stop>;

fn fail<T>(node: &Node, message: impl Into<String>) -> Result<T, Stop> {
    Err(Fault::at(node.from, message).into())
}

impl Run<'_> {
    fn value(&mut self, node: &Node) -> Answer {
        match &node.kind {
            Kind::Nil => Ok(Value::Nil),
            Kind::Bool(bool) => Ok(Value::Bool(*bool)),
            Kind::Int(number) => Ok(Value::Int(*number)),
            Kind::Float(number) => Ok(Value::Float(*number)),
            Kind::Text(text) => Ok(Value::Text(text.clone())),
            Kind::Name(name) => self.name(node, name),
            Kind::Pointer(pointer) => self.pointer(node, *pointer),
            Kind::Unary(operator, operand) => self.unary(*operator, operand),
            Kind::Binary(operator, left, right) => self.binary(node, *operator, left, right),
            Kind::Conditional(condition, yes, no) => match self.bool(condition)? {
                true => yes.as_deref().map_or(Ok(Value::Bool(true)), |yes| self.value(yes)),
                false => self.value(no),
            },
            Kind::Member { of, name, optional } => self.member(of, name, *optional),
            Kind::Chain(inner) => match self.value(inner) {
                Err(Stop::Nothing) => Ok(Value::Nil),
                answer => answer,
            },
            Kind::Slice { of, from, to } => self.slice(node, of, from.as_deref(), to.as_deref()),
            Kind::Call(callee, arguments) => self.call(node, callee, arguments),
            Kind::Builtin(builtin, arguments) => {
                if let ("first" | "last", [Node { kind: Kind::Loop(Loop::Filter, list, body, None), .. }]) =
                    (builtin.name, arguments.as_slice())
                {
                    return Ok(self.found(list, body, builtin.name == "last")?.unwrap_or(Value::Nil));
                }
                let mut values = Vec::with_capacity(arguments.len());
                for argument in arguments {
                    values.push(self.value(argument)?);
                }
                builtin
                    .call(&values, self.context)
                    .or_else(|message| fail(node, self.with_hint(arguments, &values, message)))
            }
            Kind::Loop(kind, list, body, initial) => self.repeated(*kind, list, body, initial.as_deref()),
            Kind::Let(name, value, body) => {
                let value = self.value(value)?;
                self.variables.push((name.clone(), value));
                let answer = self.value(body);
                self.variables.pop();
                answer
            }
            Kind::List(elements) => {
                self.grow(node, elements.len())?;
                let items: Result<_, _> = elements.iter().map(|element| self.value(element)).collect();
                items.map(Value::list)
            }
            Kind::Object(pairs) => self.object(pairs),
        }
    }

    fn grow(&mut self, node: &Node, elements: usize) -> Result<(), Stop> {
        self.elements = self.elements.saturating_add(elements);
        if self.elements >= MAX_ELEMENTS { fail(node, TOO_LARGE) } else { Ok(()) }
    }

    fn name(&self, node: &Node, name: &str) -> Answer {
        if let Some((_, value)) = self.variables.iter().rev().find(|(known, _)| **known == *name) {
            return Ok(value.clone());
        }
        match name {
            RESULT => Ok(self.context.result.clone()),
            "$env" => {
                let environment = [(RESULT.to_owned(), self.context.result.clone())];
                Ok(Value::Object(Rc::new(BTreeMap::from(environment))))
            }
            _ => fail(node, format!("{name} is a function: call it")),
        }
    }

    fn pointer(&self, node: &Node, pointer: Pointer) -> Answer {
        match (self.bodies.last(), pointer) {
            (Some(element), Pointer::Element) => Ok(element.value.clone()),
            (Some(element), Pointer::Index) => Ok(Value::Int(element.index as i64)),
            (Some(element), Pointer::Accumulator) => Ok(element.accumulator.clone()),
            (None, _) => fail(node, "# stands outside of a body"),
        }
    }

    fn bool(&mut self, node: &Node) -> Result<bool, Stop> {
        match self.value(node)? {
            Value::Bool(bool) => Ok(bool),
            other => fail(node, format!("{} is {}, a boolean is wanted", self.source(node), Type::of(&other).name())),
        }
    }

    fn unary(&mut self, operator: Unary, operand: &Node) -> Answer {
        if operator == Unary::Not {
            return self.bool(operand).map(|bool| Value::Bool(!bool));
        }
        let value = self.value(operand)?;
        match (operator, value) {
            (Unary::Plus, value) => Ok(value),
            (_, Value::Int(number)) => Ok(Value::Int(number.wrapping_neg())),
            (_, Value::Int64(number)) => Ok(Value::Int64(number.wrapping_neg())),
            (_, Value::Float(number)) => Ok(Value::Float(-number)),
            (_, other) => {
                fail(operand, format!("- cannot be applied: {} is {}", self.source(operand), Type::of(&other).name()))
            }
        }
    }

    fn binary(&mut self, node: &Node, operator: Operator, left: &Node, right: &Node) -> Answer {
        match operator {
            // A constant operand decides first, as after the optimisation of the Go original.
            Operator::And if left.known_bool() == Some(false) || right.known_bool() == Some(false) => {
                Ok(Value::Bool(false))
            }
            Operator::Or if left.known_bool() == Some(true) || right.known_bool() == Some(true) => {
                Ok(Value::Bool(true))
            }
            Operator::And => match self.bool(left)? {
                false => Ok(Value::Bool(false)),
                true => self.bool(right).map(Value::Bool),
            },
            Operator::Or => match self.bool(left)? {
                true => Ok(Value::Bool(true)),
                false => self.bool(right).map(Value::Bool),
            },
            Operator::Coalesce => {
                let value = self.value(left)?;
                if value.is_nil() { self.value(right) } else { Ok(value) }
            }
            _ => {
                let a = self.value(left)?;
                let b = self.value(right)?;
                self.applied(node, operator, (left, &a), (right, &b))
            }
        }
    }

    fn applied(&mut self, node: &Node, operator: Operator, left: (&Node, &Value), right: (&Node, &Value)) -> Answer {
        match (operator, left.1, right.1) {
            (Operator::Matches, Value::Text(text), Value::Text(pattern)) => {
                let regex = regex(pattern).or_else(|message| fail(right.0, message))?;
                Ok(Value::Bool(regex.is_match(text)))
            }
            (Operator::Range, from, to) => match (operators::integer(from), operators::integer(to)) {
                (Some(from), Some(to)) => self.range(node, from, to),
                _ => fail(node, self.mismatch(operator, &[left, right])),
            },
            // In a list of texts only, the lookup is by text.
            (Operator::In, needle, _) if is_all_texts(right.0) && !matches!(needle, Value::Text(_) | Value::Nil) => {
                fail(node, self.mismatch(operator, &[left, right]))
            }
            _ => match operators::apply(operator, left.1, right.1) {
                Some(answer) => answer.or_else(|message| fail(node, message)),
                None => fail(node, self.mismatch(operator, &[left, right])),
            },
        }
    }

    fn range(&mut self, node: &Node, from: i64, to: i64) -> Answer {
        let size = to.checked_sub(from).and_then(|size| size.checked_add(1)).unwrap_or(i64::MAX);
        self.grow(node, usize::try_from(size.max(0)).unwrap_or(usize::MAX))?;
        Ok(Value::list_of(ListKind::Ints, (from..=to).map(Value::Int).collect()))
    }

    fn member(&mut self, of: &Node, name: &Node, optional: bool) -> Answer {
        // As in the Go original's optimisation, elements after the found one are not evaluated.
        if let (Kind::Loop(Loop::Filter, list, body, None), Some(index @ (0 | -1))) = (&of.kind, name.written_index()) {
            return match self.found(list, body, index < 0)? {
                Some(found) => Ok(found),
                None => fail(of, "index out of range: no element is left"),
            };
        }
        let base = self.value(of)?;
        if optional && base.is_nil() {
            return Err(Stop::Nothing);
        }
        let key = self.value(name)?;
        operators::fetch(&base, &key).or_else(|message| fail(name, format!("{}: {message}", self.source(of))))
    }

    fn slice(&mut self, node: &Node, of: &Node, from: Option<&Node>, to: Option<&Node>) -> Answer {
        let value = self.value(of)?;
        let to = to.map(|to| self.index(to)).transpose()?;
        let from = from.map_or(Ok(0), |from| self.index(from))?;
        operators::slice(&value, from, to).or_else(|message| fail(node, message))
    }

    fn index(&mut self, node: &Node) -> Result<i64, Stop> {
        let value = self.value(node)?;
        match operators::integer(&value) {
            Some(index) => Ok(index),
            None => fail(node, format!("{} is {}, an integer is wanted", self.source(node), Type::of(&value).name())),
        }
    }

    fn call(&mut self, node: &Node, callee: &Node, arguments: &[Node]) -> Answer {
        let mut values = Vec::with_capacity(arguments.len());
        for argument in arguments {
            values.push(self.value(argument)?);
        }
        match &callee.kind {
            Kind::Name(name) => match Function::of(name) {
                Some(function) => {
                    let written = arguments.first().is_some_and(Node::is_written_number);
                    functions::call(function, &values, written, self.context.result)
                        .or_else(|message| fail(node, self.with_hint(arguments, &values, message)))
                }
                None => fail(node, format!("{name} cannot be called")),
            },
            Kind::Member { of, name, optional } => {
                let base = self.value(of)?;
                if *optional && base.is_nil() {
                    return Err(Stop::Nothing);
                }
                let Kind::Text(method) = &name.kind else { return fail(node, "it cannot be called") };
                methods::call(&base, method, &values).or_else(|message| fail(name, message))
            }
            _ => fail(node, format!("{} cannot be called", self.source(callee))),
        }
    }

    fn object(&mut self, pairs: &[(Node, Node)]) -> Answer {
        let mut fields = BTreeMap::new();
        for (key, value) in pairs {
            let name = match self.value(key)? {
                Value::Text(name) => name.to_string(),
                other => return fail(key, format!("a key is a string, not {}", Type::of(&other).name())),
            };
            self.grow(key, 1)?;
            let value = self.value(value)?;
            // The first of two equal keys counts: the Go original fills the map from the end.
            fields.entry(name).or_insert(value);
        }
        Ok(Value::Object(Rc::new(fields)))
    }
}

/// True for a list literal of texts only.
fn is_all_texts(node: &Node) -> bool {
    let Kind::List(elements) = &node.kind else { return false };
    !elements.is_empty() && elements.iter().all(|element| matches!(element.kind, Kind::Text(_)))
}

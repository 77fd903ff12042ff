//! Loops over lists: `all`, `filter`, `reduce` and others.

use super::{Answer, Element, Run, Stop, fail};
use crate::operators;
use crate::syntax::{Loop, Node};
use crate::types::Type;
use crate::value::{List, Value};
use std::rc::Rc;

impl Run<'_> {
    pub(super) fn list(&mut self, list: &Node) -> Result<Rc<List>, Stop> {
        match self.value(list)? {
            Value::List(elements) => Ok(elements),
            other => fail(list, format!("{} is {}, a list is wanted", self.source(list), Type::of(&other).name())),
        }
    }

    /// The first or the last element for which the body is true.
    pub(super) fn found(&mut self, list: &Node, body: &Node, from_end: bool) -> Result<Option<Value>, Stop> {
        let elements = self.list(list)?;
        let found = self.find(&elements.items, body, from_end)?;
        Ok(found.and_then(|index| elements.items.get(index)).cloned())
    }

    pub(super) fn repeated(&mut self, kind: Loop, list: &Node, body: &Node, initial: Option<&Node>) -> Answer {
        if matches!(kind, Loop::Find | Loop::FindLast) {
            return Ok(self.found(list, body, kind == Loop::FindLast)?.unwrap_or(Value::Nil));
        }
        let elements = self.list(list)?;
        let items = &elements.items;
        match kind {
            Loop::All => self.every(items, body, true).map(Value::Bool),
            Loop::None => self.every(items, body, false).map(Value::Bool),
            Loop::Any => self.find(items, body, false).map(|found| Value::Bool(found.is_some())),
            Loop::One => self.chosen(items, body).map(|chosen| Value::Bool(chosen.len() == 1)),
            Loop::Count => self.chosen(items, body).map(|chosen| Value::Int(chosen.len() as i64)),
            Loop::Filter => {
                let chosen = self.chosen(items, body)?;
                self.grow(list, chosen.len())?;
                Ok(Value::list(chosen))
            }
            Loop::Map => {
                self.grow(list, items.len())?;
                let mut answers = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    answers.push(self.body(index, item, Value::Nil, |run| run.value(body))?);
                }
                Ok(Value::list(answers))
            }
            Loop::FindIndex | Loop::FindLastIndex => {
                let found = self.find(items, body, kind == Loop::FindLastIndex)?;
                Ok(found.map_or(Value::Nil, |index| Value::Int(index as i64)))
            }
            Loop::GroupBy => self.grouped(items, body),
            Loop::Find | Loop::FindLast => Ok(Value::Nil),
            Loop::Reduce => self.reduced(list, items, body, initial),
        }
    }

    pub(super) fn body<T>(
        &mut self,
        index: usize,
        item: &Value,
        accumulator: Value,
        run: impl FnOnce(&mut Self) -> Result<T, Stop>,
    ) -> Result<T, Stop> {
        self.bodies.push(Element { value: item.clone(), index, accumulator });
        let answer = run(self);
        self.bodies.pop();
        answer
    }

    pub(super) fn holds(&mut self, index: usize, item: &Value, body: &Node) -> Result<bool, Stop> {
        self.body(index, item, Value::Nil, |run| run.bool(body))
    }

    pub(super) fn every(&mut self, items: &[Value], body: &Node, wanted: bool) -> Result<bool, Stop> {
        for (index, item) in items.iter().enumerate() {
            if self.holds(index, item, body)? != wanted {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(super) fn find(&mut self, items: &[Value], body: &Node, from_end: bool) -> Result<Option<usize>, Stop> {
        for step in 0..items.len() {
            let index = if from_end { items.len() - 1 - step } else { step };
            if let Some(item) = items.get(index)
                && self.holds(index, item, body)?
            {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }

    pub(super) fn chosen(&mut self, items: &[Value], body: &Node) -> Result<Vec<Value>, Stop> {
        let mut chosen = Vec::new();
        for (index, item) in items.iter().enumerate() {
            if self.holds(index, item, body)? {
                chosen.push(item.clone());
            }
        }
        Ok(chosen)
    }

    pub(super) fn grouped(&mut self, items: &[Value], body: &Node) -> Answer {
        let mut groups: Vec<(Value, Vec<Value>)> = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let key = self.body(index, item, Value::Nil, |run| run.value(body))?;
            if matches!(key, Value::List(_) | Value::Object(_) | Value::Keyed(_)) {
                return fail(body, format!("{} cannot be the key of a group", Type::of(&key).name()));
            }
            match groups
                .iter_mut()
                .find(|(known, _)| Type::of(known) == Type::of(&key) && operators::equal(known, &key))
            {
                Some((_, members)) => members.push(item.clone()),
                None => groups.push((key, vec![item.clone()])),
            }
        }
        let entries = groups.into_iter().map(|(key, members)| (key, Value::list(members))).collect();
        Ok(Value::Keyed(Rc::new(entries)))
    }

    pub(super) fn reduced(&mut self, list: &Node, items: &[Value], body: &Node, initial: Option<&Node>) -> Answer {
        let (mut accumulator, from) = match (initial, items.first()) {
            (Some(initial), _) => (self.value(initial)?, 0),
            (None, Some(first)) => (first.clone(), 1),
            (None, None) => return fail(list, "index out of range: reduce() of an empty list needs a start"),
        };
        for (index, item) in items.iter().enumerate().skip(from) {
            accumulator = self.body(index, item, accumulator, |run| run.value(body))?;
        }
        Ok(accumulator)
    }
}

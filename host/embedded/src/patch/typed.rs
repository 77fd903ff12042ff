//! Merging and comparing two values of one kind, list by list as its schema says.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::fields::{FieldSet, Path, Step, shown};
use super::shape::{List, Shape};

/// What `new` sets laid over `old`.
pub(super) fn merged(old: &Value, new: &Value, shape: &Shape) -> Value {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) if !shape.atomic => {
            let mut all = old.clone();
            for (name, value) in new {
                let value = match old.get(name) {
                    Some(old) => merged(old, value, shape.field(name)),
                    None => value.clone(),
                };
                all.insert(name.clone(), value);
            }
            Value::Object(all)
        }
        (Value::Array(old), Value::Array(new)) if shape.list != List::Atomic => merged_list(old, new, shape),
        _ => new.clone(),
    }
}

/// Items of both keep the order of `new`; items of `old` alone stay where they were among the shared ones.
fn merged_list(old: &[Value], new: &[Value], shape: &Shape) -> Value {
    let step = |item: &Value| Step::of_item(item, &shape.list);
    let index = |list: &[Value]| -> BTreeMap<Step, Value> {
        list.iter().filter_map(|item| Some((step(item)?, item.clone()))).collect()
    };
    let (old_by_step, new_by_step) = (index(old), index(new));
    let combined = |item: &Value| match step(item).and_then(|step| old_by_step.get(&step)) {
        Some(before) => merged(before, item, shape.item()),
        None => item.clone(),
    };
    let mut shared = new.iter().filter_map(step).filter(|step| old_by_step.contains_key(step));
    let mut next_shared = shared.next();
    let mut taken = BTreeSet::new();
    let mut items = Vec::new();
    let (mut olds, mut news) = (old.iter().peekable(), new.iter().peekable());
    loop {
        let (old_step, new_step) = (olds.peek().and_then(|item| step(item)), news.peek().and_then(|item| step(item)));
        if let Some(item) = olds.peek() {
            let both = news.peek().is_some();
            let is_shared = old_step.as_ref().is_some_and(|step| new_by_step.contains_key(step));
            if both && is_shared && old_step != new_step && next_shared.is_some() && next_shared != old_step {
                olds.next();
                continue;
            }
            if !is_shared {
                items.push((*item).clone());
                olds.next();
                continue;
            }
            if old_step == new_step || old_step.as_ref().is_some_and(|step| taken.contains(step)) {
                olds.next();
            }
        }
        let Some(item) = news.next() else {
            if olds.peek().is_none() {
                return Value::Array(items);
            }
            continue;
        };
        items.push(combined(item));
        if next_shared == new_step {
            next_shared = shared.next();
        }
        taken.extend(new_step);
    }
}

/// Whether each item of each list can be told from the others.
///
/// # Errors
/// The place of one that cannot, and why.
pub(super) fn check(value: &Value, shape: &Shape, place: &str) -> Result<(), String> {
    match value {
        Value::Object(object) if !shape.atomic => {
            object.iter().try_for_each(|(name, value)| check(value, shape.field(name), &format!("{place}.{name}")))
        }
        Value::Array(items) if shape.list != List::Atomic => {
            let mut seen = BTreeSet::new();
            for (index, item) in items.iter().enumerate() {
                let Some(step) = Step::of_item(item, &shape.list) else {
                    return Err(format!("{place}: element {index}: {}", unkeyed(item, &shape.list)));
                };
                let shown = shown(std::slice::from_ref(&step));
                check(item, shape.item(), &format!("{place}{shown}"))?;
                if !seen.insert(step) {
                    return Err(format!("{place}: duplicate entries for key {shown}"));
                }
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn unkeyed(item: &Value, list: &List) -> String {
    match list {
        List::Map(_) if item.is_null() => "associative list with keys may not have a null element".to_owned(),
        List::Map(_) if !item.is_object() => "associative list with keys may not have non-map elements".to_owned(),
        List::Map(keys) => {
            let names: Vec<String> = keys.iter().map(|key| format!("{:?}", key.name)).collect();
            format!(
                "associative list with keys has an element that omits all key fields [{}] (and doesn't have default values for any \
                 key fields)",
                names.join(" ")
            )
        }
        List::Set | List::Atomic => "associative list without keys has an element that's not a scalar".to_owned(),
    }
}

/// How a value changed, by field.
#[derive(Default)]
pub(super) struct Comparison {
    pub added: FieldSet,
    pub modified: FieldSet,
    pub removed: FieldSet,
    claims: Claims,
}

/// What at the top of an object a writer may claim to manage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Claims {
    #[default]
    All,
    /// The status is written apart.
    AllButStatus,
    Status,
}

impl Claims {
    fn include(self, field: &str) -> bool {
        match self {
            Self::All => true,
            Self::AllButStatus => field != "status",
            Self::Status => field == "status" || field == "metadata",
        }
    }
}

impl Comparison {
    pub fn of(old: &Value, new: &Value, shape: &Shape) -> Self {
        Self::of_claimed(old, new, shape, Claims::All)
    }

    /// Of the fields at the top that a write is for; who manages what is no part of it.
    pub fn of_claimed(old: &Value, new: &Value, shape: &Shape, claims: Claims) -> Self {
        let mut comparison = Self { claims, ..Self::default() };
        comparison.compare(Some(old), Some(new), shape, &mut Path::new());
        comparison
    }

    fn passes_over(&self, path: &Path, name: &str) -> bool {
        match path.as_slice() {
            [] => !self.claims.include(name),
            [Step::Field(parent)] => parent == "metadata" && name == "managedFields",
            _ => false,
        }
    }

    fn compare(&mut self, old: Option<&Value>, new: Option<&Value>, shape: &Shape, path: &mut Path) {
        let (empty_object, empty_list) = (Map::new(), Vec::new());
        let is_object = |value: Option<&Value>| value.is_some_and(Value::is_object);
        let is_list = |value: Option<&Value>| value.is_some_and(Value::is_array);
        // An absent or null value takes the form of the other.
        let absent = |value: Option<&Value>| value.is_none_or(Value::is_null);
        let of_form = |form: &dyn Fn(Option<&Value>) -> bool| {
            (form(old) || form(new)) && (form(old) || absent(old)) && (form(new) || absent(new))
        };
        if of_form(&is_object) && !shape.atomic {
            let old_fields = old.and_then(Value::as_object).unwrap_or(&empty_object);
            let new_fields = new.and_then(Value::as_object).unwrap_or(&empty_object);
            if !(old_fields.is_empty() && new_fields.is_empty()) {
                let names: BTreeSet<&String> = old_fields.keys().chain(new_fields.keys()).collect();
                for name in names {
                    let (old, new) = (old_fields.get(name), new_fields.get(name));
                    // Most of it has not changed.
                    if old == new || self.passes_over(path, name) {
                        continue;
                    }
                    path.push(Step::Field(name.clone()));
                    self.compare(old, new, shape.field(name), path);
                    path.pop();
                }
                return self.container(old, new, path);
            }
        }
        if of_form(&is_list) && shape.list != List::Atomic {
            let old_items = old.and_then(Value::as_array).unwrap_or(&empty_list);
            let new_items = new.and_then(Value::as_array).unwrap_or(&empty_list);
            if !(old_items.is_empty() && new_items.is_empty()) {
                let mut pairs: BTreeMap<Step, (Option<&Value>, Option<&Value>)> = BTreeMap::new();
                for item in old_items {
                    if let Some(step) = Step::of_item(item, &shape.list) {
                        pairs.entry(step).or_default().0 = Some(item);
                    }
                }
                for item in new_items {
                    if let Some(step) = Step::of_item(item, &shape.list) {
                        pairs.entry(step).or_default().1 = Some(item);
                    }
                }
                for (step, (old, new)) in pairs.into_iter().filter(|(_, (old, new))| old != new) {
                    path.push(step);
                    self.compare(old, new, shape.item(), path);
                    path.pop();
                }
                return self.container(old, new, path);
            }
        }
        let changed = match (old, new) {
            (None, Some(_)) => &mut self.added,
            (Some(_), None) => &mut self.removed,
            (Some(old), Some(new)) if old != new => &mut self.modified,
            _ => return,
        };
        changed.0.insert(path.clone());
    }

    /// An object or list that came or went is itself a field that did, apart from its parts.
    fn container(&mut self, old: Option<&Value>, new: Option<&Value>, path: &Path) {
        let changed = match (old, new) {
            (None, _) => &mut self.added,
            (_, None) => &mut self.removed,
            _ => return,
        };
        changed.0.insert(path.clone());
    }
}

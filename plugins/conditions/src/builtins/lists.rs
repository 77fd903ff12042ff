use super::{Answer, Builtin, Call, Parameter, Signature, one};
use crate::operators;
use crate::types::Type;
use crate::value::{ListKind, Value};
use std::cmp::Ordering;
use std::rc::Rc;

pub const ALL: &[Builtin] = &[
    Builtin::new(
        "len",
        Signature::Checked(|name, types| {
            one(
                name,
                types,
                |of| matches!(of, Type::List(_) | Type::Object(_) | Type::Keyed(_) | Type::Text),
                Type::Int,
            )
        }),
        |call| {
            let length = match call.arguments {
                [Value::List(list)] => list.items.len(),
                [Value::Object(fields)] => fields.len(),
                [Value::Keyed(entries)] => entries.len(),
                [Value::Text(text)] => text.len(),
                _ => return call.refused(),
            };
            Ok(Value::Int(length as i64))
        },
    ),
    Builtin::new("first", Signature::Checked(element_of), |call| Ok(fetched(call, &Value::Int(0)))),
    Builtin::new("last", Signature::Checked(element_of), |call| Ok(fetched(call, &Value::Int(-1)))),
    Builtin::new("get", Signature::Checked(get_of), |call| {
        Ok(fetched(call, call.arguments.get(1).unwrap_or(&Value::Nil)))
    }),
    Builtin::new("take", Signature::Checked(take_of), |call| {
        let items = call.list(0)?;
        let Some(wanted) = call.arguments.get(1).and_then(Value::as_integer) else { return call.refused() };
        match usize::try_from(wanted) {
            Ok(wanted) if wanted > items.len() => Ok(call.arguments.first().cloned().unwrap_or(Value::Nil)),
            Ok(wanted) => Ok(Value::list(items.iter().take(wanted).cloned().collect())),
            Err(_) => Err("take() takes no negative number".into()),
        }
    }),
    Builtin::new(
        "keys",
        Signature::Checked(|name, types| one(name, types, is_object, Type::list(Type::Any))),
        |call| Ok(Value::list(entries(call)?.into_iter().map(|(key, _)| key).collect())),
    ),
    Builtin::new(
        "values",
        Signature::Checked(|name, types| one(name, types, is_object, Type::list(Type::Any))),
        |call| Ok(Value::list(entries(call)?.into_iter().map(|(_, value)| value).collect())),
    ),
    Builtin::new(
        "toPairs",
        Signature::Checked(|name, types| one(name, types, is_object, Type::list(Type::Any))),
        |call| {
            let pair = |(key, value)| Value::list_of(ListKind::Pair, vec![key, value]);
            Ok(Value::list_of(ListKind::Pairs, entries(call)?.into_iter().map(pair).collect()))
        },
    ),
    Builtin::new(
        "fromPairs",
        Signature::Checked(|name, types| one(name, types, Type::is_list, Type::Keyed(Box::new(Type::Any)))),
        |call| {
            let mut entries: Vec<(Value, Value)> = Vec::new();
            for pair in call.list(0)? {
                let Value::List(pair) = pair else { return Err("fromPairs() takes a list of pairs".into()) };
                let [key, value] = pair.items.as_slice() else {
                    return Err("fromPairs(): a pair has two elements".into());
                };
                entries.retain(|(known, _)| !operators::equal(known, key));
                entries.push((key.clone(), value.clone()));
            }
            Ok(Value::Keyed(Rc::new(entries)))
        },
    ),
    Builtin::new("sort", Signature::Checked(|name, types| sorted_of(name, types, 1)), |call| {
        let keys = call.list(0)?.to_vec();
        sorted(call, keys, 1)
    }),
    Builtin::new("sortBy", Signature::Checked(|name, types| sorted_of(name, types, 2)), |call| {
        let field = call.arguments.get(1).cloned().unwrap_or(Value::Nil);
        call.text(1)?;
        let key = |item: &Value| match item {
            Value::Object(_) => operators::fetch(item, &field),
            other => Ok(other.clone()),
        };
        let keys: Result<Vec<_>, _> = call.list(0)?.iter().map(key).collect();
        sorted(call, keys?, 2)
    }),
    Builtin::new("reverse", Signature::Checked(same_list), |call| {
        Ok(Value::list(call.list(0)?.iter().rev().cloned().collect()))
    }),
    Builtin::new(
        "flatten",
        Signature::Checked(|name, types| one(name, types, Type::is_list, Type::list(Type::Any))),
        |call| {
            let mut flat = Vec::new();
            flatten(call.list(0)?, &mut flat);
            Ok(Value::list(flat))
        },
    ),
    Builtin::new("uniq", Signature::Checked(same_list), |call| {
        let mut kept: Vec<Value> = Vec::new();
        for item in call.list(0)? {
            if !kept.iter().any(|known| operators::equal(known, item)) {
                kept.push(item.clone());
            }
        }
        Ok(Value::list(kept))
    }),
    Builtin::new(
        "concat",
        Signature::Overloads(&[&[Parameter::Any], &[Parameter::Any, Parameter::Any]], Answer::Any),
        |call| {
            let mut all = call.list(0)?.to_vec();
            if call.arguments.len() == 2 {
                all.extend_from_slice(call.list(1)?);
            }
            Ok(Value::list(all))
        },
    ),
];

fn is_object(of: &Type) -> bool {
    matches!(of, Type::Object(_) | Type::Keyed(_))
}

fn element(of: &Type) -> Type {
    match of {
        Type::List(element) | Type::Object(element) | Type::Keyed(element) => (**element).clone(),
        _ => Type::Any,
    }
}

fn element_of(name: &'static str, types: &[Type]) -> Result<Type, String> {
    one(name, types, Type::is_list, types.first().map_or(Type::Any, element))
}

fn same_list(name: &'static str, types: &[Type]) -> Result<Type, String> {
    one(name, types, Type::is_list, types.first().cloned().unwrap_or(Type::Any))
}

fn get_of(name: &'static str, types: &[Type]) -> Result<Type, String> {
    let refused = |of: &Type, key: &Type| Err(format!("{name}() does not take {}, {}", of.name(), key.name()));
    match types {
        [Type::Any, _] => Ok(Type::Any),
        [of, key] => match of {
            Type::List(_) if key.is_integer() || key.is_any() => Ok(element(of)),
            Type::Object(_) if key.is_text() || key.is_any() => Ok(element(of)),
            Type::Keyed(_) if *key != Type::Nil => Ok(element(of)),
            _ => refused(of, key),
        },
        _ => Err(format!("{name}() takes 2 arguments, not {}", types.len())),
    }
}

fn take_of(name: &'static str, types: &[Type]) -> Result<Type, String> {
    match types {
        [of, count] if (of.is_list() || of.is_any()) && (count.is_integer() || count.is_any()) => Ok(of.clone()),
        [of, count] => Err(format!("{name}() does not take {}, {}", of.name(), count.name())),
        _ => Err(format!("{name}() takes 2 arguments, not {}", types.len())),
    }
}

fn sorted_of(name: &'static str, types: &[Type], at_least: usize) -> Result<Type, String> {
    let more = types.get(1..).unwrap_or_default();
    let texts = more.iter().all(|of| of.is_text() || of.is_any());
    match types.first() {
        Some(of) if (of.is_list() || of.is_any()) && texts && (at_least..=at_least + 1).contains(&types.len()) => {
            Ok(Type::list(Type::Any))
        }
        _ => {
            let names: Vec<&str> = types.iter().map(Type::name).collect();
            Err(format!("{name}() does not take {}", names.join(", ")))
        }
    }
}

/// A missing element is nil.
fn fetched(call: &Call<'_>, index: &Value) -> Value {
    call.arguments.first().and_then(|of| operators::fetch(of, index).ok()).unwrap_or(Value::Nil)
}

fn entries(call: &Call<'_>) -> Result<Vec<(Value, Value)>, String> {
    match call.arguments {
        [Value::Object(fields)] => Ok(fields.iter().map(|(name, value)| (Value::text(name), value.clone())).collect()),
        [Value::Keyed(entries)] => Ok(entries.to_vec()),
        _ => call.refused(),
    }
}

fn flatten(items: &[Value], flat: &mut Vec<Value>) {
    for item in items {
        match item {
            Value::List(inner) => flatten(&inner.items, flat),
            other => flat.push(other.clone()),
        }
    }
}

/// The list sorted by its keys; all keys are numbers or strings of one type.
fn sorted(call: &Call<'_>, keys: Vec<Value>, order_at: usize) -> Result<Value, String> {
    let falls = match call.arguments.get(order_at) {
        None => false,
        Some(Value::Text(order)) if **order == *"asc" => false,
        Some(Value::Text(order)) if **order == *"desc" => true,
        Some(_) => return Err(format!("{}() goes up (\"asc\") or down (\"desc\")", call.name)),
    };
    let mixed = keys.iter().zip(keys.iter().skip(1)).any(|(a, b)| Type::of(a) != Type::of(b));
    if mixed || keys.iter().any(Value::is_nil) {
        return Err(format!("{}() takes keys of one type", call.name));
    }
    if keys.len() > 1
        && !keys.iter().all(|key| {
            matches!(key, Value::Int(_) | Value::Int64(_) | Value::Float(_) | Value::Text(_) | Value::Duration(_))
        })
    {
        return Err(format!("{}() takes numbers or strings for keys", call.name));
    }
    let mut pairs: Vec<(Value, Value)> = keys.into_iter().zip(call.list(0)?.iter().cloned()).collect();
    pairs.sort_by(|(a, _), (b, _)| {
        let order = operators::order(a, b).ok().flatten().unwrap_or(Ordering::Equal);
        if falls { order.reverse() } else { order }
    });
    Ok(Value::list(pairs.into_iter().map(|(_, value)| value).collect()))
}

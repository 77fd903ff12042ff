//! Compares with recorded answers of kube-apiserver 1.34.4, one sequence of requests per object.

use serde_json::json;

use super::apply::{ApplyError, Claims, Writer, apply, note_update};
use super::*;
use crate::schema::{Cause, Schema};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Recorded {
    schema: Value,
    cases: Vec<Case>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    kind: String,
    op: String,
    manager: String,
    #[serde(default)]
    force: bool,
    #[serde(default)]
    subresource: String,
    /// The first request for an object.
    #[serde(default)]
    first: bool,
    body: Value,
    after: Option<Value>,
    error: Option<Refusal>,
}

#[derive(Debug, PartialEq, serde::Deserialize)]
struct Refusal {
    code: u16,
    message: String,
    causes: Vec<Value>,
}

fn cause(reason: &str, message: &str, field: &str) -> Value {
    json!({ "reason": reason, "message": message, "field": field })
}

fn invalid(name: &str, causes: Vec<Cause>) -> Refusal {
    Refusal {
        code: 422,
        message: format!("Widget.x.io {name:?} is invalid: {}", Cause::joined(&causes)),
        causes: causes.iter().map(|fault| cause(fault.reason.as_str(), &fault.message, &fault.field)).collect(),
    }
}

fn conflict(error: &ApplyError) -> Refusal {
    let (code, causes) = match error {
        ApplyError::BadRequest(_) => (400, Vec::new()),
        ApplyError::Internal(_) => (500, Vec::new()),
        ApplyError::Conflict { conflicts, .. } => {
            let causes =
                conflicts.iter().map(|conflict| cause(apply::Conflict::REASON, &conflict.message, &conflict.field));
            (409, causes.collect())
        }
    };
    Refusal { code, message: error.to_string(), causes }
}

struct Judge {
    keys: ListKeys,
    /// Of the custom resource only.
    schema: Option<Schema>,
}

impl Judge {
    fn of(case: &Case, schema: &Value) -> Self {
        if case.kind != "Widget" {
            return Self { keys: ListKeys::of_builtin(&case.kind), schema: None };
        }
        let crd = json!({ "spec": { "versions": [{ "name": "v1", "schema": { "openAPIV3Schema": schema } }] } });
        Self { keys: ListKeys::of_schema(schema), schema: Some(Schema::of_crd(&crd, "v1").unwrap()) }
    }

    /// The object that a request makes of the one before.
    fn result(&self, case: &Case, before: Option<&Value>, now: &str) -> Result<Value, Refusal> {
        let writer = Writer { manager: &case.manager, subresource: &case.subresource, now };
        let mut object = match case.op.as_str() {
            "create" => case.body.clone(),
            "apply" => apply(before, &case.body, &writer, case.force, &self.keys).map_err(|error| conflict(&error))?,
            op => {
                let mut object = before.unwrap().clone();
                let done = match op {
                    "merge" => merge(&mut object, &case.body),
                    "json" => json(&mut object, &case.body),
                    _ => strategic(&mut object, &case.body, &self.keys),
                };
                done.map_err(|error| Refusal { code: error.code(), message: error.to_string(), causes: Vec::new() })?;
                object
            }
        };
        if let Some(schema) = &self.schema {
            schema.admit(&mut object, before).map_err(|causes| invalid("w", causes))?;
        }
        Ok(object)
    }
}

fn managers(object: &Value) -> Value {
    object["metadata"]["managedFields"].clone()
}

fn newest(object: &Value) -> String {
    let entries = object["metadata"]["managedFields"].as_array().unwrap();
    entries.iter().filter_map(|entry| entry["time"].as_str()).max().unwrap().to_owned()
}

/// True if one value contains the other; its objects may have more fields.
fn within(part: &Value, whole: &Value) -> bool {
    match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => {
            part.iter().all(|(key, value)| whole.get(key).is_some_and(|whole| within(value, whole)))
        }
        (Value::Array(part), Value::Array(whole)) => {
            part.len() == whole.len() && part.iter().zip(whole).all(|(part, whole)| within(part, whole))
        }
        _ => part == whole,
    }
}

/// Reads the recording and hands each case with the object before it to a check.
fn each(check: impl Fn(&Case, Option<&Value>, &Judge)) {
    let recorded: Recorded = serde_json::from_str(include_str!("recorded.json")).unwrap();
    let mut before: Option<Value> = None;
    for case in &recorded.cases {
        if case.first {
            before = None;
        }
        check(case, before.as_ref(), &Judge::of(case, &recorded.schema));
        before = case.after.clone().or(before);
    }
}

#[test]
fn errors_have_the_real_servers_messages() {
    each(|case, before, judge| {
        if let Some(error) = &case.error {
            assert_eq!(judge.result(case, before, "").as_ref(), Err(error), "{}", case.name);
        }
    });
}

#[test]
fn patches_and_applies_give_the_real_servers_results() {
    each(|case, before, judge| {
        let Some(after) = &case.after else { return };
        let result = judge.result(case, before, "").unwrap();
        for part in ["spec", "status"] {
            let (ours, theirs) = (&result[part], &after[part]);
            // Built-in kinds have defaults that are not filled in here.
            let equal = if judge.schema.is_some() { ours == theirs } else { ours.is_null() || within(ours, theirs) };
            assert!(equal, "{} {part}:\n{ours}\n{theirs}", case.name);
        }
        assert_eq!(result["metadata"].get("labels"), after["metadata"].get("labels"), "{}", case.name);
    });
}

#[test]
fn fields_are_owned_as_on_the_real_server() {
    each(|case, before, judge| {
        let Some(after) = &case.after else { return };
        let now = newest(after);
        let ours = if case.op == "apply" {
            managers(&judge.result(case, before, &now).unwrap())
        } else {
            let mut object = after.clone();
            if case.kind == "Service" && case.first {
                // The server gives these out after it has noted who writes.
                let spec = object["spec"].as_object_mut().unwrap();
                spec.retain(|field, _| !field.starts_with("clusterIP") && !field.starts_with("ipFamil"));
            }
            match before {
                Some(before) => object["metadata"]["managedFields"] = managers(before),
                None => drop(object["metadata"].as_object_mut().unwrap().remove("managedFields")),
            }
            let writer = Writer { manager: &case.manager, subresource: &case.subresource, now: &now };
            note_update(before, &mut object, &writer, Claims::All, &judge.keys);
            managers(&object)
        };
        assert_eq!(ours, managers(after), "{}:\n{ours}\n{}", case.name, managers(after));
    });
}

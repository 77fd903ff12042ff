//! What the `scale` subresource of a custom resource asks of its objects.

use serde_json::Value;

use super::cause::Cause;

/// Paths with a leading dot, such as `.spec.replicas`.
#[derive(Clone, Debug)]
pub(super) struct Scale {
    counts: Vec<String>,
    selector: Option<String>,
}

impl Scale {
    /// Of a version of a CustomResourceDefinition.
    pub fn of(version: &Value) -> Option<Self> {
        let scale = version.pointer("/subresources/scale")?;
        let path = |name: &str| scale.get(name).and_then(Value::as_str).map(str::to_owned);
        let counts = ["specReplicasPath", "statusReplicasPath"];
        Some(Self { counts: counts.into_iter().filter_map(path).collect(), selector: path("labelSelectorPath") })
    }

    pub fn validate(&self, object: &Value, causes: &mut Vec<Cause>) {
        for path in &self.counts {
            match find(object, path) {
                Err(words) => causes.push(Cause::at_path(path, &0.into(), &words)),
                Ok(None) => {}
                Ok(Some(value)) => causes.extend(count_fault(path, value)),
            }
        }
        let Some(path) = &self.selector else { return };
        let fault = match find(object, path) {
            Err(words) => Some(words),
            Ok(Some(value)) if !value.is_string() => Some(unexpected(path, value, "string")),
            Ok(_) => None,
        };
        causes.extend(fault.map(|words| Cause::at_path(path, &"".into(), &words)));
    }
}

fn count_fault(path: &str, value: &Value) -> Option<Cause> {
    let Some(count) = value.as_i64() else {
        return Some(Cause::at_path(path, &0.into(), &unexpected(path, value, "int64")));
    };
    let words = if count < 0 {
        "should be a non-negative integer".to_owned()
    } else if count > i64::from(i32::MAX) {
        format!("should be less than or equal to {}", i32::MAX)
    } else {
        return None;
    };
    Some(Cause::at_path(path, value, &words))
}

fn unexpected(path: &str, value: &Value, wanted: &str) -> String {
    let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let found = match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    };
    format!("{path} accessor error: {shown} is of the type {found}, expected {wanted}")
}

/// The value at a path, nothing where a step is absent, or why a step leads nowhere.
fn find<'a>(object: &'a Value, path: &str) -> Result<Option<&'a Value>, String> {
    let mut value = object;
    let mut walked = String::new();
    for step in path.trim_start_matches('.').split('.') {
        walked.push('.');
        walked.push_str(step);
        if value.is_null() {
            return Ok(None);
        }
        let Some(fields) = value.as_object() else {
            return Err(unexpected(&walked, value, "map[string]interface{}"));
        };
        match fields.get(step) {
            Some(next) => value = next,
            None => return Ok(None),
        }
    }
    Ok(Some(value))
}

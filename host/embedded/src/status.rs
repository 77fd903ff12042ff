//! Errors, as the API server reports them in a `Status` object.

use serde_json::{Map, Value, json};

pub use crate::schema::Cause;

/// An API error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// HTTP status.
    pub code: u16,
    pub reason: &'static str,
    pub message: String,
    pub details: Option<Value>,
}

/// The subject of an error: plural or kind, and group.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    pub group: &'a str,
    pub what: &'a str,
}

impl About<'_> {
    /// As in `replicasets.apps`.
    fn qualified(&self) -> String {
        if self.group.is_empty() { self.what.to_owned() } else { format!("{}.{}", self.what, self.group) }
    }

    fn details(&self, name: &str) -> Map<String, Value> {
        let mut details = Map::new();
        for (field, value) in [("name", name), ("group", self.group), ("kind", self.what)] {
            if !value.is_empty() {
                details.insert(field.to_owned(), value.into());
            }
        }
        details
    }
}

impl ApiError {
    #[must_use]
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: None }
    }

    fn with(mut self, details: Map<String, Value>) -> Self {
        self.details = Some(Value::Object(details));
        self
    }

    #[must_use]
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    #[must_use]
    pub fn not_found(about: About<'_>, name: &str) -> Self {
        let message = format!("{} {name:?} not found", about.qualified());
        Self::new(404, "NotFound", message).with(about.details(name))
    }

    /// An unknown path. The message names what is not served, which the real server does not.
    #[must_use]
    pub fn not_served(what: &str) -> Self {
        let message = format!("the server could not find the requested resource (not served here: {what})");
        Self::new(404, "NotFound", message).with(Map::new())
    }

    #[must_use]
    pub fn already_exists(about: About<'_>, name: &str) -> Self {
        let message = format!("{} {name:?} already exists", about.qualified());
        Self::new(409, "AlreadyExists", message).with(about.details(name))
    }

    #[must_use]
    pub fn conflict(about: About<'_>, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} {name:?}: {why}", about.qualified());
        Self::new(409, "Conflict", message).with(about.details(name))
    }

    /// A write with a stale version.
    #[must_use]
    pub fn stale(about: About<'_>, name: &str) -> Self {
        let why = "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(about, name, why)
    }

    /// `about` carries the kind here, not the plural.
    #[must_use]
    pub fn invalid(about: About<'_>, name: &str, causes: &[Cause]) -> Self {
        let message = format!("{} {name:?} is invalid: {}", about.qualified(), Cause::joined(causes));
        let mut details = about.details(name);
        let causes = causes
            .iter()
            .map(|cause| json!({ "reason": cause.reason.as_str(), "message": cause.message, "field": cause.field }))
            .collect();
        details.insert("causes".to_owned(), Value::Array(causes));
        Self::new(422, "Invalid", message).with(details)
    }

    #[must_use]
    pub fn forbidden(about: About<'_>, name: &str, why: &str) -> Self {
        let message = format!("{} {name:?} is forbidden: {why}", about.qualified());
        Self::new(403, "Forbidden", message).with(about.details(name))
    }

    #[must_use]
    pub fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Self::new(405, "MethodNotAllowed", message).with(Map::new())
    }

    #[must_use]
    pub fn unsupported_media_type(accepted: &str) -> Self {
        let message =
            format!("the body of the request was in an unknown format - accepted media types include: {accepted}");
        Self::new(415, "UnsupportedMediaType", message)
    }

    /// A version that is too old for watches and lists.
    #[must_use]
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// A version in the future.
    #[must_use]
    pub fn too_large_version(asked: u64, current: u64) -> Self {
        let message = format!("Too large resource version: {asked}, current: {current}");
        let cause = json!({ "reason": "ResourceVersionTooLarge", "message": "Too large resource version" });
        let error = Self::new(504, "Timeout", format!("Timeout: {message}"));
        let details = json!({ "causes": [cause], "retryAfterSeconds": 1 });
        Self { details: Some(details), ..error }
    }

    #[must_use]
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(500, "InternalError", format!("Internal error occurred: {}", message.into()))
    }

    /// As sent to the client.
    #[must_use]
    pub fn status(&self) -> Value {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {},
            "status": "Failure", "message": self.message, "code": self.code,
        });
        // Some errors of the real server have none.
        if !self.reason.is_empty() {
            crate::json::set(&mut status, &["reason"], self.reason);
        }
        if let (Some(details), Some(fields)) = (&self.details, status.as_object_mut()) {
            fields.insert("details".to_owned(), details.clone());
        }
        status
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_object_is_named_with_its_group() {
        let error = ApiError::not_found(About { group: "apps", what: "replicasets" }, "a");

        assert_eq!(
            error.status(),
            json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "NotFound", "code": 404,
                "message": r#"replicasets.apps "a" not found"#,
                "details": { "name": "a", "group": "apps", "kind": "replicasets" },
            })
        );
    }

    #[test]
    fn several_errors_are_listed_in_brackets_and_as_causes() {
        let causes = [Cause::required("a", ""), Cause::invalid("b", &json!(-1), "must not be negative")];

        let error = ApiError::invalid(About { group: "", what: "Pod" }, "x", &causes);

        assert_eq!(
            error.message,
            r#"Pod "x" is invalid: [a: Required value, b: Invalid value: -1: must not be negative]"#
        );
        assert_eq!(error.details.unwrap()["causes"][1]["field"], "b");
    }
}

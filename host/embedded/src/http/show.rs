//! Encodes objects, lists and events in the form that the client requests.

use std::borrow::Cow;
use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::{Value, json};

use crate::clock::Clock;
use crate::json::{put, set};
use crate::kind::{Kind, Rules};
use crate::status::ApiError;
use crate::store::Page;
use crate::table::{IncludeObject, Options, Printer, wants_table};

/// The form of objects.
#[derive(Clone, Copy, Debug)]
pub enum Form {
    /// Complete objects.
    Object,
    /// Metadata only.
    Metadata,
    Table(IncludeObject),
}

impl Form {
    /// # Errors
    /// 400 for an `includeObject` that does not exist.
    pub fn wanted(accept: &str, include: &str) -> Result<Self, ApiError> {
        if wants_table(accept) {
            let include = IncludeObject::parse(include).map_err(|error| ApiError::bad_request(error.to_string()))?;
            return Ok(Self::Table(include));
        }
        let first = accept.split(',').next().unwrap_or_default();
        let metadata = first.contains("as=PartialObjectMetadata");
        Ok(if metadata { Self::Metadata } else { Self::Object })
    }

    /// One object. `headers` is false for all events of a watch but the first.
    pub fn object<'a>(self, kind: &Kind, object: &'a Value, clock: Clock, headers: bool) -> Cow<'a, Value> {
        match self {
            Self::Object => Cow::Borrowed(object),
            Self::Metadata => Cow::Owned(metadata_of(object)),
            Self::Table(include) => {
                let options = Options { include, headers, now: clock.now() };
                let list = object.get("metadata").cloned().unwrap_or_default();
                let list = json!({ "resourceVersion": list.get("resourceVersion") });
                Cow::Owned(printer(kind, |printer| printer.table(std::slice::from_ref(object), &list, &options)))
            }
        }
    }

    pub fn list(self, kind: &Kind, page: &Page, clock: Clock) -> Value {
        let mut metadata = json!({ "resourceVersion": page.version.to_string() });
        // Untyped lists say that there is no next page.
        let none = kind.built_in().is_none().then(|| Value::from(""));
        put(&mut metadata, &["continue"], page.token.clone().map(Value::from).or(none));
        put(&mut metadata, &["remainingItemCount"], page.remaining.map(Value::from));
        let (version, name, items): (String, &str, Vec<Value>) = match self {
            Self::Object => {
                (kind.api_version(), &kind.list_kind, page.items.iter().map(|item| in_list(kind, item)).collect())
            }
            Self::Metadata => {
                let items = page.items.iter().map(|item| metadata_of(item)).collect();
                ("meta.k8s.io/v1".to_owned(), "PartialObjectMetadataList", items)
            }
            Self::Table(include) => {
                let options = Options { include, headers: true, now: clock.now() };
                let items: Vec<Value> = page.items.iter().map(|item| Value::clone(item)).collect();
                return printer(kind, |printer| printer.table(&items, &metadata, &options));
            }
        };
        json!({ "kind": name, "apiVersion": version, "metadata": metadata, "items": items })
    }
}

fn printer<T>(kind: &Kind, show: impl FnOnce(&Printer) -> T) -> T {
    match &kind.rules {
        Rules::Custom(custom) => show(&custom.printer),
        Rules::BuiltIn(_) => show(&Printer::of_builtin(&kind.kind)),
    }
}

fn metadata_of(object: &Value) -> Value {
    json!({ "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object.get("metadata") })
}

/// Items of a typed list have no type of their own.
fn in_list(kind: &Kind, object: &Arc<Value>) -> Value {
    let mut object = Value::clone(object);
    if kind.built_in().is_some() {
        put(&mut object, &["apiVersion"], None);
        put(&mut object, &["kind"], None);
    }
    object
}

/// A success without an object.
pub fn success(code: u16, details: Option<Value>) -> Value {
    let mut status = json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success" });
    if code != StatusCode::OK.as_u16() {
        set(&mut status, &["code"], code);
    }
    put(&mut status, &["details"], details);
    status
}

/// Faster than `Display`, which scans each piece of text again.
pub fn json_text(value: &impl Serialize) -> Vec<u8> {
    // Encoding JSON values and strings cannot fail.
    serde_json::to_vec(value).unwrap_or_default()
}

pub fn respond(code: u16, body: &Value) -> Response {
    typed(code, "application/json", Body::from(json_text(body)))
}

pub fn refuse(error: &ApiError) -> Response {
    let mut response = respond(error.code, &error.status());
    let retry = error.details.as_ref().and_then(|details| details.get("retryAfterSeconds")).and_then(Value::as_u64);
    if let Some(seconds) = retry {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

pub fn typed(code: u16, content_type: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

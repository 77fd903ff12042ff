//! A complete request.

use axum::body::to_bytes;
use bytes::Bytes;
use http::{HeaderMap, Method, header};
use serde_json::{Value, json};

use super::path::{Part, Target};
use super::query::Query;
use crate::faults::{Call, Verb};
use crate::status::{About, ApiError, Cause};
use crate::store::{Patch, WriteOptions};

/// The real server's limit of a body.
const BODY_MAX: usize = 3 * 1024 * 1024;

const JSON: &str = "application/json";
const YAML: &str = "application/yaml";
/// Media types of bodies.
const BODY_TYPES: &str = "application/json, application/yaml";

#[derive(Debug)]
pub struct Incoming {
    pub method: Method,
    pub path: String,
    pub query: Query,
    pub accept: String,
    content_type: String,
    agent: String,
    body: Bytes,
}

impl Incoming {
    /// # Errors
    /// 413 for a body that is too long.
    pub async fn read(request: axum::extract::Request) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let too_long =
            || ApiError::new(413, "RequestEntityTooLarge", format!("Request entity is too large: limit is {BODY_MAX}"));
        let body = to_bytes(body, BODY_MAX).await.map_err(|_| too_long())?;
        let text = |name: header::HeaderName| header_text(&parts.headers, &name);
        let content_type = text(header::CONTENT_TYPE);
        Ok(Self {
            path: parts.uri.path().to_owned(),
            query: Query::parse(parts.uri.query().unwrap_or_default()),
            accept: text(header::ACCEPT),
            content_type: content_type.split(';').next().unwrap_or_default().trim().to_owned(),
            agent: text(header::USER_AGENT),
            method: parts.method,
            body,
        })
    }

    /// The requested action on a resource.
    ///
    /// # Errors
    /// 405.
    pub fn call(&self, target: &Target) -> Result<Call, ApiError> {
        let collection = target.name.is_empty();
        let watch = self.query.is_set("watch");
        let verb = match (self.method.as_str(), collection) {
            ("GET", true) if watch => Verb::Watch,
            ("GET", false) if watch && target.part == Part::Object => Verb::Watch,
            ("GET", true) => Verb::List,
            ("GET", false) => Verb::Get,
            ("POST", true) => Verb::Create,
            ("POST", false) if target.part == Part::Eviction => Verb::Create,
            ("PUT", false) => Verb::Update,
            ("PATCH", false) => Verb::Patch,
            ("DELETE", false) if target.part == Part::Object => Verb::Delete,
            ("DELETE", true) => Verb::DeleteAll,
            _ => return Err(ApiError::method_not_allowed()),
        };
        let in_namespace = !target.kind.namespaced || !target.namespace.is_empty();
        if verb == Verb::Create && !in_namespace
            || (target.part == Part::Eviction) != (verb == Verb::Create && !collection)
        {
            return Err(ApiError::method_not_allowed());
        }
        Ok(Call {
            verb,
            group: target.kind.group().to_owned(),
            resource: target.kind.plural().to_owned(),
            subresource: target.part.as_str().to_owned(),
            namespace: target.namespace.clone(),
            name: target.name.clone(),
            manager: self.manager(),
        })
    }

    /// The field manager of a write.
    pub fn manager(&self) -> String {
        match self.query.get("fieldManager") {
            "" => self.agent.split('/').next().unwrap_or_default().to_owned(),
            named => named.to_owned(),
        }
    }

    /// The body as an object.
    ///
    /// # Errors
    /// 415 for another media type, 400 for an undecodable body.
    pub fn object(&self) -> Result<Value, ApiError> {
        if !["", JSON, YAML].contains(&self.content_type.as_str()) {
            return Err(ApiError::unsupported_media_type(BODY_TYPES));
        }
        let object = self.value()?;
        if !object.is_object() {
            return Err(ApiError::bad_request("couldn't get version/kind; json parse error: the body is no object"));
        }
        Ok(object)
    }

    /// The body, if there is one.
    ///
    /// # Errors
    /// 400 for an undecodable body.
    pub fn options(&self) -> Result<Option<Value>, ApiError> {
        if self.body.is_empty() { Ok(None) } else { self.object().map(Some) }
    }

    fn value(&self) -> Result<Value, ApiError> {
        if self.content_type.ends_with("yaml") {
            // JSON is valid YAML, but its own parser is faster.
            let json = serde_json::from_slice(&self.body).ok();
            return json.map_or_else(
                || {
                    serde_yaml::from_slice(&self.body)
                        .map_err(|error| ApiError::bad_request(format!("error decoding YAML: {error}")))
                },
                Ok,
            );
        }
        serde_json::from_slice(&self.body)
            .map_err(|error| ApiError::bad_request(format!("the object provided is unrecognized: {error}")))
    }

    /// The body as a patch.
    ///
    /// # Errors
    /// 415 for another media type, 400 for an undecodable body.
    pub fn patch(&self) -> Result<Patch, ApiError> {
        let make = match self.content_type.as_str() {
            "application/json-patch+json" => Patch::Json,
            "application/merge-patch+json" => Patch::Merge,
            "application/strategic-merge-patch+json" => Patch::Strategic,
            "application/apply-patch+yaml" => Patch::Apply,
            _ => {
                let details = Some(json!({}));
                let error = ApiError::new(415, "UnsupportedMediaType", "415: Unsupported Media Type");
                return Err(ApiError { details, ..error });
            }
        };
        self.value().map(make)
    }

    /// # Errors
    /// 422 for invalid parameters.
    pub fn write_options(&self, kind: &str) -> Result<WriteOptions, ApiError> {
        Ok(WriteOptions {
            manager: self.manager(),
            dry_run: self.query.dry_run(kind)?,
            force: false,
            subresource: None,
            strict: self.query.get("fieldValidation") == "Strict",
        })
    }

    /// # Errors
    /// 422 for invalid parameters.
    pub fn patch_options(&self, patch: &Patch) -> Result<WriteOptions, ApiError> {
        let about = About { group: "meta.k8s.io", what: "PatchOptions" };
        let options = self.write_options("PatchOptions")?;
        let force = self.query.is_set("force");
        let cause = match patch {
            Patch::Apply(_) if self.query.get("fieldManager").is_empty() => {
                Cause::required("fieldManager", "is required for apply patch")
            }
            Patch::Json(_) | Patch::Merge(_) | Patch::Strategic(_) if force => {
                Cause::forbidden("force", "may not be specified for non-apply patch")
            }
            _ => return Ok(WriteOptions { force, ..options }),
        };
        Err(ApiError::invalid(about, "", &[cause]))
    }
}

fn header_text(headers: &HeaderMap, name: &header::HeaderName) -> String {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

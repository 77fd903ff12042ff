//! Query parameters, and the options in the body of a deletion.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::json::{number, text};
use crate::status::{About, ApiError, Cause};
use crate::store::{DeleteOptions, ListOptions, Preconditions, Propagation, VersionMatch};
use crate::watch::WatchOptions;

#[derive(Clone, Debug, Default)]
pub struct Query(BTreeMap<String, String>);

fn invalid(kind: &str, cause: Cause) -> ApiError {
    ApiError::invalid(About { group: "meta.k8s.io", what: kind }, "", &[cause])
}

impl Query {
    pub fn parse(text: &str) -> Self {
        let pairs = form_urlencoded::parse(text.as_bytes());
        Self(pairs.map(|(key, value)| (key.into_owned(), value.into_owned())).collect())
    }

    /// Empty if absent.
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    pub fn is_set(&self, name: &str) -> bool {
        matches!(self.get(name), "true" | "1" | "True" | "TRUE" | "t" | "T")
    }

    fn number(&self, name: &str) -> Result<Option<u64>, ApiError> {
        match self.get(name) {
            "" => Ok(None),
            text => text
                .parse()
                .map(Some)
                .map_err(|_| ApiError::bad_request(format!("strconv.ParseUint: parsing {text:?}: invalid syntax"))),
        }
    }

    fn version(&self, kind: &str) -> Result<Option<u64>, ApiError> {
        let text = self.get("resourceVersion");
        if text.is_empty() {
            return Ok(None);
        }
        let parsed = text.parse().map(Some);
        parsed.map_err(|_| invalid(kind, Cause::invalid("resourceVersion", &text.into(), "invalid resource version")))
    }

    /// # Errors
    /// 422 for a value other than `All`.
    pub fn dry_run(&self, kind: &str) -> Result<bool, ApiError> {
        match self.get("dryRun") {
            "" => Ok(false),
            "All" => Ok(true),
            other => Err(refused_dry_run(kind, other)),
        }
    }

    /// # Errors
    /// 400 and 422 for invalid parameters.
    pub fn list(&self) -> Result<ListOptions, ApiError> {
        let version = self.version("ListOptions")?;
        let token = Some(self.get("continue").to_owned()).filter(|token| !token.is_empty());
        let matching = match self.get("resourceVersionMatch") {
            "" => None,
            "NotOlderThan" => Some(VersionMatch::NotOlderThan),
            "Exact" => Some(VersionMatch::Exact),
            other => {
                let supported = ["Exact".into(), "NotOlderThan".into(), "".into()];
                return Err(invalid(
                    "ListOptions",
                    Cause::not_supported("resourceVersionMatch", &other.into(), &supported),
                ));
            }
        };
        let forbidden = |why: &str| Err(invalid("ListOptions", Cause::forbidden("resourceVersionMatch", why)));
        match (matching, version) {
            (Some(_), None) => {
                return forbidden("resourceVersionMatch is forbidden unless resourceVersion is provided");
            }
            (Some(VersionMatch::Exact), Some(0)) => {
                return forbidden("resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"");
            }
            _ => {}
        }
        if token.is_some() && version.is_some_and(|version| version > 0) {
            return Err(ApiError::bad_request("specifying resource version is not allowed when using continue"));
        }
        Ok(ListOptions { limit: self.number("limit")?, token, version, matching })
    }

    /// # Errors
    /// 400 and 422 for invalid parameters.
    pub fn watch(&self) -> Result<WatchOptions, ApiError> {
        let initial = self.is_set("sendInitialEvents");
        if initial && self.get("resourceVersionMatch") != "NotOlderThan" {
            let why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
            return Err(invalid("ListOptions", Cause::forbidden("resourceVersionMatch", why)));
        }
        Ok(WatchOptions {
            version: self.version("ListOptions")?,
            bookmarks: self.is_set("allowWatchBookmarks"),
            lasts: self.number("timeoutSeconds")?.filter(|seconds| *seconds > 0).map(Duration::from_secs),
            initial,
        })
    }

    /// From the body, or from the query without one.
    ///
    /// # Errors
    /// 422 for values that do not exist.
    pub fn delete(&self, body: Option<&Value>) -> Result<DeleteOptions, ApiError> {
        const KIND: &str = "DeleteOptions";
        let from_query = body.is_none();
        let body = body.unwrap_or(&Value::Null);
        let (policy, grace, orphan) = if !from_query {
            let orphan = body.get("orphanDependents").and_then(Value::as_bool);
            (text(body, "/propagationPolicy").to_owned(), number(body, "/gracePeriodSeconds"), orphan)
        } else {
            let orphan = Some(self.get("orphanDependents")).filter(|text| !text.is_empty()).map(|text| text == "true");
            (self.get("propagationPolicy").to_owned(), self.get("gracePeriodSeconds").parse().ok(), orphan)
        };
        let propagation = match (policy.as_str(), orphan) {
            ("", None) => None,
            ("", Some(true)) => Some(Propagation::Orphan),
            ("", Some(false)) => Some(Propagation::Background),
            (policy, _) => Some(Propagation::parse(policy).ok_or_else(|| {
                let supported = ["Foreground".into(), "Background".into(), "Orphan".into(), "nil".into()];
                invalid(KIND, Cause::not_supported("propagationPolicy", &policy.into(), &supported))
            })?),
        };
        let named = |pointer: &str| Some(text(body, pointer).to_owned()).filter(|text| !text.is_empty());
        let in_body = match body.pointer("/dryRun").and_then(Value::as_array).map(Vec::as_slice) {
            None | Some([]) => false,
            Some(values) => match values.iter().find(|value| *value != "All") {
                Some(other) => return Err(refused_dry_run(KIND, other.as_str().unwrap_or_default())),
                None => true,
            },
        };
        Ok(DeleteOptions {
            preconditions: Preconditions {
                uid: named("/preconditions/uid"),
                version: named("/preconditions/resourceVersion"),
            },
            propagation,
            grace,
            dry_run: if from_query { self.dry_run(KIND)? } else { in_body },
        })
    }
}

fn refused_dry_run(kind: &str, value: &str) -> ApiError {
    invalid(kind, Cause::not_supported("dryRun", &serde_json::json!([value]), &["All".into()]))
}

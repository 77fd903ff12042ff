//! Lists: selectors, pages, and earlier versions.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use serde_json::{Value, json};

use super::{State, Store, shown};
use crate::json::{number, text};
use crate::kind::{Key, Kind};
use crate::selector::{Fields, Labels};
use crate::status::ApiError;

/// The selected objects.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    labels: Option<Labels>,
    fields: Option<Fields>,
}

impl Selection {
    /// From the two query parameters.
    ///
    /// # Errors
    /// 400 for a selector that cannot be read.
    pub fn parse(kind: &Kind, labels: &str, fields: &str) -> Result<Self, ApiError> {
        let labels = Labels::parse(labels).map_err(|error| {
            let why = format!("unable to parse requirement: {error}");
            let why = if error.to_string().starts_with("unable") { error.to_string() } else { why };
            ApiError::bad_request(why)
        })?;
        let fields = Fields::parse(fields, &kind.fields).map_err(|error| ApiError::bad_request(error.to_string()))?;
        Ok(Self { labels: (!labels.is_empty()).then_some(labels), fields: (!fields.is_empty()).then_some(fields) })
    }

    #[must_use]
    pub const fn is_all(&self) -> bool {
        self.labels.is_none() && self.fields.is_none()
    }

    #[must_use]
    pub fn matches(&self, object: &Value) -> bool {
        self.labels.as_ref().is_none_or(|labels| labels.matches(object))
            && self.fields.as_ref().is_none_or(|fields| fields.matches(object))
    }
}

/// How a list's version relates to the requested one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionMatch {
    NotOlderThan,
    Exact,
}

#[derive(Clone, Debug, Default)]
pub struct ListOptions {
    /// Objects in a page.
    pub limit: Option<u64>,
    /// Of the page before.
    pub token: Option<String>,
    /// `resourceVersion`; 0 for any.
    pub version: Option<u64>,
    pub matching: Option<VersionMatch>,
}

/// A list, or a part of one.
#[derive(Clone, Debug)]
pub struct Page {
    pub items: Vec<Arc<Value>>,
    /// Of the whole list.
    pub version: u64,
    /// For the next page.
    pub token: Option<String>,
    /// Objects after this page, where the server knows.
    pub remaining: Option<u64>,
}

impl Store {
    /// # Errors
    /// 410 for a version that is dropped, 504 for a future one, 400 for an invalid token.
    pub fn list(
        &self,
        kind: &Kind,
        namespace: &str,
        selection: &Selection,
        options: &ListOptions,
    ) -> Result<Page, ApiError> {
        self.lock().list(kind, namespace, selection, options)
    }
}

/// Where the next page begins.
struct Token {
    version: u64,
    start: Key,
}

impl Token {
    fn write(&self) -> String {
        let text = json!({ "v": "meta.k8s.io/v1", "rv": self.version, "start": self.start.as_str() }).to_string();
        BASE64_URL_SAFE_NO_PAD.encode(text)
    }

    fn read(text: &str) -> Result<Self, ApiError> {
        let refused = || {
            ApiError::bad_request("invalid continue token: continue key is not valid: illegal base64 data or structure")
        };
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| refused())?;
        let value: Value = serde_json::from_slice(&bytes).map_err(|_| refused())?;
        let version = number(&value, "/rv").and_then(|version| u64::try_from(version).ok()).ok_or_else(refused)?;
        Ok(Self { version, start: self::text(&value, "/start").into() })
    }
}

impl State {
    pub(super) fn list(
        &self,
        kind: &Kind,
        namespace: &str,
        selection: &Selection,
        options: &ListOptions,
    ) -> Result<Page, ApiError> {
        let token = options.token.as_deref().filter(|token| !token.is_empty()).map(Token::read).transpose()?;
        // A list of "any version" comes from a cache, which has no pages.
        let limit = options.limit.filter(|limit| *limit > 0 && options.version != Some(0));
        let (version, past) = match (&token, options.version, options.matching) {
            (Some(token), ..) => (token.version, token.version != self.version),
            (None, Some(0) | None, _) => (self.version, false),
            (None, Some(asked), _) if asked > self.version => {
                return Err(ApiError::too_large_version(asked, self.version));
            }
            (None, Some(asked), Some(VersionMatch::Exact)) => (asked, asked != self.version),
            (None, Some(asked), None) if limit.is_some() => (asked, asked != self.version),
            (None, Some(_), _) => (self.version, false),
        };
        let objects = if past { self.objects_at(kind, version, token.is_some())? } else { self.objects_now(kind) };
        let start = token.map_or_else(|| Key::from(""), |token| token.start);
        let mut found = objects
            .range::<&Key, _>(&start..)
            .filter(|(key, _)| namespace.is_empty() || key.namespace() == namespace)
            .filter(|(_, object)| selection.matches(object));
        let mut items = Vec::new();
        for (_, object) in found.by_ref() {
            items.push(shown(kind, object));
            if limit == u64::try_from(items.len()).ok() {
                break;
            }
        }
        let next = found.next().map(|(key, _)| *key);
        let rest = u64::try_from(found.count()).unwrap_or(u64::MAX);
        let remaining = next.as_ref().map(|_| rest.saturating_add(1)).filter(|_| selection.is_all());
        let token = next.map(|start| Token { version, start: start.clone() }.write());
        Ok(Page { items, version, token, remaining })
    }

    fn objects_now(&self, kind: &Kind) -> BTreeMap<&Key, &Arc<Value>> {
        self.objects.get(&kind.collection).into_iter().flatten().collect()
    }

    /// The objects at a version: later changes are undone.
    fn objects_at(&self, kind: &Kind, version: u64, continued: bool) -> Result<BTreeMap<&Key, &Arc<Value>>, ApiError> {
        let changes = self.history.after(version).ok_or_else(|| {
            ApiError::expired(if continued {
                "The provided continue parameter is too old to display a consistent list result. You can start a new list \
                 without the continue parameter."
            } else {
                "The resourceVersion for the provided list is too old."
            })
        })?;
        let mut objects = self.objects_now(kind);
        for change in changes.rev().filter(|change| change.collection == kind.collection) {
            match &change.before {
                Some(before) => objects.insert(&change.key, before),
                None => objects.remove(&change.key),
            };
        }
        Ok(objects)
    }
}

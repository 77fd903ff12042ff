//! What a plugin may do, and what it is configured with before a user says anything.

use std::sync::Arc;

use kulta_api::plugin::{Limits, PluginSpec};
use kulta_fetch::{PrefixError, UrlPrefix};
use serde_json::Value;

/// Where a plugin may have requests sent. A built-in plugin may send them wherever the controller itself may.
#[derive(Clone, Debug, PartialEq)]
pub enum Grants {
    BuiltIn,
    Only(Vec<Granted>),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Granted {
    pub prefix: UrlPrefix,
    /// Headers whose values are Secrets of the controller's namespace.
    pub headers: Vec<GrantedHeader>,
    pub skip_tls_verify: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantedHeader {
    pub name: String,
    /// Before the Secret's value.
    pub prefix: String,
    pub secret: String,
    pub key: String,
}

/// All that an admin's Plugin object says beside the component.
#[derive(Clone, Debug, PartialEq)]
pub struct PluginPolicy {
    pub grants: Grants,
    pub limits: Limits,
    /// Below what a user configures.
    pub config: Option<Value>,
    /// Enrichers add in this order.
    pub order: i32,
}

impl PluginPolicy {
    /// Of a plugin that comes with the controller.
    #[must_use]
    pub fn built_in() -> Self {
        Self { grants: Grants::BuiltIn, limits: Limits::default(), config: None, order: 0 }
    }

    /// # Errors
    /// For the first field that is not what it should be: its path and why.
    pub fn of(spec: &PluginSpec) -> Result<Self, (String, String)> {
        let limits =
            Limits::of(&spec.limits).map_err(|error| (format!("spec.limits.{}", error.field), error.message))?;
        let mut grants = Vec::new();
        for (index, grant) in spec.grants.iter().enumerate() {
            let prefix = grant
                .url_prefix
                .parse()
                .map_err(|error: PrefixError| (format!("spec.grants[{index}].urlPrefix"), error.to_string()))?;
            let headers = grant.headers_from.iter().map(|header| GrantedHeader {
                name: header.name.clone(),
                prefix: header.prefix.clone(),
                secret: header.secret_key_ref.name.clone(),
                key: header.secret_key_ref.key.clone(),
            });
            grants.push(Granted {
                prefix,
                headers: headers.collect(),
                skip_tls_verify: grant.tls.as_ref().is_some_and(|tls| tls.insecure_skip_verify),
            });
        }
        Ok(Self {
            grants: Grants::Only(grants),
            limits,
            config: spec.config.as_ref().map(|config| config.0.clone()),
            order: spec.enrich.as_ref().map_or(0, |enrich| enrich.order),
        })
    }

    /// A user's configuration over the admin's.
    #[must_use]
    pub fn configured(&self, config: &Value) -> Value {
        match &self.config {
            None => config.clone(),
            Some(below) => over(below, config),
        }
    }
}

/// `above` over `below`, field by field; lists are taken whole.
#[must_use]
pub fn over(below: &Value, above: &Value) -> Value {
    let (Value::Object(below), Value::Object(above)) = (below, above) else { return above.clone() };
    let mut merged = below.clone();
    for (name, value) in above {
        let value = match merged.get(name) {
            Some(under) => over(under, value),
            None => value.clone(),
        };
        merged.insert(name.clone(), value);
    }
    Value::Object(merged)
}

/// Shared, because every call needs them.
pub type SharedPolicy = Arc<PluginPolicy>;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_user_writes_goes_over_what_the_admin_wrote() {
        let below = json!({ "address": "http://a", "auth": { "kind": "basic", "user": "x" }, "list": [1, 2] });

        let merged = over(&below, &json!({ "auth": { "user": "y" }, "list": [3], "query": "up" }));

        let expected =
            json!({ "address": "http://a", "auth": { "kind": "basic", "user": "y" }, "list": [3], "query": "up" });
        assert_eq!(merged, expected);
    }

    #[test]
    fn a_grant_whose_url_is_none_is_named_by_its_field() {
        let spec = serde_json::from_value(json!({ "grants": [{ "urlPrefix": "https://" }] })).unwrap();

        let (path, _) = PluginPolicy::of(&spec).unwrap_err();

        assert_eq!(path, "spec.grants[0].urlPrefix");
    }
}

//! The Secrets that arguments refer to. A plugin never gets a value: it gets a placeholder, which only the fetcher replaces.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use kulta_api::analysis::SecretKeyRef;
use kulta_fetch::Secrets;
use serde_json::Value;

use crate::api_error::{ApiErrorClass, error_message};
use crate::cluster::Cluster;
use crate::key::Key;
use crate::kinds::Kind;

/// How long a Secret that was read counts: a rotated one is taken up this late, and an interval of seconds asks for none anew.
const FRESH_FOR: SignedDuration = SignedDuration::from_secs(60);
/// Secrets kept at most; beyond that all of them are forgotten.
const KEPT_AT_MOST: usize = 10_000;

pub struct SecretReader {
    cluster: Cluster,
    read: Mutex<HashMap<Key, Read>>,
}

/// A Secret as it was read.
#[derive(Clone)]
struct Read {
    at: Timestamp,
    values: Values,
}

/// By key; decoded.
pub type Values = Arc<BTreeMap<String, String>>;

/// The placeholder of each secret of a run, or why the secret cannot be read; and the values of the placeholders.
pub struct Resolved {
    pub placeholders: BTreeMap<SecretKeyRef, Result<String, String>>,
    pub secrets: Secrets,
}

impl SecretReader {
    #[must_use]
    pub fn new(cluster: Cluster) -> Self {
        Self { cluster, read: Mutex::default() }
    }

    /// # Errors
    /// When the API server does not answer: nothing is known of the secrets then.
    pub async fn resolve(
        &self,
        namespace: &str,
        wanted: impl IntoIterator<Item = SecretKeyRef>,
        now: Timestamp,
    ) -> Result<Resolved, kube::Error> {
        let mut resolved = Resolved { placeholders: BTreeMap::new(), secrets: Secrets::new() };
        for reference in wanted {
            let value = match self.data(&Key::new(namespace, reference.name.clone()), now).await? {
                Ok(data) => match data.get(&reference.key) {
                    Some(value) => resolved.secrets.add(value).map_err(|error| error.to_string()),
                    None => Err(format!("Secret {} has no key {:?}", reference.name, reference.key)),
                },
                Err(why) => Err(why),
            };
            resolved.placeholders.insert(reference, value);
        }
        Ok(resolved)
    }

    /// One value. The inner error is why it cannot be read.
    ///
    /// # Errors
    /// When the API server does not answer: nothing is known of the Secret then.
    pub async fn value(&self, secret: &Key, key: &str, now: Timestamp) -> Result<Result<String, String>, kube::Error> {
        Ok(self.data(secret, now).await?.and_then(|data| {
            let value = data.get(key).cloned();
            value.ok_or_else(|| format!("Secret {secret} has no key {key:?}"))
        }))
    }

    /// All values of a Secret. The inner error is why it cannot be read.
    ///
    /// # Errors
    /// When the API server does not answer: nothing is known of the Secret then.
    pub async fn data(&self, key: &Key, now: Timestamp) -> Result<Result<Values, String>, kube::Error> {
        let known = self.read.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned();
        if let Some(Read { at, values }) = known
            && at.checked_add(FRESH_FOR).is_ok_and(|end| end > now)
        {
            return Ok(Ok(values));
        }
        match self.cluster.get(Kind::Secret, key).await {
            Ok(object) => {
                let values = Arc::new(texts(&object.json));
                let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
                if read.len() >= KEPT_AT_MOST {
                    read.clear();
                }
                read.insert(key.clone(), Read { at: now, values: Arc::clone(&values) });
                Ok(Ok(values))
            }
            Err(error) => match ApiErrorClass::of(&error) {
                ApiErrorClass::Gone => Ok(Err(format!("there is no Secret {}", key.name))),
                ApiErrorClass::Forbidden => {
                    Ok(Err(format!("Secret {} may not be read: {}", key.name, error_message(&error))))
                }
                _ => Err(error),
            },
        }
    }
}

/// Values that are text; other bytes cannot stand in a request's text.
fn texts(secret: &Value) -> BTreeMap<String, String> {
    let data = secret.get("data").and_then(Value::as_object);
    data.into_iter()
        .flatten()
        .filter_map(|(key, value)| {
            let bytes = STANDARD.decode(value.as_str()?).ok()?;
            Some((key.clone(), String::from_utf8(bytes).ok()?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_secrets_values_are_decoded() {
        let data = texts(&json!({ "data": { "token": "czNjcmV0", "broken": "!", "binary": "/w==" } }));

        assert_eq!(data, BTreeMap::from([("token".to_owned(), "s3cret".to_owned())]));
    }
}

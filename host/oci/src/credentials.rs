//! Credentials, and their entries in a docker config.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;

use crate::reference::{Reference, canonical_host};

/// Base64 with optional padding, because some tools omit it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// Suffix that docker writes after a registry's host; it does not name a repository.
const API_VERSIONS: [&str; 2] = ["v1", "v2"];

#[derive(Clone, Default, PartialEq, Eq)]
pub enum Credentials {
    #[default]
    Anonymous,
    Basic {
        username: String,
        password: String,
    },
}

/// A docker config: the key `.dockerconfigjson` of a Secret of type `kubernetes.io/dockerconfigjson`, or `~/.docker/config.json`.
/// Credential helpers are programs and are never run.
#[derive(Deserialize)]
pub struct DockerConfig {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    username: String,
    password: String,
    auth: String,
    identitytoken: String,
}

// No error repeats content of the config, except the names of registries.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DockerConfigError {
    #[error(
        "line {line}, column {column}: not a docker config; expected {{\"auths\": {{\"ghcr.io\": {{\"username\": …, \"password\": …}}}}}}"
    )]
    Json { line: usize, column: usize },
    #[error("auths[{entry:?}].auth is not base64 of \"username:password\"")]
    Auth { entry: String },
    #[error(
        "auths[{entry:?}] has an identitytoken but no password; make an entry with username and password, such as a registry's access token"
    )]
    IdentityToken { entry: String },
    #[error("auths[{entry:?}] has neither username and password nor auth; credential helpers are not supported")]
    Empty { entry: String },
}

impl DockerConfig {
    /// # Errors
    /// If it is not a docker config.
    pub fn parse(bytes: &[u8]) -> Result<Self, DockerConfigError> {
        serde_json::from_slice(bytes)
            .map_err(|error| DockerConfigError::Json { line: error.line(), column: error.column() })
    }

    /// The credentials of the entry that matches a reference best, by the kubelet's rules. An entry names a host (`*`
    /// matches characters of one label) and optionally a prefix of a repository; the longest prefix wins, then a host
    /// without `*`. `None` without an entry.
    ///
    /// # Errors
    /// Why the matching entry is unusable.
    pub fn credentials(&self, reference: &Reference) -> Result<Option<Credentials>, DockerConfigError> {
        let fitting = self.auths.iter().filter_map(|(key, entry)| Some((fit(key, reference)?, key, entry)));
        let Some((_, key, entry)) = fitting.max_by_key(|(fit, ..)| *fit) else { return Ok(None) };
        entry.credentials(key).map(Some)
    }
}

impl Entry {
    fn credentials(&self, key: &str) -> Result<Credentials, DockerConfigError> {
        let entry = || key.to_owned();
        if !self.username.is_empty() && !self.password.is_empty() {
            return Ok(Credentials::Basic { username: self.username.clone(), password: self.password.clone() });
        }
        if !self.auth.is_empty() {
            let decoded = BASE64.decode(self.auth.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            let pair = decoded.as_deref().and_then(|text| text.split_once(':'));
            let (username, password) = pair.ok_or_else(|| DockerConfigError::Auth { entry: entry() })?;
            return Ok(Credentials::Basic { username: username.to_owned(), password: password.to_owned() });
        }
        Err(if self.identitytoken.is_empty() {
            DockerConfigError::Empty { entry: entry() }
        } else {
            DockerConfigError::IdentityToken { entry: entry() }
        })
    }
}

/// How well an entry matches; a higher value is better.
fn fit(key: &str, reference: &Reference) -> Option<(usize, bool)> {
    let key = key.trim_start_matches("https://").trim_start_matches("http://").trim_end_matches('/');
    let (host, path) = key.split_once('/').unwrap_or((key, ""));
    let path = if API_VERSIONS.contains(&path) { "" } else { path };
    let host = host.to_ascii_lowercase();
    let in_path = path.is_empty()
        || reference.repository().strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    (host_fits(canonical_host(&host), reference.registry()) && in_path).then(|| (path.len(), !host.contains('*')))
}

fn host_fits(pattern: &str, host: &str) -> bool {
    let (patterns, parts) = (pattern.split('.'), host.split('.'));
    patterns.clone().count() == parts.clone().count() && patterns.zip(parts).all(|(pattern, part)| fits(pattern, part))
}

/// With any number of `*` in the pattern.
fn fits(pattern: &str, part: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == part };
    let (between, end) = rest.rsplit_once('*').unwrap_or(("", rest));
    let Some(inner) = part.strip_prefix(start).and_then(|it| it.strip_suffix(end)) else { return false };
    // The first match of a piece leaves the longest rest for the next one.
    let found = between.split('*').try_fold(inner, |left, piece| left.split_once(piece).map(|(_, right)| right));
    found.is_some()
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Anonymous => "Anonymous",
            Self::Basic { .. } => "Basic(…)",
        })
    }
}

impl fmt::Debug for DockerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.auths.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(config: &str, reference: &str) -> Result<Option<Credentials>, DockerConfigError> {
        DockerConfig::parse(config.as_bytes()).unwrap().credentials(&reference.parse().unwrap())
    }

    /// The user of the matching entry, where each entry's user has the entry's name.
    fn chosen(keys: &[&str], reference: &str) -> Option<String> {
        let entries: Vec<_> =
            keys.iter().map(|key| format!(r#""{key}": {{"username": "{key}", "password": "p"}}"#)).collect();
        match found(&format!(r#"{{"auths": {{{}}}}}"#, entries.join(",")), reference).unwrap() {
            Some(Credentials::Basic { username, .. }) => Some(username),
            _ => None,
        }
    }

    fn me(password: &str) -> Credentials {
        Credentials::Basic { username: "me".into(), password: password.into() }
    }

    #[test]
    fn username_and_password_are_taken_from_the_registrys_entry() {
        let config = r#"{"auths": {"ghcr.io": {"username": "me", "password": "p", "email": "me@example.com"}}}"#;

        assert_eq!(found(config, "ghcr.io/a:1"), Ok(Some(me("p"))));
    }

    #[test]
    fn auth_contains_both_with_or_without_padding() {
        for auth in ["bWU6cDpxcg==", "bWU6cDpxcg"] {
            let config = format!(r#"{{"auths": {{"ghcr.io": {{"auth": "{auth}"}}}}}}"#);

            assert_eq!(found(&config, "ghcr.io/a:1"), Ok(Some(me("p:qr"))));
        }
    }

    #[test]
    fn the_best_match_wins() {
        let cases: [(&[&str], &str, Option<&str>); 16] = [
            (&["ghcr.io"], "quay.io/a:1", None),
            (&["ghcr.io"], "ghcr.io/a:1", Some("ghcr.io")),
            (&["https://ghcr.io/v2/"], "ghcr.io/a:1", Some("https://ghcr.io/v2/")),
            (&["https://index.docker.io/v1/"], "docker.io/a/b:1", Some("https://index.docker.io/v1/")),
            (&["ghcr.io", "ghcr.io/acme"], "ghcr.io/acme/a:1", Some("ghcr.io/acme")),
            (&["ghcr.io", "ghcr.io/acme"], "ghcr.io/acme-evil/a:1", Some("ghcr.io")),
            (&["ghcr.io/acme"], "ghcr.io/other/a:1", None),
            (&["*.azurecr.io"], "acme.azurecr.io/a:1", Some("*.azurecr.io")),
            (&["*.azurecr.io"], "a.b.azurecr.io/a:1", None),
            (&["*.azurecr.io", "acme.azurecr.io"], "acme.azurecr.io/a:1", Some("acme.azurecr.io")),
            (&["r*y.example"], "registry.example/a:1", Some("r*y.example")),
            (&["*g*s*.example"], "registry.example/a:1", Some("*g*s*.example")),
            (&["*s*g*.example"], "registry.example/a:1", None),
            (&["re*egistry.example"], "registry.example/a:1", None),
            (&["*.*.io"], "ghcr.io/a:1", None),
            (&["localhost:5000"], "localhost:5001/a:1", None),
        ];

        for (keys, reference, expected) in cases {
            assert_eq!(chosen(keys, reference).as_deref(), expected, "{keys:?} {reference}");
        }
    }

    #[test]
    fn an_unusable_entry_is_reported_with_the_reason() {
        let cases = [
            (r#"{"auth": "%%"}"#, "auths[\"ghcr.io\"].auth is not base64"),
            (r#"{"auth": "bWU="}"#, "auths[\"ghcr.io\"].auth is not base64"),
            (r#"{"identitytoken": "s3cret"}"#, "identitytoken"),
            (r#"{}"#, "neither username and password nor auth"),
        ];

        for (entry, expected) in cases {
            let error =
                found(&format!(r#"{{"auths": {{"ghcr.io": {entry}}}}}"#), "ghcr.io/a:1").unwrap_err().to_string();
            assert!(error.contains(expected) && !error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn an_invalid_docker_config_is_rejected_without_repeating_it() {
        for text in ["s3cret", r#"{"auths": "s3cret"}"#, r#"{"auths": {"ghcr.io": {"password": ["s3cret"]}}}"#] {
            let error = DockerConfig::parse(text.as_bytes()).unwrap_err().to_string();

            assert!(error.contains("line 1") && !error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let config =
            DockerConfig::parse(br#"{"auths": {"ghcr.io": {"username": "me", "password": "s3cret"}}}"#).unwrap();

        let shown = format!("{config:?} {:?}", me("s3cret"));

        assert!(!shown.contains("s3cret"), "{shown}");
    }
}

//! The commit enricher: adds the git commit of an event with its repository, author and pull request.
//!
//! Configuration: `{"commit": […], "repository": […], "author": […], "pullRequest": […], "hosts": {…}}`. The lists are
//! annotation keys; the first key with a valid value wins. `hosts` sets the software of a repository host whose name
//! does not identify it, as `{"git.example.org": "gitLab"}`.
//!
//! The complete addition:
//!
//! ```json
//! {
//!   "commit": { "id": "0b1c2d3", "url": "https://github.com/shop/web/commit/0b1c2d3" },
//!   "repository": { "url": "https://github.com/shop/web" },
//!   "author": "Ada",
//!   "pullRequest": { "number": 7, "url": "https://github.com/shop/web/pull/7" }
//! }
//! ```
//!
//! Annotations are untrusted. Texts are limited to one line of bounded length. Only host and path of a URL are kept,
//! because it may contain credentials. An invalid value is left out. Links are created only for hosts of a known kind.

mod pull_request;
#[cfg(test)]
mod recorded;
mod repository;
#[cfg(test)]
mod tests;

use kulta_plugin::enricher::{Action, Occasion};
use kulta_plugin::text::shortened;
use kulta_plugin::{About, Enricher, Error};
use pull_request::PullRequest;
use repository::Repository;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A SHA-256 in hexadecimal is 64; other systems' revisions may be longer.
const MAX_COMMIT_BYTES: usize = 128;
const MAX_AUTHOR_BYTES: usize = 256;
/// Limit of keys per kind.
const MAX_KEYS: usize = 16;

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Config {
    #[schemars(length(max = MAX_KEYS))]
    pub commit: Vec<String>,
    #[schemars(length(max = MAX_KEYS))]
    pub repository: Vec<String>,
    #[schemars(length(max = MAX_KEYS))]
    pub author: Vec<String>,
    #[schemars(length(max = MAX_KEYS))]
    pub pull_request: Vec<String>,
    pub hosts: BTreeMap<String, Software>,
}

/// The software of a repository host, which determines its links.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Software {
    GitHub,
    GitLab,
    /// Bitbucket Cloud; Bitbucket Data Center has other links.
    Bitbucket,
}

impl Default for Config {
    fn default() -> Self {
        let keys = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect();
        Self {
            commit: keys(&["kulta.io/git-commit", "org.opencontainers.image.revision"]),
            repository: keys(&["kulta.io/git-repository", "org.opencontainers.image.source"]),
            author: keys(&["kulta.io/git-author"]),
            pull_request: keys(&["kulta.io/pull-request"]),
            hosts: BTreeMap::new(),
        }
    }
}

#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Addition {
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<Commit>,
    #[serde(skip_serializing_if = "Option::is_none")]
    repository: Option<Place>,
    #[serde(skip_serializing_if = "Option::is_none")]
    author: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pull_request: Option<PullRequest>,
}

#[derive(Debug, PartialEq, Serialize)]
struct Commit {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
}

#[derive(Debug, PartialEq, Serialize)]
struct Place {
    url: String,
}

pub struct Enrich;

impl Enricher for Enrich {
    const ABOUT: About = About {
        name: env!("CARGO_PKG_NAME"),
        version: env!("CARGO_PKG_VERSION"),
        summary: "Adds the git commit, its repository, author and pull request, with links",
    };

    type Config = Config;

    fn check_config(config: &Config) -> Result<(), Error> {
        let lists = [
            ("commit", &config.commit),
            ("repository", &config.repository),
            ("author", &config.author),
            ("pullRequest", &config.pull_request),
        ];
        for (field, keys) in lists {
            if keys.len() > MAX_KEYS {
                return Err(Error::InvalidConfig(format!("{field}: {} keys, at most {MAX_KEYS}", keys.len())));
            }
            if let Some(index) = keys.iter().position(String::is_empty) {
                return Err(Error::InvalidConfig(format!("{field}[{index}]: empty")));
            }
        }
        match config.hosts.keys().find(|host| repository::host(host).as_ref() != Some(*host)) {
            Some(host) => Err(Error::InvalidConfig(format!("hosts.{host}: not a host's name in small letters"))),
            None => Ok(()),
        }
    }

    fn enrich(config: Config, input: &Occasion) -> Result<Action, Error> {
        let annotations = input.annotations()?;
        let repository = first(&annotations, &config.repository, |text| Repository::parse(text, &config.hosts));
        let commit = first(&annotations, &config.commit, commit_id)
            .map(|id| Commit { url: repository.as_ref().and_then(|repository| repository.commit(&id)), id });
        Action::add(&Addition {
            commit,
            author: first(&annotations, &config.author, author),
            pull_request: first(&annotations, &config.pull_request, |text| {
                PullRequest::parse(text, repository.as_ref(), &config.hosts)
            }),
            repository: repository.map(|repository| Place { url: repository.url }),
        })
    }
}

/// The value of the first key that has a valid one.
fn first<T>(annotations: &BTreeMap<String, String>, keys: &[String], read: impl Fn(&str) -> Option<T>) -> Option<T> {
    keys.iter().filter_map(|key| annotations.get(key)).find_map(|value| read(value.trim()))
}

/// A truncated id would name something else, so an id that is too long is left out.
fn commit_id(text: &str) -> Option<String> {
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | '/' | ':' | '@');
    (!text.is_empty() && text.len() <= MAX_COMMIT_BYTES && text.chars().all(known)).then(|| text.to_owned())
}

/// On one line, without characters that change the direction of text.
fn author(text: &str) -> Option<String> {
    let turns = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let visible: String = text
        .chars()
        .filter(|c| !turns(*c))
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MAX_AUTHOR_BYTES)
        .collect();
    let line = visible.split_whitespace().collect::<Vec<_>>().join(" ");
    (!line.is_empty()).then(|| shortened(&line, MAX_AUTHOR_BYTES))
}

kulta_plugin::export!(enricher: Enrich);

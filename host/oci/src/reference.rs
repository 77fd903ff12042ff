//! References to artifacts: `registry/repository:tag@digest`.

use std::fmt;
use std::str::FromStr;

use reqwest::Url;

use crate::digest::{Digest, DigestError};

/// Limit of the distribution specification.
const LONGEST_TAG: usize = 128;
const LONGEST_REPOSITORY: usize = 255;

/// Docker Hub's names, of which only the last one serves its API.
const DOCKER_HUB: &str = "docker.io";
const DOCKER_HUB_NAMES: [&str; 2] = ["index.docker.io", "registry-1.docker.io"];
const DOCKER_HUB_API: &str = "registry-1.docker.io";
/// Docker Hub's namespace for repositories of one part.
const DOCKER_HUB_LIBRARY: &str = "library/";

/// `registry/repository[:tag][@digest]`, such as `ghcr.io/acme/error-rate:1.2.0`. The registry is required: trust in a
/// registry should not depend on another tool's default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    #[error(
        "{reference:?} begins with {scheme:?}; an image reference begins with the registry's host, such as \"ghcr.io/acme/error-rate:1.2.0\""
    )]
    Scheme { reference: String, scheme: String },
    #[error("{reference:?} names no registry; write its host first, such as \"ghcr.io/acme/error-rate:1.2.0\"")]
    NoRegistry { reference: String },
    #[error("{reference:?}: {registry:?} is not a host with an optional port")]
    Registry { reference: String, registry: String },
    #[error(
        "{reference:?}: {repository:?} is not a repository; expected lower-case letters and digits, separated by \"/\", \".\", \"_\" or \"-\", \
         and at most 255 characters"
    )]
    Repository { reference: String, repository: String },
    #[error(
        "{reference:?}: {tag:?} is not a tag; expected letters, digits, \"_\", \".\" and \"-\", and at most 128 of them"
    )]
    Tag { reference: String, tag: String },
    #[error("{reference:?}: {source}")]
    Digest { reference: String, source: DigestError },
}

impl Reference {
    /// Host and port, as in the reference.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    pub fn repository(&self) -> &str {
        &self.repository
    }

    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The same artifact by its digest alone.
    pub fn at(&self, digest: Digest) -> Self {
        Self { tag: None, digest: Some(digest), ..self.clone() }
    }

    /// The host that serves the API.
    pub(crate) fn api_host(&self) -> &str {
        if self.registry == DOCKER_HUB { DOCKER_HUB_API } else { &self.registry }
    }
}

/// One canonical name for Docker Hub.
pub(crate) fn canonical_host(host: &str) -> &str {
    if DOCKER_HUB_NAMES.contains(&host) { DOCKER_HUB } else { host }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let reference = || text.to_owned();
        if let Some((scheme, _)) = text.split_once("://") {
            return Err(ReferenceError::Scheme { reference: reference(), scheme: format!("{scheme}://") });
        }
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (text, None),
        };
        let digest = digest
            .map(str::parse)
            .transpose()
            .map_err(|source| ReferenceError::Digest { reference: reference(), source })?;
        let (registry, rest) = name
            .split_once('/')
            .filter(|(host, _)| host.contains(['.', ':']) || *host == "localhost")
            .ok_or_else(|| ReferenceError::NoRegistry { reference: reference() })?;
        let registry = host(registry)
            .ok_or_else(|| ReferenceError::Registry { reference: reference(), registry: registry.to_owned() })?;
        let (repository, tag) = match rest.split_once(':') {
            Some((repository, tag)) => (repository, Some(tag)),
            None => (rest, None),
        };
        if !is_repository(repository) {
            return Err(ReferenceError::Repository { reference: reference(), repository: repository.to_owned() });
        }
        if let Some(tag) = tag.filter(|tag| !is_tag(tag)) {
            return Err(ReferenceError::Tag { reference: reference(), tag: tag.to_owned() });
        }
        let in_library = registry == DOCKER_HUB && !repository.contains('/');
        let repository = format!("{}{repository}", if in_library { DOCKER_HUB_LIBRARY } else { "" });
        Ok(Self { registry, repository, tag: tag.map(str::to_owned), digest })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

/// In lower case; `None` unless a URL parser reads it as exactly a host and a port.
fn host(text: &str) -> Option<String> {
    let text = text.to_ascii_lowercase();
    let url = Url::parse(&format!("https://{text}/")).ok()?;
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let written = format!("{}{port}", url.host_str()?);
    // A URL drops the default port of its scheme.
    let same = written == text || format!("{written}:443") == text;
    same.then(|| canonical_host(&text).to_owned())
}

fn is_repository(text: &str) -> bool {
    text.len() <= LONGEST_REPOSITORY && text.split('/').all(is_component)
}

/// `[a-z0-9]+` separated by one `.`, one or two `_`, or any number of `-`.
fn is_component(text: &str) -> bool {
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let ends = |c: Option<char>| c.is_some_and(word);
    let separators = text.split(word).filter(|between| !between.is_empty());
    ends(text.chars().next())
        && ends(text.chars().last())
        && separators.into_iter().all(|it| matches!(it, "." | "_" | "__") || it.chars().all(|c| c == '-'))
}

fn is_tag(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.len() <= LONGEST_TAG
        && text.bytes().next().is_some_and(word)
        && text.bytes().all(|byte| word(byte) || matches!(byte, b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn parts(text: &str) -> (String, String, Option<String>, bool) {
        let it = text.parse::<Reference>().unwrap();
        (it.registry().into(), it.repository().into(), it.tag().map(str::to_owned), it.digest().is_some())
    }

    #[test]
    fn a_reference_is_parsed() {
        let both = format!("registry.example:5000/a/b-c__d:v1.0_x@{DIGEST}");
        let cases = [
            ("ghcr.io/acme/error-rate:1.2.0", ("ghcr.io", "acme/error-rate", Some("1.2.0"), false)),
            ("localhost/plugin", ("localhost", "plugin", None, false)),
            ("127.0.0.1:5000/plugin:1", ("127.0.0.1:5000", "plugin", Some("1"), false)),
            ("[::1]:5000/plugin:1", ("[::1]:5000", "plugin", Some("1"), false)),
            ("GHCR.io/a:B", ("ghcr.io", "a", Some("B"), false)),
            (&both, ("registry.example:5000", "a/b-c__d", Some("v1.0_x"), true)),
            ("docker.io/plugin:1", ("docker.io", "library/plugin", Some("1"), false)),
            ("index.docker.io/acme/plugin:1", ("docker.io", "acme/plugin", Some("1"), false)),
        ];

        for (text, (registry, repository, tag, digest)) in cases {
            let expected = (registry.to_owned(), repository.to_owned(), tag.map(str::to_owned), digest);
            assert_eq!(parts(text), expected, "{text}");
        }
    }

    #[test]
    fn a_reference_is_printed_as_it_was_parsed() {
        for text in ["ghcr.io/acme/a:1".to_owned(), format!("ghcr.io/a@{DIGEST}"), format!("ghcr.io/a:1@{DIGEST}")] {
            assert_eq!(text.parse::<Reference>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_digest_replaces_the_tag() {
        let reference: Reference = "ghcr.io/acme/a:1".parse().unwrap();

        assert_eq!(reference.at(DIGEST.parse().unwrap()).to_string(), format!("ghcr.io/acme/a@{DIGEST}"));
    }

    #[test]
    fn docker_hubs_api_host_is_used() {
        let reference: Reference = "docker.io/acme/plugin:1".parse().unwrap();

        assert_eq!(reference.api_host(), "registry-1.docker.io");
    }

    #[test]
    fn an_invalid_reference_is_rejected_with_the_reason() {
        let long_tag = format!("ghcr.io/a:{}", "x".repeat(129));
        let long_repository = format!("ghcr.io/{}", "x".repeat(256));
        let cases = [
            ("oci://ghcr.io/acme/a:1", "begins with \"oci://\""),
            ("https://ghcr.io/acme/a:1", "begins with \"https://\""),
            ("acme/a:1", "names no registry"),
            ("plugin", "names no registry"),
            ("", "names no registry"),
            ("ghcr.io:port/a", "\"ghcr.io:port\" is not a host"),
            ("gh cr.io/a", "is not a host"),
            ("ghcr.io?x.y/a", "is not a host"),
            ("ghcr.io/", "\"\" is not a repository"),
            ("ghcr.io/Acme/a", "\"Acme/a\" is not a repository"),
            ("ghcr.io/acme//a", "is not a repository"),
            ("ghcr.io/acme/../a", "is not a repository"),
            ("ghcr.io/-a", "is not a repository"),
            ("ghcr.io/a:", "\"\" is not a tag"),
            ("ghcr.io/a:.x", "\".x\" is not a tag"),
            ("ghcr.io/a:1:2", "\"1:2\" is not a tag"),
            ("ghcr.io/a@sha256:00", "is not a digest"),
            (&long_tag, "is not a tag"),
            (&long_repository, "is not a repository"),
        ];

        for (text, expected) in cases {
            let error = text.parse::<Reference>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}

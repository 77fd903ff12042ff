//! Errors of a registry: the expected value, the found value, and what a user can do.

use std::time::Duration;

use crate::digest::Digest;

/// `what` names the requested object: the manifest or layer, and the reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error(
        "{what} does not exist ({said}); check the name, and whether it was deleted or is hidden from these credentials"
    )]
    Gone { what: String, said: String },
    #[error("{what} needs credentials and there are none ({said}); add a pull secret with an entry for the registry")]
    NoCredentials { what: String, said: String },
    #[error(
        "{what}: the credentials were rejected ({said}); check the user name and password of the registry's entry in the pull secret"
    )]
    Unauthorized { what: String, said: String },
    #[error("{what} is forbidden for these credentials ({said}); give their user permission, or use other credentials")]
    Forbidden { what: String, said: String },
    #[error("{what}: the registry has had too many requests ({said}){}", wait(.retry_after))]
    RateLimited { what: String, said: String, retry_after: Option<Duration> },
    #[error("{what} is unavailable: {reason}{}", wait(.retry_after))]
    Unavailable { what: String, reason: String, retry_after: Option<Duration> },
    #[error("{what} was not done within {} s; the registry is slow, or the time too short", .limit.as_secs_f32())]
    TimedOut { what: String, limit: Duration },
    #[error(
        "{what} is {found}, not {expected} as expected, and was not used; was it changed in the registry, or is the digest \
         that is named the wrong one?"
    )]
    WrongDigest { what: String, expected: Digest, found: Digest },
    #[error(
        "{what} has {found} bytes where its manifest says {expected}; the registry's copy is damaged, push it again"
    )]
    WrongSize { what: String, expected: u64, found: u64 },
    #[error("{what} is larger than the limit of {limit} bytes; make it smaller, or raise the limit")]
    TooLarge { what: String, limit: u64 },
    #[error("{what} names neither a tag nor a digest; write one behind the repository, such as \":1.2.0\"")]
    Unversioned { what: String },
    #[error(
        "{what} is an index of several images ({found}); expected the manifest of one component, such as \"kulta plugin push\" creates: \
         name it by its own digest"
    )]
    Index { what: String, found: String },
    #[error("{what} has the media type {found:?}; expected {expected:?}, such as \"kulta plugin push\" makes")]
    ManifestType { what: String, expected: &'static str, found: String },
    #[error("{what} has {found} layers; a component is exactly one")]
    Layers { what: String, found: usize },
    #[error(
        "{what} has a layer of the media type {found:?}; expected {expected}: is it a component, or another kind of image?"
    )]
    LayerType { what: String, expected: String, found: String },
    #[error(
        "{what} is not signed by a key that is trusted here ({}); sign it with \"cosign sign --key\", and have the signature pushed beside it",
        unsigned(*.found, .why)
    )]
    Unsigned { what: String, found: usize, why: String },
    #[error("{what} is invalid: {reason}; is this an OCI registry, and what was pushed there?")]
    Malformed { what: String, reason: String },
}

/// Classes of errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    Gone,
    Unauthorized,
    Forbidden,
    RateLimited,
    /// No answer, an incomplete answer, or a timeout.
    Unavailable,
    /// The content does not match its digest.
    WrongDigest,
    TooLarge,
    /// No signature by a trusted key.
    Unsigned,
    /// Not an artifact with one component, or not a registry's answer.
    Malformed,
}

impl Class {
    /// True if a retry can help without any change.
    pub fn may_pass(self) -> bool {
        match self {
            Self::RateLimited | Self::Unavailable => true,
            Self::Gone
            | Self::Unauthorized
            | Self::Forbidden
            | Self::WrongDigest
            | Self::TooLarge
            | Self::Unsigned
            | Self::Malformed => false,
        }
    }
}

impl Error {
    pub fn class(&self) -> Class {
        match self {
            Self::Gone { .. } => Class::Gone,
            Self::NoCredentials { .. } | Self::Unauthorized { .. } => Class::Unauthorized,
            Self::Forbidden { .. } => Class::Forbidden,
            Self::RateLimited { .. } => Class::RateLimited,
            Self::Unavailable { .. } | Self::TimedOut { .. } => Class::Unavailable,
            Self::WrongDigest { .. } | Self::WrongSize { .. } => Class::WrongDigest,
            Self::TooLarge { .. } => Class::TooLarge,
            Self::Unsigned { .. } => Class::Unsigned,
            Self::Unversioned { .. }
            | Self::Index { .. }
            | Self::ManifestType { .. }
            | Self::Layers { .. }
            | Self::LayerType { .. }
            | Self::Malformed { .. } => Class::Malformed,
        }
    }

    /// The delay that the registry requests, without a limit.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after, .. } | Self::Unavailable { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

fn unsigned(found: usize, why: &str) -> String {
    match found {
        0 => "there is no signature".to_owned(),
        1 => format!("there is one: {why}"),
        found => format!("there are {found}; of the last one: {why}"),
    }
}

fn wait(retry_after: &Option<Duration>) -> String {
    retry_after.map(|wait| format!("; retry after {} s", wait.as_secs())).unwrap_or_default()
}

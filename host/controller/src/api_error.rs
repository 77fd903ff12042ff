//! What the API server's errors mean for the controller.

use kube::Error;

/// What an error means for what happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiErrorClass {
    /// 409: the object has been changed meanwhile, or the name is taken.
    Conflict,
    /// 422: the object differs from what was observed, or the change is invalid.
    Invalid,
    /// 404: the object does not exist.
    Gone,
    /// 403.
    Forbidden,
    /// 429: an eviction that a disruption budget does not allow, or a busy server.
    TooMany,
    /// Anything else: the server or the connection to it fails for now.
    Transient,
}

impl ApiErrorClass {
    #[must_use]
    pub fn of(error: &Error) -> Self {
        let Error::Api(status) = error else { return Self::Transient };
        match status.code {
            409 => Self::Conflict,
            422 | 400 => Self::Invalid,
            404 => Self::Gone,
            403 => Self::Forbidden,
            429 => Self::TooMany,
            _ => Self::Transient,
        }
    }
}

/// The API server's own message.
#[must_use]
pub fn error_message(error: &Error) -> String {
    match error {
        Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

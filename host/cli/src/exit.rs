//! Exit codes, documented in docs/flags.md: what a supervisor or a script can tell apart.

use std::process::ExitCode;

use kulta_controller::lease::LeaseError;

/// The configuration cannot be used: a file, a URL, or how to reach the cluster.
pub const CONFIGURATION: u8 = 3;
/// A flag or its value is invalid; clap's own code.
pub const USAGE: u8 = 2;
/// The lease is lost: another controller may lead.
const LEASE_LOST: u8 = 4;

/// An error of the configuration: a restart cannot help.
#[derive(Debug, thiserror::Error)]
#[error("{0:#}")]
pub struct Unusable(anyhow::Error);

impl Unusable {
    /// Marks an error as one of the configuration.
    pub fn mark(error: impl Into<anyhow::Error>) -> anyhow::Error {
        Self(error.into()).into()
    }
}

#[must_use]
pub fn code(error: &anyhow::Error) -> ExitCode {
    if error.chain().any(|cause| cause.is::<LeaseError>()) {
        ExitCode::from(LEASE_LOST)
    } else if error.chain().any(|cause| cause.is::<Unusable>()) {
        ExitCode::from(CONFIGURATION)
    } else {
        ExitCode::FAILURE
    }
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use super::*;

    #[test]
    fn each_class_of_failure_has_its_code() {
        let lost: Result<(), _> = Err(LeaseError::Taken("other".to_owned()));
        let unusable: Result<(), _> = Err(Unusable::mark(anyhow!("no such file")));

        let codes = [
            code(&anyhow!("failed")),
            code(&unusable.context("--plugin-registry-ca").unwrap_err()),
            code(&lost.context("lead").unwrap_err()),
        ];

        assert_eq!(codes, [ExitCode::FAILURE, ExitCode::from(CONFIGURATION), ExitCode::from(LEASE_LOST)]);
    }
}

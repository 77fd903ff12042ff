//! AWS signatures and their credentials, which are the controller's own and never a plugin's.

mod role;
mod sigv4;

use std::env;
use std::fmt;
use std::path::PathBuf;

use crate::request::Failure;

pub(crate) use role::{Role, role_key};
pub(crate) use sigv4::sign;

const ACCESS_KEY_ID: &str = "AWS_ACCESS_KEY_ID";
const SECRET_ACCESS_KEY: &str = "AWS_SECRET_ACCESS_KEY";
const SESSION_TOKEN: &str = "AWS_SESSION_TOKEN";
const ROLE_ARN: &str = "AWS_ROLE_ARN";
const ROLE_SESSION_NAME: &str = "AWS_ROLE_SESSION_NAME";
const WEB_IDENTITY_TOKEN_FILE: &str = "AWS_WEB_IDENTITY_TOKEN_FILE";
const ENDPOINT_URL_STS: &str = "AWS_ENDPOINT_URL_STS";

/// AWS settings of the environment, under the names that AWS SDKs use. Keys take precedence over the role. The metadata
/// services of instances and containers are not used, because link-local addresses are always denied.
#[derive(Clone, Default)]
pub struct AwsEnvironment {
    pub access_key_id: Option<String>,
    pub secret_access_key: Option<String>,
    pub session_token: Option<String>,
    pub role_arn: Option<String>,
    pub role_session_name: Option<String>,
    pub web_identity_token_file: Option<PathBuf>,
    /// Replaces the region's own `https://sts.REGION.amazonaws.com`.
    pub sts_endpoint: Option<String>,
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub access_key_id: String,
    pub secret_access_key: String,
    pub session_token: Option<String>,
}

pub(crate) enum Source {
    Given(Credentials),
    Role(Role),
}

impl Credentials {
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        [Some(self.secret_access_key.as_str()), self.session_token.as_deref()].into_iter().flatten()
    }
}

impl fmt::Debug for AwsEnvironment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsEnvironment")
            .field("access_key_id", &self.access_key_id)
            .field("role_arn", &self.role_arn)
            .field("web_identity_token_file", &self.web_identity_token_file)
            .field("sts_endpoint", &self.sts_endpoint)
            .finish_non_exhaustive()
    }
}

impl AwsEnvironment {
    /// Reads the process's environment; an empty or non-UTF-8 value counts as unset.
    #[must_use]
    pub fn of_process() -> Self {
        let read = |name| env::var(name).ok().filter(|value| !value.is_empty());
        Self {
            access_key_id: read(ACCESS_KEY_ID),
            secret_access_key: read(SECRET_ACCESS_KEY),
            session_token: read(SESSION_TOKEN),
            role_arn: read(ROLE_ARN),
            role_session_name: read(ROLE_SESSION_NAME),
            web_identity_token_file: read(WEB_IDENTITY_TOKEN_FILE).map(PathBuf::from),
            sts_endpoint: read(ENDPOINT_URL_STS),
        }
    }

    pub(crate) fn source(&self, region: &str) -> Result<Source, Failure> {
        // It becomes part of a host name.
        if region.is_empty() || !region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return Err(Failure::Failed(format!("{region:?} is not an AWS region")));
        }
        let lacks = |name: &str, by: &str| Failure::Failed(format!("SigV4: {by} is set but {name} is not"));
        match (&self.access_key_id, &self.secret_access_key, &self.role_arn, &self.web_identity_token_file) {
            (Some(id), Some(key), ..) => Ok(Source::Given(Credentials {
                access_key_id: id.clone(),
                secret_access_key: key.clone(),
                session_token: self.session_token.clone(),
            })),
            (Some(_), None, ..) => Err(lacks(SECRET_ACCESS_KEY, ACCESS_KEY_ID)),
            (None, Some(_), ..) => Err(lacks(ACCESS_KEY_ID, SECRET_ACCESS_KEY)),
            (None, None, Some(arn), Some(file)) => Role::new(self, arn.clone(), file.clone(), region).map(Source::Role),
            (None, None, Some(_), None) => Err(lacks(WEB_IDENTITY_TOKEN_FILE, ROLE_ARN)),
            (None, None, None, Some(_)) => Err(lacks(ROLE_ARN, WEB_IDENTITY_TOKEN_FILE)),
            (None, None, None, None) => Err(Failure::Failed(format!(
                "SigV4 needs {ACCESS_KEY_ID} and {SECRET_ACCESS_KEY}, or {ROLE_ARN} and {WEB_IDENTITY_TOKEN_FILE}, in the \
                 controller's environment"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(environment: &AwsEnvironment, region: &str) -> String {
        environment.source(region).err().unwrap().to_string()
    }

    #[test]
    fn missing_environment_variables_are_named() {
        let some = || Some("x".to_owned());
        let none = AwsEnvironment::default;
        let cases = [
            (none(), "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_ROLE_ARN"),
            (AwsEnvironment { access_key_id: some(), ..none() }, "AWS_SECRET_ACCESS_KEY is not"),
            (AwsEnvironment { secret_access_key: some(), ..none() }, "AWS_ACCESS_KEY_ID is not"),
            (AwsEnvironment { role_arn: some(), ..none() }, "AWS_WEB_IDENTITY_TOKEN_FILE is not"),
            (AwsEnvironment { web_identity_token_file: Some("/token".into()), ..none() }, "AWS_ROLE_ARN is not"),
        ];

        for (environment, expected) in cases {
            let error = refused(&environment, "eu-west-1");
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_region_that_would_change_the_host_is_rejected() {
        for region in ["", "evil.example/", "eu west", "a.b"] {
            assert!(refused(&AwsEnvironment::default(), region).contains("not an AWS region"), "{region}");
        }
    }

    #[test]
    fn the_debug_output_of_the_environment_contains_no_secret() {
        let secret = || Some("hunter2".to_owned());
        let environment = AwsEnvironment { secret_access_key: secret(), session_token: secret(), ..Default::default() };

        assert!(!format!("{environment:?}").contains("hunter2"));
    }
}

//! Headers and authentication of a request in a user's configuration: the fields of Argo Rollouts' metric providers.

use crate::Error;
use crate::fetch::{Auth, Basic, Oauth2, Request};
use schemars::JsonSchema;
use serde::Deserialize;

/// A header of a request.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Header {
    pub key: String,
    pub value: String,
}

/// At most one of them is set. Empty ones count as absent: Argo Rollouts writes them that way.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Authentication {
    pub basic_auth: BasicAuth,
    pub oauth2: Oauth2Client,
    pub sigv4: Sigv4,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BasicAuth {
    pub username: String,
    pub password: String,
}

/// The client credentials grant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Oauth2Client {
    pub token_url: String,
    pub client_id: String,
    pub client_secret: String,
    pub scopes: Vec<String>,
}

/// Signs for Amazon Managed Prometheus with the controller's own credentials.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Sigv4 {
    pub region: String,
    /// Not supported; named so that the error can say so.
    pub profile: String,
    /// Not supported; named so that the error can say so.
    pub role_arn: String,
}

impl Authentication {
    /// The headers and authentication of a request. An error begins with the path of the field, `authentication.…`.
    pub fn auth(&self) -> Result<Auth, Error> {
        let mut wanted = [self.basic()?, self.oauth2()?, self.sigv4()?].into_iter().flatten();
        match (wanted.next(), wanted.next()) {
            (None, _) => Ok(Auth::None),
            (Some(auth), None) => Ok(auth),
            (Some(_), Some(_)) => invalid("authentication: only one of basicAuth, oauth2 and sigv4 can be used"),
        }
    }

    fn basic(&self) -> Result<Option<Auth>, Error> {
        let BasicAuth { username, password } = &self.basic_auth;
        match (username.is_empty(), password.is_empty()) {
            (true, true) => Ok(None),
            (true, false) => invalid("authentication.basicAuth.username: missing"),
            (false, _) => Ok(Some(Auth::Basic(Basic { username: username.clone(), password: password.clone() }))),
        }
    }

    fn oauth2(&self) -> Result<Option<Auth>, Error> {
        let Oauth2Client { token_url, client_id, client_secret, scopes } = &self.oauth2;
        if self.oauth2 == Oauth2Client::default() {
            return Ok(None);
        }
        for (field, value) in [("tokenUrl", token_url), ("clientId", client_id), ("clientSecret", client_secret)] {
            if value.is_empty() {
                return invalid(&format!("authentication.oauth2.{field}: missing"));
            }
        }
        Ok(Some(Auth::Oauth2(Oauth2 {
            token_url: token_url.clone(),
            client_id: client_id.clone(),
            client_secret: client_secret.clone(),
            scopes: scopes.clone(),
            parameters: Vec::new(),
        })))
    }

    fn sigv4(&self) -> Result<Option<Auth>, Error> {
        let Sigv4 { region, profile, role_arn } = &self.sigv4;
        for (field, value) in [("profile", profile), ("roleArn", role_arn)] {
            if !value.is_empty() {
                return invalid(&format!(
                    "authentication.sigv4.{field}: not supported, requests are signed with the controller's own credentials"
                ));
            }
        }
        Ok((!region.is_empty()).then(|| Auth::Sigv4(region.clone())))
    }
}

impl Request {
    /// Sets these headers, in order.
    pub fn headers(self, headers: &[Header]) -> Self {
        headers.iter().fold(self, |request, header| request.header(&header.key, &header.value))
    }
}

fn invalid<T>(message: &str) -> Result<T, Error> {
    Err(Error::InvalidConfig(message.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auth_of(json: &str) -> Result<Auth, Error> {
        serde_json::from_str::<Authentication>(json).unwrap().auth()
    }

    #[test]
    fn empty_fields_are_no_authentication() {
        for json in ["{}", r#"{"oauth2":{},"sigv4":{}}"#, r#"{"basicAuth":{"username":"","password":""}}"#] {
            assert_eq!(auth_of(json), Ok(Auth::None), "{json}");
        }
    }

    #[test]
    fn each_kind_is_read_from_its_own_fields() {
        let basic = Basic { username: "u".into(), password: "p".into() };
        assert_eq!(auth_of(r#"{"basicAuth":{"username":"u","password":"p"}}"#), Ok(Auth::Basic(basic)));
        let oauth2 = Oauth2 {
            token_url: "https://t".into(),
            client_id: "id".into(),
            client_secret: "s".into(),
            scopes: vec!["a".into()],
            parameters: Vec::new(),
        };
        let json = r#"{"oauth2":{"tokenUrl":"https://t","clientId":"id","clientSecret":"s","scopes":["a"]}}"#;
        assert_eq!(auth_of(json), Ok(Auth::Oauth2(oauth2)));
        assert_eq!(auth_of(r#"{"sigv4":{"region":"eu-west-1"}}"#), Ok(Auth::Sigv4("eu-west-1".into())));
    }

    #[test]
    fn missing_and_conflicting_fields_are_reported() {
        for (json, start) in [
            (r#"{"basicAuth":{"password":"p"}}"#, "authentication.basicAuth.username: missing"),
            (r#"{"oauth2":{"tokenUrl":"https://t"}}"#, "authentication.oauth2.clientId: missing"),
            (r#"{"oauth2":{"clientId":"id"}}"#, "authentication.oauth2.tokenUrl: missing"),
            (r#"{"sigv4":{"region":"r","roleArn":"a"}}"#, "authentication.sigv4.roleArn: not supported"),
            (r#"{"sigv4":{"region":"r"},"basicAuth":{"username":"u"}}"#, "authentication: only one of"),
        ] {
            match auth_of(json) {
                Err(Error::InvalidConfig(message)) => assert!(message.starts_with(start), "{message}"),
                other => panic!("expected an invalid configuration for {json}, got {other:?}"),
            }
        }
    }

    #[test]
    fn headers_are_set_in_order() {
        let header = |key: &str, value: &str| Header { key: key.into(), value: value.into() };
        let request = Request::get("http://a").headers(&[header("A", "1"), header("a", "2"), header("B", "3")]);
        let set: Vec<_> = request.headers.iter().map(|label| (label.key.as_str(), label.value.as_str())).collect();
        assert_eq!(set, [("a", "2"), ("B", "3")]);
    }
}

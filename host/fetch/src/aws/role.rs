//! Credentials for a role, in exchange for the token that Kubernetes mounts into the pod.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use form_urlencoded::Serializer;
use jiff::Timestamp;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, Url};

use super::{AwsEnvironment, Credentials};
use crate::call::{FORM, shown};
use crate::in_flight::{Fetched, Key, KeyParts};
use crate::mask::Mask;
use crate::network::{Network, Outgoing};
use crate::request::{Failure, Response};

const API_VERSION: &str = "2011-06-15";
const SESSION_NAME: &str = "kulta";
/// Prefix of China's regions, which have a separate domain.
const CHINA: &str = "cn-";
/// Characters of an error that are kept.
const ERROR_CHARS: usize = 200;

pub(crate) struct Role {
    arn: String,
    token_file: PathBuf,
    session_name: String,
    endpoint: Url,
}

/// Each region has separate credentials.
pub(crate) fn role_key(region: &str) -> Key {
    let mut key = KeyParts::new();
    key.add(region);
    key.finish()
}

impl Role {
    pub fn new(environment: &AwsEnvironment, arn: String, token_file: PathBuf, region: &str) -> Result<Self, Failure> {
        let china = if region.starts_with(CHINA) { ".cn" } else { "" };
        let regional = format!("https://sts.{region}.amazonaws.com{china}");
        let endpoint = Url::parse(environment.sts_endpoint.as_deref().unwrap_or(&regional))
            .map_err(|error| Failure::Failed(format!("the address of AWS STS cannot be used: {error}")))?;
        let session_name = environment.role_session_name.clone().unwrap_or_else(|| SESSION_NAME.to_owned());
        Ok(Self { arn, token_file, session_name, endpoint })
    }

    pub async fn assume(&self, network: &Network) -> Fetched<Credentials> {
        // The kubelet renews this small file in memory, so it is read each time.
        let token = std::fs::read_to_string(&self.token_file)
            .map_err(|error| Failure::Failed(format!("reading {}: {error}", self.token_file.display())))?;
        let body = Serializer::new(String::new())
            .append_pair("Action", "AssumeRoleWithWebIdentity")
            .append_pair("Version", API_VERSION)
            .append_pair("RoleArn", &self.arn)
            .append_pair("RoleSessionName", &self.session_name)
            .append_pair("WebIdentityToken", token.trim())
            .finish();
        let outgoing = Outgoing {
            method: Method::POST,
            url: self.endpoint.clone(),
            headers: HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(FORM))]),
            body: Bytes::from(body),
            skip_tls_verify: false,
            rights: None,
        };
        let answer = network.exchange(outgoing).await?.read().await?;
        read(&answer, Timestamp::now()).map_err(|why| {
            let why = format!("no credentials for {} from {}: {why}", self.arn, shown(&self.endpoint));
            Failure::Failed(Mask::of([token.as_str()]).text(&why).into_owned())
        })
    }
}

fn read(answer: &Response, now: Timestamp) -> Result<(Credentials, Duration), String> {
    let text = String::from_utf8_lossy(&answer.body);
    if answer.status != 200 {
        let message: String = element(&text, "Message").unwrap_or_default().chars().take(ERROR_CHARS).collect();
        return Err(format!("HTTP {} {message}", answer.status).trim_end().to_owned());
    }
    let wanted =
        |name: &str| element(&text, name).map(str::to_owned).ok_or_else(|| format!("the answer has no element {name}"));
    let expiration: Timestamp =
        wanted("Expiration")?.parse().map_err(|error| format!("the element Expiration: {error}"))?;
    let life = Duration::try_from(expiration.duration_since(now)).unwrap_or_default();
    let credentials = Credentials {
        access_key_id: wanted("AccessKeyId")?,
        secret_access_key: wanted("SecretAccessKey")?,
        session_token: Some(wanted("SessionToken")?),
    };
    Ok((credentials, life))
}

/// The text of the first element of this name. The elements that are read contain identifiers, base64 or dates, which
/// XML does not escape.
fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, after) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = after.split_once(&format!("</{name}>"))?;
    Some(text.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &'static str) -> Result<(Credentials, Duration), String> {
        let response = Response { status, headers: vec![], body: Bytes::from_static(body.as_bytes()) };
        read(&response, "2030-01-01T00:00:00Z".parse().unwrap())
    }

    #[test]
    fn credentials_are_read_with_their_remaining_life() {
        let (credentials, life) = answer(
            200,
            "<R xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Credentials><SessionToken>T+/=</SessionToken>\n\
             <SecretAccessKey>S/k</SecretAccessKey><Expiration>2030-01-01T01:00:00Z</Expiration>\
             <AccessKeyId>ASIA1</AccessKeyId></Credentials></R>",
        )
        .unwrap();

        assert_eq!(life, Duration::from_hours(1));
        let parts = (credentials.access_key_id, credentials.secret_access_key, credentials.session_token);
        assert_eq!(parts, ("ASIA1".into(), "S/k".into(), Some("T+/=".into())));
    }

    #[test]
    fn an_answer_without_credentials_is_reported_with_the_cause() {
        let cases = [
            (403, "<E><Error><Message>Not authorized</Message></Error></E>", "HTTP 403 Not authorized"),
            (500, "", "HTTP 500"),
            (200, "<html></html>", "no element Expiration"),
            (200, "<Expiration>soon</Expiration>", "element Expiration"),
        ];

        for (status, body, expected) in cases {
            let error = answer(status, body).err().unwrap();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn each_region_has_its_own_endpoint() {
        let endpoints = ["eu-west-1", "cn-north-1"].map(|region| {
            let role = Role::new(&AwsEnvironment::default(), String::new(), PathBuf::new(), region).unwrap();
            role.endpoint.to_string()
        });

        assert_eq!(endpoints, ["https://sts.eu-west-1.amazonaws.com/", "https://sts.cn-north-1.amazonaws.com.cn/"]);
    }
}

//! A pull request, from its number or its URL.

use crate::Software;
use crate::repository::{Repository, Scheme, Url, software};
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PullRequest {
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
}

impl PullRequest {
    /// `7`, `#7` and `!7` are numbers in the repository; any other value must be an http or https URL.
    pub fn parse(text: &str, repository: Option<&Repository>, hosts: &BTreeMap<String, Software>) -> Option<Self> {
        if let Some(number) = number(text.strip_prefix(['#', '!']).unwrap_or(text)) {
            let url = repository.and_then(|repository| repository.pull_request(number));
            return Some(Self { number: Some(number), url });
        }
        let url = Url::parse(text)?;
        let scheme = match url.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
            Scheme::Ssh => return None,
        };
        let path = url.path.trim_end_matches('/');
        let number = software(&url.host, hosts).and_then(|software| {
            let (before, last) = path.rsplit_once('/')?;
            before.ends_with(&format!("/{}", software.pull_requests())).then(|| number(last))?
        });
        (!path.is_empty()).then(|| Self { number, url: Some(format!("{scheme}://{}/{path}", url.authority())) })
    }
}

fn number(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| digits && *number > 0)
}

//! Redirects: from one hop of a request to the next.

use std::sync::Arc;

use bytes::Bytes;
use reqwest::header::{self, HeaderMap, HeaderName};
use reqwest::{Method, StatusCode, Url};

use crate::call::{Call, remove_user, shown};
use crate::request::Failure;
use crate::rights::Rights;

/// The only header that another origin gets: all others may be meant for the first origin only.
const TRAVELLING: [HeaderName; 3] = [header::ACCEPT, header::ACCEPT_LANGUAGE, header::CONTENT_TYPE];

/// One of the requests of a call.
pub(crate) struct Hop {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub skip_tls_verify: bool,
    pub rights: Option<Arc<Rights>>,
    secret_body: bool,
    /// True if all hops so far were to the original origin; only then credentials are sent.
    pub at_home: bool,
}

impl Hop {
    pub fn first(call: &Call) -> Self {
        Self {
            method: call.method.clone(),
            url: call.url.clone(),
            headers: call.headers.clone(),
            body: call.body.clone(),
            skip_tls_verify: call.skip_tls_verify,
            rights: call.rights.clone(),
            secret_body: call.secret_body,
            at_home: true,
        }
    }

    /// The hop of a redirect; `self` if the answer is the last one, which it is without a `Location`.
    pub fn next(self, status: StatusCode, answer: &HeaderMap) -> Result<Step, Failure> {
        let Some(location) = answer.get(header::LOCATION).filter(|_| is_redirect(status)) else {
            return Ok(Step::Last);
        };
        let nowhere = || Failure::Failed(format!("{} redirects to an invalid URL", shown(&self.url)));
        let mut url =
            std::str::from_utf8(location.as_bytes()).ok().and_then(|it| self.url.join(it).ok()).ok_or_else(nowhere)?;
        remove_user(&mut url);
        let mut next = Self { at_home: self.at_home && url.origin() == self.url.origin(), url, ..self };
        if becomes_get(status, &next.method) {
            next.method = Method::GET;
            next.body = Bytes::new();
            next.headers.remove(header::CONTENT_TYPE);
        }
        if !next.at_home {
            if next.secret_body && !next.body.is_empty() {
                let why =
                    format!("a redirect to {} would take a secret in the body to another origin", shown(&next.url));
                return Err(Failure::Denied(why));
            }
            next.headers = TRAVELLING
                .into_iter()
                .filter_map(|name| next.headers.get(&name).cloned().map(|value| (name, value)))
                .collect();
        }
        Ok(Step::On(Box::new(next)))
    }
}

pub(crate) enum Step {
    On(Box<Hop>),
    Last,
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    )
}

/// Follows browsers and Go.
fn becomes_get(status: StatusCode, method: &Method) -> bool {
    match status {
        StatusCode::SEE_OTHER => method != Method::HEAD,
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => method == Method::POST,
        _ => false,
    }
}

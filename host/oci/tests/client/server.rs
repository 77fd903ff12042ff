//! Servers that record requests, and helpers that all tests share.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::http;
use futures::{StreamExt, stream};
use kulta_oci::{Artifact, Client, Credentials, Digest, Error, Pulled, Reference, Settings};
use tokio::net::TcpListener;

pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const COMPONENT: &[u8] = b"\0asm a component";

#[derive(Clone, Debug)]
pub struct Received {
    pub method: String,
    pub uri: String,
    pub headers: http::HeaderMap,
    pub body: Bytes,
}

impl Received {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.uri)
    }
}

pub struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Body,
    pub delay: Duration,
}

impl Default for Answer {
    fn default() -> Self {
        Self { status: 200, headers: vec![], body: Body::empty(), delay: Duration::ZERO }
    }
}

pub fn ok(body: impl Into<Body>) -> Answer {
    Answer { body: body.into(), ..Answer::default() }
}

pub fn status(status: u16) -> Answer {
    Answer { status, ..Answer::default() }
}

pub fn with(status: u16, name: &'static str, value: impl Into<String>) -> Answer {
    Answer { status, headers: vec![(name, value.into())], ..Answer::default() }
}

pub fn manifest(body: impl Into<Body>) -> Answer {
    Answer { headers: vec![("content-type", MANIFEST.into())], body: body.into(), ..Answer::default() }
}

/// An error answer of a registry.
pub fn refused(status: u16, code: &str) -> Answer {
    Answer { status, ..ok(format!(r#"{{"errors": [{{"code": "{code}", "message": "said so"}}]}}"#)) }
}

/// An endless body without a content length.
pub fn endless() -> Body {
    Body::from_stream(stream::repeat(Bytes::from_static(&[b' '; 1024])).map(Ok::<_, std::io::Error>))
}

/// One byte at a time, without end.
pub fn dripping() -> Body {
    let drops = stream::repeat(()).then(|()| async {
        tokio::time::sleep(Duration::from_millis(5)).await;
        Ok::<_, std::io::Error>(Bytes::from_static(b" "))
    });
    Body::from_stream(drops)
}

/// Some bytes, then the connection is closed.
pub fn cut(start: &'static [u8]) -> Body {
    let broken = std::io::Error::other("cut");
    Body::from_stream(stream::iter([Ok(Bytes::from_static(start)), Err(broken)]))
}

pub struct Server {
    /// Host and port.
    pub host: String,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Server {
    pub async fn start(answer: impl Fn(&Received) -> Answer + Send + Sync + 'static) -> Self {
        let received = Arc::<Mutex<Vec<Received>>>::default();
        let (record, answer) = (Arc::clone(&received), Arc::new(answer));
        let app = Router::new().fallback(move |request: http::Request<Body>| {
            let (record, answer) = (Arc::clone(&record), Arc::clone(&answer));
            async move {
                let (parts, body) = request.into_parts();
                let request = Received {
                    method: parts.method.to_string(),
                    uri: parts.uri.to_string(),
                    headers: parts.headers,
                    body: to_bytes(body, usize::MAX).await.unwrap(),
                };
                let answer = answer(&request);
                record.lock().unwrap().push(request);
                tokio::time::sleep(answer.delay).await;
                let response = http::Response::builder().status(answer.status);
                let response = answer.headers.iter().fold(response, |it, (name, value)| it.header(*name, value));
                response.body(answer.body).unwrap()
            }
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { host, received }
    }

    /// A registry that has the component under the tag 1, except for the requests that `other` answers.
    pub async fn registry(other: impl Fn(&Received) -> Option<Answer> + Send + Sync + 'static) -> Self {
        Self::start(move |request| other(request).unwrap_or_else(|| held(request))).await
    }

    /// In order of arrival.
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    pub fn lines(&self) -> Vec<String> {
        self.received().iter().map(Received::line).collect()
    }

    pub fn reference(&self) -> Reference {
        self.named(":1")
    }

    /// With a given tag or digest.
    pub fn named(&self, version: &str) -> Reference {
        format!("{}/acme/plugin{version}", self.host).parse().unwrap()
    }

    /// Plain http is allowed for this server alone, and timeouts are short.
    pub fn settings(&self) -> Settings {
        Settings {
            plain_http: [self.host.clone()].into(),
            timeout: Duration::from_secs(10),
            manifest_limit: 10_000,
            layer_limit: 10_000,
            ..Settings::default()
        }
    }

    pub fn client(&self) -> Client {
        client(self.settings())
    }

    pub async fn pull(&self) -> Result<Pulled, Error> {
        self.client().pull(&self.reference(), None, &Credentials::Anonymous).await
    }

    pub async fn pull_expecting(&self, expected: &Digest) -> Result<Pulled, Error> {
        self.client().pull(&self.reference(), Some(expected), &Credentials::Anonymous).await
    }
}

fn held(request: &Received) -> Answer {
    let (text, digest) = (component_manifest(), manifest_digest());
    let path = request.uri.strip_prefix("/v2/acme/plugin/").unwrap_or_default();
    if path == "manifests/1" || path == format!("manifests/{digest}") {
        let mut answer = manifest(text);
        answer.headers.push(("docker-content-digest", digest.to_string()));
        return answer;
    }
    if path == format!("blobs/{}", Digest::of(COMPONENT)) { ok(COMPONENT) } else { refused(404, "UNKNOWN") }
}

pub fn component_manifest() -> String {
    manifest_of(&Digest::of(COMPONENT), COMPONENT.len())
}

pub fn manifest_digest() -> Digest {
    Digest::of(component_manifest().as_bytes())
}

pub fn manifest_of(digest: &Digest, size: usize) -> String {
    format!(
        r#"{{"mediaType": "{MANIFEST}", "layers": [{{"mediaType": "application/wasm", "digest": "{digest}", "size": {size}}}]}}"#
    )
}

pub fn client(settings: Settings) -> Client {
    install_tls();
    Client::new(settings).unwrap()
}

pub fn install_tls() {
    // Another test of the same process may have installed it already.
    let _installed = rustls::crypto::ring::default_provider().install_default();
}

pub fn me() -> Credentials {
    Credentials::Basic { username: "me".into(), password: "passw0rd".into() }
}

/// `me` in a header.
pub const ME: &str = "Basic bWU6cGFzc3cwcmQ=";

pub fn artifact() -> Artifact {
    Artifact {
        component: Bytes::from_static(COMPONENT),
        created: "2026-11-23T10:00:00Z".parse().unwrap(),
        exports: vec!["kulta:plugin/analyzer@0.1.0".into()],
        imports: vec![],
        target: None,
    }
}

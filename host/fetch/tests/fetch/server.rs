//! Servers that record requests, and helpers that all tests share.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http;
use kulta_fetch::{Auth, Failure, Fetcher, Request, Response, Secrets, Settings};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

#[derive(Clone, Debug)]
pub struct Received {
    pub method: String,
    pub uri: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
    pub peer: SocketAddr,
}

impl Received {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

#[derive(Clone, Default)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
    pub delay: Duration,
}

pub fn ok(body: impl Into<String>) -> Answer {
    Answer { status: 200, body: body.into(), ..Answer::default() }
}

pub fn redirect(status: u16, location: impl Into<String>) -> Answer {
    Answer { status, headers: vec![("location", location.into())], ..Answer::default() }
}

pub struct Server {
    /// Without a trailing `/`.
    pub url: String,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Server {
    pub async fn start(answer: impl Fn(&Received) -> Answer + Send + Sync + 'static) -> Self {
        let received = Arc::<Mutex<Vec<Received>>>::default();
        let (record, answer) = (Arc::clone(&received), Arc::new(answer));
        let app =
            Router::new().fallback(move |ConnectInfo(peer): ConnectInfo<SocketAddr>, request: http::Request<Body>| {
                let (record, answer) = (Arc::clone(&record), Arc::clone(&answer));
                async move {
                    let request = read(peer, request).await;
                    let answer = answer(&request);
                    record.lock().unwrap().push(request);
                    tokio::time::sleep(answer.delay).await;
                    let response = http::Response::builder().status(answer.status);
                    let response = answer.headers.iter().fold(response, |it, (name, value)| it.header(*name, value));
                    response.body(Body::from(answer.body)).unwrap()
                }
            });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await.unwrap();
        });
        Self { url, received }
    }

    /// In order of arrival.
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    pub fn last(&self) -> Received {
        self.received().pop().unwrap()
    }

    pub fn by_name(&self) -> String {
        self.url.replace("127.0.0.1", "localhost")
    }
}

async fn read(peer: SocketAddr, request: http::Request<Body>) -> Received {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    Received {
        method: parts.method.to_string(),
        uri: parts.uri.to_string(),
        headers: parts
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect(),
        body: String::from_utf8(body.to_vec()).unwrap(),
        peer,
    }
}

/// Accepts connections, reads the head of a request from each and passes the rest to `serve`.
pub async fn raw<F, Serving>(serve: F) -> String
where
    F: Fn(TcpStream) -> Serving + Send + 'static,
    Serving: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") && stream.read_buf(&mut head).await.unwrap() > 0 {}
            tokio::spawn(serve(stream));
        }
    });
    url
}

/// Settings for tests: loopback is allowed, and timeouts are short.
pub fn settings() -> Settings {
    Settings { loopback: true, timeout: Duration::from_secs(5), ..Settings::default() }
}

pub fn fetcher(settings: Settings) -> Fetcher {
    install_tls();
    Fetcher::new(settings).unwrap()
}

pub fn install_tls() {
    // Another test of the same process may have installed it already.
    let _installed = rustls::crypto::ring::default_provider().install_default();
}

pub fn get(url: impl Into<String>) -> Request {
    Request {
        method: "GET".into(),
        url: url.into(),
        headers: vec![],
        body: Vec::new().into(),
        auth: Auth::None,
        timeout: Duration::ZERO,
        skip_tls_verify: false,
        rights: None,
    }
}

pub async fn fetch(settings: Settings, request: Request) -> Result<Response, Failure> {
    fetcher(settings).fetch(request, &Secrets::new()).await
}

pub fn text(response: &Response) -> String {
    String::from_utf8(response.body.to_vec()).unwrap()
}

/// A file for one test that does not exist yet.
pub fn file(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    if path.exists() {
        std::fs::remove_file(&path).unwrap();
    }
    path
}

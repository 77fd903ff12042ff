//! Servers that record requests, byte for byte where a test needs it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Marks a pause in a response.
pub const PART: char = '|';
/// Long enough for the client to read the two parts separately.
const PAUSE: Duration = Duration::from_millis(50);

/// Answers each request with a fixed status and headers, and records where requests came from.
pub struct Server {
    pub url: String,
    peers: Arc<Mutex<Vec<SocketAddr>>>,
}

impl Server {
    pub async fn answering(status: u16, headers: &'static [(&'static str, &'static str)], body: &'static str) -> Self {
        Self::slow(status, headers, body, Duration::ZERO).await
    }

    pub async fn slow(
        status: u16,
        headers: &'static [(&'static str, &'static str)],
        body: &'static str,
        delay: Duration,
    ) -> Self {
        let peers = Arc::<Mutex<Vec<SocketAddr>>>::default();
        let recorded = Arc::clone(&peers);
        let app = Router::new().fallback(move |ConnectInfo(peer): ConnectInfo<SocketAddr>, _: Request<Body>| {
            recorded.lock().unwrap().push(peer);
            async move {
                tokio::time::sleep(delay).await;
                let response = headers
                    .iter()
                    .fold(Response::builder().status(status), |response, (name, value)| response.header(*name, *value));
                response.body(Body::from(body)).unwrap()
            }
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/events", listener.local_addr().unwrap());
        tokio::spawn(async move {
            axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await.unwrap();
        });
        Self { url, peers }
    }

    /// The client's address of each request's connection, in order of arrival.
    pub fn peers(&self) -> Vec<SocketAddr> {
        self.peers.lock().unwrap().clone()
    }
}

/// Accepts one request, writes `response` unchanged in parts, and returns the bytes of the request up to the end of a
/// body of `body_length`.
pub async fn wire(response: &str, body_length: usize) -> (String, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/webhook/kulta?kind=rollout", listener.local_addr().unwrap());
    let parts: Vec<_> = response.split(PART).map(str::to_owned).collect();
    let received = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        loop {
            let text = String::from_utf8_lossy(&request).into_owned();
            if text.split_once("\r\n\r\n").is_some_and(|(_, body)| body.len() >= body_length) {
                for part in &parts {
                    stream.write_all(part.as_bytes()).await.unwrap();
                    tokio::time::sleep(PAUSE).await;
                }
                // Closing at once would complete the answer; some tests need an incomplete one.
                tokio::time::sleep(Duration::from_secs(2)).await;
                return text;
            }
            assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0, "the client hung up: {text}");
        }
    });
    (url, received)
}

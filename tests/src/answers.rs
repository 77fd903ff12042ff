//! A server in place of Prometheus or another metrics server, with the answers that a scenario sets: right, wrong or
//! none.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

use crate::{
    http::{self, Message},
    namespace::NODE_ADDRESS,
    wait,
};

/// The configured answer.
#[derive(Debug, Clone)]
pub enum Mode {
    Json(Value),
    /// A page of this type.
    Page(&'static str, Arc<str>),
    /// This status and an empty page.
    Status(u16),
    /// The JSON after a delay.
    Late(Duration, Value),
    /// This number of bytes of text, without an end.
    Bytes(usize),
    /// A vector of this number of series, as fast as the client reads.
    Series(usize),
    /// Connections are reset.
    Down,
    /// Never an answer.
    Silent,
}

impl Mode {
    /// An instant vector of one sample without labels.
    pub fn sample(value: &str) -> Self {
        Self::Json(vector(&[value]))
    }

    /// No samples.
    pub fn empty() -> Self {
        Self::Json(vector(&[]))
    }
}

/// Prometheus' answer to an instant query.
pub fn vector(values: &[&str]) -> Value {
    let samples: Vec<Value> =
        values.iter().map(|value| json!({"metric": {}, "value": [1_767_225_600, value]})).collect();
    json!({"status": "success", "data": {"resultType": "vector", "result": samples}})
}

/// Bytes written at once.
const BLOCK: usize = 65_536;

/// A received request.
#[derive(Debug, Clone)]
pub struct Asked {
    pub at: Instant,
    pub request: Message,
}

type Records = Arc<Mutex<Vec<Asked>>>;

/// A running server on the node's address; ends when dropped.
#[derive(Debug)]
pub struct Answers {
    address: SocketAddr,
    mode: watch::Sender<Mode>,
    records: Records,
    server: JoinHandle<()>,
}

impl Answers {
    pub async fn start(mode: Mode) -> Result<Self> {
        let listener = TcpListener::bind((NODE_ADDRESS, 0)).await.context("listen for metrics")?;
        let address = SocketAddr::new(IpAddr::V4(NODE_ADDRESS), listener.local_addr()?.port());
        let mode = watch::Sender::new(mode);
        let records = Records::default();
        let (modes, kept) = (mode.subscribe(), records.clone());
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, modes.clone(), kept.clone()));
            }
        });
        Ok(Self { address, mode, records, server })
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    pub fn asked(&self) -> Vec<Asked> {
        lock(&self.records).clone()
    }

    /// Waits until this number of requests has arrived in all.
    pub async fn until_asked(&self, count: usize, limit: Duration) -> Result<Vec<Asked>> {
        wait::poll(&format!("{count} requests for metrics"), limit, || async {
            Ok(Some(self.asked()).filter(|asked| asked.len() >= count))
        })
        .await
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn lock(records: &Records) -> MutexGuard<'_, Vec<Asked>> {
    records.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

async fn serve(mut stream: TcpStream, modes: watch::Receiver<Mode>, records: Records) {
    let mut buffer = Vec::new();
    while let Ok(Some(request)) = http::read(&mut stream, &mut buffer).await {
        lock(&records).push(Asked { at: Instant::now(), request });
        let mode = modes.borrow().clone();
        if !matches!(answer(&mut stream, mode).await, Ok(true)) {
            return;
        }
    }
}

/// Returns whether the connection is kept open.
async fn answer(stream: &mut TcpStream, mode: Mode) -> std::io::Result<bool> {
    match mode {
        Mode::Json(value) => whole(stream, 200, "application/json", value.to_string().as_bytes()).await,
        Mode::Page(kind, text) => whole(stream, 200, kind, text.as_bytes()).await,
        Mode::Status(status) => whole(stream, status, "text/plain", b"").await,
        Mode::Late(after, value) => {
            tokio::time::sleep(after).await;
            whole(stream, 200, "application/json", value.to_string().as_bytes()).await
        }
        Mode::Bytes(count) => {
            endless(stream).await?;
            let block = vec![b'x'; BLOCK];
            for _ in 0..count.div_ceil(BLOCK) {
                stream.write_all(&block).await?;
            }
            Ok(false)
        }
        Mode::Series(count) => {
            endless(stream).await?;
            stream.write_all(br#"{"status":"success","data":{"resultType":"vector","result":["#).await?;
            for number in 0..count {
                let comma = if number == 0 { "" } else { "," };
                let sample = format!(r#"{comma}{{"metric":{{"pod":"web-{number}"}},"value":[1767225600,"{number}"]}}"#);
                stream.write_all(sample.as_bytes()).await?;
            }
            stream.write_all(b"]}}").await?;
            Ok(false)
        }
        Mode::Down => {
            stream.set_zero_linger()?;
            Ok(false)
        }
        Mode::Silent => std::future::pending().await,
    }
}

async fn whole(stream: &mut TcpStream, status: u16, kind: &str, body: &[u8]) -> std::io::Result<bool> {
    let head = format!("HTTP/1.1 {status} as wanted\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body).await?;
    Ok(true)
}

/// Head of an answer that ends with the connection.
async fn endless(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n").await
}

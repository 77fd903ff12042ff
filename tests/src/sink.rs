//! A sink for CDEvents: records events, and can reject them, answer slowly or be down.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use serde_json::Value;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

use crate::{http, wait};

/// The behaviour of the sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// 202, and the event is recorded.
    Accept,
    /// This status; the event is recorded as rejected.
    Refuse(u16),
    /// Connections are reset, open ones too.
    Down,
    /// The event is recorded as rejected and never answered.
    Silent,
}

/// One delivery.
#[derive(Debug, Clone)]
pub struct Received {
    pub at: Instant,
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Value,
    pub accepted: bool,
}

impl Received {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The event's type without `dev.cdevents.`, `dev.cdeventsx.` and its version, such as `service.upgraded`.
    pub fn kind(&self) -> &str {
        let full = self.body.pointer("/context/type").and_then(Value::as_str).unwrap_or_default();
        let bare = full.strip_prefix("dev.cdevents.").or_else(|| full.strip_prefix("dev.cdeventsx.")).unwrap_or(full);
        bare.match_indices('.').nth(1).and_then(|(end, _)| bare.get(..end)).unwrap_or(bare)
    }

    pub fn id(&self) -> &str {
        self.body.pointer("/context/id").and_then(Value::as_str).unwrap_or_default()
    }

    pub fn subject(&self) -> &str {
        self.body.pointer("/subject/id").and_then(Value::as_str).unwrap_or_default()
    }
}

type Records = Arc<Mutex<Vec<Received>>>;

/// A running sink; ends when dropped.
#[derive(Debug)]
pub struct Sink {
    pub address: SocketAddr,
    mode: watch::Sender<Mode>,
    records: Records,
    server: JoinHandle<()>,
}

impl Sink {
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("listen for events")?;
        let address = listener.local_addr().context("the sink's address")?;
        let mode = watch::Sender::new(Mode::Accept);
        let records = Records::default();
        let (modes, kept) = (mode.subscribe(), records.clone());
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, modes.clone(), kept.clone()));
            }
        });
        Ok(Self { address, mode, records, server })
    }

    /// For `--cdevents-sink`.
    pub fn url(&self) -> String {
        format!("http://{}/events", self.address)
    }

    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// Every delivery, including rejected ones and repetitions.
    pub fn received(&self) -> Vec<Received> {
        self.records().clone()
    }

    /// The accepted events of one subject (`<namespace>/<name>`), in order of arrival.
    pub fn accepted(&self, subject: &str) -> Vec<Received> {
        self.records().iter().filter(|event| event.accepted && event.subject() == subject).cloned().collect()
    }

    /// Waits for an accepted event of this type for the subject, and returns all accepted events of the subject.
    pub async fn wait_for(&self, subject: &str, kind: &str, limit: Duration) -> Result<Vec<Received>> {
        let waited = wait::poll(&format!("the event {kind} of {subject}"), limit, || async {
            let events = self.accepted(subject);
            Ok(events.iter().any(|event| event.kind() == kind).then_some(events))
        })
        .await;
        waited.with_context(|| {
            let kinds: Vec<String> = self.accepted(subject).iter().map(|event| event.kind().to_owned()).collect();
            format!("accepted so far: {kinds:?}")
        })
    }

    fn records(&self) -> MutexGuard<'_, Vec<Received>> {
        self.records.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(mut stream: TcpStream, mut modes: watch::Receiver<Mode>, records: Records) {
    drop(stream.set_zero_linger());
    let mut buffer = Vec::new();
    loop {
        if *modes.borrow_and_update() == Mode::Down {
            return;
        }
        let message = tokio::select! {
            changed = modes.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
            message = http::read(&mut stream, &mut buffer) => message,
        };
        let Ok(Some(message)) = message else { return };
        let mode = *modes.borrow();
        record(&records, &message, mode == Mode::Accept);
        let status = match mode {
            Mode::Accept => 202,
            Mode::Refuse(status) => status,
            Mode::Down => return,
            Mode::Silent => {
                // Until the sender's timeout or a change of the mode.
                let _ = tokio::time::timeout(Duration::from_secs(120), modes.changed()).await;
                return;
            }
        };
        let answer = format!("HTTP/1.1 {status} -\r\ncontent-length: 0\r\n\r\n");
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

fn record(records: &Records, message: &http::Message, accepted: bool) {
    let body = serde_json::from_slice(&message.body)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&message.body).into_owned()));
    let received = Received {
        at: Instant::now(),
        path: message.second().to_owned(),
        headers: message.headers.clone(),
        body,
        accepted,
    };
    records.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(received);
}

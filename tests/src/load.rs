//! A constant stream of recorded requests through Envoy, so that a scenario can count the answers in any time window.

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use tokio::{io::AsyncWriteExt, net::TcpStream, task::JoinSet, time::MissedTickBehavior};

use crate::{
    gateway, http,
    namespace::{self, NODE_ADDRESS},
};

/// What to send. It ends at `limit` or after `most` requests, whichever comes first.
#[derive(Debug, Clone)]
pub struct Plan {
    pub host: String,
    pub path: String,
    /// Name and value of each header beside the host.
    pub headers: Vec<(String, String)>,
    pub target: SocketAddr,
    pub workers: usize,
    /// Of all workers together.
    pub per_second: u32,
    pub limit: Duration,
    pub most: usize,
}

impl Plan {
    /// 1,000 requests a second over eight connections, for two minutes at most.
    pub fn to(host: &str) -> Self {
        Self {
            host: host.to_owned(),
            path: "/".to_owned(),
            headers: Vec::new(),
            target: SocketAddr::new(IpAddr::V4(NODE_ADDRESS), gateway::PORT),
            workers: 8,
            per_second: 1000,
            limit: Duration::from_secs(120),
            most: 150_000,
        }
    }
}

/// One request: start, end, and the version that answered or the error.
#[derive(Debug, Clone)]
pub struct Sample {
    pub sent: Instant,
    pub ended: Instant,
    pub result: Result<Arc<str>, Failure>,
}

/// The error, and the version that returned it, if one did.
#[derive(Debug, Clone)]
pub struct Failure {
    pub what: String,
    pub version: Option<Arc<str>>,
}

impl Sample {
    /// The version, if the answer names one.
    pub fn version(&self) -> Option<&str> {
        match &self.result {
            Ok(version) => Some(version),
            Err(failure) => failure.version.as_deref(),
        }
    }
}

/// Answers in a window.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Split {
    pub versions: BTreeMap<String, usize>,
    /// Errors, and how often each occurred.
    pub failures: BTreeMap<String, usize>,
}

impl Split {
    pub fn answered(&self) -> usize {
        self.versions.values().sum()
    }

    pub fn failed(&self) -> usize {
        self.failures.values().sum()
    }

    /// The share of the answers that came from a version, in percent.
    pub fn percent(&self, version: &str) -> f64 {
        let all = self.answered().max(1);
        self.versions.get(version).copied().unwrap_or_default() as f64 * 100.0 / all as f64
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} answered", self.answered())?;
        for version in self.versions.keys() {
            write!(f, ", {version} {:.1} %", self.percent(version))?;
        }
        write!(f, ", {} failed", self.failed())?;
        for (failure, count) in &self.failures {
            write!(f, " ({failure}: {count})")?;
        }
        Ok(())
    }
}

#[derive(Debug, Default)]
struct Shared {
    samples: Mutex<Vec<Sample>>,
    sent: AtomicUsize,
    stop: AtomicBool,
}

/// A running stream; dropping it ends it.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    workers: JoinSet<()>,
}

impl Load {
    /// Rejects targets outside the test namespace's own addresses.
    pub fn start(plan: Plan) -> Result<Self> {
        ensure!(
            namespace::has(plan.target.ip()),
            "load goes to addresses of the test namespace only, not to {}",
            plan.target
        );
        ensure!(plan.workers > 0 && plan.per_second > 0, "a load needs workers and a rate");
        let shared = Arc::new(Shared::default());
        let mut workers = JoinSet::new();
        let end = Instant::now() + plan.limit;
        for number in 0..plan.workers {
            workers.spawn(work(plan.clone(), number, end, shared.clone()));
        }
        Ok(Self { shared, workers })
    }

    /// All requests so far.
    pub fn so_far(&self) -> Vec<Sample> {
        self.samples().clone()
    }

    /// The requests that were sent and had ended between two moments.
    pub fn between(&self, from: Instant, to: Instant) -> Split {
        split(&self.samples(), from, to)
    }

    /// Waits for a window of `count` requests that starts now, and returns it.
    pub async fn next(&self, count: usize) -> Result<Split> {
        let from = Instant::now();
        let before = self.samples().len();
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            if self.samples().len() >= before + count {
                return Ok(self.between(from, Instant::now()));
            }
            ensure!(!self.over(), "the load ended before {count} requests were sent");
        }
    }

    /// Ends the stream and returns all of it.
    pub async fn stop(mut self) -> Vec<Sample> {
        self.shared.stop.store(true, Ordering::Relaxed);
        while self.workers.join_next().await.is_some() {}
        self.samples().clone()
    }

    fn over(&self) -> bool {
        Arc::strong_count(&self.shared) == 1
    }

    fn samples(&self) -> std::sync::MutexGuard<'_, Vec<Sample>> {
        self.shared.samples.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Counts samples that were sent and had ended between two moments.
pub fn split(samples: &[Sample], from: Instant, to: Instant) -> Split {
    let mut split = Split::default();
    for sample in samples.iter().filter(|sample| sample.sent >= from && sample.ended <= to) {
        match &sample.result {
            Ok(version) => *split.versions.entry(version.to_string()).or_default() += 1,
            Err(failure) => *split.failures.entry(failure.what.clone()).or_default() += 1,
        }
    }
    split
}

/// Counts all samples.
pub fn total(samples: &[Sample]) -> Split {
    let first = samples.iter().map(|sample| sample.sent).min();
    let last = samples.iter().map(|sample| sample.ended).max();
    first.zip(last).map(|(from, to)| split(samples, from, to)).unwrap_or_default()
}

/// One request on a new connection: the version that answered, or the error.
pub async fn once(target: SocketAddr, host: &str) -> Result<Arc<str>, String> {
    let mut connection = None;
    request(&mut connection, target, &head(host, "/", &[])).await.map_err(|failure| failure.what)
}

fn head(host: &str, path: &str, headers: &[(String, String)]) -> String {
    let more: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nuser-agent: kulta-load\r\n{more}\r\n")
}

async fn work(plan: Plan, number: usize, end: Instant, shared: Arc<Shared>) {
    let period = Duration::from_secs_f64(plan.workers as f64 / f64::from(plan.per_second));
    let first = tokio::time::Instant::now() + period.mul_f64(number as f64 / plan.workers as f64);
    let mut ticks = tokio::time::interval_at(first, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let head = head(&plan.host, &plan.path, &plan.headers);
    let mut connection = None;
    while Instant::now() < end && !shared.stop.load(Ordering::Relaxed) {
        ticks.tick().await;
        if shared.sent.fetch_add(1, Ordering::Relaxed) >= plan.most {
            return;
        }
        let sent = Instant::now();
        let result = request(&mut connection, plan.target, &head).await;
        let sample = Sample { sent, ended: Instant::now(), result };
        shared.samples.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(sample);
    }
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// Sends on the open connection or on a new one; a failed connection is not used again.
async fn request(connection: &mut Option<Connection>, target: SocketAddr, head: &str) -> Result<Arc<str>, Failure> {
    let silent = |what: String| Failure { what, version: None };
    let answer = match tokio::time::timeout(http::PATIENCE, exchange(connection, target, head)).await {
        Ok(answer) => answer.map_err(|error| silent(format!("{:?}", error.kind()))),
        Err(_) => Err(silent(format!("no answer in {:?}", http::PATIENCE))),
    };
    let message = answer.inspect_err(|_| *connection = None)?;
    if message.closes() {
        *connection = None;
    }
    match (message.status(), message.header("x-version").map(Arc::from)) {
        (200, Some(version)) => Ok(version),
        (200, None) => Err(silent("200 without x-version".to_owned())),
        (status, version) => Err(Failure { what: format!("status {status}"), version }),
    }
}

async fn exchange(
    connection: &mut Option<Connection>,
    target: SocketAddr,
    head: &str,
) -> std::io::Result<http::Message> {
    let open = match connection.take() {
        Some(open) => open,
        None => {
            let stream = TcpStream::connect(target).await?;
            stream.set_nodelay(true)?;
            Connection { stream, buffer: Vec::new() }
        }
    };
    let open = connection.insert(open);
    open.stream.write_all(head.as_bytes()).await?;
    http::read(&mut open.stream, &mut open.buffer).await?.ok_or_else(|| std::io::ErrorKind::UnexpectedEof.into())
}

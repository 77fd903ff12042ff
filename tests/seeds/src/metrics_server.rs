//! The server of a scenario's metrics. Each answer has another serial number, and some are bad during the phase with faults. A test sets
//! the answers itself.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use futures::future::BoxFuture;
use kulta_controller::plugins::Requests;
use kulta_fetch::{Failure, Request, Response, Secrets};
use serde_json::json;

use crate::log::Log;

/// Milliseconds until an answer: long enough for a process to crash meanwhile.
const LATENCY: std::ops::Range<u64> = 1..2_500;
const OK: u16 = 200;
const UNAVAILABLE: u16 = 503;

/// Clones are the same server.
#[derive(Clone)]
pub struct MetricsServer {
    /// Whether some answers are bad.
    pub faulty: Arc<AtomicBool>,
    /// Bad answers per thousand while the server is faulty.
    bad_answers: u32,
    /// No answer meets the success or the failure condition.
    undecided: bool,
    /// The latency of each answer; random if not set.
    latency: Arc<OnceLock<Duration>>,
    state: Arc<Mutex<State>>,
    log: Log,
}

struct State {
    rng: Rng,
    /// The serial number of the last answer.
    serial: u64,
    /// Answers for each path, in turn; the last one stays.
    answers: BTreeMap<String, VecDeque<(u16, String)>>,
}

impl MetricsServer {
    #[must_use]
    pub fn new(rng: Rng, bad_answers: u32, undecided: bool, log: Log) -> Self {
        Self {
            faulty: Arc::default(),
            bad_answers,
            undecided,
            latency: Arc::default(),
            state: Arc::new(Mutex::new(State { rng, serial: 0, answers: BTreeMap::new() })),
            log,
        }
    }

    /// Sets the answers for a path, each with its status and body, in turn; the last one stays.
    pub fn set_answers(&self, path: &str, answers: &[(u16, &str)]) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let answers = answers.iter().map(|(status, body)| (*status, (*body).to_owned())).collect();
        state.answers.insert(path.to_owned(), answers);
    }

    /// Sets the latency of every answer.
    pub fn set_latency(&self, time: Duration) {
        // A test sets it once.
        let _ = self.latency.set(time);
    }

    /// The next answer and its latency.
    fn next_answer(&self, url: &str) -> (Duration, Result<Response, Failure>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let answers = state.answers.iter_mut().find(|(path, _)| url.ends_with(path.as_str()));
        if let Some((status, body)) = answers.and_then(|(_, answers)| next(answers)) {
            return (Duration::from_millis(LATENCY.start), Ok(response(status, body)));
        }
        state.serial += 1;
        let serial = state.serial;
        let value = |ok: u32| Ok(response(OK, json!({ "ok": ok, "serial": serial }).to_string()));
        let random = Duration::from_millis(state.rng.u64(LATENCY));
        let delay = self.latency.get().copied().unwrap_or(random);
        let is_bad = self.faulty.load(Ordering::Relaxed) && state.rng.u32(0..1000) < self.bad_answers;
        let answer = match if is_bad { state.rng.u32(0..10) } else { 10 } {
            0..=2 => value(0),
            3..=5 => value(2),
            6 => Err(Failure::Timeout),
            7 => Err(Failure::Failed("the connection was reset".to_owned())),
            8 => Ok(response(OK, "<html>welcome</html>".to_owned())),
            9 => Ok(response(UNAVAILABLE, String::new())),
            _ if self.undecided => value(2),
            _ => value(1),
        };
        (delay, answer)
    }
}

/// Takes the next answer; the last one stays.
fn next(answers: &mut VecDeque<(u16, String)>) -> Option<(u16, String)> {
    if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() }
}

fn response(status: u16, body: String) -> Response {
    Response { status, headers: Vec::new(), body: body.into() }
}

/// The client of one process.
pub struct MetricsClient {
    pub metrics_server: MetricsServer,
    pub name: String,
    /// The process has exited: its requests are not answered.
    pub exited: Arc<AtomicBool>,
}

impl Requests for MetricsClient {
    fn fetch<'a>(&'a self, request: Request, _: &'a Secrets) -> BoxFuture<'a, Result<Response, Failure>> {
        Box::pin(async move {
            if self.exited.load(Ordering::Relaxed) {
                return std::future::pending().await;
            }
            let (delay, answer) = self.metrics_server.next_answer(&request.url);
            tokio::time::sleep(delay).await;
            if self.exited.load(Ordering::Relaxed) {
                return std::future::pending().await;
            }
            let outcome = match &answer {
                Ok(response) => format!("{} {}", response.status, String::from_utf8_lossy(&response.body)),
                Err(failure) => failure.to_string(),
            };
            self.metrics_server.log.line(&format!("  {} {} {}: {outcome}", self.name, request.method, request.url));
            answer
        })
    }
}

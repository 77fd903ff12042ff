//! Where a story's metrics come from: a server that never says the same twice, and that is in trouble at times; or one that says what a
//! test wants it to.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use futures::future::BoxFuture;
use kulta_controller::plugins::Requests;
use kulta_fetch::{Failure, Request, Response, Secrets};
use serde_json::json;

use crate::story::Log;

/// How long an answer takes, in milliseconds: long enough for a process to die meanwhile.
const TAKES: std::ops::Range<u64> = 1..2_500;
const OK: u16 = 200;
const UNAVAILABLE: u16 = 503;

/// Copies are the same server.
#[derive(Clone)]
pub struct Gauge {
    /// Some answers are bad.
    pub wrong: Arc<AtomicBool>,
    /// Of 1,000, while things go wrong.
    bad: u32,
    /// No answer is good or bad.
    undecided: bool,
    /// How long each answer takes; by the dice as long as nobody has said.
    takes: Arc<OnceLock<Duration>>,
    state: Arc<Mutex<State>>,
    log: Log,
}

struct State {
    rng: Rng,
    /// Of the last measurement that was told; none is told twice.
    serial: u64,
    /// What is answered at a path, in turn; the last one for good.
    said: BTreeMap<String, VecDeque<(u16, String)>>,
}

impl Gauge {
    #[must_use]
    pub fn new(rng: Rng, bad: u32, undecided: bool, log: Log) -> Self {
        Self {
            wrong: Arc::default(),
            bad,
            undecided,
            takes: Arc::default(),
            state: Arc::new(Mutex::new(State { rng, serial: 0, said: BTreeMap::new() })),
            log,
        }
    }

    /// Requests for this path get these answers, a status and a body each, in turn; and the last one for good.
    pub fn say(&self, path: &str, answers: &[(u16, &str)]) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let answers = answers.iter().map(|(status, body)| (*status, (*body).to_owned())).collect();
        state.said.insert(path.to_owned(), answers);
    }

    /// Each answer takes this long, whatever the dice say.
    pub fn answers_take(&self, time: Duration) {
        // The first word counts, and there is one.
        let _ = self.takes.set(time);
    }

    /// The next answer, and how long it takes.
    fn draw(&self, url: &str) -> (Duration, Result<Response, Failure>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let said = state.said.iter_mut().find(|(path, _)| url.ends_with(path.as_str()));
        if let Some((status, body)) = said.and_then(|(_, answers)| next(answers)) {
            return (Duration::from_millis(TAKES.start), Ok(response(status, body)));
        }
        state.serial += 1;
        let serial = state.serial;
        let says = |ok: u32| Ok(response(OK, json!({ "ok": ok, "serial": serial }).to_string()));
        let by_dice = Duration::from_millis(state.rng.u64(TAKES));
        let delay = self.takes.get().copied().unwrap_or(by_dice);
        let is_bad = self.wrong.load(Ordering::Relaxed) && state.rng.u32(0..1000) < self.bad;
        let answer = match if is_bad { state.rng.u32(0..10) } else { 10 } {
            0..=2 => says(0),
            3..=5 => says(2),
            6 => Err(Failure::Timeout),
            7 => Err(Failure::Failed("the connection was reset".to_owned())),
            8 => Ok(response(OK, "<html>welcome</html>".to_owned())),
            9 => Ok(response(UNAVAILABLE, String::new())),
            _ if self.undecided => says(2),
            _ => says(1),
        };
        (delay, answer)
    }
}

/// The last one stays.
fn next(answers: &mut VecDeque<(u16, String)>) -> Option<(u16, String)> {
    if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() }
}

fn response(status: u16, body: String) -> Response {
    Response { status, headers: Vec::new(), body: body.into() }
}

/// One life's way to it.
pub struct Way {
    pub gauge: Gauge,
    pub name: String,
    /// The process has died: nothing that it asked is answered.
    pub dead: Arc<AtomicBool>,
}

impl Requests for Way {
    fn fetch<'a>(&'a self, request: Request, _: &'a Secrets) -> BoxFuture<'a, Result<Response, Failure>> {
        Box::pin(async move {
            if self.dead.load(Ordering::Relaxed) {
                return std::future::pending().await;
            }
            let (delay, answer) = self.gauge.draw(&request.url);
            tokio::time::sleep(delay).await;
            if self.dead.load(Ordering::Relaxed) {
                return std::future::pending().await;
            }
            let words = match &answer {
                Ok(response) => format!("{} {}", response.status, String::from_utf8_lossy(&response.body)),
                Err(failure) => failure.to_string(),
            };
            self.gauge.log.line(&format!("  {} {} {}: {words}", self.name, request.method, request.url));
            answer
        })
    }
}

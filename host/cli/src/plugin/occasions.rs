//! Unexpected inputs for a plugin. All of them can happen: pods disappear, clocks jump, users move steps, servers
//! return anything.

use std::collections::BTreeMap;

use kulta_wasm::fetch::{Answer, Failure, Response};
use kulta_wasm::strategy::{Goal, Label, PauseCause, Rollout, Run, RunPhase, Situation, Verdict};
use kulta_wasm::{analyzer, enricher, step};
use serde_json::json;

use super::call::Call;

/// The year 2096.
const LATER: u64 = 4_000_000_000_000;
/// Kubernetes counts in signed 32-bit integers.
const MOST: u32 = i32::MAX as u32;
/// The limits of the interface.
const MEMORY_BYTES: usize = 4 << 10;
const MANY_RUNS: usize = 16;
const MANY_ANSWERS: usize = 16;
const MANY_FACTS: usize = 32;
/// Default limit of a Plugin object for one answer.
const BODY_BYTES: usize = 1 << 20;
/// Kubernetes' limit for all annotations of an object.
const ANNOTATION_BYTES: usize = 256 << 10;
const MANY_ANNOTATIONS: usize = 4_000;
/// Deeper than most JSON parsers allow.
const DEEP: usize = 10_000;
/// Length of a Kubernetes name.
const NAME_BYTES: usize = 253;

/// A call with an unexpected input, and its description.
pub type Case = (String, Call);

/// Unexpected inputs, derived from an ordinary one.
pub fn odd(call: &Call) -> Vec<Case> {
    match call {
        Call::Strategy(plugin, usual) => {
            cases(situations(usual), |situation| Call::Strategy(plugin.clone(), situation))
        }
        Call::Analyzer(plugin, usual) => {
            cases(measurements(usual), |occasion| Call::Analyzer(plugin.clone(), occasion))
        }
        Call::Enricher(plugin, usual) => cases(events(usual), |occasion| Call::Enricher(plugin.clone(), occasion)),
        Call::Step(plugin, usual) => cases(work(usual), |occasion| Call::Step(plugin.clone(), occasion)),
        Call::Condition(plugin, _) => {
            let values = bodies().into_iter().filter_map(|(name, body)| Some((name, String::from_utf8(body).ok()?)));
            cases(values.collect(), |value| Call::Condition(plugin.clone(), value))
        }
    }
}

fn cases<T>(odd: Vec<(String, T)>, call: impl Fn(T) -> Call) -> Vec<Case> {
    odd.into_iter().map(|(name, occasion)| (name, call(occasion))).collect()
}

/// Copies of an ordinary input, each with one change.
struct Odd<T>(T, Vec<(String, T)>);

impl<T: Clone> Odd<T> {
    fn with(mut self, name: impl Into<String>, change: impl FnOnce(&mut T)) -> Self {
        let mut changed = self.0.clone();
        change(&mut changed);
        self.1.push((name.into(), changed));
        self
    }

    fn with_each<V>(mut self, odd: Vec<(String, V)>, change: impl Fn(&mut T, V)) -> Self {
        for (name, value) in odd {
            self = self.with(name, |changed| change(changed, value));
        }
        self
    }
}

fn situations(usual: &Situation) -> Vec<(String, Situation)> {
    let run = |phase| Run { name: "x".repeat(NAME_BYTES), attempt: u32::MAX, phase, started_at: LATER };
    let runs = [
        RunPhase::Running,
        RunPhase::FailedToRun(String::new()),
        RunPhase::Judged(Verdict::Fail("é".repeat(512))),
        RunPhase::Judged(Verdict::Inconclusive(String::new())),
    ];
    let runs: Vec<Run> = runs.into_iter().cycle().take(MANY_RUNS).map(run).collect();
    Odd(usual.clone(), vec![("an ordinary situation".to_owned(), usual.clone())])
        .with("the decision is applied", |it| it.reached = true)
        .with("a restore from full weight", |it| (it.goal, it.weight) = (Goal::Restore, it.rollout.max_weight))
        .with("a restore at weight 0", |it| it.goal = Goal::Restore)
        .with("a step index out of range", |it| it.step = MOST)
        .with("an applied step index out of range", |it| (it.step, it.reached) = (MOST, true))
        .with("time 0, before the start of the step", |it| it.now = 0)
        .with("far in the future", |it| (it.now, it.reached) = (LATER, true))
        .with("full weight and a promotion by hand", |it| {
            (it.weight, it.reached, it.promoted) = (it.rollout.max_weight, true, true);
        })
        .with("paused since time 0", |it| (it.paused, it.reached) = (Some((PauseCause::Step, 0)), true))
        .with("paused by an unknown experiment", |it| it.paused = Some((PauseCause::Experiment, LATER)))
        .with("many runs of unknown names", |it| it.runs = runs)
        .with("many odd facts", |it| it.facts = facts())
        .with_each(memories(), |it, memory| it.memory = memory)
        .with_each(rollouts(&usual.rollout), |it, rollout| it.rollout = rollout)
        .1
}

fn measurements(usual: &analyzer::Occasion) -> Vec<(String, analyzer::Occasion)> {
    use analyzer::Call;
    let rollouts = usual.rollout.as_ref().map(rollouts).unwrap_or_default();
    Odd(usual.clone(), vec![("an ordinary measurement".to_owned(), usual.clone())])
        .with("no rollout", |it| it.rollout = None)
        .with("a resumption without state", |it| it.call = Call::Resume)
        .with("a termination without state", |it| it.call = Call::Terminate)
        .with("time 0, before the start of the run", |it| it.now = 0)
        .with("far in the future", |it| it.now = LATER)
        .with("the last measurement of very many", |it| (it.number, it.last) = (u32::MAX, true))
        .with("measurement 0", |it| it.number = 0)
        .with("empty names", |it| (it.run, it.metric) = (String::new(), String::new()))
        .with("many odd facts", |it| it.facts = facts())
        .with_each(memories(), |it, memory| it.memory = memory)
        .with_each(answers(), |it, answers| it.answers = answers)
        .with_each(answers(), |it, answers| (it.call, it.answers) = (Call::Terminate, answers))
        .with_each(rollouts, |it, rollout| it.rollout = Some(rollout))
        .1
}

fn events(usual: &enricher::Occasion) -> Vec<(String, enricher::Occasion)> {
    Odd(usual.clone(), vec![("an ordinary event".to_owned(), usual.clone())])
        .with("an event of a later version", |it| it.event = json!({ "context": {}, "subject": null }).to_string())
        .with("an empty event", |it| it.event = json!({}).to_string())
        .with("an event of maximum size", |it| it.event = json!({ "customData": "x".repeat(BODY_BYTES) }).to_string())
        .with_each(annotations(), |it, annotations| it.annotations = annotations)
        .with_each(memories(), |it, memory| it.memory = memory)
        .with_each(answers(), |it, answers| it.answers = answers)
        .with_each(rollouts(&usual.rollout), |it, rollout| it.rollout = rollout)
        .1
}

fn work(usual: &step::Occasion) -> Vec<(String, step::Occasion)> {
    use step::Call;
    Odd(usual.clone(), vec![("an ordinary step".to_owned(), usual.clone())])
        .with("a termination without state", |it| it.call = Call::Terminate)
        .with("an abort without state", |it| it.call = Call::Abort)
        .with("time 0", |it| it.now = 0)
        .with("far in the future", |it| it.now = LATER)
        .with("a step index out of range", |it| it.index = u32::MAX)
        .with("many odd facts", |it| it.facts = facts())
        .with_each(memories(), |it, memory| it.memory = memory)
        .with_each(memories(), |it, memory| (it.call, it.memory) = (Call::Abort, memory))
        .with_each(answers(), |it, answers| it.answers = answers)
        .with_each(answers(), |it, answers| (it.call, it.answers) = (Call::Abort, answers))
        .with_each(rollouts(&usual.rollout), |it, rollout| it.rollout = rollout)
        .1
}

/// Labels or annotations, which a user may set freely.
fn annotations() -> Vec<(String, String)> {
    let odd = "\u{0}\u{202e}\n\"{}[]/../".repeat(MANY_FACTS);
    let many: BTreeMap<String, &str> = (0..MANY_ANNOTATIONS).map(|n| (format!("example.com/a{n}"), "1")).collect();
    [
        ("an annotation of maximum length", json!({ "a": "é".repeat(ANNOTATION_BYTES / 2) })),
        ("very many annotations", json!(many)),
        ("annotations with unusual characters", json!({ odd.clone(): odd, "": "", "__proto__": "constructor" })),
    ]
    .map(|(name, annotations)| (name.to_owned(), annotations.to_string()))
    .into()
}

fn rollouts(usual: &Rollout) -> Vec<(String, Rollout)> {
    Odd(usual.clone(), Vec::new())
        .with("no stable revision", |it| it.stable = None)
        .with("no pods", |it| {
            (it.replicas, it.stable) = (0, None);
            (it.canary.desired, it.canary.created, it.canary.ready, it.canary.available) = (0, 0, 0, 0);
        })
        .with("the maximum number of pods", |it| {
            it.replicas = MOST;
            (it.canary.desired, it.canary.created, it.canary.ready, it.canary.available) = (MOST, MOST, MOST, MOST);
        })
        .with("the largest possible weight", |it| it.max_weight = MOST)
        .with("a largest weight of 1", |it| it.max_weight = 1)
        .with("more pods than wanted", |it| (it.canary.desired, it.canary.created) = (0, MOST))
        .with("names of 253 characters", |it| {
            (it.namespace, it.name) = ("n".repeat(NAME_BYTES), "é".repeat(NAME_BYTES))
        })
        .with("many older revisions", |it| it.others = vec![it.canary.clone(); MANY_FACTS])
        .1
}

fn facts() -> Vec<Label> {
    let fact = |n: usize| Label { key: "\u{0}".repeat(n), value: "=,\"\u{202e}\n".repeat(n) };
    (0..MANY_FACTS).map(fact).collect()
}

fn memories() -> Vec<(String, Vec<u8>)> {
    [
        ("of arbitrary bytes", vec![0xff; MEMORY_BYTES]),
        ("of an empty object", b"{}".to_vec()),
        ("of null", b"null".to_vec()),
    ]
    .map(|(name, memory)| (format!("state {name}"), memory))
    .into()
}

fn bodies() -> Vec<(String, Vec<u8>)> {
    [
        ("nothing", Vec::new()),
        ("null", b"null".to_vec()),
        ("NaN", b"NaN".to_vec()),
        ("a number that is too large", b"1e999".to_vec()),
        ("an empty object", b"{}".to_vec()),
        ("an empty list", b"[]".to_vec()),
        ("a web page", b"<html><body>502 Bad Gateway</body></html>".to_vec()),
        ("half an object", br#"{"data":{"result":["#.to_vec()),
        ("JSON of great depth", "[".repeat(DEEP).into_bytes()),
        ("a long text", format!("\"{}\"", "x".repeat(BODY_BYTES - 2)).into_bytes()),
        ("bytes that are not UTF-8", vec![0xff; 64]),
    ]
    .map(|(name, body)| (name.to_owned(), body))
    .into()
}

fn answers() -> Vec<(String, Vec<Answer>)> {
    let respond = |status, body: &[u8]| Ok(Response { status, headers: Vec::new(), body: body.to_vec() });
    let of_bodies =
        bodies().into_iter().map(|(name, body)| (format!("an answer of {name}"), vec![respond(200, &body)]));
    let of_statuses = [0, 204, 302, 404, 500, u16::MAX];
    let of_statuses =
        of_statuses.map(|status| (format!("an answer of status {status}"), vec![respond(status, b"{\"a\":1}")]));
    let failures = [
        ("denied", Failure::Denied("no grant".to_owned())),
        ("timed out", Failure::Timeout),
        ("too large", Failure::TooLarge(u64::MAX)),
        ("unavailable", Failure::Failed(String::new())),
    ];
    let of_failures = failures.map(|(name, failure)| (format!("an answer that is {name}"), vec![Err(failure)]));
    let headers = vec![Label { key: "retry-after".to_owned(), value: "-1".to_owned() }; MANY_FACTS];
    let headers = Ok(Response { status: 429, headers, body: Vec::new() });
    of_bodies
        .chain(of_statuses)
        .chain(of_failures)
        .chain([
            ("more answers than requests".to_owned(), vec![respond(200, b"1"); MANY_ANSWERS]),
            ("an answer with many headers".to_owned(), vec![headers]),
        ])
        .collect()
}

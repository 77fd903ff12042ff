//! Between core's words, the plugins' and the fetcher's.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use kulta_core::analysis::{Call, CallKind, Outcome, Verdict};
use kulta_fetch as fetch;
use kulta_wasm::analyzer as wit;

use crate::clock::millis;

/// Name of the fact that tells since when the rollout is on its way to this revision, in Unix milliseconds.
const STARTED_FACT: &str = "rollout.started-at";
/// Name of the fact that tells since when requests reach this revision and no other by way of the canary's Service, in Unix
/// milliseconds; now while they do not. What a Service of a fixed name answered before was another revision's. Absent where the CRD
/// prunes what is known of it.
const SERVING_FACT: &str = "rollout.serving-since";
/// Name of the fact that tells analyzers where to ask when a metric names no address.
const ADDRESS_FACT: &str = "prometheus.address";

/// How far a rollout has come with its revision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Update {
    pub began: Option<Timestamp>,
    pub serving: Serving,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Serving {
    #[default]
    Unknown,
    NotYet,
    Since(Timestamp),
}

/// What an analyzer is told beside its metric.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// `<namespace>/<name>` of the run.
    pub run: String,
    pub run_started_at: Timestamp,
    /// Absent for a run that no rollout owns.
    pub rollout: Option<wit::Rollout>,
    pub update: Update,
    /// Where Prometheus is when a metric does not say.
    pub prometheus: Option<String>,
}

pub fn occasion(
    call: &Call,
    surroundings: &Surroundings,
    now: Timestamp,
    memory: Vec<u8>,
    answers: Vec<wit::Answer>,
) -> wit::Occasion {
    let fact = |key: &str, value: String| wit::Label { key: key.to_owned(), value };
    let address = surroundings.prometheus.clone().map(|address| fact(ADDRESS_FACT, address));
    let began = surroundings.update.began.map(|began| fact(STARTED_FACT, millis(began).to_string()));
    let serving = match surroundings.update.serving {
        Serving::Unknown => None,
        Serving::NotYet => Some(now),
        Serving::Since(since) => Some(since),
    };
    let serving = serving.map(|since| fact(SERVING_FACT, millis(since).to_string()));
    wit::Occasion {
        call: match call.kind {
            CallKind::Measure => wit::Call::Measure,
            CallKind::Resume => wit::Call::Resume,
            CallKind::Terminate => wit::Call::Terminate,
        },
        rollout: surroundings.rollout.clone(),
        run: surroundings.run.clone(),
        metric: call.metric.clone(),
        now: millis(now),
        run_started_at: millis(surroundings.run_started_at),
        number: call.number,
        last: call.last,
        memory,
        answers,
        facts: address.into_iter().chain(began).chain(serving).collect(),
    }
}

/// # Errors
/// When the request asks for what this build does not serve.
pub fn request(asked: wit::Request) -> Result<fetch::Request, fetch::Failure> {
    if let Some(option) = asked.options.first() {
        return Err(fetch::Failure::Denied(format!("the request's option {:?} is not served", option.key)));
    }
    let pairs = |labels: Vec<wit::Label>| labels.into_iter().map(|label| (label.key, label.value)).collect();
    Ok(fetch::Request {
        method: asked.method,
        url: asked.url,
        headers: pairs(asked.headers),
        body: asked.body.into(),
        auth: match asked.auth {
            wit::Auth::None => fetch::Auth::None,
            wit::Auth::Basic(basic) => {
                fetch::Auth::Basic(fetch::Basic { username: basic.username, password: basic.password })
            }
            wit::Auth::Oauth2(oauth2) => fetch::Auth::OAuth2(fetch::OAuth2 {
                token_url: oauth2.token_url,
                client_id: oauth2.client_id,
                client_secret: oauth2.client_secret,
                scopes: oauth2.scopes,
                parameters: pairs(oauth2.parameters),
            }),
            wit::Auth::Sigv4(region) => fetch::Auth::SigV4(region),
        },
        timeout: Duration::from_millis(asked.timeout),
        skip_tls_verify: asked.skip_tls_verify,
        rights: None,
    })
}

pub fn answer(answer: Result<fetch::Response, fetch::Failure>) -> wit::Answer {
    match answer {
        Ok(response) => Ok(wit::Response {
            status: response.status,
            headers: response.headers.into_iter().map(|(key, value)| wit::Label { key, value }).collect(),
            body: response.body.into(),
        }),
        Err(fetch::Failure::Denied(why)) => Err(wit::Failure::Denied(why)),
        Err(fetch::Failure::Timeout) => Err(wit::Failure::Timeout),
        Err(fetch::Failure::TooLarge(limit)) => Err(wit::Failure::TooLarge(limit)),
        Err(fetch::Failure::Failed(why)) => Err(wit::Failure::Failed(why)),
    }
}

pub fn judged(judged: wit::Judged, mask: impl Fn(String) -> String) -> Outcome {
    Outcome::Judged {
        verdict: match judged.verdict {
            wit::Verdict::Pass => Verdict::Pass,
            wit::Verdict::Fail(why) => Verdict::Fail(mask(why)),
            wit::Verdict::Inconclusive(why) => Verdict::Inconclusive(mask(why)),
        },
        settles: judged.settles,
        value: mask(judged.value),
        metadata: metadata(judged.metadata, &mask),
        reason: mask(judged.reason),
        memory: judged.memory,
    }
}

pub fn metadata(labels: Vec<wit::Label>, mask: impl Fn(String) -> String) -> BTreeMap<String, String> {
    labels.into_iter().map(|label| (label.key, mask(label.value))).collect()
}

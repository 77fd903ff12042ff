//! The sequential analyzer tests whether the canary is worse than stable. The test stays valid if it is evaluated after
//! every window of requests.
//!
//! Each measurement queries Prometheus for raw counters of both sides at the ends of disjoint windows, from the end of
//! the last measurement until now, and adds the windows to the evidence. The guarantee: a canary whose odds of a bad
//! request are at most `theta0` times those of stable is ever called worse with probability at most `alpha`, whatever
//! stable's own error rate, the traffic and the weight do meanwhile. It assumes that requests fail independently of
//! each other, given what both sides share. Errors in clusters vary more; this is estimated from stable and corrected
//! for, but then the bound is approximate.
//!
//! The state contains the evidence, so that a verdict survives a restart. A failed measurement keeps the state, and the
//! next one counts the missed windows.
//!
//! ```yaml
//! interval: 10s
//! count: 180            # the horizon; without it an undecided canary is never called inconclusive
//! provider:
//!   sequential:
//!     canary:
//!       total: sum by (pod) (http_requests_total{pod=~"web-{{args.canary}}-.*"})
//!       bad: sum by (pod) (http_requests_total{pod=~"web-{{args.canary}}-.*",code=~"5.."})
//!     stable:
//!       total: sum by (pod) (http_requests_total{pod=~"web-{{args.stable}}-.*"})
//!       bad: sum by (pod) (http_requests_total{pod=~"web-{{args.stable}}-.*",code=~"5.."})
//! ```
//! Several metrics of one rollout share `alpha` by `metrics`. Leave `consecutiveSuccessLimit` unset: an undecided measurement passes.
//! No verdict is faster than `fewestWindows`; for a canary that fails every request, an additional threshold metric is
//! faster.

mod answer;
mod confidence;
mod config;
mod dispersion;
mod evidence;
#[cfg(test)]
mod golden;
mod judge;
mod likelihood;
mod number;
#[cfg(test)]
mod recorded;
#[cfg(test)]
mod scenarios;
mod series;
#[cfg(test)]
mod simulation;
mod span;
mod state;

pub use config::{Config, Horizon, Settings, Side};

use config::Query;
use kulta_plugin::analyzer::{Action, Analyzer, Occasion};
use kulta_plugin::fetch::{Answer, Request};
use kulta_plugin::{About, Error};
use likelihood::{Counts, Window};
use series::{Counters, Judging, Problem};
use span::{HISTORY, Span};
use state::{Asked, State};

/// Requests of a measurement: total and bad (or good) query of the canary, then of stable.
const REQUESTS: usize = 4;

pub struct Sequential;

impl Analyzer for Sequential {
    const ABOUT: About = About {
        name: env!("CARGO_PKG_NAME"),
        version: env!("CARGO_PKG_VERSION"),
        summary: "Tells whether the canary is worse than stable, by a test that stays valid while one watches",
    };

    type Config = Config;

    fn check_config(config: &Config) -> Result<(), Error> {
        config.settings().map(|_| ())
    }

    fn analyze(config: Config, input: &Occasion) -> Result<Action, Error> {
        let settings = config.settings()?;
        let state = match input.memory.is_empty() {
            true => State::new(input.run_started_at.saturating_add(settings.warmup), &settings.hypotheses),
            false => State::read(&input.memory, &settings.hypotheses)?,
        };
        match input.answers.is_empty() {
            true => ask(&config, &settings, state, input),
            false => count(&config, &settings, state, input),
        }
    }
}

/// Requests the windows since the last counted one.
fn ask(config: &Config, settings: &Settings, mut state: State, input: &Occasion) -> Result<Action, Error> {
    let Some(span) = Span::since(state.counted_until, input.now, settings.window) else {
        state.asked = None;
        return judge::judge(&state, settings, input.last);
    };
    // Overdispersion is best known before the first window counts.
    let history = if state.windows == 0 && settings.dispersion.is_none() { HISTORY } else { 0 };
    let asked = Asked { span, history };
    let mut requests: Vec<Request> = Vec::with_capacity(REQUESTS);
    for (name, side, span) in [("canary", &config.canary, span), ("stable", &config.stable, asked.of_stable())] {
        for query in [side.total.as_str(), side.judging(name)?.text()] {
            let query = promql::Query::Range { query, start: span.start, end: span.end(), step: span.step };
            requests.push(config.server().request(input, &query)?);
        }
    }
    state.asked = Some(asked);
    Ok(Action::fetch(requests).with_memory(state.write()?))
}

/// Counts the requested windows.
fn count(config: &Config, settings: &Settings, mut state: State, input: &Occasion) -> Result<Action, Error> {
    let asked = state.asked.take().ok_or_else(|| Error::Internal("answers, but nothing was asked".into()))?;
    let [canary_total, canary_judged, stable_total, stable_judged] = input.answers.as_slice() else {
        let (wanted, got) = (REQUESTS, input.answers.len());
        return Err(Error::Internal(format!("{got} answers to {wanted} requests")));
    };
    let canary = side("canary", &config.canary, canary_total, canary_judged, &asked.span)?;
    let stable = side("stable", &config.stable, stable_total, stable_judged, &asked.of_stable())?;
    let (past, stable) = stable.split_at_checked(asked.history as usize).unwrap_or_default();
    past.iter().for_each(|window| state.dispersion.add(*window));
    for (canary, stable) in canary.into_iter().zip(stable.iter().copied()) {
        state.count(&Window { canary, stable }, &settings.hypotheses, settings.dispersion);
    }
    state.counted_until = asked.span.end();
    judge::judge(&state, settings, input.last)
}

/// The requests of one side in each window. Errors begin with the path of the query.
fn side(name: &str, side: &Side, total: &Answer, judged: &Answer, span: &Span) -> Result<Vec<Counts>, Error> {
    let query = side.judging(name)?;
    let field = query.field();
    let read = |field: &str, answer: &Answer| -> Result<Counters, Error> {
        answer::counters(answer, span).map_err(|error| at(&format!("{name}.{field}"), error))
    };
    let total = read("total", total)?;
    let judged = read(field, judged)?;
    let judging = match query {
        Query::Good(_) => Judging::Good(judged),
        Query::Bad(_) => Judging::Bad(judged),
    };
    series::counts(span, &total, &judging).map_err(|problem| match problem {
        Problem::Total(text) => Error::InvalidConfig(format!("{name}.total: {text}")),
        Problem::Judging(text) => Error::InvalidConfig(format!("{name}.{field}: {text}")),
    })
}

fn at(path: &str, error: Error) -> Error {
    match error {
        Error::InvalidConfig(text) => Error::InvalidConfig(format!("{path}: {text}")),
        Error::Unavailable(text) => Error::Unavailable(format!("{path}: {text}")),
        Error::Internal(text) => Error::Internal(format!("{path}: {text}")),
    }
}

kulta_plugin::export!(analyzer: Sequential);

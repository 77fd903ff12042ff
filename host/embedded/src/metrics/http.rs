//! Prometheus' HTTP API of version 2: `/api/v1/query` and `/api/v1/query_range` by GET or POST, and the two health
//! pages. A query's `timeout` is ignored, because an answer takes no time. Unsupported parameters that would change the
//! answer are rejected.

mod answer;
mod parameters;

use std::sync::{Arc, PoisonError, RwLock};

use axum::{
    Router,
    body::Bytes,
    extract::{RawQuery, State},
    response::Response,
    routing,
};
use serde_json::Value as Json;

use self::{answer::Refusal, parameters::Parameters};
use super::{
    Store,
    promql::{Error, Evaluator, MAX_STEPS, Query},
};
use crate::clock::Clock;

/// Samples, shared by scrapes and queries.
pub type Shared = Arc<RwLock<Store>>;

#[derive(Clone)]
struct Server {
    store: Shared,
    clock: Clock,
}

/// The API over `store`; `clock` is the time of a query without one.
pub fn router(store: Shared, clock: Clock) -> Router {
    Router::new()
        .route("/api/v1/query", routing::get(query).post(query))
        .route("/api/v1/query_range", routing::get(query_range).post(query_range))
        .route("/-/ready", routing::get(|| async { "Prometheus Server is Ready.\n" }))
        .route("/-/healthy", routing::get(|| async { "Prometheus Server is Healthy.\n" }))
        .fallback(|| async { answer::not_found() })
        .with_state(Server { store, clock })
}

async fn query(State(server): State<Server>, RawQuery(url): RawQuery, body: Bytes) -> Response {
    answer::respond(server.query(&Parameters::new(url.as_deref(), &body)))
}

async fn query_range(State(server): State<Server>, RawQuery(url): RawQuery, body: Bytes) -> Response {
    answer::respond(server.query_range(&Parameters::new(url.as_deref(), &body)))
}

impl Server {
    fn query(&self, parameters: &Parameters) -> Result<Json, Refusal> {
        parameters.refuse_unserved()?;
        let at = parameters.time("time")?.unwrap_or_else(|| self.clock.now());
        let query = Query::parse(parameters.text("query"))?;
        let store = self.store.read().unwrap_or_else(PoisonError::into_inner);
        Ok(answer::value(Evaluator::new(&store).instant(&query, at)?, at.as_millisecond()))
    }

    fn query_range(&self, parameters: &Parameters) -> Result<Json, Refusal> {
        parameters.refuse_unserved()?;
        let (start, end) = (parameters.needed_time("start")?, parameters.needed_time("end")?);
        if end < start {
            return Err(Refusal::bad("invalid parameter \"end\": end timestamp must not be before start time"));
        }
        let step = parameters.step()?;
        if (end.duration_since(start).as_millis()) / step.as_millis().max(1) > i128::from(MAX_STEPS) {
            return Err(Refusal::bad(
                "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)",
            ));
        }
        let query = Query::parse(parameters.text("query"))?;
        let store = self.store.read().unwrap_or_else(PoisonError::into_inner);
        Ok(answer::matrix(Evaluator::new(&store).range(&query, start, end, step)?))
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match error {
            Error::Syntax(_) => Self::bad(&error.to_string()),
            Error::NotServed(_) | Error::Execution(_) => Self::execution(&error.to_string()),
        }
    }
}

#[cfg(test)]
#[path = "http/http_tests.rs"]
mod http_tests;

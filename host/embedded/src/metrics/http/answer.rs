//! Answers as JSON.

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value as Json, json};

use crate::metrics::{
    Labels,
    promql::{Matrix, Value},
};

/// Bounds of numbers without an exponent, as in Prometheus.
const SMALL: f64 = 1e-6;
const LARGE: f64 = 1e21;

/// An error, in Prometheus' terms.
#[derive(Debug)]
pub struct Refusal {
    status: StatusCode,
    kind: &'static str,
    reason: String,
}

impl Refusal {
    /// The request is invalid.
    pub fn bad(reason: &str) -> Self {
        Self { status: StatusCode::BAD_REQUEST, kind: "bad_data", reason: reason.to_owned() }
    }

    /// The query cannot be evaluated.
    pub fn execution(reason: &str) -> Self {
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, kind: "execution", reason: reason.to_owned() }
    }
}

pub fn respond(result: Result<Json, Refusal>) -> Response {
    match result {
        Ok(data) => json_response(StatusCode::OK, &json!({"status": "success", "data": data})),
        Err(refusal) => {
            let body = json!({"status": "error", "errorType": refusal.kind, "error": refusal.reason});
            json_response(refusal.status, &body)
        }
    }
}

pub fn not_found() -> Response {
    let reason = "only /api/v1/query, /api/v1/query_range, /-/ready and /-/healthy are served";
    respond(Err(Refusal { status: StatusCode::NOT_FOUND, kind: "not_found", reason: reason.to_owned() }))
}

fn json_response(status: StatusCode, body: &Json) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

/// The answer to an instant query at that time, in milliseconds since the Unix epoch.
pub fn value(value: Value, at: i64) -> Json {
    match value {
        Value::Scalar(number) => json!({"resultType": "scalar", "result": point(at, number)}),
        Value::Text(text) => json!({"resultType": "string", "result": [seconds(at), text]}),
        Value::Vector(rows) => {
            let rows = rows.iter().map(|row| json!({"metric": metric(&row.labels), "value": point(at, row.value)}));
            json!({"resultType": "vector", "result": rows.collect::<Vec<Json>>()})
        }
        Value::Matrix(runs) => matrix(runs),
    }
}

pub fn matrix(runs: Matrix) -> Json {
    let runs = runs.iter().map(|run| {
        let points: Vec<Json> = run.points.iter().map(|found| point(found.at, found.value)).collect();
        json!({"metric": metric(&run.labels), "values": points})
    });
    json!({"resultType": "matrix", "result": runs.collect::<Vec<Json>>()})
}

fn metric(labels: &Labels) -> Json {
    Json::Object(labels.iter().map(|(name, value)| (name.to_owned(), value.into())).collect::<Map<_, _>>())
}

fn point(at: i64, value: f64) -> Json {
    json!([seconds(at), number(value)])
}

fn seconds(milliseconds: i64) -> Json {
    const MILLISECONDS: i64 = 1000;
    if milliseconds % MILLISECONDS == 0 {
        return json!(milliseconds / MILLISECONDS);
    }
    #[expect(clippy::cast_precision_loss, reason = "times of this age are far below 2^52 ms")]
    let seconds = milliseconds as f64 / MILLISECONDS as f64;
    json!(seconds)
}

/// A number as Go writes it, in the fewest digits that tell it from all others.
fn number(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    if value == 0.0 || (SMALL..LARGE).contains(&value.abs()) {
        return value.to_string();
    }
    let text = format!("{value:e}");
    match text.split_once('e') {
        // Go gives the exponent a sign and two digits at least.
        Some((digits, exponent)) => match exponent.strip_prefix('-') {
            Some(exponent) => format!("{digits}e-{exponent:0>2}"),
            None => format!("{digits}e+{exponent:0>2}"),
        },
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_prometheus_writes_them() {
        for (value, text) in [
            (0.1 + 0.2, "0.30000000000000004"),
            (1700000000.0, "1700000000"),
            (1e20, "100000000000000000000"),
            (2.5e22, "2.5e+22"),
            (1e-6, "0.000001"),
            (1.5e-9, "1.5e-09"),
            (-1e-120, "-1e-120"),
            (-0.0, "-0"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn times_are_seconds_with_their_fraction() {
        assert_eq!(seconds(1_700_000_000_000).to_string(), "1700000000");
        assert_eq!(seconds(1_700_000_000_120).to_string(), "1700000000.12");
    }
}

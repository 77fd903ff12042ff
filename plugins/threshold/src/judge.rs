//! Judges numbers, with a reason.

use crate::config::{Limits, NoData};
use crate::limit::rounded;
use kulta_plugin::Verdict;
use kulta_plugin::analyzer::Action;
use serde_json::{Map, Value};

/// Decimals of a rate, and of a latency in milliseconds.
const RATE_DIGITS: i32 = 6;
const LATENCY_DIGITS: i32 = 3;

/// The measured numbers; NaN if there is none.
#[derive(Debug, Clone, PartialEq)]
pub struct Findings {
    pub requests: f64,
    pub errors: f64,
    /// Milliseconds, in the limits' order.
    pub latency: Vec<f64>,
}

/// One limit and the measured number.
struct Finding {
    /// `error rate`, `p99`.
    name: String,
    /// Key in the metadata.
    key: String,
    measured: f64,
    holds: bool,
    shown: String,
    limit: String,
}

impl Finding {
    fn text(&self) -> String {
        let is = if self.holds { "is" } else { "is not" };
        format!("{} {} {is} {}", self.name, self.shown, self.limit)
    }
}

pub fn judge(limits: &Limits, minimum: u32, no_data: NoData, findings: &Findings) -> Action {
    // The server extrapolates counts, so they are not integers.
    let requests = if findings.requests.is_nan() { 0.0 } else { findings.requests.round().max(0.0) };
    let compared = compared(limits, findings);
    let (verdict, reason) = verdict(&compared, requests, minimum, no_data);
    let judged = Action::judged(verdict, value(&compared, requests).to_string(), &reason)
        .with_metadata("requests", &requests.to_string());
    let known = compared.iter().filter(|finding| !finding.measured.is_nan());
    known.fold(judged, |judged, finding| judged.with_metadata(&finding.key, &finding.shown))
}

fn verdict(compared: &[Finding], requests: f64, minimum: u32, no_data: NoData) -> (Verdict, String) {
    if requests < f64::from(minimum) {
        return nothing_to_say(no_data, format!("{requests} requests, at least {minimum} are needed"));
    }
    let texts = |wanted: &dyn Fn(&Finding) -> bool| {
        let texts: Vec<String> = compared.iter().filter(|finding| wanted(finding)).map(Finding::text).collect();
        format!("{}, of {requests} requests", texts.join(" and "))
    };
    let broken = |finding: &Finding| !finding.measured.is_nan() && !finding.holds;
    if compared.iter().any(broken) {
        let reason = texts(&broken);
        return (Verdict::Fail(reason.clone()), reason);
    }
    match compared.iter().find(|finding| finding.measured.is_nan()) {
        Some(missing) => nothing_to_say(no_data, format!("{} was not measured, of {requests} requests", missing.name)),
        None => (Verdict::Pass, texts(&|_| true)),
    }
}

fn nothing_to_say(no_data: NoData, reason: String) -> (Verdict, String) {
    let verdict = match no_data {
        NoData::Inconclusive => Verdict::Inconclusive(reason.clone()),
        NoData::Fail => Verdict::Fail(reason.clone()),
        NoData::Pass => Verdict::Pass,
    };
    (verdict, reason)
}

fn compared(limits: &Limits, findings: &Findings) -> Vec<Finding> {
    // Extrapolation can make errors exceed requests slightly.
    let error_rate = (findings.errors / findings.requests).clamp(0.0, 1.0);
    let rates = [
        ("error rate", "errorRate", limits.error_rate, error_rate),
        ("success rate", "successRate", limits.success_rate, 1.0 - error_rate),
    ];
    let rates = rates.into_iter().filter_map(|(name, key, limit, measured)| {
        let limit = limit?;
        Some((name.to_owned(), key.to_owned(), limit, rounded(measured, RATE_DIGITS)))
    });
    let latency = limits.latency.iter().zip(&findings.latency).map(|(percentile, measured)| {
        (percentile.name.clone(), percentile.name.clone(), percentile.limit, rounded(*measured, LATENCY_DIGITS))
    });
    rates
        .chain(latency)
        .map(|(name, key, limit, measured)| Finding {
            name,
            key,
            measured,
            holds: limit.holds(measured),
            shown: limit.shown(measured),
            limit: limit.to_string(),
        })
        .collect()
}

/// A missing number is null.
fn value(compared: &[Finding], requests: f64) -> Value {
    let (rates, latency): (Vec<&Finding>, Vec<&Finding>) =
        compared.iter().partition(|finding| finding.key.ends_with("Rate"));
    let fields = |findings: Vec<&Finding>| -> Map<String, Value> {
        findings.into_iter().map(|finding| (finding.key.clone(), number(finding.measured))).collect()
    };
    let mut value = fields(rates);
    value.insert("requests".into(), number(requests));
    if !latency.is_empty() {
        value.insert("latency".into(), fields(latency).into());
    }
    Value::Object(value)
}

/// A whole number without a point.
fn number(number: f64) -> Value {
    serde_json::from_str(&number.to_string()).unwrap_or(Value::Null)
}

//! Judges a measurement: the verdict, and the numbers behind it for users.

use crate::config::{Horizon, Settings};
use crate::likelihood::Counts;
use crate::state::State;
use kulta_plugin::analyzer::Action;
use kulta_plugin::{Error, Verdict};
use libm::{exp, log};

/// Larger e-values are shown as this one.
const LARGEST_SHOWN: f64 = 1e99;

/// A decision further away is not predicted.
const FORESEEN_WINDOWS: f64 = 10_000.0;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    Worse,
    NotWorse,
    Undecided,
    TooFewRequests,
}

impl Decision {
    fn of(state: &State, settings: &Settings) -> Self {
        let hypotheses = &settings.hypotheses;
        if state.canary.requests < settings.minimum_sample {
            Self::TooFewRequests
        } else if state.evidence.log_worse() >= log(hypotheses.worse_at) {
            Self::Worse
        } else if state.evidence.log_not_worse() >= log(hypotheses.not_worse_at) {
            Self::NotWorse
        } else {
            Self::Undecided
        }
    }

    /// Its name in the metadata.
    fn word(self) -> &'static str {
        match self {
            Self::Worse => "worse",
            Self::NotWorse => "notWorse",
            Self::Undecided | Self::TooFewRequests => "undecided",
        }
    }
}

/// Ends the measurement. An undecided measurement passes without deciding the metric, because an inconclusive one would
/// end the run under its default limit of none; the `last` one has the configured result.
pub fn judge(state: &State, settings: &Settings, last: bool) -> Result<Action, Error> {
    let decision = Decision::of(state, settings);
    let reason = reason(decision, state, settings);
    let (verdict, settles) = match decision {
        Decision::Worse => (Verdict::Fail(reason.clone()), true),
        Decision::NotWorse => (Verdict::Pass, true),
        Decision::Undecided if last && settings.horizon == Horizon::Pass => (Verdict::Pass, true),
        Decision::Undecided | Decision::TooFewRequests if last => (Verdict::Inconclusive(reason.clone()), true),
        Decision::Undecided | Decision::TooFewRequests => (Verdict::Pass, false),
    };
    let e_value = figure(e_value(state.evidence.log_worse()));
    let mut action = Action::judged(verdict, e_value.clone(), &reason).with_memory(state.write()?);
    if let Action::Judged(judged) = &mut action {
        judged.settles = settles;
    }
    let action = action
        .with_metadata("decision", decision.word())
        .with_metadata("eValue", &e_value)
        .with_metadata("eValueNotWorse", &figure(e_value_not_worse(state)))
        .with_metadata("pValue", &figure(state.evidence.p_value()))
        .with_metadata("confidenceSequence", &interval(state, settings))
        .with_metadata("canary", &share(state.canary))
        .with_metadata("stable", &share(state.stable))
        .with_metadata("windows", &state.windows.to_string())
        .with_metadata("dispersion", &figure(settings.dispersion.unwrap_or_else(|| state.dispersion.estimate())));
    let action = match state.confidence.odds_ratio() {
        Some(odds_ratio) => action.with_metadata("oddsRatio", &figure(odds_ratio)),
        None => action,
    };
    Ok(match expected_windows(decision, state, settings) {
        Some(windows) => action.with_metadata("expectedWindows", &windows.to_string()),
        None => action,
    })
}

fn reason(decision: Decision, state: &State, settings: &Settings) -> String {
    let hypotheses = &settings.hypotheses;
    let seen = format!("canary {}, stable {}", share(state.canary), share(state.stable));
    let odds =
        format!("odds ratio {} at {} % confidence", interval(state, settings), figure((1.0 - settings.alpha) * 100.0));
    match decision {
        Decision::Worse => format!(
            "the canary is worse: {seen}; {odds}; e-value {} reaches {}",
            figure(e_value(state.evidence.log_worse())),
            figure(hypotheses.worse_at)
        ),
        Decision::NotWorse => format!(
            "the canary is not worse: {seen}; {odds}; e-value {} against an odds ratio of {} reaches {}",
            figure(e_value_not_worse(state)),
            figure(hypotheses.largest),
            figure(hypotheses.not_worse_at)
        ),
        Decision::Undecided => {
            let outlook = match expected_windows(decision, state, settings) {
                Some(windows) => format!("; at this rate decided in about {} more", count(windows)),
                None => String::new(),
            };
            format!(
                "undecided after {}: {seen}; {odds}; e-value for worse {} of {}, for not worse {} of {}{outlook}",
                count(u64::from(state.windows)),
                figure(e_value(state.evidence.log_worse())),
                figure(hypotheses.worse_at),
                figure(e_value_not_worse(state)),
                figure(hypotheses.not_worse_at)
            )
        }
        Decision::TooFewRequests => format!(
            "undecided: the canary has had {} of the {} requests that a verdict needs; {seen}",
            state.canary.requests, settings.minimum_sample
        ),
    }
}

/// How many more average windows decide.
fn expected_windows(decision: Decision, state: &State, settings: &Settings) -> Option<u64> {
    if decision != Decision::Undecided || state.windows == 0 {
        return None;
    }
    let windows = f64::from(state.windows);
    let after = |sum: f64, threshold: f64| (log(threshold) - sum) * windows / sum;
    let worse = state.evidence.log_worse();
    let not_worse = state.evidence.log_not_worse();
    [after(worse, settings.hypotheses.worse_at), after(not_worse, settings.hypotheses.not_worse_at)]
        .into_iter()
        .filter(|windows| (0.0..FORESEEN_WINDOWS).contains(windows))
        .map(|windows| windows.ceil() as u64)
        .min()
}

fn count(windows: u64) -> String {
    match windows {
        1 => "1 window".into(),
        windows => format!("{windows} windows"),
    }
}

fn e_value(log_value: f64) -> f64 {
    exp(log_value).min(LARGEST_SHOWN)
}

fn e_value_not_worse(state: &State) -> f64 {
    e_value(state.evidence.log_not_worse())
}

fn interval(state: &State, settings: &Settings) -> String {
    let interval = state.confidence.interval(settings.alpha);
    match (interval.lower, interval.upper) {
        (Some(lower), Some(upper)) => format!("{} to {}", figure(lower), figure(upper)),
        (Some(lower), None) => format!("above {}", figure(lower)),
        (None, Some(upper)) => format!("below {}", figure(upper)),
        (None, None) => "unknown".into(),
    }
}

fn share(counts: Counts) -> String {
    if counts.requests == 0 {
        return "no requests".into();
    }
    let percent = 100.0 * counts.bad as f64 / counts.requests as f64;
    format!("{} of {} bad ({} %)", counts.bad, counts.requests, figure(percent))
}

/// About three significant digits, valid as JSON.
fn figure(value: f64) -> String {
    match value {
        0.0 => "0".into(),
        value if !(0.001..1e6).contains(&value) => format!("{value:.1e}"),
        value if value < 1.0 => trimmed(format!("{value:.3}")),
        value if value < 100.0 => trimmed(format!("{value:.2}")),
        value => format!("{value:.0}"),
    }
}

fn trimmed(text: String) -> String {
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short_and_valid_json() {
        for (value, text) in [
            (0.0, "0"),
            (1.0, "1"),
            (0.0371, "0.037"),
            (0.5, "0.5"),
            (12.3456, "12.35"),
            (99.0, "99"),
            (123.4, "123"),
            (5.12e8, "5.1e8"),
            (3.4e-12, "3.4e-12"),
            (LARGEST_SHOWN, "1.0e99"),
        ] {
            assert_eq!(figure(value), text);
            assert!(serde_json::from_str::<f64>(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn missing_requests_are_reported_in_text() {
        assert_eq!(share(Counts::default()), "no requests");
        assert_eq!(share(Counts { requests: 400, bad: 3 }), "3 of 400 bad (0.75 %)");
    }
}

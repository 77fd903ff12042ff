//! The plugin's numbers against golden.json, which `golden/make.py` computed with exact integers, mpmath and scipy.

use crate::confidence::Confidence;
use crate::evidence::{Evidence, Hypotheses};
use crate::likelihood::{Counts, Window};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    tables: Vec<Table>,
    sequences: Vec<Sequence>,
}

/// Canary requests and bad ones, stable requests and bad ones.
type Cells = [u64; 4];

#[derive(Deserialize)]
struct Table {
    table: Cells,
    theta: f64,
    against: f64,
    log_ratio: f64,
}

#[derive(Deserialize)]
struct Sequence {
    name: String,
    windows: Vec<Cells>,
    theta0: f64,
    theta_max: f64,
    dispersion: f64,
    alpha: f64,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    worse: f64,
    not_worse: f64,
    p: f64,
    lower: Option<f64>,
    upper: Option<f64>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../golden/golden.json")).unwrap()
}

fn window([canary, canary_bad, stable, stable_bad]: Cells) -> Window {
    Window {
        canary: Counts { requests: canary, bad: canary_bad },
        stable: Counts { requests: stable, bad: stable_bad },
    }
}

fn assert_close(found: f64, expected: f64, what: &str) {
    assert!((found - expected).abs() <= 1e-9 * (1.0 + expected.abs()), "{what}: {found}, golden {expected}");
}

#[test]
fn likelihood_ratios_are_those_of_exact_arithmetic() {
    for Table { table, theta, against, log_ratio } in golden().tables {
        let seen = window(table);
        let found = seen.log_likelihood(libm::log(theta)) - seen.log_likelihood(libm::log(against));
        assert_close(found, log_ratio, &format!("{table:?} at {theta} against {against}"));
    }
}

#[test]
fn e_values_and_p_values_are_those_of_exact_arithmetic_after_every_window() {
    for sequence in golden().sequences {
        let hypotheses = Hypotheses {
            tolerated: sequence.theta0,
            largest: sequence.theta_max,
            worse_at: 1.0 / sequence.alpha,
            not_worse_at: 1.0 / sequence.alpha,
            fewest_windows: 1,
        };
        let mut evidence = Evidence::none();
        for (index, (cells, step)) in sequence.windows.iter().zip(&sequence.steps).enumerate() {
            evidence.add(&window(*cells), &hypotheses, sequence.dispersion);
            let what = format!("{}, θ0 {}, window {index}", sequence.name, sequence.theta0);
            assert_close(evidence.log_worse(), step.worse, &what);
            assert_close(evidence.log_not_worse(), step.not_worse, &what);
            assert_close(evidence.p_value(), step.p, &what);
        }
    }
}

#[test]
fn confidence_sequences_are_those_of_exact_arithmetic_after_every_window() {
    let same = |found: Option<f64>, expected: Option<f64>| match (found, expected) {
        (Some(found), Some(expected)) => (found / expected - 1.0).abs() < 1e-9,
        (found, expected) => found == expected,
    };
    for sequence in golden().sequences {
        let mut confidence = Confidence::none();
        for (index, (cells, step)) in sequence.windows.iter().zip(&sequence.steps).enumerate() {
            confidence.add(&window(*cells), sequence.dispersion);
            let found = confidence.interval(sequence.alpha);
            let holds = same(found.lower, step.lower) && same(found.upper, step.upper);
            assert!(holds, "{}, window {index}: {found:?}, golden {:?}..{:?}", sequence.name, step.lower, step.upper);
        }
    }
}

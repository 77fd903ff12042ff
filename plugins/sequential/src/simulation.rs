//! Tests of the guarantees, by simulation with fixed seeds: thousands of runs of random windows, judged after each.
//!
//! The scenarios have a canary at 5 % of 100 requests/s, measured every 10 s; times are in seconds from the first
//! window.

use crate::confidence::Confidence;
use crate::dispersion::Dispersion;
use crate::evidence::{Evidence, Hypotheses};
use crate::likelihood::{Counts, Window};
use crate::span::HISTORY;
use libm::log;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, RngExt as _, SeedableRng as _};
use rand_distr::{Binomial, Distribution as _, Geometric, Poisson};

const TICK: u32 = 10;
const HALF_HOUR: u32 = 30 * 60 / TICK;
const RUNS: u64 = 600;

/// θ0 = 1, α = 0.05, any window may decide, no early success: the test by itself.
const PLAIN: Hypotheses =
    Hypotheses { tolerated: 1.0, largest: 2.0, worse_at: 1.0 / 0.05, not_worse_at: f64::INFINITY, fewest_windows: 1 };
const ALPHA: f64 = 0.05;

/// The default configuration: θ0 = 1.25, α = 0.01, β = 0.05, three windows.
const DEFAULTS: Hypotheses =
    Hypotheses { tolerated: 1.25, largest: 2.0, worse_at: 1.0 / 0.01, not_worse_at: 1.0 / 0.05, fewest_windows: 3 };

#[derive(Clone, Copy)]
struct Traffic {
    /// Requests per second of both sides together.
    rate: f64,
    /// The canary's share.
    weight: f64,
    /// The share of bad requests.
    canary: f64,
    stable: f64,
    /// Bad requests come in clusters of this size on average.
    cluster: f64,
}

const USUAL: Traffic = Traffic { rate: 100.0, weight: 0.05, canary: 0.002, stable: 0.002, cluster: 1.0 };

impl Traffic {
    fn with_canary(canary: f64) -> Self {
        Self { canary, ..USUAL }
    }

    fn with_both(bad: f64) -> Self {
        Self { canary: bad, stable: bad, ..USUAL }
    }

    fn window(self, random: &mut impl Rng) -> Window {
        let requests = self.rate * f64::from(TICK);
        Window {
            canary: side(random, requests * self.weight, self.canary, self.cluster),
            stable: side(random, requests * (1.0 - self.weight), self.stable, self.cluster),
        }
    }
}

fn side(random: &mut impl Rng, mean: f64, bad: f64, cluster: f64) -> Counts {
    let requests = Poisson::new(mean).unwrap().sample(random) as u64;
    let events = Binomial::new(requests, bad / cluster).unwrap().sample(random);
    let more = Geometric::new(1.0 / cluster).unwrap();
    let bad: u64 = (0..events).map(|_| 1 + more.sample(random)).sum();
    Counts { requests, bad: bad.min(requests) }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Ended {
    Worse(u32),
    NotWorse(u32),
    Never,
}

/// How dispersion is estimated.
#[derive(Clone, Copy, PartialEq)]
enum Phi {
    One,
    Estimated,
}

/// Runs of up to `ticks` windows, with the traffic of each tick.
fn runs(ticks: u32, hypotheses: Hypotheses, phi: Phi, traffic: impl Fn(u32) -> Traffic) -> Vec<Ended> {
    (0..RUNS).map(|seed| run(seed, ticks, hypotheses, phi, &traffic)).collect()
}

fn run(seed: u64, ticks: u32, hypotheses: Hypotheses, phi: Phi, traffic: &impl Fn(u32) -> Traffic) -> Ended {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let (mut evidence, mut dispersion) = (Evidence::none(), Dispersion::default());
    for _ in 0..HISTORY {
        dispersion.add(traffic(0).window(&mut random).stable);
    }
    for tick in 0..ticks {
        let window = traffic(tick).window(&mut random);
        let exponent = if phi == Phi::One { 1.0 } else { dispersion.estimate() };
        evidence.add(&window, &hypotheses, exponent);
        dispersion.add(window.stable);
        let seconds = (tick + 1) * TICK;
        if evidence.log_worse() >= log(hypotheses.worse_at) {
            return Ended::Worse(seconds);
        }
        if evidence.log_not_worse() >= log(hypotheses.not_worse_at) {
            return Ended::NotWorse(seconds);
        }
    }
    Ended::Never
}

/// The share of runs that were called worse within this number of seconds.
fn failed_by(runs: &[Ended], horizon: u32) -> f64 {
    let failed = runs.iter().filter(|run| matches!(run, Ended::Worse(seconds) if *seconds <= horizon)).count();
    failed as f64 / runs.len() as f64
}

fn failed(runs: &[Ended]) -> f64 {
    failed_by(runs, u32::MAX)
}

/// The median of all runs' times; runs that were never called worse sort last.
fn median(runs: &[Ended]) -> u32 {
    let mut times: Vec<u32> =
        runs.iter().map(|run| if let Ended::Worse(seconds) = run { *seconds } else { u32::MAX }).collect();
    times.sort_unstable();
    times[times.len() / 2]
}

#[track_caller]
fn assert_at_most(share: f64, bound: f64, what: &str) {
    println!("{what}: {:.1} % (bound {:.1} %)", share * 100.0, bound * 100.0);
    assert!(share <= bound, "{what}: {share} above {bound}");
}

#[track_caller]
fn assert_detected(what: &str, runs: &[Ended], within: std::ops::RangeInclusive<u32>) {
    println!("{what}: detected {:.1} %, median {} s", failed(runs) * 100.0, median(runs));
    assert!(failed(runs) >= 0.99, "{what}: detected in {} of the runs", failed(runs));
    assert!(within.contains(&median(runs)), "{what}: median {} s, expected {within:?}", median(runs));
}

#[test]
fn false_alarms_stay_below_alpha_at_every_horizon() {
    for bad in [0.0005, 0.002, 0.007, 0.05, 0.5] {
        let runs = runs(3 * HALF_HOUR, PLAIN, Phi::One, |_| Traffic::with_both(bad));
        for horizon in [10, 60, 300, 1_800, 5_400] {
            assert_at_most(failed_by(&runs, horizon), ALPHA, &format!("both {bad}, {horizon} s"));
        }
    }
}

#[test]
fn a_canary_at_the_tolerated_odds_is_no_alarm() {
    // Odds 1.25 times 1/49.
    let canary = 1.25 / (1.25 + 49.0);
    let hypotheses = Hypotheses { tolerated: 1.25, ..PLAIN };
    let runs = runs(3 * HALF_HOUR, hypotheses, Phi::One, |_| Traffic { canary, stable: 0.02, ..USUAL });
    assert_at_most(failed(&runs), ALPHA, "at the tolerated odds ratio");
}

#[test]
fn a_shared_outage_is_no_alarm() {
    let outage = |tick| Traffic::with_both(if (60..90).contains(&tick) { 0.03 } else { 0.002 });
    assert_at_most(failed(&runs(HALF_HOUR, PLAIN, Phi::One, outage)), ALPHA, "both 3 % for 5 minutes");
    let total = |tick| Traffic::with_both(if (60..90).contains(&tick) { 0.9 } else { 0.002 });
    assert_at_most(failed(&runs(HALF_HOUR, PLAIN, Phi::One, total)), ALPHA, "both 90 % for 5 minutes");
}

#[test]
fn changing_weights_traffic_and_error_rates_are_no_alarm() {
    let changing = |tick: u32| {
        let wave = libm::sin(f64::from(tick) / 10.0);
        let weight = [0.05, 0.2, 0.5, 0.8][(tick / 45) as usize % 4];
        Traffic { rate: 100.0 + 80.0 * wave, weight, ..Traffic::with_both(0.02 + 0.015 * wave) }
    };
    assert_at_most(failed(&runs(HALF_HOUR, PLAIN, Phi::One, changing)), ALPHA, "weights 5, 20, 50, 80 %");
}

#[test]
fn worse_canaries_are_detected_as_fast_as_the_reference_says() {
    for (canary, median) in [(0.006, 200..=360), (0.01, 60..=140), (0.02, 30..=40), (0.05, 10..=10)] {
        let runs = runs(HALF_HOUR, PLAIN, Phi::One, |_| Traffic::with_canary(canary));
        assert_detected(&format!("0.2 % to {} %", canary * 100.0), &runs, median);
    }
    let quiet = runs(HALF_HOUR, PLAIN, Phi::One, |_| Traffic { rate: 10.0, ..Traffic::with_canary(0.02) });
    assert_detected("10 requests/s, 0.2 % to 2 %", &quiet, 200..=360);
    let tolerant = Hypotheses { tolerated: 1.25, ..PLAIN };
    let runs = runs(HALF_HOUR, tolerant, Phi::One, |_| Traffic::with_canary(0.02));
    assert_detected("0.2 % to 2 %, tolerating 1.25", &runs, 30..=50);
}

#[test]
fn with_the_defaults_worse_canaries_are_detected_within_minutes() {
    for (canary, median) in [(0.01, 100..=300), (0.02, 50..=90), (0.05, 30..=40), (0.5, 30..=30)] {
        let runs = runs(HALF_HOUR, DEFAULTS, Phi::Estimated, |_| Traffic::with_canary(canary));
        assert_detected(&format!("defaults, 0.2 % to {} %", canary * 100.0), &runs, median);
    }
}

#[test]
fn errors_in_clusters_break_the_plain_test_and_not_the_defaults() {
    let clusters = Traffic { cluster: 4.0, ..USUAL };
    let plain = failed(&runs(HALF_HOUR, PLAIN, Phi::One, |_| clusters));
    assert!(plain > 0.25, "{plain}: the reason why dispersion is estimated");
    let tempered = failed(&runs(HALF_HOUR, PLAIN, Phi::Estimated, |_| clusters));
    println!("clusters of 4: {:.1} % plain, {:.1} % tempered", plain * 100.0, tempered * 100.0);
    assert!(tempered < plain / 3.0, "{tempered} of {plain}");
    let defaults = failed(&runs(HALF_HOUR, DEFAULTS, Phi::Estimated, |_| clusters));
    assert_at_most(defaults, 0.01, "clusters of 4, defaults");
}

#[test]
fn a_canary_that_is_too_bad_passes_early_at_most_as_often_as_beta() {
    // Odds twice 1/99.
    let bad = 2.0 / (2.0 + 99.0);
    let hypotheses = Hypotheses { worse_at: f64::INFINITY, fewest_windows: 1, ..DEFAULTS };
    let runs = runs(HALF_HOUR, hypotheses, Phi::One, |_| Traffic { canary: bad, stable: 0.01, ..USUAL });
    let passed = runs.iter().filter(|run| matches!(run, Ended::NotWorse(_))).count() as f64 / runs.len() as f64;
    assert_at_most(passed, 0.05, "passed early at thetaMax");
}

#[test]
fn a_good_canary_passes_early_if_there_is_enough_to_compare() {
    let good = runs(3 * HALF_HOUR, DEFAULTS, Phi::Estimated, |_| Traffic { weight: 0.2, ..Traffic::with_both(0.01) });
    let mut times: Vec<u32> =
        good.iter().map(|run| if let Ended::NotWorse(seconds) = run { *seconds } else { u32::MAX }).collect();
    times.sort_unstable();
    let median = times[times.len() / 2];
    println!("1 % errors, weight 20 %: passed early, median {median} s");
    assert!(median <= 300, "{median}");
}

#[test]
fn the_confidence_sequence_contains_the_true_value_at_all_times() {
    // Odds 3 times 1/49.
    let traffic = Traffic { canary: 3.0 / (3.0 + 49.0), stable: 0.02, ..USUAL };
    let missed = (0..RUNS / 3).filter(|seed| {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(*seed);
        let mut confidence = Confidence::none();
        (0..HALF_HOUR).any(|_| {
            confidence.add(&traffic.window(&mut random), 1.0);
            let interval = confidence.interval(ALPHA);
            interval.lower.is_some_and(|lower| lower > 3.0) || interval.upper.is_some_and(|upper| upper < 3.0)
        })
    });
    assert_at_most(missed.count() as f64 / (RUNS / 3) as f64, ALPHA, "truth ever outside");
}

/// Each pod is scraped separately, once every `scrape` seconds with its own offset: one canary pod and 19 stable ones.
/// An outage of both sides begins at a random second and lasts two minutes.
fn outage_seen_by_scrapes(seed: u64, scrape: u32, window: u32, hypotheses: &Hypotheses) -> bool {
    const PODS: usize = 20;
    const PER_POD: u64 = 5;
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let phases: Vec<u32> = (0..PODS).map(|_| random.random_range(0..scrape)).collect();
    let begins = random.random_range(60..60 + window);
    let (mut now, mut scraped) = ([Counts::default(); PODS], [Counts::default(); PODS]);
    let mut counted = scraped;
    let mut evidence = Evidence::none();
    for second in 0..400 {
        let bad = if (begins..begins + 120).contains(&second) { 1.0 } else { 0.002 };
        for ((now, scraped), phase) in now.iter_mut().zip(&mut scraped).zip(&phases) {
            let bad = Binomial::new(PER_POD, bad).unwrap().sample(&mut random);
            *now = now.and(Counts { requests: PER_POD, bad });
            if second % scrape == *phase {
                *scraped = *now;
            }
        }
        if (second + 1) % window == 0 {
            let since = |pods: &[Counts], before: &[Counts]| {
                pods.iter().zip(before).fold(Counts::default(), |sum, (pod, before)| {
                    sum.and(Counts { requests: pod.requests - before.requests, bad: pod.bad - before.bad })
                })
            };
            let seen =
                Window { canary: since(&scraped[..1], &counted[..1]), stable: since(&scraped[1..], &counted[1..]) };
            evidence.add(&seen, hypotheses, 1.0);
            counted = scraped;
            if evidence.log_worse() >= log(hypotheses.worse_at) {
                return true;
            }
        }
    }
    false
}

fn blamed(scrape: u32, window: u32, hypotheses: &Hypotheses) -> f64 {
    let blamed = (0..RUNS).filter(|seed| outage_seen_by_scrapes(*seed, scrape, window, hypotheses)).count();
    blamed as f64 / RUNS as f64
}

#[test]
fn scrapes_at_different_times_do_not_fail_the_canary_for_a_shared_outage() {
    for (scrape, window) in [(1, 10), (5, 10), (10, 10), (15, 10), (15, 15), (15, 30), (30, 30)] {
        let what = format!("scraped every {scrape} s, windows of {window} s");
        assert_at_most(blamed(scrape, window, &DEFAULTS), 0.01, &what);
    }
}

#[test]
fn a_single_window_would_fail_the_canary_for_its_scrape_time() {
    let share = blamed(10, 10, &Hypotheses { fewest_windows: 1, ..DEFAULTS });
    assert!(share > 0.1, "{share}: the reason why several windows must agree");
}

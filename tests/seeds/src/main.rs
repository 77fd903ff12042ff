//! Runs scenarios by seed and prints which of them failed.

// It prints to a terminal.
#![allow(clippy::print_stdout)]

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Parser;
use kulta_seeds::runner::{self, Report};
use kulta_seeds::scenario::Scenario;
use kulta_wasm::Plugins;

/// Failed scenarios whose log is printed.
const PRINTED: usize = 5;
/// Last lines of a failed scenario's log that are printed.
const LINES: usize = 60;

/// Run the whole controller against the embedded cluster, with faults, by seed.
#[derive(Parser)]
struct Options {
    /// Run only the scenario of this seed, and print its whole log
    #[arg(long, env = "KULTA_SEED", value_name = "SEED")]
    seed: Option<u64>,
    /// The first seed
    #[arg(long, default_value_t = 1)]
    first: u64,
    /// Skip seeds whose scenarios have no analyses
    #[arg(long)]
    analysed: bool,
    /// Skip seeds whose scenarios are not of blue-green
    #[arg(long)]
    blue_green: bool,
    /// Number of seeds
    #[arg(long, default_value_t = 2_000)]
    count: u64,
    /// Stop after this number of minutes
    #[arg(long, value_name = "MINUTES")]
    minutes: Option<u64>,
    /// Number of threads
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Run this number of scenarios without faults, each an update with two pauses of an hour, and print the time that one takes
    #[arg(long, value_name = "TIMES")]
    plain: Option<usize>,
    /// Upgrade this number of rollouts of two pods at once, without faults, and print what each upgrade costs the controller
    #[arg(long, value_name = "ROLLOUTS")]
    fleet: Option<usize>,
}

#[derive(Default)]
struct Totals {
    scenarios: AtomicU64,
    requests: AtomicU64,
    writes: AtomicU64,
    faults: AtomicU64,
    runs: AtomicUsize,
    measurements: AtomicUsize,
    failed: Mutex<Vec<Report>>,
}

impl Totals {
    fn add(&self, report: Report) {
        self.scenarios.fetch_add(1, Ordering::Relaxed);
        self.requests.fetch_add(report.requests, Ordering::Relaxed);
        self.writes.fetch_add(report.writes, Ordering::Relaxed);
        self.faults.fetch_add(report.faults, Ordering::Relaxed);
        self.runs.fetch_add(report.runs, Ordering::Relaxed);
        self.measurements.fetch_add(report.measurements, Ordering::Relaxed);
        if !report.violations.is_empty() {
            self.failed.lock().unwrap_or_else(PoisonError::into_inner).push(report);
        }
    }
}

fn main() -> Result<ExitCode> {
    let options = Options::parse();
    let plugins = kulta_seeds::plugins::compiled()?;
    if let Some(seed) = options.seed {
        return one(seed, &plugins);
    }
    if let Some(times) = options.plain {
        return single_update(times, &plugins);
    }
    if let Some(rollouts) = options.fleet {
        return fleet(rollouts, &plugins);
    }
    let start = Instant::now();
    let end = options.minutes.map(|minutes| start + Duration::from_secs(minutes * 60));
    let (next, stop, totals) = (AtomicU64::new(options.first), AtomicBool::new(false), Totals::default());
    let last = options.first.saturating_add(options.count);
    std::thread::scope(|scope| {
        for _ in 0..options.jobs {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= last || end.is_some_and(|end| Instant::now() >= end) {
                        return;
                    }
                    let scenario = Scenario::from_seed(seed);
                    if options.analysed && scenario.analyses.is_none()
                        || options.blue_green && scenario.blue_green.is_none()
                    {
                        continue;
                    }
                    match runner::run(seed, &plugins) {
                        Ok(report) => totals.add(report),
                        Err(error) => {
                            println!("seed {seed} could not be run: {error:#}");
                            stop.store(true, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    let failed = totals.failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    for report in failed.iter().take(PRINTED) {
        print_report(report, LINES);
    }
    let scenarios = totals.scenarios.load(Ordering::Relaxed);
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{scenarios} scenarios in {seconds:.0} s ({:.1} each second), {} requests, {} writes, {} faults injected, {} analyses of {} measurements",
        scenarios as f64 / seconds.max(f64::EPSILON),
        totals.requests.load(Ordering::Relaxed),
        totals.writes.load(Ordering::Relaxed),
        totals.faults.load(Ordering::Relaxed),
        totals.runs.load(Ordering::Relaxed),
        totals.measurements.load(Ordering::Relaxed),
    );
    let seeds: Vec<u64> = failed.iter().map(|report| report.seed).collect();
    if !seeds.is_empty() {
        println!("failed: {seeds:?}; KULTA_SEED=<seed> prints the whole log of one");
    }
    println!("{} passed, {} failed", scenarios.saturating_sub(seeds.len() as u64), seeds.len());
    let passed = failed.is_empty() && !stop.load(Ordering::Relaxed) && scenarios > 0;
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn one(seed: u64, plugins: &Arc<Plugins>) -> Result<ExitCode> {
    let report = runner::run(seed, plugins)?;
    print_report(&report, usize::MAX);
    Ok(if report.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn single_update(times: usize, plugins: &Arc<Plugins>) -> Result<ExitCode> {
    let mut taken = Vec::with_capacity(times);
    for _ in 0..times {
        let start = Instant::now();
        let update = kulta_seeds::single_update::run(plugins)?;
        taken.push(start.elapsed());
        if taken.len() == times {
            println!("an update of {:#}, {} writes, {} events", update.took, update.writes, update.events);
        }
    }
    taken.sort_unstable();
    println!(
        "{times} scenarios without faults: {:.1?} at p50, at most {:.1?}",
        median(&taken),
        taken.last().copied().unwrap_or_default()
    );
    Ok(ExitCode::SUCCESS)
}

fn fleet(rollouts: usize, plugins: &Arc<Plugins>) -> Result<ExitCode> {
    let (upgraded, each) = kulta_seeds::fleet::run(rollouts, plugins)?;
    println!(
        "{rollouts} rollouts of 2 pods upgraded at once: all Healthy after {:#}, {:.2?} of controller time for each, {} requests, {} writes, {} CDEvents",
        upgraded.took, each, upgraded.requests, upgraded.writes, upgraded.events
    );
    Ok(ExitCode::SUCCESS)
}

fn median(sorted: &[Duration]) -> Duration {
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

fn print_report(report: &Report, lines: usize) {
    println!("=== seed {}", report.seed);
    let skipped = report.log.len().saturating_sub(lines);
    if let Some(first) = report.log.first().filter(|_| skipped > 0) {
        println!("{first}\n… {} lines …", skipped - 1);
    }
    for line in report.log.iter().skip(skipped) {
        println!("{line}");
    }
    for violation in &report.violations {
        println!("!!! {violation}");
    }
}

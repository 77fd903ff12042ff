//! Tells stories by seed and says which of them went wrong.

// It talks to a person at a terminal.
#![allow(clippy::print_stdout)]

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Parser;
use kulta_seeds::scenario::Scenario;
use kulta_seeds::story::{Report, plugins, tell};
use kulta_wasm::Plugins;

/// Failures that are shown in full; more would only repeat them.
const SHOWN: usize = 5;
/// Last lines of a story that are shown when it went wrong.
const LINES: usize = 60;

/// The whole controller against the embedded cluster, with faults, by seed.
#[derive(Parser)]
struct Options {
    /// Tell this one story, whole
    #[arg(long, env = "KULTA_SEED", value_name = "SEED")]
    seed: Option<u64>,
    /// The first seed
    #[arg(long, default_value_t = 1)]
    first: u64,
    /// Leave out seeds whose stories have no analysis in them
    #[arg(long)]
    analysed: bool,
    /// How many seeds
    #[arg(long, default_value_t = 2_000)]
    count: u64,
    /// Stop after so many minutes, whatever is left
    #[arg(long, value_name = "MINUTES")]
    minutes: Option<u64>,
    /// Threads
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Tell the story without faults, of an update with two pauses of an hour, so many times, and say what one takes
    #[arg(long, value_name = "TIMES")]
    plain: Option<usize>,
    /// Upgrade so many rollouts of two pods at once, without faults, and say what each takes of the controller
    #[arg(long, value_name = "ROLLOUTS")]
    fleet: Option<usize>,
}

#[derive(Default)]
struct Sum {
    told: AtomicU64,
    requests: AtomicU64,
    writes: AtomicU64,
    faults: AtomicU64,
    runs: AtomicUsize,
    measurements: AtomicUsize,
    failed: Mutex<Vec<Report>>,
}

impl Sum {
    fn add(&self, report: Report) {
        self.told.fetch_add(1, Ordering::Relaxed);
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
    let plugins = plugins()?;
    if let Some(seed) = options.seed {
        return one(seed, &plugins);
    }
    if let Some(times) = options.plain {
        return plain(times, &plugins);
    }
    if let Some(rollouts) = options.fleet {
        return fleet(rollouts, &plugins);
    }
    let began = Instant::now();
    let end = options.minutes.map(|minutes| began + Duration::from_secs(minutes * 60));
    let (next, stop, sum) = (AtomicU64::new(options.first), AtomicBool::new(false), Sum::default());
    let last = options.first.saturating_add(options.count);
    std::thread::scope(|scope| {
        for _ in 0..options.jobs {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= last || end.is_some_and(|end| Instant::now() >= end) {
                        return;
                    }
                    if options.analysed && Scenario::of(seed).judging.is_none() {
                        continue;
                    }
                    match tell(seed, &plugins) {
                        Ok(report) => sum.add(report),
                        Err(error) => {
                            println!("seed {seed} could not be told: {error:#}");
                            stop.store(true, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    let failed = sum.failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    for report in failed.iter().take(SHOWN) {
        show(report, LINES);
    }
    let told = sum.told.load(Ordering::Relaxed);
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "{told} stories in {seconds:.0} s ({:.1} each second), {} requests, {} writes, {} faults injected, {} analyses of {} measurements",
        told as f64 / seconds.max(f64::EPSILON),
        sum.requests.load(Ordering::Relaxed),
        sum.writes.load(Ordering::Relaxed),
        sum.faults.load(Ordering::Relaxed),
        sum.runs.load(Ordering::Relaxed),
        sum.measurements.load(Ordering::Relaxed),
    );
    let seeds: Vec<u64> = failed.iter().map(|report| report.seed).collect();
    if !seeds.is_empty() {
        println!("went wrong: {seeds:?}; KULTA_SEED=<seed> tells one whole");
    }
    println!("{} passed, {} failed", told.saturating_sub(seeds.len() as u64), seeds.len());
    let well = failed.is_empty() && !stop.load(Ordering::Relaxed) && told > 0;
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn one(seed: u64, plugins: &Arc<Plugins>) -> Result<ExitCode> {
    let report = tell(seed, plugins)?;
    show(&report, usize::MAX);
    Ok(if report.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn plain(times: usize, plugins: &Arc<Plugins>) -> Result<ExitCode> {
    let mut taken = Vec::with_capacity(times);
    for _ in 0..times {
        let began = Instant::now();
        let told = kulta_seeds::plain::tell(plugins)?;
        taken.push(began.elapsed());
        if taken.len() == times {
            println!("an update of {:#}, {} writes, {} events", told.took, told.writes, told.events);
        }
    }
    taken.sort_unstable();
    println!(
        "{times} stories without faults: {:.1?} at p50, {:.1?} at most",
        at_half(&taken),
        taken.last().copied().unwrap_or_default()
    );
    Ok(ExitCode::SUCCESS)
}

fn fleet(rollouts: usize, plugins: &Arc<Plugins>) -> Result<ExitCode> {
    let (upgraded, each) = kulta_seeds::fleet::tell(rollouts, plugins)?;
    println!(
        "{rollouts} rollouts of 2 pods upgraded at once: all Healthy after {:#}, {:.2?} of the controller for each, {} requests, {} writes, {} CDEvents",
        upgraded.took, each, upgraded.requests, upgraded.writes, upgraded.events
    );
    Ok(ExitCode::SUCCESS)
}

fn at_half(sorted: &[Duration]) -> Duration {
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

fn show(report: &Report, lines: usize) {
    println!("=== seed {}", report.seed);
    let skipped = report.story.len().saturating_sub(lines);
    if let Some(first) = report.story.first().filter(|_| skipped > 0) {
        println!("{first}\n… {} lines …", skipped - 1);
    }
    for line in report.story.iter().skip(skipped) {
        println!("{line}");
    }
    for violation in &report.violations {
        println!("!!! {violation}");
    }
}

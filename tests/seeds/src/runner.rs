//! Runs the scenario of a seed: user actions and faults, then an idle period, then a last good version that must be rolled out.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use jiff::{SignedDuration, Timestamp};
use kulta_embedded::clock::Clock;
use kulta_embedded::world;
use kulta_wasm::Plugins;
use serde_json::Value;

use crate::checker::Checker;
use crate::cluster::{CANARY, Cluster, NAMESPACE, ObjectKind, ROLLOUT, ROUTE, STABLE, START, neighbour};
use crate::faults::{Counts, FaultInjector, Rates};
use crate::log::Log;
use crate::metrics_server::MetricsServer;
use crate::process::{ControllerProcess, Dependencies};
use crate::scenario::{Scenario, service, service_of};
use crate::sink::Sink;
use crate::user_actions::UserActions;
use crate::{analyses, hazards, objects};

/// How often the runner checks the changes and the processes, in virtual time.
const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// A rollout is idle if the controller has not written for this long.
const IDLE_AFTER: SignedDuration = SignedDuration::from_mins(12);
/// The longest timed pause takes an hour, and there are at most six.
const TIMEOUT: SignedDuration = SignedDuration::from_hours(9);
/// How often a user promotes a paused rollout at the end of the scenario.
const PROMOTE_INTERVAL: SignedDuration = SignedDuration::from_mins(1);
/// This many promotes in a row must move a rollout past a step: no step has as many analyses and pauses.
const MAX_PROMOTES_PER_STEP: u32 = 10;
/// Requests per second through the route, to notice whether one of them fails.
const REQUESTS: u32 = 2;
/// Fault rates of a scenario with faults, per thousand.
const RATES: Rates = Rates { refused: 60, delayed: 60, hung: 4, crash: 0, watch: 40 };
/// Rate of crashes in a scenario with crashes, per thousand writes.
const CRASHES: u32 = 25;

/// The outcome of a scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub seed: u64,
    pub violations: Vec<String>,
    pub log: Vec<String>,
    pub requests: u64,
    pub writes: u64,
    pub faults: u64,
    pub events: usize,
    pub runs: usize,
    pub measurements: usize,
}

/// Runs the scenario of a seed in this thread and in virtual time.
///
/// # Errors
/// If the scenario cannot be set up, or the API server refuses what a user always may do.
pub fn run(seed: u64, plugins: &Arc<Plugins>) -> Result<Report> {
    // The controller's retry delays use this thread's random numbers.
    fastrand::seed(seed);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .context("create a runtime")?;
    runtime.block_on(async { Runner::new(seed, Arc::clone(plugins))?.run().await })
}

struct Runner {
    seed: u64,
    scenario: Scenario,
    log: Log,
    cluster: Cluster,
    dependencies: Dependencies,
    user_actions: UserActions,
    checker: Checker,
    rates: Arc<Mutex<Rates>>,
    counts: Arc<Counts>,
    processes: Vec<Option<ControllerProcess>>,
    /// Processes that were started so far.
    started: u64,
    /// Faults injected, processes started and events received until the last poll.
    activity: (u64, u64, usize),
    tallies: world::Tallies,
    rng: fastrand::Rng,
}

impl Runner {
    fn new(seed: u64, plugins: Arc<Plugins>) -> Result<Self> {
        let clock = Clock::starting_at(Timestamp::from_second(START).context("the start time")?);
        let scenario = Scenario::from_seed(seed);
        let log = Log::new(clock);
        log.line(&format!("seed {seed}: {scenario:?}"));
        let cluster = Cluster::new(clock, seed)?;
        let checker = Checker::new(cluster.clone(), scenario.clone(), log.clone());
        let settings = world::Settings {
            requests_per_second: REQUESTS,
            scrape_interval: Duration::from_secs(60),
            retention: SignedDuration::from_secs(120),
            seed,
            ..world::Settings::default()
        };
        let world = world::World::new(&cluster.store, settings);
        let tallies = world.tallies();
        tokio::spawn(world.run());
        let processes = if scenario.second_controller { 2 } else { 1 };
        let bad_answers = scenario.analyses.as_ref().map_or(0, |analyses| analyses.bad_answers);
        let random = analyses::random(seed.rotate_left(32));
        let metrics_server = MetricsServer::new(random, bad_answers, scenario.hazards.undecided, log.clone());
        Ok(Self {
            seed,
            user_actions: UserActions::new(cluster.clone(), scenario.clone(), seed, log.clone()),
            dependencies: Dependencies {
                store: cluster.store.clone(),
                plugins,
                sink: Sink::default(),
                metrics_server,
                leader_election: scenario.second_controller,
            },
            rates: Arc::new(Mutex::new(Rates::NONE)),
            counts: Arc::default(),
            processes: (0..processes).map(|_| None).collect(),
            started: 0,
            activity: (0, 0, 0),
            rng: fastrand::Rng::with_seed(seed.rotate_left(32) ^ seed),
            scenario,
            log,
            cluster,
            checker,
            tallies,
        })
    }

    async fn run(mut self) -> Result<Report> {
        self.run_phases().await?;
        if self.checker.has_violations() {
            self.checker.log_objects();
        }
        let (runs, measurements) = self.checker.runs.counts();
        Ok(Report {
            seed: self.seed,
            violations: self.checker.violations,
            log: self.log.lines(),
            requests: self.counts.requests.load(Ordering::Relaxed),
            writes: self.counts.writes.load(Ordering::Relaxed),
            faults: self.counts.injected.load(Ordering::Relaxed),
            events: self.dependencies.sink.received().len(),
            runs,
            measurements,
        })
    }

    /// Ends at the first violation.
    async fn run_phases(&mut self) -> Result<()> {
        self.set_up()?;
        self.keep_processes_running()?;
        self.wait_until(TIMEOUT, |runner| runner.phase() == "Healthy").await?;
        let unserved_before = self.unserved();
        self.set_faults(true);
        for _ in 0..self.scenario.user_actions {
            let pause = self.user_actions.pause();
            self.wait(SignedDuration::from_millis(i64::try_from(pause).unwrap_or(1_000))).await?;
            self.user_actions.perform();
            self.user_actions.perform_hazards();
            if self.scenario.sink_unavailable && self.rng.bool() {
                let unavailable = !self.dependencies.sink.unavailable.load(Ordering::Relaxed);
                self.log.line(if unavailable { "the sink is unavailable" } else { "the sink is available again" });
                self.dependencies.sink.unavailable.store(unavailable, Ordering::Relaxed);
            }
        }
        let more = self.rng.i64(0..120);
        self.wait(SignedDuration::from_secs(more)).await?;
        self.set_faults(false);
        self.user_actions.restore_deleted();
        self.wait_until_idle().await?;
        if self.checker.has_violations() {
            return Ok(());
        }
        self.checker.check_idle();
        self.user_actions.deploy_last_version()?;
        self.promote_until_done().await?;
        self.wait_until_idle().await?;
        if self.checker.has_violations() {
            return Ok(());
        }
        self.checker.check_final();
        self.checker.check_events(&self.dependencies.sink.received());
        let unserved = self.unserved() - unserved_before;
        if !self.scenario.disruptive && unserved > 0 {
            self.checker.violations.push(format!("no pod served {unserved} requests"));
        }
        Ok(())
    }

    fn set_up(&self) -> Result<()> {
        objects::create_gateway(&self.cluster)?;
        if self.scenario.routed {
            self.cluster.create(ObjectKind::Service, service(STABLE))?;
            self.cluster.create(ObjectKind::Service, service(CANARY))?;
            self.cluster.create(ObjectKind::Service, service("other"))?;
            self.cluster.create(ObjectKind::HttpRoute, self.scenario.route())?;
        }
        if let Some(analyses) = &self.scenario.analyses {
            self.cluster.create(ObjectKind::AnalysisTemplate, analyses.template.clone())?;
        }
        if self.scenario.hazards.neighbour {
            self.cluster.create(ObjectKind::Service, service_of(neighbour::ROLLOUT, neighbour::STABLE))?;
            self.cluster.create(ObjectKind::Service, service_of(neighbour::ROLLOUT, neighbour::CANARY))?;
            self.cluster.create(ObjectKind::Rollout, hazards::rollout())?;
        }
        self.cluster.create(ObjectKind::Rollout, self.scenario.rollout())
    }

    fn now(&self) -> Timestamp {
        self.cluster.store.clock().now()
    }

    fn rollout(&self) -> Arc<Value> {
        self.cluster.get(ObjectKind::Rollout, ROLLOUT).ok().flatten().unwrap_or_default()
    }

    fn status(&self, pointer: &str) -> String {
        self.rollout().pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    fn phase(&self) -> String {
        self.status("/status/phase")
    }

    /// Whether the newest generation is observed and its revision is stable.
    fn is_promoted(&self) -> bool {
        let generation = self.rollout().pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or_default();
        self.status("/status/observedGeneration") == generation.to_string()
            && self.status("/status/stableRS") == self.status("/status/currentPodHash")
    }

    /// Whether the second Rollout, if there is one, has nothing left to promote.
    fn neighbour_is_healthy(&self) -> bool {
        let rollout = self.cluster.get(ObjectKind::Rollout, neighbour::ROLLOUT).ok().flatten();
        rollout.is_none_or(|rollout| rollout.pointer("/status/phase").and_then(Value::as_str) == Some("Healthy"))
    }

    /// Requests that no pod has served so far.
    fn unserved(&self) -> u64 {
        self.tallies.all().get(&format!("{NAMESPACE}/{ROUTE}")).map_or(0, |tally| tally.unserved)
    }

    fn set_faults(&mut self, enabled: bool) {
        let rates = match (enabled, self.scenario.faults) {
            (true, true) => Rates { crash: if self.scenario.crashes { CRASHES } else { 0 }, ..RATES },
            (true, false) => Rates { crash: if self.scenario.crashes { CRASHES } else { 0 }, ..Rates::NONE },
            (false, _) => Rates::NONE,
        };
        *self.rates.lock().unwrap_or_else(PoisonError::into_inner) = rates;
        self.dependencies.metrics_server.faulty.store(enabled, Ordering::Relaxed);
        if !enabled {
            self.log.line("no more faults from here on");
            self.dependencies.sink.unavailable.store(false, Ordering::Relaxed);
        }
    }

    /// Starts a process in the place of one that has exited, after a random delay.
    fn keep_processes_running(&mut self) -> Result<()> {
        for index in 0..self.processes.len() {
            let alive = self.processes.get(index).and_then(Option::as_ref).is_some_and(|process| !process.has_exited());
            // On average a restart takes 20 polls, which are 5 seconds.
            let starts = self.started == 0 || self.rng.u32(0..20) == 0;
            if alive || !starts {
                continue;
            }
            self.started += 1;
            let name = format!("kulta-{}", self.started);
            self.log.line(&format!("{name} starts"));
            let seed = self.rng.u64(..);
            let (rates, counts) = (Arc::clone(&self.rates), Arc::clone(&self.counts));
            let injector = FaultInjector::new(name.clone(), seed, rates, counts, self.log.clone());
            let process = ControllerProcess::start(&self.dependencies, &name, injector)?;
            if let Some(slot) = self.processes.get_mut(index) {
                *slot = Some(process);
            }
        }
        Ok(())
    }

    /// Waits for one interval and checks what has changed.
    async fn poll(&mut self) -> Result<()> {
        tokio::time::sleep(POLL_INTERVAL).await;
        let injected = self.counts.injected.load(Ordering::Relaxed);
        let activity = (injected, self.started, self.dependencies.sink.count());
        if activity != self.activity {
            self.activity = activity;
            self.checker.record_activity();
        }
        self.checker.observe_changes();
        self.keep_processes_running()
    }

    async fn wait(&mut self, time: SignedDuration) -> Result<()> {
        self.wait_until(time, |_| false).await
    }

    async fn wait_until(&mut self, limit: SignedDuration, done: impl Fn(&Self) -> bool) -> Result<()> {
        let end = self.now().checked_add(limit).unwrap_or(Timestamp::MAX);
        while !done(self) && self.now() < end && !self.checker.has_violations() {
            self.poll().await?;
        }
        Ok(())
    }

    /// Lets a user promote until the last version is rolled out.
    async fn promote_until_done(&mut self) -> Result<()> {
        let start = self.now();
        let mut last_promote = start;
        let mut at_this_step = (String::new(), 0);
        while self.phase() != "Healthy" || !self.is_promoted() || !self.neighbour_is_healthy() {
            if self.now().duration_since(start) > TIMEOUT || self.checker.has_violations() {
                break;
            }
            if self.now().duration_since(last_promote) >= PROMOTE_INTERVAL {
                last_promote = self.now();
                if self.user_actions.promote_if_paused()? {
                    let step = self.step();
                    at_this_step = if at_this_step.0 == step { (step, at_this_step.1 + 1) } else { (step, 1) };
                }
                let (step, promotes) = &at_this_step;
                if *promotes > MAX_PROMOTES_PER_STEP {
                    let stuck =
                        format!("a user has promoted {promotes} times, and the rollout is still paused at {step}");
                    self.checker.violations.push(stuck);
                }
            }
            self.poll().await?;
        }
        Ok(())
    }

    /// The step and the revision at which the rollout is.
    fn step(&self) -> String {
        let index = self.rollout().pointer("/status/currentStepIndex").and_then(Value::as_i64);
        let index = index.map_or_else(|| "no step".to_owned(), |index| format!("step {index}"));
        format!("{index} of revision {}", self.status("/status/currentPodHash"))
    }

    /// Waits until the controller has stopped writing.
    async fn wait_until_idle(&mut self) -> Result<()> {
        let end = self.now().checked_add(TIMEOUT).unwrap_or(Timestamp::MAX);
        let start = self.now();
        while self.now().duration_since(self.checker.last_write.max(start)) < IDLE_AFTER {
            if self.checker.has_violations() {
                return Ok(());
            }
            if self.now() > end {
                self.checker.violations.push("the controller never became idle".to_owned());
                return Ok(());
            }
            self.poll().await?;
        }
        Ok(())
    }
}

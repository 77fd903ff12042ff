//! One story: what a seed brings, step by step, and how it has to end.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use jiff::{SignedDuration, Timestamp};
use kulta_embedded::clock::Clock;
use kulta_embedded::world;
use kulta_wasm::{CONDITION_LANGUAGE, Kind, Limits, Plugins};
use serde_json::json;

use crate::cluster::{CANARY, Cluster, ROUTE, STABLE, What, neighbour};
use crate::faults::{Counts, Rates, Trouble};
use crate::gauge::Gauge;
use crate::incarnation::{Incarnation, World};
use crate::people::People;
use crate::scenario::{Scenario, service, service_of};
use crate::sink::Place;
use crate::witness::Witness;
use crate::{hazards, judging};

/// When every story begins.
pub const BEGIN: i64 = 1_800_000_000;
/// How often the story looks around, in virtual time.
const LOOK: Duration = Duration::from_millis(250);
/// Without a write for this long a rollout is at rest.
const QUIET: SignedDuration = SignedDuration::from_mins(12);
/// The longest timed pause is an hour, and there are at most six.
const PATIENCE: SignedDuration = SignedDuration::from_hours(9);
/// A person presses on every minute.
const PRESS_ON: SignedDuration = SignedDuration::from_mins(1);
/// Promotes in a row that leave a rollout paused at the step at which it was: more than a step has analyses and pauses.
const PROMOTES_AT_A_STEP: u32 = 10;
/// Requests of each second while pods and routes are nobody's but the controller's.
const REQUESTS: u32 = 2;
/// What a scenario with faults brings, of a thousand.
const RATES: Rates = Rates { refused: 60, delayed: 60, hung: 4, crash: 0, watch: 40 };
const CRASHES: u32 = 25;

/// What is told of a story, for a person to read.
#[derive(Clone, Default)]
pub struct Log {
    lines: Arc<Mutex<Vec<String>>>,
    clock: Arc<Mutex<Option<Clock>>>,
}

impl Log {
    #[must_use]
    pub fn of(clock: Clock) -> Self {
        Self { lines: Arc::default(), clock: Arc::new(Mutex::new(Some(clock))) }
    }

    pub fn line(&self, line: &str) {
        let clock = *self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        let at = clock.map_or(0.0, |clock| {
            let begin = Timestamp::from_second(BEGIN).unwrap_or_default();
            clock.now().duration_since(begin).as_secs_f64()
        });
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{at:>10.3} {line}"));
    }

    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What came of a story.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub seed: u64,
    pub violations: Vec<String>,
    pub story: Vec<String>,
    pub requests: u64,
    pub writes: u64,
    pub faults: u64,
    pub events: usize,
    pub runs: usize,
    pub measurements: usize,
}

/// The plugins of all stories, compiled once in the process: no story waits for that.
///
/// # Errors
/// When one of them cannot be used.
pub fn plugins() -> Result<Arc<Plugins>> {
    static PLUGINS: Mutex<Option<Arc<Plugins>>> = Mutex::new(None);
    let mut compiled = PLUGINS.lock().unwrap_or_else(PoisonError::into_inner);
    let plugins = match compiled.take() {
        Some(plugins) => plugins,
        None => compile()?,
    };
    *compiled = Some(Arc::clone(&plugins));
    Ok(plugins)
}

fn compile() -> Result<Arc<Plugins>> {
    let plugins = Arc::new(Plugins::untimed(Limits::default()).context("start the plugin runtime")?);
    tokio::runtime::Builder::new_current_thread().build().context("make a runtime")?.block_on(async {
        for strategy in plugins.names(Kind::Strategy) {
            plugins.strategy(&strategy).await.with_context(|| format!("the strategy {strategy}"))?;
        }
        plugins.analyzer("web").await.context("the analyzer")?;
        plugins.condition(CONDITION_LANGUAGE).await.context("the conditions")?;
        for enricher in plugins.names(Kind::Enricher) {
            plugins.enricher(&enricher).await.with_context(|| format!("the enricher {enricher}"))?;
        }
        Ok(Arc::clone(&plugins))
    })
}

/// Tells the story of a seed, in a thread and a virtual time of its own.
///
/// # Errors
/// When the story cannot be told at all.
pub fn tell(seed: u64, plugins: &Arc<Plugins>) -> Result<Report> {
    // The delays of the controller's retries come from this thread's dice.
    fastrand::seed(seed);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .context("make a runtime")?;
    runtime.block_on(async { Story::begin(seed, Arc::clone(plugins))?.run().await })
}

struct Story {
    seed: u64,
    scenario: Scenario,
    log: Log,
    cluster: Cluster,
    world: World,
    people: People,
    witness: Witness,
    rates: Arc<Mutex<Rates>>,
    counts: Arc<Counts>,
    lives: Vec<Option<Incarnation>>,
    births: u64,
    /// Faults injected, processes begun and events delivered, when that was last looked at.
    happened: (u64, u64, usize),
    tallies: world::Tallies,
    dice: fastrand::Rng,
}

impl Story {
    fn begin(seed: u64, plugins: Arc<Plugins>) -> Result<Self> {
        {
            let clock = Clock::starting_at(Timestamp::from_second(BEGIN).context("the beginning")?);
            let scenario = Scenario::of(seed);
            let log = Log::of(clock);
            log.line(&format!("seed {seed}: {scenario:?}"));
            let cluster = Cluster::begin(clock, seed)?;
            let witness = Witness::new(cluster.clone(), scenario.clone(), log.clone());
            let settings = world::Settings {
                requests_per_second: REQUESTS,
                scrape_interval: Duration::from_secs(60),
                retention: SignedDuration::from_secs(120),
                seed,
                ..world::Settings::default()
            };
            let around = world::World::new(&cluster.store, settings);
            let tallies = around.tallies();
            tokio::spawn(around.run());
            let lives = if scenario.second { 2 } else { 1 };
            let bad = scenario.judging.as_ref().map_or(0, |judging| judging.bad);
            let undecided = scenario.hazards.undecided;
            let gauge = Gauge::new(judging::dice(seed.rotate_left(32)), bad, undecided, log.clone());
            Ok(Self {
                seed,
                people: People::new(cluster.clone(), scenario.clone(), seed, log.clone()),
                world: World {
                    store: cluster.store.clone(),
                    plugins,
                    sink: Place::default(),
                    gauge,
                    elect: scenario.second,
                },
                rates: Arc::new(Mutex::new(Rates::NONE)),
                counts: Arc::default(),
                lives: (0..lives).map(|_| None).collect(),
                births: 0,
                happened: (0, 0, 0),
                dice: fastrand::Rng::with_seed(seed.rotate_left(32) ^ seed),
                scenario,
                log,
                cluster,
                witness,
                tallies,
            })
        }
    }

    async fn run(mut self) -> Result<Report> {
        self.play().await?;
        if self.witness.is_over() {
            self.witness.describe();
        }
        let (runs, measurements) = self.witness.runs.counts();
        Ok(Report {
            seed: self.seed,
            violations: self.witness.violations,
            story: self.log.lines(),
            requests: self.counts.requests.load(Ordering::Relaxed),
            writes: self.counts.writes.load(Ordering::Relaxed),
            faults: self.counts.injected.load(Ordering::Relaxed),
            events: self.world.sink.taken().len(),
            runs,
            measurements,
        })
    }

    /// Ends as soon as something is wrong.
    async fn play(&mut self) -> Result<()> {
        self.set_up()?;
        self.keep_alive()?;
        self.until(PATIENCE, |story| story.phase() == "Healthy").await?;
        let before = self.unserved();
        self.go_wrong(true);
        for _ in 0..self.scenario.doings {
            let pause = self.people.pause();
            self.pass(SignedDuration::from_millis(i64::try_from(pause).unwrap_or(1_000))).await?;
            self.people.act();
            self.people.act_on_hazards();
            if self.scenario.sink_away && self.dice.bool() {
                let away = !self.world.sink.away.load(Ordering::Relaxed);
                self.log.line(if away { "the sink goes away" } else { "the sink is back" });
                self.world.sink.away.store(away, Ordering::Relaxed);
            }
        }
        let more = self.dice.i64(0..120);
        self.pass(SignedDuration::from_secs(more)).await?;
        self.go_wrong(false);
        self.people.give_back();
        self.rest().await?;
        if self.witness.is_over() {
            return Ok(());
        }
        self.witness.at_rest();
        self.people.mend()?;
        self.press_on().await?;
        self.rest().await?;
        if self.witness.is_over() {
            return Ok(());
        }
        self.witness.at_the_end();
        self.witness.told(&self.world.sink.taken());
        let unserved = self.unserved() - before;
        if !self.scenario.rough && unserved > 0 {
            self.witness.violations.push(format!("{unserved} requests reached nobody"));
        }
        Ok(())
    }

    fn set_up(&self) -> Result<()> {
        let class = json!({ "apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass", "metadata": { "name": "embedded" },
            "spec": { "controllerName": "kulta.io/embedded-gateway" } });
        self.cluster.create_any("gateway.networking.k8s.io/v1", "GatewayClass", "", class)?;
        let gateway = json!({ "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": { "name": "gateway" },
            "spec": { "gatewayClassName": "embedded", "listeners": [{ "name": "http", "port": 80, "protocol": "HTTP" }] } });
        self.cluster.create_any("gateway.networking.k8s.io/v1", "Gateway", crate::cluster::NAMESPACE, gateway)?;
        if self.scenario.routed {
            self.cluster.create(What::Service, service(STABLE))?;
            self.cluster.create(What::Service, service(CANARY))?;
            self.cluster.create(What::Service, service("other"))?;
            self.cluster.create(What::Route, self.scenario.route())?;
        }
        if let Some(judging) = &self.scenario.judging {
            self.cluster.create(What::Template, judging.template.clone())?;
        }
        if self.scenario.hazards.neighbour {
            self.cluster.create(What::Service, service_of(neighbour::ROLLOUT, neighbour::STABLE))?;
            self.cluster.create(What::Service, service_of(neighbour::ROLLOUT, neighbour::CANARY))?;
            self.cluster.create(What::Rollout, hazards::rollout())?;
        }
        self.cluster.create(What::Rollout, self.scenario.rollout())
    }

    fn now(&self) -> Timestamp {
        self.cluster.store.clock().now()
    }

    fn status(&self, pointer: &str) -> String {
        let rollout = self.cluster.get(What::Rollout, crate::cluster::ROLLOUT).ok().flatten().unwrap_or_default();
        rollout.pointer(pointer).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
    }

    fn phase(&self) -> String {
        self.status("/status/phase")
    }

    fn is_last(&self) -> bool {
        let rollout = self.cluster.get(What::Rollout, crate::cluster::ROLLOUT).ok().flatten().unwrap_or_default();
        let number = rollout.pointer("/metadata/generation").and_then(serde_json::Value::as_i64).unwrap_or_default();
        self.status("/status/observedGeneration") == number.to_string()
            && self.status("/status/stableRS") == self.status("/status/currentPodHash")
    }

    /// The second Rollout, if there is one, has nothing left to promote.
    fn neighbour_is_done(&self) -> bool {
        let rollout = self.cluster.get(What::Rollout, neighbour::ROLLOUT).ok().flatten();
        rollout.is_none_or(|rollout| {
            rollout.pointer("/status/phase").and_then(serde_json::Value::as_str) == Some("Healthy")
        })
    }

    fn unserved(&self) -> u64 {
        self.tallies.all().get(&format!("{}/{ROUTE}", crate::cluster::NAMESPACE)).map_or(0, |tally| tally.unserved)
    }

    fn go_wrong(&mut self, wrong: bool) {
        let rates = match (wrong, self.scenario.faults) {
            (true, true) => Rates { crash: if self.scenario.crashes { CRASHES } else { 0 }, ..RATES },
            (true, false) => Rates { crash: if self.scenario.crashes { CRASHES } else { 0 }, ..Rates::NONE },
            (false, _) => Rates::NONE,
        };
        *self.rates.lock().unwrap_or_else(PoisonError::into_inner) = rates;
        self.world.gauge.wrong.store(wrong, Ordering::Relaxed);
        if !wrong {
            self.log.line("from here on nothing goes wrong");
            self.world.sink.away.store(false, Ordering::Relaxed);
        }
    }

    /// A life that has ended is followed by another after a while.
    fn keep_alive(&mut self) -> Result<()> {
        for index in 0..self.lives.len() {
            let alive = self.lives.get(index).and_then(Option::as_ref).is_some_and(|life| !life.is_dead());
            // The next life begins as soon as a restart takes, seconds.
            let begins = self.births == 0 || self.dice.u32(0..20) == 0;
            if alive || !begins {
                continue;
            }
            self.births += 1;
            let name = format!("kulta-{}", self.births);
            self.log.line(&format!("{name} begins"));
            let seed = self.dice.u64(..);
            let trouble =
                Trouble::new(name.clone(), seed, Arc::clone(&self.rates), Arc::clone(&self.counts), self.log.clone());
            let life = Incarnation::begin(&self.world, &name, trouble)?;
            if let Some(place) = self.lives.get_mut(index) {
                *place = Some(life);
            }
        }
        Ok(())
    }

    /// A moment passes.
    async fn turn(&mut self) -> Result<()> {
        tokio::time::sleep(LOOK).await;
        let injected = self.counts.injected.load(Ordering::Relaxed);
        let happened = (injected, self.births, self.world.sink.count());
        if happened != self.happened {
            self.happened = happened;
            self.witness.disturb();
        }
        self.witness.look();
        self.keep_alive()
    }

    async fn pass(&mut self, time: SignedDuration) -> Result<()> {
        let end = self.now().checked_add(time).unwrap_or(Timestamp::MAX);
        while self.now() < end && !self.witness.is_over() {
            self.turn().await?;
        }
        Ok(())
    }

    async fn until(&mut self, limit: SignedDuration, done: impl Fn(&Self) -> bool) -> Result<()> {
        let end = self.now().checked_add(limit).unwrap_or(Timestamp::MAX);
        while !done(self) && self.now() < end && !self.witness.is_over() {
            self.turn().await?;
        }
        Ok(())
    }

    /// A user promotes until the last version is out.
    async fn press_on(&mut self) -> Result<()> {
        let begun = self.now();
        let mut pressed = begun;
        let mut at_this_step = (String::new(), 0);
        while self.phase() != "Healthy" || !self.is_last() || !self.neighbour_is_done() {
            if self.now().duration_since(begun) > PATIENCE || self.witness.is_over() {
                break;
            }
            if self.now().duration_since(pressed) >= PRESS_ON {
                pressed = self.now();
                if self.people.press_on()? {
                    let place = self.place();
                    at_this_step = if at_this_step.0 == place { (place, at_this_step.1 + 1) } else { (place, 1) };
                }
                let (place, promotes) = &at_this_step;
                if *promotes > PROMOTES_AT_A_STEP {
                    let stuck =
                        format!("a user has promoted {promotes} times, and the rollout is still paused at {place}");
                    self.witness.violations.push(stuck);
                }
            }
            self.turn().await?;
        }
        Ok(())
    }

    /// The revision and the step at which the rollout is.
    fn place(&self) -> String {
        let rollout = self.cluster.get(What::Rollout, crate::cluster::ROLLOUT).ok().flatten().unwrap_or_default();
        let index = rollout.pointer("/status/currentStepIndex").and_then(serde_json::Value::as_i64);
        let index = index.map_or_else(|| "no step".to_owned(), |index| format!("step {index}"));
        format!("{index} of revision {}", self.status("/status/currentPodHash"))
    }

    /// Waits until nothing is written any more.
    async fn rest(&mut self) -> Result<()> {
        let end = self.now().checked_add(PATIENCE).unwrap_or(Timestamp::MAX);
        let begun = self.now();
        while self.now().duration_since(self.witness.last_write.max(begun)) < QUIET {
            if self.witness.is_over() {
                return Ok(());
            }
            if self.now() > end {
                self.witness.violations.push("the controller never came to rest".to_owned());
                return Ok(());
            }
            self.turn().await?;
        }
        Ok(())
    }
}

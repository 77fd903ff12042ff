//! The story while it is told: look, act, show, again.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use kulta_embedded::metrics::traffic::Tally;
use tokio::time::{Instant, MissedTickBehavior};

use super::app::{ROLLOUT, ROUTE};
use super::cluster::Cluster;
use super::frame::Frame;
use super::observe::{self, Seen};
use super::person::Person;
use super::script::{Act, Script};
use super::speed::Speed;
use super::summary::{self, Summary};
use super::traffic::{self, Dashboard, Traffic};
use super::{Interrupts, Screen};

/// How often the picture is drawn: smooth enough for bars and dots.
const TICK: Duration = Duration::from_millis(100);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Told,
    Interrupted,
}

pub struct Tale {
    begun: Instant,
    speed: Speed,
    cluster: Cluster,
    person: Person,
    dashboard: Dashboard,
    script: Script,
    seen: Seen,
    traffic: Traffic,
    measured: Option<Instant>,
    doings: Vec<String>,
    /// What had become of requests when the application opened: nobody can be served by what is not there yet.
    opened: Option<Tally>,
}

impl Tale {
    /// # Errors
    /// When the cluster's servers cannot be started.
    pub async fn begin(speed: Speed) -> Result<Self> {
        let begun = Instant::now();
        let cluster = Cluster::start(speed).await?;
        Ok(Self {
            begun,
            speed,
            person: Person::new(cluster.address)?,
            dashboard: Dashboard::new(cluster.prometheus, speed)?,
            cluster,
            script: Script::new(speed),
            seen: Seen::default(),
            traffic: Traffic::default(),
            measured: None,
            doings: Vec::new(),
            opened: None,
        })
    }

    /// Tells it to its end, or until somebody interrupts.
    ///
    /// # Errors
    /// When it does not go as it has to.
    pub async fn tell(&mut self, screen: &mut Screen, interrupts: &mut Interrupts) -> Result<Ended> {
        self.show(screen)?;
        self.person.prepare(self.cluster.controller_name()).await?;
        self.cluster.control()?;
        let mut ticks = tokio::time::interval(TICK.min(traffic::interval(self.speed)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = interrupts.next() => return Ok(Ended::Interrupted),
                _ = ticks.tick() => {}
            }
            if screen.wants_to_stop() {
                return Ok(Ended::Interrupted);
            }
            self.cluster.check()?;
            self.look().await?;
            let act = self.script.look(self.begun.elapsed(), &self.seen)?;
            if self.opened.is_none() && self.script.is_open() {
                self.opened = Some(self.cluster.requests());
            }
            if let Some(act) = act {
                self.carry_out(act).await?;
            }
            if let Err(error) = self.show(screen) {
                // A terminal that was closed in between is no failure of the story.
                return if screen.wants_to_stop() { Ok(Ended::Interrupted) } else { Err(error) };
            }
            if self.script.is_over() {
                return Ok(Ended::Told);
            }
        }
    }

    async fn look(&mut self) -> Result<()> {
        let rollout = self.cluster.get("argoproj.io/v1alpha1", "Rollout", ROLLOUT);
        let route = self.cluster.get("gateway.networking.k8s.io/v1", "HTTPRoute", ROUTE);
        let replica_sets = self.cluster.list("apps/v1", "ReplicaSet");
        self.seen = observe::look(rollout.as_deref(), route.as_deref(), &replica_sets);
        let interval = traffic::interval(self.speed);
        if self.measured.is_none_or(|last| last.elapsed() >= interval) {
            self.measured = Some(Instant::now());
            self.traffic.add(self.dashboard.measure().await?);
        }
        Ok(())
    }

    async fn carry_out(&mut self, act: Act) -> Result<()> {
        match act {
            Act::Deploy(version) => {
                self.person.deploy(version, self.speed).await?;
                self.doings.push(format!("a person deploys {}", version.tag()));
            }
            Act::TakenBack { version, why } => self.doings.push(format!("KULTA takes {} back: {why}", version.tag())),
        }
        Ok(())
    }

    fn show(&self, screen: &mut Screen) -> Result<()> {
        screen.show(&Frame {
            at: self.begun.elapsed(),
            speed: self.speed,
            title: self.script.title(),
            doings: &self.doings,
            seen: &self.seen,
            traffic: &self.traffic,
            events: &self.cluster.events.all(),
            requests: self.requests(),
            writes: self.cluster.writes.others(),
            kube_events: self.cluster.writes.events(),
        })
    }

    /// Since the application opened.
    fn requests(&self) -> Tally {
        let Some(opened) = self.opened else { return Tally::default() };
        let now = self.cluster.requests();
        Tally {
            succeeded: now.succeeded.saturating_sub(opened.succeeded),
            failed: now.failed.saturating_sub(opened.failed),
            unserved: now.unserved.saturating_sub(opened.unserved),
        }
    }

    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary {
            took: self.begun.elapsed(),
            doings: self.doings.clone(),
            requests: self.requests(),
            writes: self.cluster.writes.others(),
            kube_events: self.cluster.writes.events(),
            events: self.cluster.events.all().len(),
            peak_memory: summary::peak_memory(),
        }
    }

    /// Of the API server.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.cluster.address
    }

    /// Of the Prometheus API.
    #[must_use]
    pub const fn prometheus(&self) -> SocketAddr {
        self.cluster.prometheus
    }
}

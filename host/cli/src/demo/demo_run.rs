//! One run of the demo: observe, act, show, repeat.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use kulta_embedded::metrics::traffic::Tally;
use tokio::time::{Instant, MissedTickBehavior};

use super::app::{ROLLOUT, ROUTE};
use super::cluster::Cluster;
use super::frame::Frame;
use super::observe::{self, Observation};
use super::script::{Action, Script};
use super::speed::Speed;
use super::summary::{self, Summary};
use super::traffic::{self, Dashboard, Traffic};
use super::user::User;
use super::{Interrupts, Screen};

/// How often the picture is drawn: often enough for smooth bars and dots.
const TICK: Duration = Duration::from_millis(100);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Finished,
    Interrupted,
}

pub struct DemoRun {
    begun: Instant,
    speed: Speed,
    cluster: Cluster,
    user: User,
    dashboard: Dashboard,
    script: Script,
    seen: Observation,
    traffic: Traffic,
    measured: Option<Instant>,
    actions: Vec<String>,
    /// Results of the requests before the application was open; these do not count as unserved.
    opened: Option<Tally>,
}

impl DemoRun {
    /// # Errors
    /// If the cluster's servers cannot be started.
    pub async fn begin(speed: Speed) -> Result<Self> {
        let begun = Instant::now();
        let cluster = Cluster::start(speed).await?;
        Ok(Self {
            begun,
            speed,
            user: User::new(cluster.address)?,
            dashboard: Dashboard::new(cluster.prometheus, speed)?,
            cluster,
            script: Script::new(speed),
            seen: Observation::default(),
            traffic: Traffic::default(),
            measured: None,
            actions: Vec::new(),
            opened: None,
        })
    }

    /// Runs the demo to its end, or until the user interrupts it.
    ///
    /// # Errors
    /// If the demo does not run as planned.
    pub async fn run_to_end(&mut self, screen: &mut Screen, interrupts: &mut Interrupts) -> Result<Ended> {
        self.show(screen)?;
        self.user.prepare(self.cluster.controller_name()).await?;
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
            self.observe().await?;
            let act = self.script.advance(self.begun.elapsed(), &self.seen)?;
            if self.opened.is_none() && self.script.is_open() {
                self.opened = Some(self.cluster.requests());
            }
            if let Some(act) = act {
                self.carry_out(act).await?;
            }
            if let Err(error) = self.show(screen) {
                // A terminal that was closed meanwhile is not a failure of the demo.
                return if screen.wants_to_stop() { Ok(Ended::Interrupted) } else { Err(error) };
            }
            if self.script.is_over() {
                return Ok(Ended::Finished);
            }
        }
    }

    async fn observe(&mut self) -> Result<()> {
        let rollout = self.cluster.get("argoproj.io/v1alpha1", "Rollout", ROLLOUT);
        let route = self.cluster.get("gateway.networking.k8s.io/v1", "HTTPRoute", ROUTE);
        let replica_sets = self.cluster.list("apps/v1", "ReplicaSet");
        self.seen = observe::observe(rollout.as_deref(), route.as_deref(), &replica_sets);
        let interval = traffic::interval(self.speed);
        if self.measured.is_none_or(|last| last.elapsed() >= interval) {
            self.measured = Some(Instant::now());
            self.traffic.add(self.dashboard.measure().await?);
        }
        Ok(())
    }

    async fn carry_out(&mut self, act: Action) -> Result<()> {
        match act {
            Action::Deploy(version) => {
                self.user.deploy(version, self.speed).await?;
                self.actions.push(format!("a user deploys {}", version.tag()));
            }
            Action::RolledBack { version, why } => {
                self.actions.push(format!("KULTA rolls {} back: {why}", version.tag()))
            }
        }
        Ok(())
    }

    fn show(&self, screen: &mut Screen) -> Result<()> {
        screen.show(&Frame {
            at: self.begun.elapsed(),
            speed: self.speed,
            title: self.script.title(),
            actions: &self.actions,
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
            actions: self.actions.clone(),
            requests: self.requests(),
            writes: self.cluster.writes.others(),
            kube_events: self.cluster.writes.events(),
            events: self.cluster.events.all().len(),
            peak_memory: summary::peak_memory(),
        }
    }

    /// Address of the API server.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.cluster.address
    }

    /// Address of the Prometheus API.
    #[must_use]
    pub const fn prometheus(&self) -> SocketAddr {
        self.cluster.prometheus
    }
}

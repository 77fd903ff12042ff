//! One controller at a time, by a Lease under Argo Rollouts' own name: a forgotten Argo and KULTA exclude each other.
//! Whether a holder is gone is judged by when this process last observed a change of its renewal, never by comparing clocks of two machines.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::{Api, PostParams};
use kube::{Client, Error};
use tokio::time::Instant;
use tracing::Level;

use crate::api_error::{ApiErrorClass, error_message};
use crate::clock::Clock;
use crate::waiting::Waiting;

/// Argo Rollouts' name for it.
pub const NAME: &str = "argo-rollouts-controller-lock";
/// As Argo's: a holder that has not renewed for this long is gone.
const DURATION: Duration = Duration::from_secs(15);
/// As Argo's: a holder that could not renew for this long stops, well before others take over.
const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// As Argo's.
const RETRY: Duration = Duration::from_secs(2);
/// Somebody else has written to the Lease between the read and the write: it is read again after this.
const CONFLICT_RETRY: Duration = Duration::from_millis(100);
/// Attempts to release the lease: one that somebody keeps writing to expires by itself.
const RELEASE_ATTEMPTS: u32 = 5;

/// Each is shorter than the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseTimes {
    /// A holder that has not renewed for this long is gone.
    pub duration: Duration,
    /// A holder that could not renew for this long stops.
    pub renew_deadline: Duration,
    /// Between two attempts.
    pub retry: Duration,
}

impl Default for LeaseTimes {
    fn default() -> Self {
        Self { duration: DURATION, renew_deadline: RENEW_DEADLINE, retry: RETRY }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    #[error("the lease {NAME:?} could not be renewed for {deadline:?}: {why}")]
    Lost { deadline: Duration, why: String },
    #[error("the lease {NAME:?} is held by {0:?} now")]
    Taken(String),
}

/// What came of one attempt to acquire or renew the lease.
enum Attempt {
    Held,
    HeldBy(String),
    /// The write met a 409, whose cause may be another holder or as little as a new annotation.
    Conflict,
}

pub struct Elector {
    api: Api<Lease>,
    namespace: String,
    identity: String,
    times: LeaseTimes,
    clock: Arc<dyn Clock>,
    /// When the last renewal that succeeded was sent. Others may count the lease's duration from that moment on.
    renewed: Instant,
    /// Another's renewal as last observed, and when it was observed to change.
    observed: Option<(String, Option<MicroTime>, Instant)>,
    waiting: Arc<Waiting>,
}

impl Elector {
    #[must_use]
    pub fn new(client: Client, namespace: &str, identity: String, clock: Arc<dyn Clock>) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            namespace: namespace.to_owned(),
            identity,
            times: LeaseTimes::default(),
            clock,
            renewed: Instant::now(),
            observed: None,
            waiting: Arc::default(),
        }
    }

    /// With other times than Argo's.
    #[must_use]
    pub fn with_times(self, times: LeaseTimes) -> Self {
        Self { times, ..self }
    }

    /// Reports from now on why the lease is not held yet.
    pub(crate) fn report_to(&mut self, waiting: Arc<Waiting>) {
        self.waiting = waiting;
    }

    /// Waits until this process holds the lease.
    pub async fn acquire(&mut self) {
        loop {
            let retry = match self.attempt().await {
                Ok(Attempt::Held) => {
                    self.waiting.lease_held();
                    tracing::info!(identity = self.identity, "holding the lease {NAME}");
                    return;
                }
                Ok(Attempt::HeldBy(holder)) => {
                    self.wait(format!("{holder:?} holds it"), Level::INFO);
                    self.times.retry
                }
                Ok(Attempt::Conflict) => CONFLICT_RETRY,
                Err(error) => {
                    self.wait(refusal(&error), Level::WARN);
                    self.times.retry
                }
            };
            tokio::time::sleep(retry).await;
        }
    }

    /// Each reason is logged once: an attempt follows every few seconds.
    fn wait(&self, why: String, level: Level) {
        let reason = format!("waiting for the lease {NAME} in namespace {}: {why}", self.namespace);
        if self.waiting.lease(&reason) {
            match level {
                Level::WARN => tracing::warn!("{reason}"),
                _ => tracing::info!("{reason}"),
            }
        }
    }

    /// Renews until it cannot any more.
    ///
    /// # Errors
    /// Always, when it returns: why the lease is lost. The process must end then.
    pub async fn keep(&mut self) -> LeaseError {
        let LeaseTimes { renew_deadline: deadline, retry: usual, .. } = self.times;
        let mut retry = usual;
        loop {
            tokio::time::sleep(retry).await;
            retry = usual;
            let left = deadline.saturating_sub(self.renewed.elapsed());
            let why = match tokio::time::timeout(left, self.attempt()).await {
                Ok(Ok(Attempt::Held)) => continue,
                Ok(Ok(Attempt::HeldBy(holder))) => return LeaseError::Taken(holder),
                Ok(Ok(Attempt::Conflict)) => {
                    retry = CONFLICT_RETRY;
                    "each time somebody else had changed it meanwhile".to_owned()
                }
                Ok(Err(error)) => error_message(&error),
                Err(_) => "no answer from the API server".to_owned(),
            };
            if self.renewed.elapsed() >= deadline {
                return LeaseError::Lost { deadline, why };
            }
            if retry == usual {
                tracing::warn!("renew the lease {NAME}: {why}");
            }
        }
    }

    /// Releases the lease, so that the next one need not wait for it to run out.
    pub async fn release(&self) {
        for _ in 0..RELEASE_ATTEMPTS {
            match self.try_release().await {
                Err(error) if ApiErrorClass::of(&error) == ApiErrorClass::Conflict => {
                    tokio::time::sleep(CONFLICT_RETRY).await
                }
                Err(error) => return tracing::warn!("release the lease {NAME}: {}", error_message(&error)),
                Ok(()) => return,
            }
        }
        tracing::warn!(
            "release the lease {NAME}: each of {RELEASE_ATTEMPTS} times somebody else had changed it meanwhile"
        );
    }

    async fn try_release(&self) -> Result<(), Error> {
        let Some(mut lease) = self.api.get_opt(NAME).await? else { return Ok(()) };
        let ours = lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref()) == Some(&self.identity);
        if ours {
            if let Some(spec) = &mut lease.spec {
                spec.holder_identity = None;
                spec.lease_duration_seconds = Some(1);
            }
            self.api.replace(NAME, &PostParams::default(), &lease).await?;
        }
        Ok(())
    }

    /// Acquires or renews the lease if it is free or its own.
    async fn attempt(&mut self) -> Result<Attempt, Error> {
        let sent = Instant::now();
        let now = MicroTime(self.clock.now());
        let Some(lease) = self.api.get_opt(NAME).await? else {
            let spec = LeaseSpec { acquire_time: Some(now.clone()), lease_transitions: Some(0), ..self.held(now) };
            let metadata = ObjectMeta { name: Some(NAME.to_owned()), ..ObjectMeta::default() };
            let lease = Lease { metadata, spec: Some(spec) };
            let created = self.api.create(&PostParams::default(), &lease).await;
            return self.wrote(created, sent);
        };
        let spec = lease.spec.clone().unwrap_or_default();
        let holder = spec.holder_identity.clone().unwrap_or_default();
        let ours = holder == self.identity;
        if !ours && !holder.is_empty() && !self.run_out(&holder, &spec) {
            return Ok(Attempt::HeldBy(holder));
        }
        let mut next = LeaseSpec {
            acquire_time: spec.acquire_time,
            lease_transitions: spec.lease_transitions,
            ..self.held(now.clone())
        };
        if !ours {
            next.acquire_time = Some(now);
            next.lease_transitions = Some(spec.lease_transitions.unwrap_or(0).saturating_add(1));
        }
        let lease = Lease { spec: Some(next), ..lease };
        let replaced = self.api.replace(NAME, &PostParams::default(), &lease).await;
        self.wrote(replaced, sent)
    }

    fn wrote(&mut self, result: Result<Lease, Error>, sent: Instant) -> Result<Attempt, Error> {
        match result {
            Ok(_) => {
                self.renewed = sent;
                Ok(Attempt::Held)
            }
            Err(error) if ApiErrorClass::of(&error) == ApiErrorClass::Conflict => Ok(Attempt::Conflict),
            Err(error) => Err(error),
        }
    }

    fn held(&self, now: MicroTime) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            // Whole seconds in the API: rounded up, so that nobody takes over early.
            lease_duration_seconds: i32::try_from(self.times.duration.as_millis().div_ceil(1_000)).ok(),
            renew_time: Some(now),
            ..LeaseSpec::default()
        }
    }

    /// The holder's renewal has not changed for the lease's duration, as this process's own clock counts. The holder may have been given
    /// a longer duration than this process.
    fn run_out(&mut self, holder: &str, spec: &LeaseSpec) -> bool {
        let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        let duration = self.times.duration.max(Duration::from_secs(seconds.unwrap_or_default()));
        match &self.observed {
            Some((other, at, since)) if other == holder && *at == spec.renew_time => since.elapsed() >= duration,
            _ => {
                self.observed = Some((holder.to_owned(), spec.renew_time.clone(), Instant::now()));
                false
            }
        }
    }
}

/// Why the API server does not let this process have the lease, with what a user can do.
fn refusal(error: &Error) -> String {
    let message = error_message(error);
    match ApiErrorClass::of(error) {
        ApiErrorClass::Forbidden => format!(
            "{message}; give the controller get, create and update of leases there, as deploy/rbac.yaml does, or start it with \
             --leader-elect=false if it is the only one"
        ),
        ApiErrorClass::Gone => format!("{message}; does the namespace exist?"),
        _ => message,
    }
}

#[cfg(test)]
#[path = "lease_tests.rs"]
mod tests;

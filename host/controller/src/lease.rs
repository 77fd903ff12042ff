//! One controller at a time, by a Lease under Argo Rollouts' own name: a forgotten Argo and KULTA exclude each other.
//! Whether a holder is gone is judged by when this process last observed a change of its renewal, never by comparing clocks of two machines.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::{Api, PostParams};
use kube::{Client, Error};
use tokio::time::Instant;

use crate::api_error::{ApiErrorClass, error_message};
use crate::clock::Clock;

/// Argo Rollouts' name for it.
pub const NAME: &str = "argo-rollouts-controller-lock";
/// As Argo's: a holder that has not renewed for this long is gone.
const DURATION: Duration = Duration::from_secs(15);
/// A holder that could not renew for this long stops, well before others take over.
const RENEW_DEADLINE: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_secs(2);
/// Somebody else has written to the Lease between the read and the write: it is read again after this.
const CONFLICT_RETRY: Duration = Duration::from_millis(100);
/// Attempts to release the lease: one that somebody keeps writing to expires by itself.
const RELEASE_ATTEMPTS: u32 = 5;

#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    #[error("the lease {NAME:?} could not be renewed for {RENEW_DEADLINE:?}: {0}")]
    Lost(String),
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
    identity: String,
    clock: Arc<dyn Clock>,
    /// When the last renewal that succeeded was sent. Others may count the lease's duration from that moment on.
    renewed: Instant,
    /// Another's renewal as last observed, and when it was observed to change.
    observed: Option<(String, Option<MicroTime>, Instant)>,
}

impl Elector {
    #[must_use]
    pub fn new(client: Client, namespace: &str, identity: String, clock: Arc<dyn Clock>) -> Self {
        Self { api: Api::namespaced(client, namespace), identity, clock, renewed: Instant::now(), observed: None }
    }

    /// Waits until this process holds the lease.
    pub async fn acquire(&mut self) {
        loop {
            let retry = match self.attempt().await {
                Ok(Attempt::Held) => {
                    tracing::info!(identity = self.identity, "holding the lease {NAME}");
                    return;
                }
                Ok(Attempt::HeldBy(_)) => RETRY,
                Ok(Attempt::Conflict) => CONFLICT_RETRY,
                Err(error) => {
                    tracing::warn!("acquire the lease {NAME}: {}", error_message(&error));
                    RETRY
                }
            };
            tokio::time::sleep(retry).await;
        }
    }

    /// Renews until it cannot any more.
    ///
    /// # Errors
    /// Always, when it returns: why the lease is lost. The process must end then.
    pub async fn keep(&mut self) -> LeaseError {
        let mut retry = RETRY;
        loop {
            tokio::time::sleep(retry).await;
            retry = RETRY;
            let left = RENEW_DEADLINE.saturating_sub(self.renewed.elapsed());
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
            if self.renewed.elapsed() >= RENEW_DEADLINE {
                return LeaseError::Lost(why);
            }
            if retry == RETRY {
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
        if !ours && !holder.is_empty() && !self.run_out(&holder, spec.renew_time.clone()) {
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
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            renew_time: Some(now),
            ..LeaseSpec::default()
        }
    }

    /// The holder's renewal has not changed for the lease's duration, as this process's own clock counts.
    fn run_out(&mut self, holder: &str, renewed: Option<MicroTime>) -> bool {
        match &self.observed {
            Some((other, at, since)) if other == holder && *at == renewed => since.elapsed() >= DURATION,
            _ => {
                self.observed = Some((holder.to_owned(), renewed, Instant::now()));
                false
            }
        }
    }
}

#[cfg(test)]
#[path = "lease_tests.rs"]
mod tests;

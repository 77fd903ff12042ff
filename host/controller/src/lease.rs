//! One controller at a time, by Lease. Whether another's lease has expired is judged from when its renewal was last seen to change on this
//! machine's own steady clock: the clocks of two machines are never compared.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::Client;
use kube::api::{GetParams, PostParams};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::clock::Clock;
use crate::kinds::{Kind, MANAGER};
use crate::requests::{RequestError, send};

/// Argo's own, so that a forgotten Argo Rollouts in the same namespace and KULTA exclude each other.
pub const LEASE_NAME: &str = "argo-rollouts-controller-lock";
/// How long a holder that falls silent keeps the lease, as Argo has it.
const LEASE_DURATION: Duration = Duration::from_secs(15);
/// A holder that could not renew for so long must stop before others may begin.
const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// Between two looks.
const RETRY_PERIOD: Duration = Duration::from_secs(2);

#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    #[error("read lease {namespace}/{LEASE_NAME}")]
    Read { namespace: String, source: RequestError },
    #[error("write lease {namespace}/{LEASE_NAME}")]
    Write { namespace: String, source: RequestError },
    #[error("the lease could not be renewed within {RENEW_DEADLINE:?}")]
    Lost,
}

/// What was last seen of the lease, and when that was news.
#[derive(Debug)]
struct Seen {
    holder: String,
    renewed: String,
    at: Instant,
}

pub struct Lease {
    client: Client,
    namespace: String,
    /// This process; no other has the same.
    identity: String,
    clock: Arc<dyn Clock>,
    seen: Option<Seen>,
}

impl Lease {
    #[must_use]
    pub fn new(client: Client, namespace: String, identity: String, clock: Arc<dyn Clock>) -> Self {
        Self { client, namespace, identity, clock, seen: None }
    }

    /// Waits until this process holds the lease.
    pub async fn acquire(&mut self) {
        let mut told = false;
        loop {
            match self.try_hold().await {
                Ok(true) => {
                    tracing::info!(identity = self.identity, "this process leads");
                    return;
                }
                Ok(false) if !told => {
                    let holder = self.seen.as_ref().map(|seen| seen.holder.as_str()).unwrap_or_default();
                    tracing::info!(holder, "another process leads; waiting");
                    told = true;
                }
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "take the lease"),
            }
            self.clock.sleep(RETRY_PERIOD).await;
        }
    }

    /// Keeps the lease; returns when it is lost.
    pub async fn keep(&mut self) -> LeaseError {
        let mut renewed = self.clock.monotonic();
        loop {
            self.clock.sleep(RETRY_PERIOD).await;
            let left = RENEW_DEADLINE.saturating_sub(self.clock.monotonic() - renewed);
            match tokio::time::timeout(left, self.try_hold()).await {
                Ok(Ok(true)) => renewed = self.clock.monotonic(),
                Ok(Ok(false)) => return LeaseError::Lost,
                Ok(Err(error)) => tracing::warn!(%error, "renew the lease"),
                Err(_) => {}
            }
            if self.clock.monotonic() - renewed >= RENEW_DEADLINE {
                return LeaseError::Lost;
            }
        }
    }

    /// Gives the lease back, so that the next process need not wait for it to expire.
    ///
    /// # Errors
    /// When the API server cannot be asked; the lease then expires by itself.
    pub async fn release(&self) -> Result<(), LeaseError> {
        let Some(lease) = self.read().await? else { return Ok(()) };
        if text(&lease, "holderIdentity") != self.identity {
            return Ok(());
        }
        let mut spec = self.spec(&lease);
        // client-go's way: nobody holds it, and it expires within a second.
        json_patch::merge(&mut spec, &json!({ "holderIdentity": "", "leaseDurationSeconds": 1 }));
        self.replace(lease, spec).await.map(drop)
    }

    /// Takes or renews the lease if that is this process's right; tells whether it holds it now.
    async fn try_hold(&mut self) -> Result<bool, LeaseError> {
        let Some(lease) = self.read().await? else { return self.create().await };
        let holder = text(&lease, "holderIdentity").to_owned();
        let renewed = text(&lease, "renewTime").to_owned();
        let now = self.clock.monotonic();
        if self.seen.as_ref().is_none_or(|seen| seen.holder != holder || seen.renewed != renewed) {
            self.seen = Some(Seen { holder: holder.clone(), renewed, at: now });
        }
        let seconds = lease.pointer("/spec/leaseDurationSeconds").and_then(Value::as_u64);
        let lasts = seconds.map_or(LEASE_DURATION, Duration::from_secs);
        let expired = self.seen.as_ref().is_some_and(|seen| now - seen.at >= lasts);
        if holder != self.identity && !holder.is_empty() && !expired {
            return Ok(false);
        }
        let spec = self.spec(&lease);
        self.replace(lease, spec).await
    }

    async fn read(&self) -> Result<Option<Value>, LeaseError> {
        let wrap = |source| LeaseError::Read { namespace: self.namespace.clone(), source };
        let request = Kind::Lease.request(&self.namespace).get(LEASE_NAME, &GetParams::default());
        match send(&self.client, request.map_err(|error| wrap(error.into()))?).await {
            Ok(lease) => Ok(Some(lease)),
            Err(error) if error.code() == 404 => Ok(None),
            Err(source) => Err(wrap(source)),
        }
    }

    /// The spec under which this process holds the lease.
    fn spec(&self, lease: &Value) -> Value {
        let now = micro_time(self.clock.now());
        let held = text(lease, "holderIdentity") == self.identity;
        let transitions = lease.pointer("/spec/leaseTransitions").and_then(Value::as_i64).unwrap_or(0);
        json!({
            "holderIdentity": self.identity,
            "leaseDurationSeconds": LEASE_DURATION.as_secs(),
            "acquireTime": if held { text(lease, "acquireTime").to_owned() } else { now.clone() },
            "renewTime": now,
            "leaseTransitions": if held { transitions } else { transitions.saturating_add(1) },
        })
    }

    async fn create(&mut self) -> Result<bool, LeaseError> {
        let mut spec = self.spec(&Value::Null);
        json_patch::merge(&mut spec, &json!({ "leaseTransitions": 0 }));
        let body = json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": { "name": LEASE_NAME, "namespace": self.namespace }, "spec": spec,
        });
        let request = Kind::Lease.request(&self.namespace).create(&parameters(), body.to_string().into_bytes());
        self.written(request).await
    }

    /// Writes the lease as long as nobody else has since it was read.
    async fn replace(&self, mut lease: Value, spec: Value) -> Result<bool, LeaseError> {
        if let Some(lease) = lease.as_object_mut() {
            lease.insert("spec".to_owned(), spec);
        }
        let body = lease.to_string().into_bytes();
        self.written(Kind::Lease.request(&self.namespace).replace(LEASE_NAME, &parameters(), body)).await
    }

    async fn written(
        &self,
        request: Result<http::Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<bool, LeaseError> {
        let wrap = |source| LeaseError::Write { namespace: self.namespace.clone(), source };
        match send::<Value>(&self.client, request.map_err(|error| wrap(error.into()))?).await {
            Ok(_) => Ok(true),
            // Somebody was faster.
            Err(error) if error.code() == 409 => Ok(false),
            Err(source) => Err(wrap(source)),
        }
    }
}

fn parameters() -> PostParams {
    PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() }
}

fn text<'a>(lease: &'a Value, field: &str) -> &'a str {
    lease.get("spec").and_then(|spec| spec.get(field)).and_then(Value::as_str).unwrap_or_default()
}

/// As the API server writes it: microseconds.
fn micro_time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

#[cfg(test)]
#[path = "lease_tests.rs"]
mod tests;

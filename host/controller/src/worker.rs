//! The worker that every kind's reconciler runs in.

use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use tokio::time::Instant;

use crate::key::Key;
use crate::kinds::Kind;
use crate::metrics::{Metrics, Reconciled};
use crate::queue::{Outcome, Queue};

/// Brings one object towards what its spec asks for.
pub trait Reconciler: Send + Sync + 'static {
    const KIND: Kind;

    fn reconcile(&self, key: &Key) -> impl Future<Output = Outcome> + Send;
}

/// Reconciles one key after the other until the queue is closed. A panic fails the reconciliation of that key, and ends neither the worker
/// nor the others.
pub async fn work<R: Reconciler>(reconciler: &R, queue: &Queue, metrics: &Metrics) {
    while let Some(key) = queue.next().await {
        let began = Instant::now();
        let reconciled = AssertUnwindSafe(reconciler.reconcile(&key)).catch_unwind().await;
        let (outcome, result) = match reconciled {
            Ok(outcome @ Outcome::Done { .. }) => (outcome, Reconciled::Done),
            Ok(outcome @ Outcome::Failed { .. }) => (outcome, Reconciled::Failed),
            Err(_) => {
                tracing::error!(kind = R::KIND.as_str(), object = %key, "a reconciliation panicked");
                (Outcome::RETRY, Reconciled::Panicked)
            }
        };
        metrics.reconciled(R::KIND, began.elapsed().as_secs_f64(), result);
        queue.finish(&key, outcome);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use jiff::Timestamp;

    use super::*;
    use crate::backoff::Backoff;
    use crate::clock::VirtualClock;

    /// Panics at each object called `broken`.
    #[derive(Default)]
    struct Fragile {
        reconciled: Mutex<Vec<String>>,
    }

    impl Reconciler for Fragile {
        const KIND: Kind = Kind::Rollout;

        async fn reconcile(&self, key: &Key) -> Outcome {
            self.reconciled.lock().unwrap().push(key.name.clone());
            assert_ne!(key.name, "broken");
            Outcome::DONE
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_at_one_object_is_counted_and_ends_neither_the_worker_nor_the_retries() {
        let clock = Arc::new(VirtualClock::start(Timestamp::UNIX_EPOCH));
        let (queue, metrics) = (Queue::new(clock, Backoff::RECONCILIATION, fastrand::f64), Metrics::default());
        let fragile = Fragile::default();
        queue.add(Key::new("ns", "broken"));
        queue.add(Key::new("ns", "web"));

        let worked = tokio::time::timeout(Duration::from_millis(60), work(&fragile, &queue, &metrics)).await;

        assert!(worked.is_err(), "it goes on until the queue is closed");
        assert_eq!(*fragile.reconciled.lock().unwrap(), ["broken", "web", "broken"]);
        let text = metrics.text(0, &[]);
        assert!(text.contains(r#"kulta_reconciliations_total{kind="Rollout",result="panicked"} 2"#), "{text}");
        assert!(text.contains("rollout_reconcile_error_total 2"), "{text}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_ends_when_its_queue_is_closed() {
        let clock = Arc::new(VirtualClock::start(Timestamp::UNIX_EPOCH));
        let queue = Queue::new(clock, Backoff::RECONCILIATION, fastrand::f64);
        queue.close();

        work(&Fragile::default(), &queue, &Metrics::default()).await;
    }
}

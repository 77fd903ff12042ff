//! Workers take keys from the queue, one look at a time; a look that panics harms no other.

use std::sync::Arc;

use tokio::task::JoinSet;

use crate::key::Key;
use crate::metrics::Metrics;
use crate::queue::{Outcome, Queue};
use crate::reconcile::Reconciler;

#[must_use]
pub fn start(
    workers: usize,
    queue: &Arc<Queue>,
    reconciler: &Arc<Reconciler>,
    metrics: &Arc<Metrics>,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for _ in 0..workers {
        let (queue, reconciler, metrics) = (queue.clone(), reconciler.clone(), metrics.clone());
        tasks.spawn(async move {
            while let Some(key) = queue.next().await {
                let reconciler = reconciler.clone();
                let outcome = serve(&key, &metrics, move |key| async move {
                    reconciler.reconcile(&key).await.map_err(|error| chain(&error))
                });
                queue.finish(&key, outcome.await);
            }
        });
    }
    tasks
}

/// One look in a task of its own, which is where a panic ends.
async fn serve<F>(key: &Key, metrics: &Metrics, look: impl FnOnce(Key) -> F) -> Outcome
where
    F: Future<Output = Result<Outcome, String>> + Send + 'static,
{
    let began = tokio::time::Instant::now();
    let mut task = JoinSet::new();
    task.spawn(look(key.clone()));
    let ended = task.join_next().await;
    metrics.pass(began.elapsed());
    match ended {
        Some(Ok(Ok(outcome))) => outcome,
        Some(Ok(Err(error))) => {
            metrics.failed_passes.inc();
            tracing::warn!(rollout = %key, "{error}");
            Outcome::Failed { not_before: None }
        }
        Some(Err(error)) => {
            metrics.panics.inc();
            tracing::error!(rollout = %key, %error, "a look at a rollout panicked");
            Outcome::Failed { not_before: None }
        }
        None => Outcome::Failed { not_before: None },
    }
}

/// The error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(&format!(": {error}"));
        cause = error.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caches::Caches;

    #[tokio::test]
    async fn a_look_that_panics_is_counted_and_tried_again() {
        let metrics = Metrics::default();

        let outcome = serve(&Key::new("ns", "a"), &metrics, |_| async { panic!("oh") }).await;

        assert_eq!(outcome, Outcome::Failed { not_before: None });
        assert!(metrics.text(&Caches::default()).unwrap().contains("rollout_reconcile_panic_total 1"));
    }
}

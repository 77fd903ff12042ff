//! Restarts tasks that die.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::health::{Health, Task, TaskHealth};
use crate::metrics::Metrics;

/// A task that has worked for this long after its last restart has come back.
const STABLE_AFTER: Duration = Duration::from_secs(60);

#[derive(Clone)]
pub struct Supervisor {
    pub metrics: Arc<Metrics>,
    pub health: Arc<Health>,
}

impl Supervisor {
    /// Runs a task until `stop`. A task that panics, or ends before `stop`, has died: it is counted and begins anew after a delay that
    /// grows with each death in a row. If it does not come back, the controller is unhealthy.
    pub async fn keep_running<F, T>(&self, task: Task, stop: &CancellationToken, begin: F)
    where
        F: Fn() -> T,
        T: Future<Output = ()>,
    {
        let health = self.health.register(task);
        loop {
            let ended = attempt(&health, begin()).await;
            if stop.is_cancelled() {
                return;
            }
            let delay = self.died(task, &health, ended);
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(delay) => {}
            }
        }
    }

    /// Runs a task to its end. A task that panics has died: it begins anew as in [`keep_running`](Self::keep_running).
    pub async fn complete<F, T>(&self, task: Task, begin: F)
    where
        F: Fn() -> T,
        T: Future<Output = ()>,
    {
        let health = self.health.register(task);
        while let Ended::Panicked = attempt(&health, begin()).await {
            tokio::time::sleep(self.died(task, &health, Ended::Panicked)).await;
        }
    }

    /// Answers how long to wait before the task begins anew.
    fn died(&self, task: Task, health: &TaskHealth, ended: Ended) -> Duration {
        let deaths = health.died();
        self.metrics.task_restarted(task);
        let how = match ended {
            Ended::Returned => "ended",
            Ended::Panicked => "panicked",
        };
        tracing::error!(task = %task, deaths, "a task {how} and is restarted");
        Backoff::TASK.delay(deaths, fastrand::f64)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Returned,
    Panicked,
}

/// Runs a task once; one that works for some time is healthy again.
async fn attempt(health: &TaskHealth, task: impl Future<Output = ()>) -> Ended {
    let mut task = std::pin::pin!(AssertUnwindSafe(task).catch_unwind());
    let ended = if health.is_recovered() {
        task.await
    } else {
        tokio::select! {
            biased;
            ended = &mut task => ended,
            () = tokio::time::sleep(STABLE_AFTER) => {
                health.recovered();
                task.await
            }
        }
    };
    match ended {
        Ok(()) => Ended::Returned,
        Err(_) => Ended::Panicked,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use kulta_api::RouteKind;

    use super::*;
    use crate::health::DEATHS_UNTIL_UNHEALTHY;
    use crate::kinds::Kind;

    const TASK: Task = Task::Watch(Kind::Route(RouteKind::Http));

    /// A supervisor, and a task that counts how often it begins and dies `deaths` times before it works.
    struct Setting {
        supervisor: Supervisor,
        stop: CancellationToken,
        begun: Arc<AtomicUsize>,
    }

    impl Setting {
        fn new() -> Self {
            let supervisor = Supervisor { metrics: Arc::default(), health: Arc::default() };
            Self { supervisor, stop: CancellationToken::new(), begun: Arc::default() }
        }

        /// `die` is what the task does when it dies.
        fn start(&self, deaths: usize, die: fn()) -> tokio::task::JoinHandle<()> {
            let (supervisor, stop, begun) = (self.supervisor.clone(), self.stop.clone(), Arc::clone(&self.begun));
            tokio::spawn(async move {
                let begin = || async {
                    if begun.fetch_add(1, Ordering::Relaxed) < deaths {
                        return die();
                    }
                    stop.cancelled().await;
                };
                supervisor.keep_running(TASK, &stop, begin).await;
            })
        }

        fn begun(&self) -> usize {
            self.begun.load(Ordering::Relaxed)
        }

        fn restarts(&self) -> String {
            let text = self.supervisor.metrics.text(0, &[]);
            let line = text.lines().find(|line| line.starts_with("kulta_task_restarts_total")).unwrap_or_default();
            line.to_owned()
        }
    }

    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_begins_anew_and_is_counted() {
        let setting = Setting::new();
        setting.start(2, || panic!("broken"));

        tokio::time::sleep(MINUTE).await;

        assert_eq!(setting.begun(), 3);
        assert_eq!(setting.restarts(), r#"kulta_task_restarts_total{task="watch",kind="HTTPRoute"} 2"#);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_ends_before_it_should_begins_anew() {
        let setting = Setting::new();
        setting.start(1, || {});

        tokio::time::sleep(MINUTE).await;

        assert_eq!(setting.begun(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn each_death_in_a_row_doubles_the_delay_before_the_next_begin() {
        let setting = Setting::new();
        setting.start(usize::MAX, || panic!("broken"));

        tokio::time::sleep(Backoff::TASK.longest * 10).await;

        let fewest = 10;
        assert!((fewest..=fewest * 4).contains(&setting.begun()), "{}", setting.begun());
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_does_not_come_back_makes_the_controller_unhealthy() {
        let setting = Setting::new();
        assert_eq!(setting.supervisor.health.failing(), []);
        setting.start(usize::MAX, || panic!("broken"));

        tokio::time::sleep(MINUTE).await;

        assert_eq!(setting.supervisor.health.failing(), [TASK]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_comes_back_makes_the_controller_healthy_again() {
        let setting = Setting::new();
        let deaths = usize::try_from(DEATHS_UNTIL_UNHEALTHY).unwrap();
        setting.start(deaths, || panic!("broken"));
        tokio::time::sleep(MINUTE / 2).await;
        assert_eq!(setting.supervisor.health.failing(), [TASK]);

        tokio::time::sleep(STABLE_AFTER + MINUTE).await;

        assert_eq!(setting.supervisor.health.failing(), []);
    }

    #[tokio::test(start_paused = true)]
    async fn a_few_deaths_do_not_make_the_controller_unhealthy() {
        let setting = Setting::new();
        setting.start(2, || panic!("broken"));

        tokio::time::sleep(MINUTE / 2).await;

        assert_eq!(setting.supervisor.health.failing(), []);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_ends_after_the_stop_is_not_restarted() {
        let setting = Setting::new();
        let running = setting.start(0, || {});
        tokio::task::yield_now().await;

        setting.stop.cancel();
        running.await.unwrap();

        assert_eq!((setting.begun(), setting.restarts()), (1, String::new()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_with_an_end_begins_anew_only_if_it_panics() {
        let setting = Setting::new();
        let begun = &setting.begun;
        let begin = || async {
            assert!(begun.fetch_add(1, Ordering::Relaxed) > 0, "broken at first");
        };

        setting.supervisor.complete(TASK, begin).await;

        assert_eq!(setting.begun(), 2);
    }
}

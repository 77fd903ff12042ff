//! Which of the controller's tasks run.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::kinds::Kind;

/// Deaths in a row, without a time of stable work between them, until a task counts as not coming back. The delays before the
/// fifth death are 4 to 8 seconds together.
pub const DEATHS_UNTIL_UNHEALTHY: u32 = 5;

/// A task that the controller restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Task {
    Watch(Kind),
    /// Watches the Rollout CRD.
    DefinitionWatch,
    /// Begins to watch routes where rollouts name some.
    RouteWatches,
    Reconciler(Kind),
    /// Delivers the CDEvents of one rollout.
    EventDelivery,
    /// Reconciles rollouts whose CDEvents are delivered.
    DeliveryReports,
    /// Posts Kubernetes events.
    EventRecorder,
}

impl Task {
    /// Fit for a metric's label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Watch(_) => "watch",
            Self::DefinitionWatch => "definition-watch",
            Self::RouteWatches => "route-watches",
            Self::Reconciler(_) => "reconciler",
            Self::EventDelivery => "event-delivery",
            Self::DeliveryReports => "delivery-reports",
            Self::EventRecorder => "event-recorder",
        }
    }

    /// The kind of object that it works on, if that is one kind.
    #[must_use]
    pub const fn kind(self) -> Option<Kind> {
        match self {
            Self::Watch(kind) | Self::Reconciler(kind) => Some(kind),
            Self::DefinitionWatch
            | Self::RouteWatches
            | Self::EventDelivery
            | Self::DeliveryReports
            | Self::EventRecorder => None,
        }
    }
}

impl std::fmt::Display for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.kind() {
            Some(kind) => write!(f, "{} of {}", self.label(), kind.as_str()),
            None => f.write_str(self.label()),
        }
    }
}

/// The tasks that have died of late.
#[derive(Debug, Default)]
pub struct Health {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    /// By the number of the supervised task: several tasks may have one name.
    dying: BTreeMap<u64, (Task, u32)>,
}

impl Health {
    #[must_use]
    pub fn register(self: &Arc<Self>, task: Task) -> TaskHealth {
        let mut state = self.state();
        state.next += 1;
        TaskHealth { health: Arc::clone(self), task, number: state.next }
    }

    /// The tasks that die again and again and do not come back; empty if the controller is healthy.
    #[must_use]
    pub fn failing(&self) -> Vec<Task> {
        let state = self.state();
        let failing = state.dying.values().filter(|(_, deaths)| *deaths >= DEATHS_UNTIL_UNHEALTHY);
        let mut tasks: Vec<Task> = failing.map(|(task, _)| *task).collect();
        tasks.sort_unstable();
        tasks.dedup();
        tasks
    }

    /// A panic under the lock leaves at worst one count wrong by one.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One supervised task. It is healthy again when this is dropped: nobody waits for it any more.
#[derive(Debug)]
pub struct TaskHealth {
    health: Arc<Health>,
    task: Task,
    number: u64,
}

impl TaskHealth {
    /// The task has died. Answers how often in a row.
    pub fn died(&self) -> u32 {
        let mut state = self.health.state();
        let (_, deaths) = state.dying.entry(self.number).or_insert((self.task, 0));
        *deaths = deaths.saturating_add(1);
        *deaths
    }

    /// The task has not died since it was healthy last.
    #[must_use]
    pub fn is_recovered(&self) -> bool {
        !self.health.state().dying.contains_key(&self.number)
    }

    /// The task works.
    pub fn recovered(&self) {
        self.health.state().dying.remove(&self.number);
    }
}

impl Drop for TaskHealth {
    fn drop(&mut self) {
        self.recovered();
    }
}

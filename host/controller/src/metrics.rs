//! The controller's own metrics, as Prometheus text. Labels come from closed sets, or are bounded by what the admin deploys.

use std::sync::atomic::AtomicU64;

use kulta_core::plan::EventKind;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::health::Task;
use crate::kinds::Kind;
use crate::kube_events;

/// A plugin call that gave a usable answer.
pub const OK: &str = "ok";
/// Seconds: a reconciliation takes milliseconds; the upper buckets show a slow API server.
const RECONCILIATION_BUCKETS: [f64; 8] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0];
/// Seconds: a decision takes a fraction of a millisecond; the upper ones show a plugin near its limit, or a machine without time for it.
const DECISION_BUCKETS: [f64; 8] = [0.0001, 0.000_25, 0.0005, 0.001, 0.01, 0.1, 1.0, 10.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    kind: &'static str,
    verb: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PluginLabels {
    plugin: String,
    class: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DeliveryLabels {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EventLabels {
    r#type: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PhaseLabels {
    phase: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TaskLabels {
    task: &'static str,
    /// Empty for a task that works on several kinds of objects.
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReconciliationLabels {
    kind: &'static str,
    result: &'static str,
}

/// How a reconciliation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reconciled {
    Done,
    Failed,
    Panicked,
}

impl Reconciled {
    const fn label(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Panicked => "panicked",
        }
    }
}

pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    plugin_calls: Family<PluginLabels, Counter>,
    deliveries: Family<DeliveryLabels, Counter>,
    kubernetes_events_dropped: Family<EventLabels, Counter>,
    phases: Family<PhaseLabels, Gauge>,
    reconciliations: Family<ReconciliationLabels, Counter>,
    task_restarts: Family<TaskLabels, Counter>,
    rollout_reconciliations: Histogram,
    decisions: Histogram,
    errors: Counter,
    depth: Gauge,
    leader: Gauge<i64, std::sync::atomic::AtomicI64>,
    watch_errors: Counter<u64, AtomicU64>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let metrics = Self {
            requests: Family::default(),
            plugin_calls: Family::default(),
            deliveries: Family::default(),
            kubernetes_events_dropped: Family::default(),
            phases: Family::default(),
            reconciliations: Family::default(),
            task_restarts: Family::default(),
            rollout_reconciliations: Histogram::new(RECONCILIATION_BUCKETS),
            decisions: Histogram::new(DECISION_BUCKETS),
            errors: Counter::default(),
            depth: Gauge::default(),
            leader: Gauge::default(),
            watch_errors: Counter::default(),
            registry: Registry::default(),
        };
        registry.register("controller_clientset_k8s_request", "Requests to the API server", metrics.requests.clone());
        registry.register("kulta_plugin_calls", "Calls of plugins by outcome", metrics.plugin_calls.clone());
        registry.register("kulta_events", "CDEvents by what became of them", metrics.deliveries.clone());
        registry.register(
            "kulta_kubernetes_events_dropped",
            "Kubernetes events that were not posted: too many waited, or the API server took them at no attempt",
            metrics.kubernetes_events_dropped.clone(),
        );
        registry.register("rollout_info_phases", "Rollouts by phase", metrics.phases.clone());
        registry.register(
            "rollout_reconcile_seconds",
            "Time of one reconciliation of a rollout",
            metrics.rollout_reconciliations.clone(),
        );
        registry.register("kulta_decision_seconds", "Time until a strategy has decided", metrics.decisions.clone());
        registry.register("rollout_reconcile_error", "Reconciliations of rollouts that failed", metrics.errors.clone());
        registry.register(
            "kulta_reconciliations",
            "Reconciliations by kind and result",
            metrics.reconciliations.clone(),
        );
        registry.register(
            "kulta_task_restarts",
            "Tasks of the controller that died and were restarted",
            metrics.task_restarts.clone(),
        );
        registry.register("workqueue_depth", "Rollouts that wait for a worker", metrics.depth.clone());
        registry.register("kulta_leader", "1 while this process leads", metrics.leader.clone());
        registry.register("kulta_watch_errors", "Watches that broke", metrics.watch_errors.clone());
        Self { registry, ..metrics }
    }
}

impl Metrics {
    pub fn request(&self, kind: Kind, verb: &'static str, done: bool) {
        let result = if done { "done" } else { "refused" };
        self.requests.get_or_create(&RequestLabels { kind: kind.as_str(), verb, result }).inc();
    }

    pub fn plugin_call(&self, plugin: &str, class: &str) {
        self.plugin_calls.get_or_create(&PluginLabels { plugin: plugin.to_owned(), class: class.to_owned() }).inc();
    }

    pub fn delivery(&self, result: &'static str) {
        self.deliveries.get_or_create(&DeliveryLabels { result }).inc();
    }

    pub fn kubernetes_event_dropped(&self, kind: EventKind) {
        self.kubernetes_events_dropped.get_or_create(&EventLabels { r#type: kube_events::type_of(kind) }).inc();
    }

    pub fn reconciled(&self, kind: Kind, seconds: f64, result: Reconciled) {
        self.reconciliations.get_or_create(&ReconciliationLabels { kind: kind.as_str(), result: result.label() }).inc();
        if kind == Kind::Rollout {
            self.rollout_reconciliations.observe(seconds);
            if result != Reconciled::Done {
                self.errors.inc();
            }
        }
    }

    pub fn task_restarted(&self, task: Task) {
        let kind = task.kind().map_or("", Kind::as_str);
        self.task_restarts.get_or_create(&TaskLabels { task: task.label(), kind }).inc();
    }

    /// From the question to the answer, or to the lack of one.
    pub fn decision(&self, seconds: f64) {
        self.decisions.observe(seconds);
    }

    pub fn watch_error(&self) {
        self.watch_errors.inc();
    }

    pub fn lead(&self, leading: bool) {
        self.leader.set(i64::from(leading));
    }

    /// The text, with what is counted only when asked for.
    #[must_use]
    pub fn text(&self, depth: usize, phases: &[(&'static str, usize)]) -> String {
        self.depth.set(i64::try_from(depth).unwrap_or(i64::MAX));
        for (phase, count) in phases {
            self.phases.get_or_create(&PhaseLabels { phase }).set(i64::try_from(*count).unwrap_or(i64::MAX));
        }
        let mut text = String::new();
        if encode(&mut text, &self.registry).is_err() {
            tracing::error!("writing metrics: the encoder refused");
        }
        text
    }
}

//! What `/metrics` tells. Label values come from closed sets, the plugins' and the rollouts' names apart.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use kulta_api::{RolloutPhase, RolloutStrategy};
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::caches::{Caches, Watched};
use crate::decode::Decoded;

/// Seconds: a pass takes a few milliseconds without a write, and a few tens with some.
const PASS_BUCKETS: [f64; 9] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];

/// A value from a closed set, or a name that is known to be served.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Text(pub Cow<'static, str>);

impl From<&'static str> for Text {
    fn from(text: &'static str) -> Self {
        Self(text.into())
    }
}

impl EncodeLabelValue for Text {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        self.0.as_ref().encode(encoder)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Request {
    pub verb: Text,
    pub kind: Text,
    pub status_code: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PluginCall {
    plugin: Text,
    class: Text,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByResult {
    result: Text,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfKind {
    kind: Text,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueueName {
    name: Text,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Phase {
    phase: Text,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Info {
    namespace: String,
    name: String,
    strategy: Text,
    phase: Text,
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    Accepted,
    Retried,
    Refused,
    Dropped,
}

impl Told {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Retried => "retried",
            Self::Refused => "refused",
            Self::Dropped => "dropped",
        }
    }
}

#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    passes: Histogram,
    pub failed_passes: Counter,
    pub panics: Counter,
    pub leading: Gauge,
    requests: Family<Request, Counter>,
    watch_failures: Family<OfKind, Counter>,
    cd_events: Family<ByResult, Counter>,
    kube_events: Family<ByResult, Counter>,
    plugin_calls: Family<PluginCall, Counter>,
    queue_depth: Family<QueueName, Gauge>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::default(),
            passes: Histogram::new(PASS_BUCKETS),
            failed_passes: Counter::default(),
            panics: Counter::default(),
            leading: Gauge::default(),
            requests: Family::default(),
            watch_failures: Family::default(),
            cd_events: Family::default(),
            kube_events: Family::default(),
            plugin_calls: Family::default(),
            queue_depth: Family::default(),
        };
        let registry = &mut metrics.registry;
        registry.register("rollout_reconcile", "Seconds that a look at a rollout took", metrics.passes.clone());
        registry.register("rollout_reconcile_error", "Looks at a rollout that failed", metrics.failed_passes.clone());
        registry.register("rollout_reconcile_panic", "Looks at a rollout that panicked", metrics.panics.clone());
        registry.register(
            "controller_clientset_k8s_request",
            "Requests to the API server; code 0 is no answer",
            metrics.requests.clone(),
        );
        registry.register("kulta_watch_failure", "Watches that broke or were refused", metrics.watch_failures.clone());
        registry.register("kulta_leading", "1 while this process is the one that acts", metrics.leading.clone());
        registry.register("kulta_cdevents", "Attempts to deliver a CDEvent", metrics.cd_events.clone());
        registry.register("rollout_events", "Kubernetes events, by what became of them", metrics.kube_events.clone());
        registry.register("kulta_plugin_calls", "Calls of plugins, by failure class or ok", metrics.plugin_calls.clone());
        registry.register("workqueue_depth", "Keys that wait for a worker", metrics.queue_depth.clone());
        metrics
    }
}

impl Metrics {
    pub fn pass(&self, took: Duration) {
        self.passes.observe(took.as_secs_f64());
    }

    pub fn request(&self, request: &Request) {
        self.requests.get_or_create(request).inc();
    }

    pub fn cd_event(&self, told: Told) {
        self.cd_events.get_or_create(&ByResult { result: told.as_str().into() }).inc();
    }

    pub fn kube_event(&self, told: Told) {
        self.kube_events.get_or_create(&ByResult { result: told.as_str().into() }).inc();
    }

    pub fn plugin_call(&self, plugin: Text, class: Text) {
        self.plugin_calls.get_or_create(&PluginCall { plugin, class }).inc();
    }

    pub fn watch_failed(&self, kind: Watched) {
        self.watch_failures.get_or_create(&OfKind { kind: kind.as_str().into() }).inc();
    }

    pub fn depth(&self, queue: &'static str, depth: usize) {
        let gauge = self.queue_depth.get_or_create_owned(&QueueName { name: queue.into() });
        gauge.set(i64::try_from(depth).unwrap_or(i64::MAX));
    }

    /// All of it as Prometheus text; what is told of each rollout is read from the caches.
    ///
    /// # Errors
    /// When writing to a string fails, which it does not.
    pub fn text(&self, caches: &Caches) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode_registry(&mut text, &self.registry)?;
        encode_registry(&mut text, &rollouts(caches))?;
        encode_eof(&mut text)?;
        Ok(text)
    }
}

/// Built anew for each scrape, so that a deleted rollout leaves nothing behind.
fn rollouts(caches: &Caches) -> Registry {
    let mut registry = Registry::default();
    let info = Family::<Info, Gauge>::default();
    let phases = Family::<Phase, Gauge>::default();
    for (key, cached) in caches.read().rollouts.iter() {
        let (strategy, phase) = match &cached.decoded {
            Decoded::Rollout { rollout, .. } => (
                strategy_name(&rollout.spec.strategy),
                rollout.status.as_ref().and_then(|status| status.phase).map_or("", RolloutPhase::as_str),
            ),
            Decoded::Undecodable { .. } => ("", "Undecodable"),
        };
        phases.get_or_create(&Phase { phase: phase.into() }).inc();
        info.get_or_create(&Info {
            namespace: key.namespace.clone(),
            name: key.name.clone(),
            strategy: strategy.into(),
            phase: phase.into(),
        })
        .set(1);
    }
    registry.register("rollout_info", "Each rollout with its strategy and phase", info);
    registry.register("kulta_rollouts", "Rollouts by phase", phases);
    registry
}

fn strategy_name(strategy: &RolloutStrategy) -> &'static str {
    match (&strategy.canary, &strategy.blue_green, &strategy.plugin) {
        (Some(_), ..) => "canary",
        (_, Some(_), _) => "blueGreen",
        (.., Some(_)) => "plugin",
        (None, None, None) => "",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::object::Object;

    #[test]
    fn rollouts_are_counted_by_phase_and_named_with_their_strategy() {
        let caches = Caches::default();
        caches.apply(
            Watched::Rollouts,
            Object::new(json!({
                "metadata": { "name": "shop", "namespace": "ns", "uid": "u" },
                "spec": { "strategy": { "canary": {} } }, "status": { "phase": "Healthy" },
            })),
        );

        let text = Metrics::default().text(&caches).unwrap();

        assert!(text.contains(r#"kulta_rollouts{phase="Healthy"} 1"#), "{text}");
        assert!(
            text.contains(r#"rollout_info{namespace="ns",name="shop",strategy="canary",phase="Healthy"} 1"#),
            "{text}"
        );
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn counters_carry_argos_names() {
        let metrics = Metrics::default();
        metrics.failed_passes.inc();
        metrics.depth("rollouts", 3);
        metrics.pass(Duration::from_millis(2));

        let text = metrics.text(&Caches::default()).unwrap();

        for line in ["rollout_reconcile_error_total 1", r#"workqueue_depth{name="rollouts"} 3"#, "rollout_reconcile_count 1"] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}

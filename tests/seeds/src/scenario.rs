//! The scenario of a seed: the Rollout with its strategy, and which faults and user actions there are.

use fastrand::Rng;
use serde_json::{Map, Value, json};

use crate::analyses::{self, Analyses};
use crate::blue_green::{self, BlueGreen};
use crate::cluster::{CANARY, NAMESPACE, ROLLOUT, ROUTE, STABLE};
use crate::hazards::{self, Hazards};
use crate::objects::{Health, pod_template};

const DEFAULT_MAX_WEIGHT: u32 = 100;

/// Everything that the seed determines before the scenario starts.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub replicas: u32,
    pub routed: bool,
    /// The strategy is the plugin `linear`, not a list of steps.
    pub linear: bool,
    /// The strategy is `blueGreen`. The route sends all requests to its active Service.
    pub blue_green: Option<BlueGreen>,
    pub max_weight: u32,
    pub strategy: Value,
    pub spec: Value,
    /// Requests and watches of the controller have faults.
    pub faults: bool,
    /// The controller's process crashes now and then.
    pub crashes: bool,
    /// A second controller waits for the lease.
    pub second_controller: bool,
    /// Users delete or edit pods, Services, routes and ReplicaSets, so that requests may fail.
    pub disruptive: bool,
    /// The event sink is unavailable at times.
    pub sink_unavailable: bool,
    /// The number of user actions.
    pub user_actions: u32,
    /// The analyses of new versions.
    pub analyses: Option<Analyses>,
    pub hazards: Hazards,
}

impl Scenario {
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let replicas = rng.u32(1..=6);
        let routed = rng.f32() < 0.7;
        let linear = rng.f32() < 0.15;
        let max_weight = if routed && rng.f32() < 0.15 { 1000 } else { 100 };
        let mut strategy = Map::new();
        if routed {
            strategy.insert("stableService".into(), json!(STABLE));
            strategy.insert("canaryService".into(), json!(CANARY));
            let mut routing = json!({ "plugins": { "argoproj-labs/gatewayAPI": { "httpRoute": ROUTE } } });
            if max_weight != 100 {
                json_patch::merge(&mut routing, &json!({ "maxTrafficWeight": max_weight }));
            }
            strategy.insert("trafficRouting".into(), routing);
            if rng.f32() < 0.3 {
                strategy.insert("dynamicStableScale".into(), json!(true));
            } else {
                maybe(&mut rng, &mut strategy, "scaleDownDelaySeconds", 0..=60);
                maybe(&mut rng, &mut strategy, "scaleDownDelayRevisionLimit", 0..=2);
            }
            maybe(&mut rng, &mut strategy, "abortScaleDownDelaySeconds", 0..=60);
            maybe(&mut rng, &mut strategy, "minPodsPerReplicaSet", 1..=2);
        } else if rng.bool() {
            let (surge, unavailable) = rng.choice([(1, 0), (0, 1), (2, 1), (1, 1)]).unwrap_or((1, 0));
            strategy.insert("maxSurge".into(), json!(surge));
            strategy.insert("maxUnavailable".into(), json!(unavailable));
        }
        let mut spec = Map::new();
        maybe(&mut rng, &mut spec, "minReadySeconds", 0..=5);
        maybe(&mut rng, &mut spec, "revisionHistoryLimit", 0..=3);
        if rng.f32() < 0.3 {
            spec.insert("progressDeadlineSeconds".into(), json!(rng.u32(30..=120)));
            spec.insert("progressDeadlineAbort".into(), json!(rng.bool()));
        }
        if rng.f32() < 0.15 {
            spec.insert("rollbackWindow".into(), json!({ "revisions": rng.u32(1..=3) }));
        }
        let analyses = Analyses::from_seed(seed, linear);
        let mut hazards = Hazards::from_seed(seed, routed, analyses.is_some());
        // Without a router the spec may set no other maximum.
        hazards.no_router &= max_weight == 100;
        if hazards.no_router {
            strategy.insert("trafficRouting".into(), json!({}));
        }
        let mut scenario = Self {
            replicas,
            routed,
            linear,
            blue_green: None,
            max_weight,
            strategy: Value::Object(strategy),
            spec: Value::Object(spec),
            faults: rng.f32() < 0.85,
            crashes: rng.f32() < 0.5,
            second_controller: rng.f32() < 0.1,
            disruptive: rng.f32() < 0.4,
            sink_unavailable: rng.f32() < 0.3,
            user_actions: rng.u32(2..=10),
            analyses: analyses.map(|analyses| if hazards.undecided { analyses.undecided() } else { analyses }),
            hazards,
        };
        if let Some(blue_green) = BlueGreen::from_seed(seed) {
            scenario.hazards.managed = false;
            return scenario.with(blue_green, seed);
        }
        scenario.hazards.managed &= !linear;
        if scenario.hazards.managed {
            let names = hazards::MANAGED_ROUTES.map(|name| json!({ "name": name }));
            json_patch::merge(&mut scenario.strategy, &json!({ "trafficRouting": { "managedRoutes": names } }));
        }
        let steps = scenario.new_strategy(&mut rng, &mut analyses::random(seed));
        json_patch::merge(&mut scenario.strategy, &steps);
        if linear {
            json_patch::merge(&mut scenario.strategy, &json!({ "name": "linear" }));
        }
        scenario
    }

    /// The same scenario with blue-green in place of its strategy.
    fn with(self, blue_green: BlueGreen, seed: u64) -> Self {
        let mut scenario = Self {
            routed: true,
            linear: false,
            blue_green: Some(blue_green),
            max_weight: DEFAULT_MAX_WEIGHT,
            strategy: blue_green.services(),
            hazards: Hazards { undecided: self.hazards.undecided, ..Hazards::default() },
            ..self
        };
        // It must not be below `scaleDownDelayRevisionLimit`, which users change.
        if let Some(spec) = scenario.spec.as_object_mut() {
            spec.remove("revisionHistoryLimit");
        }
        let fields = scenario.new_strategy(&mut blue_green::random(seed), &mut analyses::random(seed));
        json_patch::merge(&mut scenario.strategy, &fields);
        scenario
    }

    /// `spec.strategy`.
    #[must_use]
    pub fn strategy(&self) -> Value {
        json!({ (self.strategy_key()): self.strategy })
    }

    /// The field of `spec.strategy`.
    #[must_use]
    pub const fn strategy_key(&self) -> &'static str {
        match self.blue_green {
            Some(_) => blue_green::KEY,
            None if self.linear => "plugin",
            None => "canary",
        }
    }

    /// A new list of steps, a new plugin configuration, or new fields of blue-green, with their analyses: what a user may change during
    /// an update.
    #[must_use]
    pub fn new_strategy(&self, rng: &mut Rng, analysis_rng: &mut Rng) -> Value {
        if self.blue_green.is_some() {
            return blue_green::new_fields(rng, self.analyses.as_ref());
        }
        let (key, mut value) = steps_or_config(rng, self.linear, self.routed, self.max_weight);
        if let (true, Some(steps)) = (self.hazards.managed, value.as_array_mut()) {
            hazards::with_managed_routes(steps);
        }
        let strategy = json!({ key: value });
        match &self.analyses {
            Some(analyses) => analyses.add_to(strategy, analysis_rng),
            None => strategy,
        }
    }

    #[must_use]
    pub fn route(&self) -> Value {
        route_with(if self.hazards.neighbour { vec![hazards::rule()] } else { Vec::new() })
    }

    #[must_use]
    pub fn rollout(&self) -> Value {
        let mut spec = json!({
            "replicas": self.replicas,
            "selector": { "matchLabels": { "app": ROLLOUT } },
            "template": template("v1", Health::Good),
            "strategy": self.strategy(),
        });
        if let (Value::Object(spec), Value::Object(more)) = (&mut spec, &self.spec) {
            spec.extend(more.clone());
            spec.extend(self.analyses.iter().map(|analyses| ("analysis".to_owned(), analyses.history.clone())));
        }
        json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
            "metadata": { "name": ROLLOUT, "namespace": NAMESPACE, "annotations": { "kulta.io/git-commit": "c0ffee" } },
            "spec": spec,
        })
    }
}

/// The pod template of a version of the Rollout.
#[must_use]
pub fn template(version: &str, health: Health) -> Value {
    pod_template(ROLLOUT, version, health)
}

#[must_use]
pub fn service(name: &str) -> Value {
    service_of(ROLLOUT, name)
}

/// A Service for the pods of a Rollout.
#[must_use]
pub fn service_of(rollout: &str, name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": name, "namespace": NAMESPACE },
        "spec": { "selector": { "app": rollout }, "ports": [{ "name": "http", "port": 80, "targetPort": 8080 }] },
    })
}

/// The route with its own rules, followed by those of others.
#[must_use]
pub fn route_with(others: Vec<Value>) -> Value {
    let mut route = route();
    if let Some(rules) = route.pointer_mut("/spec/rules").and_then(Value::as_array_mut) {
        rules.extend(others);
    }
    route
}

#[must_use]
pub fn route() -> Value {
    let backend = |name: &str, weight: u32| json!({ "name": name, "port": 80, "weight": weight });
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": { "name": ROUTE, "namespace": NAMESPACE },
        "spec": {
            "parentRefs": [{ "name": "gateway" }],
            "hostnames": ["web.example.test"],
            "rules": [
                { "backendRefs": [backend(STABLE, 100), backend(CANARY, 0)], "timeouts": { "request": "10s" } },
                { "matches": [{ "path": { "type": "PathPrefix", "value": "/other" } }], "backendRefs": [backend("other", 1)] },
            ],
        },
    })
}

/// The steps of a canary, or the configuration of `linear`.
fn steps_or_config(rng: &mut Rng, linear: bool, routed: bool, max: u32) -> (&'static str, Value) {
    if linear {
        let interval = format!("{}s", rng.u32(1..=30));
        return ("config", json!({ "stepWeight": max / rng.u32(2..=5), "interval": interval }));
    }
    let steps: Vec<Value> = (0..rng.u32(0..=6))
        .map(|_| match rng.u32(0..10) {
            0..=4 => json!({ "setWeight": rng.u32(0..=10) * max / 10 }),
            5..=6 => json!({ "pause": { "duration": format!("{}s", rng.u32(0..=90)) } }),
            7 => json!({ "pause": { "duration": rng.u32(1..=3600) } }),
            8 if routed => match rng.u32(0..3) {
                0 => json!({ "setCanaryScale": { "weight": rng.u32(1..=100) } }),
                1 => json!({ "setCanaryScale": { "replicas": rng.u32(1..=4) } }),
                _ => json!({ "setCanaryScale": { "matchTrafficWeight": true } }),
            },
            _ => json!({ "pause": {} }),
        })
        .collect();
    ("steps", Value::Array(steps))
}

fn maybe(rng: &mut Rng, object: &mut Map<String, Value>, key: &str, range: std::ops::RangeInclusive<u32>) {
    if rng.f32() < 0.3 {
        object.insert(key.to_owned(), json!(rng.u32(range)));
    }
}

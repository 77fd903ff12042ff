//! What a seed adds to the rollout of its scenario: a second Rollout on the same HTTPRoute, analyses that never decide, users who
//! scale in the middle of an update, traffic routing without a router, and steps that set header and mirror routes. They use random numbers of their own, so that they do not change scenarios without them.

use fastrand::Rng;
use serde_json::{Value, json};

use crate::cluster::{NAMESPACE, neighbour};
use crate::objects::{Health, pod_template};

const STREAM: u64 = 0x0b5e_c0de_77aa_1905;
const NEIGHBOURS: f32 = 0.25;
const UNDECIDED: f32 = 0.2;
const SCALING: f32 = 0.5;
const NO_ROUTER: f32 = 0.2;
const MANAGED: f32 = 0.3;
/// Names of the managed routes.
pub const MANAGED_ROUTES: [&str; 2] = ["beta", "copy"];

#[derive(Clone, Copy, Debug, Default)]
pub struct Hazards {
    /// A second Rollout has its Services in a rule of the same HTTPRoute.
    pub neighbour: bool,
    /// Each measurement is inconclusive, so that every analysed update waits for a user.
    pub undecided: bool,
    /// Every third user action sets `spec.replicas`.
    pub scaling: bool,
    /// `trafficRouting` names no router: the route stays as it is, and only selectors change.
    pub no_router: bool,
    /// Steps set header and mirror routes.
    pub managed: bool,
}

impl Hazards {
    #[must_use]
    pub fn from_seed(seed: u64, routed: bool, analysed: bool) -> Self {
        let mut rng = random(seed);
        let (neighbour, undecided, scaling, no_router) = (rng.f32(), rng.f32(), rng.f32(), rng.f32());
        let managed = rng.f32();
        let neighbour = routed && neighbour < NEIGHBOURS;
        let no_router = routed && !neighbour && no_router < NO_ROUTER;
        Self {
            neighbour,
            no_router,
            managed: routed && !no_router && managed < MANAGED,
            undecided: analysed && undecided < UNDECIDED,
            scaling: !routed && scaling < SCALING,
        }
    }
}

/// The random numbers for everything that this file adds.
#[must_use]
pub fn random(seed: u64) -> Rng {
    Rng::with_seed(seed ^ STREAM)
}

/// Adds steps that set header and mirror routes to the steps of a canary. The same steps get the same ones.
pub fn with_managed_routes(steps: &mut Vec<Value>) {
    let text = Value::Array(steps.clone()).to_string();
    let seed = text.bytes().fold(STREAM, |seed, byte| seed.rotate_left(5) ^ u64::from(byte));
    let mut rng = Rng::with_seed(seed);
    for _ in 0..rng.usize(1..=3) {
        let step = managed_step(&mut rng);
        steps.insert(rng.usize(0..=steps.len()), step);
    }
}

fn managed_step(rng: &mut Rng) -> Value {
    let [header, mirror] = MANAGED_ROUTES;
    match rng.u32(0..4) {
        0 => json!({ "setHeaderRoute": { "name": header } }),
        1 => json!({ "setMirrorRoute": {
            "name": mirror, "percentage": rng.u32(0..=100), "match": [{ "path": { "prefix": "/" } }],
        } }),
        _ => json!({ "setHeaderRoute": { "name": header, "match": [
            { "headerName": "team", "headerValue": { "prefix": format!("qa-{}", rng.u32(0..3)) } },
        ] } }),
    }
}

/// Whether a rule of the route is of a managed route.
#[must_use]
pub fn is_managed(rule: &Value) -> bool {
    let name = rule.get("name").and_then(Value::as_str).unwrap_or_default();
    MANAGED_ROUTES.iter().any(|managed| name.starts_with(managed))
}

/// The second Rollout, which pauses at 30 % until a user promotes it.
#[must_use]
pub fn rollout() -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
        "metadata": { "name": neighbour::ROLLOUT, "namespace": NAMESPACE },
        "spec": {
            "replicas": 2,
            "selector": { "matchLabels": { "app": neighbour::ROLLOUT } },
            "template": template(1),
            "strategy": { "canary": {
                "stableService": neighbour::STABLE,
                "canaryService": neighbour::CANARY,
                "trafficRouting": { "plugins": { "argoproj-labs/gatewayAPI": { "httpRoute": crate::cluster::ROUTE } } },
                "steps": [{ "setWeight": 30 }, { "pause": {} }, { "setWeight": 60 }, { "pause": { "duration": "20s" } }],
            } },
        },
    })
}

/// The pod template of a version of the second Rollout.
#[must_use]
pub fn template(version: u32) -> Value {
    pod_template(neighbour::ROLLOUT, &format!("neighbour-{version}"), Health::Good)
}

/// The second Rollout's rule in the shared HTTPRoute.
#[must_use]
pub fn rule() -> Value {
    json!({
        "matches": [{ "path": { "type": "PathPrefix", "value": "/neighbour" } }],
        "backendRefs": [
            { "name": neighbour::STABLE, "port": 80, "weight": 100 },
            { "name": neighbour::CANARY, "port": 80, "weight": 0 },
        ],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_seeds_have_every_hazard() {
        let all: Vec<Hazards> = (0..100).map(|seed| Hazards::from_seed(seed, seed % 2 == 0, true)).collect();

        let counts = [
            all.iter().filter(|hazards| hazards.neighbour).count(),
            all.iter().filter(|hazards| hazards.undecided).count(),
            all.iter().filter(|hazards| hazards.scaling).count(),
            all.iter().filter(|hazards| hazards.managed).count(),
        ];

        assert!(counts.iter().all(|count| *count > 5), "{counts:?}");
    }
}

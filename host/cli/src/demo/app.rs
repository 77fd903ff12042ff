//! The demo's application: its objects, its versions, and how their pods behave.

use std::time::Duration;

use jiff::SignedDuration;
use kulta_embedded::metrics::traffic::{Latency, Profile};
use kulta_embedded::world::{Behaviour, Behaviours, Readiness, Settings};
use serde_json::{Value, json};

use super::speed::Speed;

pub const NAMESPACE: &str = "shop";
pub const ROLLOUT: &str = "web";
pub const ROUTE: &str = "web";
pub const STABLE: &str = "web-stable";
pub const CANARY: &str = "web-canary";
/// The container that versions differ in.
const CONTAINER: &str = "web";
/// Pod label that separates the metrics of the versions.
pub const VERSION_LABEL: &str = "version";
const PODS: u32 = 4;
const GATEWAY_API: &str = "gateway.networking.k8s.io";

/// Requests per second at speed 1: enough that a tenth of them shows an error rate within seconds.
const REQUESTS: u32 = 500;
/// About as long as pods of a real application take, and visible in the demo.
const READY_AFTER: Duration = Duration::from_millis(1500);
const GONE_AFTER: Duration = Duration::from_secs(1);
/// Duration of the pause after each weight.
const PAUSE: Duration = Duration::from_secs(7);
/// The shortest interval of an analysis is one second, at any speed, and a verdict needs some measurements.
const SHORTEST_PAUSE: Duration = Duration::from_secs(4);
/// How long pods without requests are kept.
const SCALE_DOWN_DELAY: Duration = Duration::from_secs(3);
pub const SCRAPE_INTERVAL: Duration = Duration::from_millis(500);
/// Window of the rates: long enough that a tenth of the requests is significant.
pub const WINDOW: Duration = Duration::from_secs(4);
/// Highest share of errors that an update may have.
const ERRORS_ALLOWED: &str = "< 3%";
const TEMPLATE: &str = "errors";
/// The analyzer, a plugin.
pub const ANALYZER: &str = "threshold";
/// Between measurements: the shortest interval of the API.
const MEASURE_EVERY: Duration = Duration::from_secs(1);
/// Failed measurements that are tolerated.
const FAILURES_ALLOWED: u32 = 1;
/// Measurements without enough requests that are tolerated.
const TOO_FEW_ALLOWED: u32 = 5;
const ROUTE_DELAY: Duration = Duration::from_millis(100);

/// A good version: half of the answers within 20 ms, no errors.
const GOOD_MEDIAN: f64 = 0.02;
const BAD_MEDIAN: f64 = 0.25;
const BAD_ERRORS: f64 = 0.06;
/// Standard deviation of the latencies' logarithm.
const SIGMA: f64 = 0.5;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    First,
    Good,
    Bad,
}

impl Version {
    /// The version as in the pods' label and the image's tag.
    #[must_use]
    pub const fn tag(self) -> &'static str {
        match self {
            Self::First => "v1",
            Self::Good => "v2",
            Self::Bad => "v3",
        }
    }

    fn image(self) -> String {
        format!("registry.example/web:{}", self.tag())
    }

    fn behaviour(self, speed: Speed) -> Behaviour {
        let (error_ratio, median) = match self {
            Self::First | Self::Good => (0.0, GOOD_MEDIAN),
            Self::Bad => (BAD_ERRORS, BAD_MEDIAN),
        };
        Behaviour {
            ready: Readiness::After(speed.scaled(READY_AFTER)),
            gone_after: speed.scaled(GONE_AFTER),
            profile: Profile { error_ratio, latency: Latency::LogNormal { median, sigma: SIGMA } },
            ..Behaviour::default()
        }
    }
}

/// How pods and traffic of the application behave.
#[must_use]
pub fn world(speed: Speed, seed: u64) -> Settings {
    let images = [Version::First, Version::Good, Version::Bad];
    Settings {
        behaviours: Behaviours {
            usual: Version::First.behaviour(speed),
            images: images.map(|version| (version.image(), version.behaviour(speed))).into(),
        },
        route_delay: speed.scaled(ROUTE_DELAY),
        requests_per_second: speed.hastened(REQUESTS),
        scrape_interval: speed.scaled(SCRAPE_INTERVAL),
        // No query needs samples older than the window.
        retention: SignedDuration::try_from(WINDOW.saturating_mul(2)).unwrap_or(SignedDuration::MAX),
        seed,
        ..Settings::default()
    }
}

/// All objects except the Rollout, each with the path that it is created at, in order.
#[must_use]
pub fn surroundings(controller_name: &str) -> Vec<(String, Value)> {
    let gateway_api = format!("/apis/{GATEWAY_API}/v1");
    let version = format!("{GATEWAY_API}/v1");
    let service = |name: &str| {
        let body = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": { "name": name },
            "spec": { "selector": { "app": ROLLOUT }, "ports": [{ "name": "http", "port": 80, "targetPort": 8080 }] },
        });
        (format!("/api/v1/namespaces/{NAMESPACE}/services"), body)
    };
    let backend = |name: &str, weight: u32| json!({ "name": name, "port": 80, "weight": weight });
    vec![
        (
            "/api/v1/namespaces".to_owned(),
            json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": NAMESPACE } }),
        ),
        (
            format!("{gateway_api}/gatewayclasses"),
            json!({ "apiVersion": version, "kind": "GatewayClass", "metadata": { "name": "embedded" },
                "spec": { "controllerName": controller_name } }),
        ),
        (
            format!("{gateway_api}/namespaces/{NAMESPACE}/gateways"),
            json!({ "apiVersion": version, "kind": "Gateway", "metadata": { "name": "gateway" },
                "spec": { "gatewayClassName": "embedded", "listeners": [{ "name": "http", "port": 80, "protocol": "HTTP" }] } }),
        ),
        (format!("/apis/argoproj.io/v1alpha1/namespaces/{NAMESPACE}/analysistemplates"), template()),
        service(STABLE),
        service(CANARY),
        (
            format!("{gateway_api}/namespaces/{NAMESPACE}/httproutes"),
            json!({ "apiVersion": version, "kind": "HTTPRoute", "metadata": { "name": ROUTE },
                "spec": {
                    "parentRefs": [{ "name": "gateway" }],
                    "hostnames": ["web.example"],
                    "rules": [{ "backendRefs": [backend(STABLE, 100), backend(CANARY, 0)] }],
                } }),
        ),
    ]
}

/// The AnalysisTemplate of an update, judged by an analyzer plugin.
fn template() -> Value {
    let window = format!("{}s", WINDOW.as_secs());
    let requests = format!("http_requests_total{{{VERSION_LABEL}=\"{{{{args.version}}}}\"");
    json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisTemplate",
        "metadata": { "name": TEMPLATE },
        "spec": {
            "args": [{ "name": "version" }],
            "metrics": [{
                "name": "errors",
                "interval": format!("{}s", MEASURE_EVERY.as_secs()),
                "failureLimit": FAILURES_ALLOWED,
                "inconclusiveLimit": TOO_FEW_ALLOWED,
                "provider": { ANALYZER: {
                    "errorRate": ERRORS_ALLOWED,
                    "queries": {
                        "requests": format!("sum(increase({requests}}}[{window}]))"),
                        "errors": format!("sum(increase({requests},code=\"500\"}}[{window}])) or vector(0)"),
                    },
                } },
            }],
        },
    })
}

/// The Rollout with its first version.
#[must_use]
pub fn rollout(speed: Speed) -> Value {
    let pause = format!("{}ms", speed.scaled(PAUSE).max(SHORTEST_PAUSE).as_millis());
    let delay = speed.scaled(SCALE_DOWN_DELAY).as_secs().max(1);
    json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
        "metadata": { "name": ROLLOUT },
        "spec": {
            "replicas": PODS,
            "selector": { "matchLabels": { "app": ROLLOUT } },
            "template": {
                "metadata": { "labels": { "app": ROLLOUT, VERSION_LABEL: Version::First.tag() } },
                "spec": { "containers": [{
                    "name": CONTAINER, "image": Version::First.image(), "ports": [{ "name": "http", "containerPort": 8080 }],
                }] },
            },
            "strategy": { "canary": {
                "stableService": STABLE,
                "canaryService": CANARY,
                "trafficRouting": { "plugins": { "argoproj-labs/gatewayAPI": { "httpRoute": ROUTE } } },
                "scaleDownDelaySeconds": delay,
                "abortScaleDownDelaySeconds": delay,
                "analysis": {
                    "startingStep": 1,
                    "templates": [{ "templateName": TEMPLATE }],
                    "args": [{
                        "name": "version",
                        "valueFrom": { "fieldRef": { "fieldPath": format!("spec.template.metadata.labels.{VERSION_LABEL}") } },
                    }],
                },
                "steps": [
                    { "setWeight": 10 },
                    { "pause": { "duration": pause } },
                    { "setWeight": 50 },
                    { "pause": { "duration": pause } },
                ],
            } },
        },
    })
}

/// A JSON Patch that sets another version in the Rollout.
#[must_use]
pub fn update(version: Version) -> Value {
    json!([
        { "op": "replace", "path": format!("/spec/template/metadata/labels/{VERSION_LABEL}"), "value": version.tag() },
        { "op": "replace", "path": "/spec/template/spec/containers/0/image", "value": version.image() },
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rollout_is_valid() {
        for speed in ["1", "20"] {
            let rollout = kulta_api::decode(&rollout(speed.parse().unwrap())).unwrap();

            assert_eq!(kulta_api::validation::validate(&rollout), Ok(()), "at speed {speed}");
        }
    }

    #[test]
    fn only_the_bad_version_answers_errors() {
        let world = world("1".parse().unwrap(), 0);

        let errors = [Version::First, Version::Good, Version::Bad].map(|version| {
            let pod = json!({ "spec": { "containers": [{ "image": version.image() }] } });
            world.behaviours.of(&pod).profile.error_ratio > 0.0
        });

        assert_eq!(errors, [false, false, true]);
    }
}

//! Checks each write of the controller against the safety rules of `tests/oracle`, for stable and canary.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use kulta_oracle::{Backend, Cluster, Revision, Routing, Selected, Services, Weights};
use serde_json::Value;

use super::{Checker, HASH, Objects, STALE, is_blue_green};
use crate::cluster::{CANARY, ROLLOUT, ROUTE, STABLE, neighbour};
use crate::fields::{hash_of, number, text};

/// Argo's default for `maxUnavailable` and `maxSurge`, in percent.
const DEFAULT_PERCENT: u32 = 25;
const DEFAULT_MAX_WEIGHT: u32 = 100;
/// The controller may still count pods that became unavailable this long ago: watch events are late, and so are requests.
const AVAILABLE_STALE: SignedDuration = SignedDuration::from_secs(40);
/// The label that names the Service of an EndpointSlice.
const SERVICE_NAME: &str = "/metadata/labels/kubernetes.io~1service-name";

/// A rollout and the names of its Services.
struct Subject {
    rollout: &'static str,
    stable: &'static str,
    canary: &'static str,
}

const SUBJECTS: [Subject; 2] = [
    Subject { rollout: ROLLOUT, stable: STABLE, canary: CANARY },
    Subject { rollout: neighbour::ROLLOUT, stable: neighbour::STABLE, canary: neighbour::CANARY },
];

impl Checker {
    /// Checks a change of an object's spec, or its deletion, by the controller.
    pub(super) fn check_safety(&mut self, plural: &str, name: &str, after: Option<&Arc<Value>>) {
        if !matches!(plural, "replicasets" | "services" | "httproutes") || !self.is_undisturbed() {
            return;
        }
        let mut objects = self.objects.clone();
        let key = (plural.to_owned(), name.to_owned());
        match after {
            Some(after) => objects.insert(key, Arc::clone(after)),
            None => objects.remove(&key),
        };
        for subject in SUBJECTS {
            let before = self.cluster_of(&subject, &self.objects);
            let after = self.cluster_of(&subject, &objects);
            if let (Some(before), Some(after)) = (before, after) {
                let broken = kulta_oracle::judge(&before, &before, &after);
                self.violations(broken.into_iter().map(|rule| format!("{}: {rule}", subject.rollout)).collect());
            }
        }
    }

    /// Returns what is missing until the abort of the rollout has restored stable.
    pub(super) fn missing_after_abort(&self) -> Option<String> {
        let [subject, _] = &SUBJECTS;
        kulta_oracle::restored(&self.cluster_of(subject, &self.objects)?)
    }

    /// The cluster as the controller may observe it at this time.
    fn cluster_of(&self, subject: &Subject, objects: &Objects) -> Option<Cluster> {
        let object = |plural: &str, name: &str| objects.get(&(plural.to_owned(), name.to_owned()));
        let rollout = object("rollouts", subject.rollout)?;
        let now = self.now();
        let min_replicas = self.replicas.get(subject.rollout).map_or(0, |replicas| replicas.min(now, STALE));
        let replicas = u32::try_from(min_replicas).unwrap_or(0);
        let named = |pointer: &str| Some(text(rollout, pointer)).filter(|hash| !hash.is_empty());
        let all = |plural: &'static str| objects.iter().filter(move |((kind, _), _)| kind == plural);
        let sets = all("replicasets").filter(|(_, set)| is_of(set, subject.rollout));
        let revisions = sets.map(|(_, set)| self.revision(set, objects, now)).collect();
        let strategies = ["/spec/strategy/canary", "/spec/strategy/plugin", "/spec/strategy/blueGreen"];
        let strategy = strategies.into_iter().find_map(|strategy| rollout.pointer(strategy))?;
        let has_router = strategy.pointer("/trafficRouting/plugins").is_some();
        let (stable, canary) = (backend(objects, subject.stable), backend(objects, subject.canary));
        let routing = if is_blue_green(rollout) {
            Some(Routing::by_active_service(stable.clone(), canary.clone()))
        } else {
            has_router.then(|| self.routing(subject, rollout, strategy, objects))
        };
        Some(Cluster {
            replicas,
            max_unavailable: max_unavailable(strategy, replicas),
            revisions,
            stable: named("/status/stableRS"),
            canary: named("/status/currentPodHash"),
            // A step sets the scale. The controller may observe the current step and the list of steps later, so any scale is allowed.
            canary_scale: self.scales_canary.contains(subject.rollout).then_some(0),
            // An abort counts once the controller has recorded it.
            aborted: rollout.pointer("/status/abort").and_then(Value::as_bool) == Some(true)
                && rollout.pointer("/status/abortedAt").is_some_and(Value::is_string),
            routing,
            services: (strategy.get("trafficRouting").is_some() && !has_router).then_some(Services { stable, canary }),
            ..Cluster::default()
        })
    }

    fn revision(&self, set: &Value, objects: &Objects, now: Timestamp) -> Revision {
        let uid = text(set, "/metadata/uid");
        let pods = objects.iter().filter(|((plural, _), pod)| {
            plural == "pods" && pod.pointer("/metadata/ownerReferences/0/uid").and_then(Value::as_str) == Some(&uid)
        });
        let hash = hash_of(set);
        let available = self.available.get(&hash).map_or(0, |available| available.max(now, AVAILABLE_STALE));
        Revision {
            scale: u32::try_from(number(set, "/spec/replicas")).unwrap_or(0),
            available: u32::try_from(available).unwrap_or(0),
            pods: pods.map(|((_, name), _)| name.clone()).collect(),
            hash,
        }
    }

    fn routing(&self, subject: &Subject, rollout: &Value, strategy: &Value, objects: &Objects) -> Routing {
        let max = strategy.pointer("/trafficRouting/maxTrafficWeight").and_then(Value::as_u64);
        let max_weight = max.and_then(|max| u32::try_from(max).ok()).unwrap_or(DEFAULT_MAX_WEIGHT);
        let verified = rollout.pointer("/status/canary/weights/canary/weight").and_then(Value::as_u64);
        let in_force = verified
            .and_then(|canary| u32::try_from(canary).ok())
            .map(|canary| Weights { stable: max_weight.saturating_sub(canary), canary });
        let route = objects.get(&("httproutes".to_owned(), ROUTE.to_owned()));
        Routing {
            max_weight,
            stable: backend(objects, subject.stable),
            canary: backend(objects, subject.canary),
            rules: route.map(|route| rules(route, subject)).unwrap_or_default(),
            in_force: in_force.into_iter().collect(),
            by_match: route.is_some_and(|route| sends_by_match(route, subject)),
        }
    }
}

fn backend(objects: &Objects, service: &str) -> Backend {
    Backend { selects: selected(objects, service), listed: listed(objects, service) }
}

fn selected(objects: &Objects, service: &str) -> Selected {
    let Some(service) = objects.get(&("services".to_owned(), service.to_owned())) else { return Selected::Nobody };
    let hash = service.pointer(&format!("/spec/selector/{HASH}")).and_then(Value::as_str);
    hash.map_or(Selected::All, |hash| Selected::Revision(hash.to_owned()))
}

/// Names of the pods that the EndpointSlices of a Service list.
fn listed(objects: &Objects, service: &str) -> BTreeSet<String> {
    let slices = objects.iter().filter(|((plural, _), slice)| {
        plural == "endpointslices" && slice.pointer(SERVICE_NAME).and_then(Value::as_str) == Some(service)
    });
    let endpoints = slices.filter_map(|(_, slice)| slice.get("endpoints")?.as_array()).flatten();
    endpoints.map(|endpoint| text(endpoint, "/targetRef/name")).collect()
}

/// The weights of each rule that splits traffic between the two Services.
fn rules(route: &Value, subject: &Subject) -> Vec<Weights> {
    let weight = |rule: &Value, service: &str| {
        let backends = rule.get("backendRefs").and_then(Value::as_array)?;
        let backend = backends.iter().find(|backend| backend.get("name").and_then(Value::as_str) == Some(service))?;
        u32::try_from(backend.get("weight").map_or(Some(1), Value::as_u64)?).ok()
    };
    let rules = route.pointer("/spec/rules").and_then(Value::as_array).into_iter().flatten();
    rules
        .filter_map(|rule| {
            Some(Weights { stable: weight(rule, subject.stable)?, canary: weight(rule, subject.canary)? })
        })
        .collect()
}

/// A rule sends requests, or copies of them, to the canary Service without splitting them.
fn sends_by_match(route: &Value, subject: &Subject) -> bool {
    let list = |rule: &Value, key: &str| rule.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let is = |backend: Option<&Value>, service: &str| {
        backend.and_then(|backend| backend.get("name")).and_then(Value::as_str) == Some(service)
    };
    let rules = route.pointer("/spec/rules").and_then(Value::as_array).into_iter().flatten();
    rules.into_iter().any(|rule| {
        let backends = list(rule, "backendRefs");
        let refers = |service: &str| backends.iter().any(|backend| is(Some(backend), service));
        let mut filters = list(rule, "filters").into_iter();
        let mirrors = filters.any(|filter| is(filter.pointer("/requestMirror/backendRef"), subject.canary));
        mirrors || (refers(subject.canary) && !refers(subject.stable))
    })
}

/// The limit in pods; it is one pod if surge and unavailability are both 0, as in the API.
fn max_unavailable(strategy: &Value, replicas: u32) -> u32 {
    let given = |key: &str| strategy.get(key).and_then(Value::as_u64).and_then(|pods| u32::try_from(pods).ok());
    let surge = given("maxSurge").unwrap_or((replicas * DEFAULT_PERCENT).div_ceil(100));
    let unavailable = given("maxUnavailable").unwrap_or(replicas * DEFAULT_PERCENT / 100);
    if surge == 0 && unavailable == 0 { 1 } else { unavailable }
}

/// Whether a ReplicaSet belongs to the rollout, by the label of its pods.
pub(super) fn is_of(set: &Value, rollout: &str) -> bool {
    text(set, "/spec/template/metadata/labels/app") == rollout
}

//! Requests over routes: at an even pace, to the pods behind the programmed weights.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use super::{
    Settings,
    behaviour::{Behaviours, PREFIX},
    endpoints,
    hands::{self, Hands, Watched},
    route::Share,
};
use crate::{
    json::{items, meta, text},
    kind::Key,
    metrics::{
        Labels,
        traffic::{Backend, Endpoint, Split, Tally, Traffic},
    },
};

const MILLISECONDS: u64 = 1000;

#[derive(Debug)]
pub struct Requests {
    per_second: u32,
    traffic: Traffic,
    flows: BTreeMap<Key, Flow>,
    /// Whether endpoints or weights changed since the splits were made.
    stale: bool,
}

#[derive(Debug)]
struct Flow {
    begun: Timestamp,
    sent: u64,
    shares: Vec<Share>,
    split: Split,
}

impl Requests {
    pub fn new(settings: &Settings) -> Self {
        Self {
            per_second: settings.requests_per_second,
            traffic: Traffic::new(settings.seed),
            flows: BTreeMap::new(),
            stale: false,
        }
    }

    /// The endpoints are not what they were.
    pub fn stale(&mut self) {
        self.stale = true;
    }

    /// A route's requests go by these weights from now on, or none go by it.
    pub fn program(&mut self, route: &Key, shares: Option<&[Share]>, now: Timestamp) {
        let Some(shares) = shares else {
            self.flows.remove(route);
            return;
        };
        let flow = self.flows.entry(route.clone()).or_insert_with(|| Flow {
            begun: now,
            sent: 0,
            shares: Vec::new(),
            split: Split::default(),
        });
        if flow.shares != shares {
            flow.shares = shares.to_vec();
            self.stale = true;
        }
    }

    /// Sends what is due, by the splits as they were made last.
    pub fn send(&mut self, now: Timestamp) -> Vec<(String, Tally)> {
        let mut tallies = Vec::new();
        for (route, flow) in &mut self.flows {
            let elapsed = now.duration_since(flow.begun).as_millis();
            let elapsed = u64::try_from(elapsed).unwrap_or(0);
            let due = elapsed.saturating_mul(u64::from(self.per_second)) / MILLISECONDS;
            let count = due.saturating_sub(flow.sent);
            if count > 0 {
                flow.sent = due;
                tallies.push((route.as_str().to_owned(), self.traffic.send(&flow.split, count)));
            }
        }
        tallies
    }

    /// Makes the splits anew if anything changed.
    pub fn refresh(&mut self, hands: &Hands, behaviours: &Behaviours) {
        if !self.stale || self.per_second == 0 {
            return;
        }
        self.stale = false;
        for flow in self.flows.values_mut() {
            let backends = flow.shares.iter().map(|share| Backend {
                // Contour's name for it.
                name: format!("{}_{}_{}", share.service.namespace(), share.service.name(), share.port),
                weight: share.weight,
                endpoints: ready_endpoints(hands, behaviours, &share.service),
            });
            flow.split = Split(backends.collect());
        }
    }

    /// The series of the applications that run now, and of the gateway.
    pub fn scrape(&mut self, hands: &Hands) -> Vec<(Labels, f64)> {
        if self.per_second == 0 {
            return Vec::new();
        }
        let pods = hands.list_in(Watched::Pod, "");
        let running = pods.iter().filter(|pod| text(pod, "/status/phase") == "Running");
        let applications = running.map(|pod| (hands::key(pod).as_str().to_owned(), labels(pod))).collect();
        let backends =
            self.flows.values().flat_map(|flow| &flow.split.0).map(|backend| backend.name.as_str()).collect();
        self.traffic.scrape(&applications, &backends)
    }
}

fn ready_endpoints(hands: &Hands, behaviours: &Behaviours, service: &Key) -> Vec<Endpoint> {
    let slices = endpoints::slices(hands, service);
    let ready = slices.iter().flat_map(|slice| items(slice, "/endpoints")).filter(|endpoint| {
        // Absent means ready.
        endpoint.pointer("/conditions/ready") != Some(&Value::Bool(false))
    });
    let pods = ready.filter_map(|endpoint| {
        let key = Key::new(text(endpoint, "/targetRef/namespace"), text(endpoint, "/targetRef/name"));
        let pod = hands.get(Watched::Pod, &key)?;
        Some(Endpoint { name: key.as_str().to_owned(), profile: behaviours.of(&pod).profile })
    });
    pods.collect()
}

/// As a scrape by the usual relabelling has them: namespace, pod and the pod's own labels, less those that steer this world.
fn labels(pod: &Value) -> Labels {
    let mut labels = Labels::default();
    let own = pod.pointer("/metadata/labels").and_then(Value::as_object);
    for (name, value) in own.into_iter().flatten().filter(|(name, _)| !name.starts_with(PREFIX)) {
        let name: String = name.chars().map(|found| if found.is_ascii_alphanumeric() { found } else { '_' }).collect();
        labels.set(&name, value.as_str().unwrap_or_default());
    }
    labels.set("namespace", meta::namespace(pod));
    labels.set("pod", meta::name(pod));
    labels
}

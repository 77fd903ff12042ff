//! Requests over routes: at a constant rate, to the pods behind the programmed weights.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use super::{
    Settings,
    behaviour::{Behaviours, PREFIX},
    client::{self, Client, Watched},
    endpoints,
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
    /// True if endpoints or weights changed since the splits were computed.
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

    /// The endpoints have changed.
    pub fn stale(&mut self) {
        self.stale = true;
    }

    /// Sets a route's weights; `None` stops its requests.
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

    /// Sends the requests that are due, with the last computed splits.
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

    /// Recomputes the splits if anything changed.
    pub fn refresh(&mut self, client: &Client, behaviours: &Behaviours) {
        if !self.stale || self.per_second == 0 {
            return;
        }
        self.stale = false;
        for flow in self.flows.values_mut() {
            let backends = flow.shares.iter().map(|share| Backend {
                // Contour's name for the cluster.
                name: format!("{}_{}_{}", share.service.namespace(), share.service.name(), share.port),
                weight: share.weight,
                endpoints: ready_endpoints(client, behaviours, &share.service),
            });
            flow.split = Split(backends.collect());
        }
    }

    /// The series of the running applications and the gateway.
    pub fn scrape(&mut self, client: &Client) -> Vec<(Labels, f64)> {
        if self.per_second == 0 {
            return Vec::new();
        }
        let pods = client.list_in(Watched::Pod, "");
        let running = pods.iter().filter(|pod| text(pod, "/status/phase") == "Running");
        let applications = running.map(|pod| (client::key(pod).as_str().to_owned(), labels(pod))).collect();
        let backends =
            self.flows.values().flat_map(|flow| &flow.split.0).map(|backend| backend.name.as_str()).collect();
        self.traffic.scrape(&applications, &backends)
    }
}

fn ready_endpoints(client: &Client, behaviours: &Behaviours, service: &Key) -> Vec<Endpoint> {
    let slices = endpoints::slices(client, service);
    let ready = slices.iter().flat_map(|slice| items(slice, "/endpoints")).filter(|endpoint| {
        // Absent means ready.
        endpoint.pointer("/conditions/ready") != Some(&Value::Bool(false))
    });
    let pods = ready.filter_map(|endpoint| {
        let key = Key::new(text(endpoint, "/targetRef/namespace"), text(endpoint, "/targetRef/name"));
        let pod = client.get(Watched::Pod, &key)?;
        Some(Endpoint { name: key.as_str().to_owned(), profile: behaviours.of(&pod).profile })
    });
    pods.collect()
}

/// Labels as after the usual relabelling: namespace, pod and the pod's own labels, without those that configure the
/// simulation.
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

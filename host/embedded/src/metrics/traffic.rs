//! Traffic: requests that are sent one by one to the endpoints behind a route, and the resulting counters of the
//! applications and the gateway.
//! The same seed and the same requests give the same counters.

mod application;
mod cluster;
mod histogram;
mod latency;

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;

pub use latency::Latency;

use self::{application::Application, cluster::Cluster};

use super::labels::Labels;

/// The behaviour of a version.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// Which share of its answers is 500, from 0 to 1.
    pub error_ratio: f64,
    pub latency: Latency,
}

/// The backends of a route, by weight.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Split(pub Vec<Backend>);

#[derive(Debug, Clone, PartialEq)]
pub struct Backend {
    /// The gateway's name for it, such as `default_app-canary_80`, which its counters have.
    pub name: String,
    pub weight: u32,
    pub endpoints: Vec<Endpoint>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Endpoint {
    /// The endpoint, such as a pod's namespace and name, which its counters have.
    pub name: String,
    pub profile: Profile,
}

/// Results of requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Answered with success.
    pub succeeded: u64,
    /// Answered with an error by the application.
    pub failed: u64,
    /// Reached no application: the backend that the weights chose had no endpoint, or no backend had weight.
    pub unserved: u64,
}

impl Tally {
    pub fn add(&mut self, other: Self) {
        self.succeeded = self.succeeded.saturating_add(other.succeeded);
        self.failed = self.failed.saturating_add(other.failed);
        self.unserved = self.unserved.saturating_add(other.unserved);
    }
}

/// The counters, and the random numbers.
#[derive(Debug)]
pub struct Traffic {
    random: Rng,
    applications: BTreeMap<String, Application>,
    clusters: BTreeMap<String, Cluster>,
}

impl Traffic {
    pub fn new(seed: u64) -> Self {
        Self { random: Rng::with_seed(seed), applications: BTreeMap::new(), clusters: BTreeMap::new() }
    }

    /// Sends this number of requests, each to a backend by weight and there to any endpoint.
    pub fn send(&mut self, split: &Split, requests: u64) -> Tally {
        let mut tally = Tally::default();
        for _ in 0..requests {
            let Some(backend) = by_weight(&mut self.random, split) else {
                tally.unserved = tally.unserved.saturating_add(1);
                continue;
            };
            let cluster = self.clusters.entry(backend.name.clone()).or_default();
            let Some(endpoint) = self.random.choice(&backend.endpoints) else {
                cluster.count_unserved();
                tally.unserved = tally.unserved.saturating_add(1);
                continue;
            };
            let failed = self.random.f64() < endpoint.profile.error_ratio;
            let seconds = endpoint.profile.latency.draw(&mut self.random);
            cluster.count(failed, seconds);
            self.applications.entry(endpoint.name.clone()).or_default().count(failed, seconds);
            let counted = if failed { &mut tally.failed } else { &mut tally.succeeded };
            *counted = counted.saturating_add(1);
        }
        tally
    }

    /// The current series of these applications and the gateway's backends, each application's with its own labels in
    /// addition to those given. The counters of others are dropped.
    pub fn scrape(&mut self, applications: &BTreeMap<String, Labels>, backends: &BTreeSet<&str>) -> Vec<(Labels, f64)> {
        self.applications.retain(|name, _| applications.contains_key(name));
        self.clusters.retain(|name, _| backends.contains(name.as_str()));
        let mut series = Vec::new();
        for (name, labels) in applications {
            series.extend(self.applications.entry(name.clone()).or_default().series(labels));
        }
        for name in backends {
            series.extend(self.clusters.entry((*name).to_owned()).or_default().series(name));
        }
        series
    }
}

fn by_weight<'a>(random: &mut Rng, split: &'a Split) -> Option<&'a Backend> {
    let total: u64 = split.0.iter().map(|backend| u64::from(backend.weight)).sum();
    if total == 0 {
        return None;
    }
    let mut drawn = random.u64(0..total);
    split.0.iter().find(|backend| {
        let weight = u64::from(backend.weight);
        let hit = drawn < weight;
        drawn = drawn.saturating_sub(weight);
        hit
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backend(weight: u32, names: &[&str], error_ratio: f64) -> Backend {
        let profile = Profile { error_ratio, latency: Latency::LogNormal { median: 0.05, sigma: 0.5 } };
        let endpoint = |name: &&str| Endpoint { name: (*name).to_owned(), profile: profile.clone() };
        Backend { name: names.concat(), weight, endpoints: names.iter().map(endpoint).collect() }
    }

    fn requests(traffic: &mut Traffic, name: &str) -> f64 {
        let applications = BTreeMap::from([(name.to_owned(), Labels::default())]);
        let count = Labels::metric("http_request_duration_seconds_count");
        traffic.scrape(&applications, &BTreeSet::new()).into_iter().find(|(labels, _)| *labels == count).unwrap().1
    }

    #[test]
    fn weights_split_the_requests() {
        let mut traffic = Traffic::new(1);
        let split = Split(vec![backend(90, &["a"], 0.0), backend(10, &["b"], 0.0)]);

        traffic.send(&split, 10_000);

        let found = requests(&mut traffic, "b");
        // Ten standard deviations of a binomial of 10,000 and 0.1 are 300.
        assert!((found - 1000.0).abs() < 300.0, "{found}");
    }

    #[test]
    fn the_error_ratio_shows_in_the_answers() {
        let split = Split(vec![backend(1, &["a", "b"], 0.25)]);

        let tally = Traffic::new(1).send(&split, 10_000);

        assert_eq!(tally.succeeded + tally.failed, 10_000);
        assert!(tally.failed.abs_diff(2500) < 430, "{tally:?}");
    }

    #[test]
    fn a_backend_with_weight_and_no_endpoint_serves_nothing() {
        let split = Split(vec![backend(1, &[], 0.0), backend(0, &["a"], 0.0)]);

        assert_eq!(Traffic::new(1).send(&split, 5), Tally { unserved: 5, ..Tally::default() });
    }

    #[test]
    fn without_any_weight_nothing_is_served() {
        assert_eq!(Traffic::new(1).send(&Split::default(), 5), Tally { unserved: 5, ..Tally::default() });
    }

    #[test]
    fn one_seed_gives_the_same_counters_and_another_gives_others() {
        let counters = |seed| {
            let mut traffic = Traffic::new(seed);
            traffic.send(&Split(vec![backend(1, &["a", "b"], 0.1)]), 500);
            traffic.scrape(&BTreeMap::from([("a".to_owned(), Labels::default())]), &BTreeSet::from(["ab"]))
        };

        assert_eq!(counters(7), counters(7));
        assert_ne!(counters(7), counters(8));
    }

    #[test]
    fn an_application_that_is_gone_starts_from_zero_again() {
        let mut traffic = Traffic::new(1);
        traffic.send(&Split(vec![backend(1, &["a"], 0.0)]), 5);

        traffic.scrape(&BTreeMap::new(), &BTreeSet::new());

        assert_eq!(requests(&mut traffic, "a"), 0.0);
    }
}

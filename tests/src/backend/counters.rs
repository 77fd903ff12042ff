//! Request counters of pods, in the text format that Prometheus scrapes.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Upper bounds of the histogram's buckets, in milliseconds.
const BOUNDS: [u64; 9] = [5, 10, 25, 50, 100, 250, 500, 1000, 2500];
const MICROS_PER_SECOND: f64 = 1_000_000.0;
const MILLIS_PER_SECOND: f64 = 1_000.0;

pub const REQUESTS: &str = "http_requests_total";
pub const DURATION: &str = "http_request_duration_seconds";

/// The pod of the counters.
#[derive(Debug, Clone, Default)]
pub struct Owner {
    pub namespace: String,
    pub app: String,
    pub version: String,
    pub hash: String,
    pub pod: String,
}

impl Owner {
    fn labels(&self) -> String {
        let Self { namespace, app, version, hash, pod } = self;
        format!(
            "namespace=\"{namespace}\",app=\"{app}\",version=\"{version}\",\
             rollouts_pod_template_hash=\"{hash}\",pod=\"{pod}\""
        )
    }
}

/// Of one pod.
#[derive(Debug, Default)]
pub struct Counters {
    owner: Owner,
    begun: AtomicU64,
    good: AtomicU64,
    bad: AtomicU64,
    /// Not cumulative; the last one counts requests slower than every bound.
    buckets: [AtomicU64; BOUNDS.len() + 1],
    micros: AtomicU64,
}

impl Counters {
    pub fn of(owner: Owner) -> Self {
        Self { owner, ..Self::default() }
    }

    /// The number of a request that begins, counted from 0.
    pub fn begin(&self) -> u64 {
        self.begun.fetch_add(1, Ordering::Relaxed)
    }

    pub fn end(&self, failed: bool, took: Duration) {
        let answered = if failed { &self.bad } else { &self.good };
        answered.fetch_add(1, Ordering::Relaxed);
        let place = BOUNDS.iter().position(|bound| took <= Duration::from_millis(*bound)).unwrap_or(BOUNDS.len());
        if let Some(bucket) = self.buckets.get(place) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.micros.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// As in real programs, a series begins with the first request that it counts.
    fn requests(&self, text: &mut String) {
        for (code, count) in [(200, &self.good), (500, &self.bad)] {
            let count = count.load(Ordering::Relaxed);
            if count > 0 {
                line(text, format_args!("{REQUESTS}{{{},code=\"{code}\"}} {count}", self.owner.labels()));
            }
        }
    }

    fn durations(&self, text: &mut String) {
        let labels = self.owner.labels();
        let mut all = 0;
        let bounds = BOUNDS.iter().map(|bound| (*bound as f64 / MILLIS_PER_SECOND).to_string());
        for (bucket, bound) in self.buckets.iter().zip(bounds.chain(["+Inf".to_owned()])) {
            all += bucket.load(Ordering::Relaxed);
            line(text, format_args!("{DURATION}_bucket{{{labels},le=\"{bound}\"}} {all}"));
        }
        let seconds = self.micros.load(Ordering::Relaxed) as f64 / MICROS_PER_SECOND;
        line(text, format_args!("{DURATION}_sum{{{labels}}} {seconds}"));
        line(text, format_args!("{DURATION}_count{{{labels}}} {all}"));
    }
}

/// The page of all pods that had requests.
pub fn page<'a>(all: impl Iterator<Item = &'a Counters> + Clone) -> String {
    let asked = all.filter(|one| one.begun.load(Ordering::Relaxed) > 0);
    let mut text = String::new();
    line(&mut text, format_args!("# TYPE {REQUESTS} counter"));
    asked.clone().for_each(|one| one.requests(&mut text));
    line(&mut text, format_args!("# TYPE {DURATION} histogram"));
    asked.for_each(|one| one.durations(&mut text));
    text
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    text.push_str(&std::fmt::format(line));
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters() -> Counters {
        Counters::of(Owner { pod: "web-1".into(), ..Owner::default() })
    }

    #[test]
    fn a_pod_without_requests_has_no_series() {
        assert!(!page([&counters()].into_iter()).contains("web-1"));
    }

    #[test]
    fn answers_are_counted_by_code_and_latency() {
        let counters = counters();
        for (failed, millis) in [(false, 3), (false, 30), (true, 9000)] {
            counters.begin();
            counters.end(failed, Duration::from_millis(millis));
        }

        let page = page([&counters].into_iter());

        let value = |series: &str, ending: &str| {
            let found = page.lines().find(|line| line.starts_with(series) && line.contains(ending));
            found.and_then(|line| line.rsplit(' ').next()).map(str::to_owned)
        };
        assert_eq!(value(REQUESTS, "code=\"200\"").as_deref(), Some("2"));
        assert_eq!(value(REQUESTS, "code=\"500\"").as_deref(), Some("1"));
        let bucket = format!("{DURATION}_bucket");
        let buckets = ["le=\"0.005\"", "le=\"0.05\"", "le=\"2.5\"", "le=\"+Inf\""].map(|bound| value(&bucket, bound));
        assert_eq!(buckets.map(Option::unwrap_or_default), ["1", "2", "2", "3"]);
    }
}

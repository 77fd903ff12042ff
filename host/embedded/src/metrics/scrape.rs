//! Scrapes: the values of all series at one time; a series that is gone is ended, as in Prometheus.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{
    labels::Labels,
    store::{OutOfOrder, Store},
};

/// The series of the last scrape.
#[derive(Debug, Default)]
pub struct Scraper {
    seen: BTreeSet<Labels>,
}

impl Scraper {
    /// Stores one value per series, ends the series that are gone and drops old samples.
    ///
    /// # Errors
    /// If the time is not after the last scrape.
    pub fn scrape(
        &mut self,
        store: &mut Store,
        series: impl IntoIterator<Item = (Labels, f64)>,
        now: Timestamp,
    ) -> Result<(), OutOfOrder> {
        let mut seen = BTreeSet::new();
        for (labels, value) in series {
            store.append(&labels, now, value)?;
            seen.insert(labels);
        }
        for gone in self.seen.difference(&seen) {
            store.end(gone, now)?;
        }
        self.seen = seen;
        store.expire(now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    #[test]
    fn a_series_that_is_gone_is_ended_once() {
        let mut store = Store::new(SignedDuration::from_hours(1));
        let mut scraper = Scraper::default();
        let labels = Labels::metric("up");
        scraper.scrape(&mut store, [(labels.clone(), 1.0)], Timestamp::from_second(1).unwrap()).unwrap();

        scraper.scrape(&mut store, [], Timestamp::from_second(2).unwrap()).unwrap();
        scraper.scrape(&mut store, [], Timestamp::from_second(3).unwrap()).unwrap();

        let (_, samples) = store.series(Some("up")).next().unwrap();
        let stale: Vec<(i64, bool)> = samples.iter().map(|sample| (sample.at, sample.is_stale())).collect();
        assert_eq!(stale, [(1000, false), (2000, true)]);
    }
}

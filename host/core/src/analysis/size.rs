//! Keeps a status small enough for the API server to accept it.

use std::collections::BTreeMap;

use kulta_api::analysis::{AnalysisRunStatus, Measurement};

use super::memory::MEMORY_KEY;

/// Limit for a measurement's value and for its message, in bytes. Conditions are evaluated on the whole value; the stored one is
/// for users.
const MAX_TEXT_BYTES: usize = 1_024;
/// Limit for a status as JSON, in bytes. etcd accepts 1.5 MiB for the whole object, and the spec needs room too.
const MAX_STATUS_BYTES: usize = 1_000_000;
const CUT: &str = "…";

pub(super) fn shorten(measurement: &mut Measurement) {
    cut(&mut measurement.value);
    cut(&mut measurement.message);
    for (_, text) in measurement.metadata.iter_mut().filter(|(key, _)| *key != MEMORY_KEY) {
        cut(text);
    }
}

fn cut(text: &mut String) {
    if text.len() <= MAX_TEXT_BYTES {
        return;
    }
    let end = (0..=MAX_TEXT_BYTES - CUT.len()).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.truncate(end);
    text.push_str(CUT);
}

/// Keeps at most `retention` measurements of each metric, and fewer of the longest lists if the whole status is too large. Each
/// metric keeps its last measurement. If the status is still too large, that one loses all metadata but the analyzer's memory.
pub(super) fn trim(status: &mut AnalysisRunStatus, retention: &BTreeMap<&str, usize>) {
    for result in &mut status.metric_results {
        let kept = retention.get(result.name.as_str()).copied().unwrap_or(usize::MAX);
        let excess = result.measurements.len().saturating_sub(kept.max(1));
        result.measurements.drain(..excess);
    }
    while too_large(status) {
        let most = status.metric_results.iter().map(|result| result.measurements.len()).max().unwrap_or(0);
        if most <= 1 {
            let last = status.metric_results.iter_mut().flat_map(|result| &mut result.measurements);
            last.for_each(|last| last.metadata.retain(|key, _| key == MEMORY_KEY));
            return;
        }
        let left = (most / 2).max(1);
        for result in &mut status.metric_results {
            let excess = result.measurements.len().saturating_sub(left);
            result.measurements.drain(..excess);
        }
    }
}

fn too_large(status: &AnalysisRunStatus) -> bool {
    // A status always serializes.
    serde_json::to_vec(status).is_ok_and(|json| json.len() > MAX_STATUS_BYTES)
}

#[cfg(test)]
mod tests {
    use kulta_api::AnalysisPhase;
    use kulta_api::analysis::MetricResult;
    use proptest::prelude::*;

    use super::*;

    fn measurement(value: &str) -> Measurement {
        Measurement {
            phase: AnalysisPhase::Successful,
            message: String::new(),
            started_at: None,
            finished_at: None,
            value: value.to_owned(),
            metadata: BTreeMap::new(),
            resume_at: None,
        }
    }

    fn status(metrics: usize, measurements: usize, value: &str) -> AnalysisRunStatus {
        let metric_results = (0..metrics).map(|index| MetricResult {
            measurements: (0..measurements).map(|_| measurement(value)).collect(),
            ..MetricResult::new(&index.to_string(), false)
        });
        AnalysisRunStatus { metric_results: metric_results.collect(), ..AnalysisRunStatus::default() }
    }

    #[test]
    fn the_oldest_measurements_beyond_the_retention_are_removed() {
        let mut status = status(1, 3, "");
        status.metric_results[0].measurements[2].value = "newest".into();

        trim(&mut status, &BTreeMap::from([("0", 1)]));

        assert_eq!(status.metric_results[0].measurements, [measurement("newest")]);
    }

    #[test]
    fn a_status_that_would_be_too_large_keeps_fewer_measurements() {
        let mut status = status(100, 40, &"x".repeat(MAX_TEXT_BYTES));

        trim(&mut status, &BTreeMap::new());

        assert!(!too_large(&status));
        assert_eq!(status.metric_results[99].measurements.len(), 5);
    }

    #[test]
    fn the_last_measurement_of_a_hundred_metrics_always_fits() {
        let mut largest = measurement(&"x".repeat(MAX_TEXT_BYTES * 2));
        largest.message = "x".repeat(MAX_TEXT_BYTES * 2);
        // The plugin interface allows at most 4 KiB of memory, which is stored as base64, and 32 metadata entries of 256 bytes.
        largest.metadata = (0..32).map(|index| (index.to_string(), "x".repeat(256))).collect();
        largest.metadata.insert(MEMORY_KEY.to_owned(), "x".repeat(5_464));
        shorten(&mut largest);
        let mut status = status(100, 0, "");
        for result in &mut status.metric_results {
            result.measurements = vec![largest.clone(); 10];
        }

        trim(&mut status, &BTreeMap::new());

        assert!(!too_large(&status));
    }

    proptest! {
        #[test]
        fn a_text_is_cut_between_characters(mut text in "[a-z…ß🦀]{0,1200}") {
            let whole = text.clone();

            cut(&mut text);

            prop_assert!(text.len() <= MAX_TEXT_BYTES);
            prop_assert!(text == whole || whole.starts_with(text.trim_end_matches(CUT)));
        }
    }
}

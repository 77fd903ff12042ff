//! The components with which a run begins. A run keeps them even if other components are served later.

use std::collections::BTreeSet;

use kulta_api::analysis::AnalysisRunSpec;
use serde_json::{Value, json};

use crate::observed::Analyzer;

/// Component by analyzer, in the form in which the annotation [`kulta_api::annotations::PLUGINS`] stores it.
#[must_use]
pub fn pins(spec: &AnalysisRunSpec, analyzers: &[Analyzer]) -> Value {
    let named: BTreeSet<&str> = spec.metrics.iter().filter_map(|metric| Some(metric.provider.analyzer()?.0)).collect();
    let served = analyzers.iter().filter(|analyzer| named.contains(analyzer.name.as_str()));
    served.filter_map(|analyzer| Some((analyzer.name.clone(), json!(analyzer.pin.clone()?)))).collect()
}

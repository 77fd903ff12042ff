//! The provider: exactly one served analyzer.

use super::ServedAnalyzer;
use crate::analysis::{Metric, PLUGIN};
use crate::field_error::{Faults, Path};

/// Explains a missing analyzer: the cluster's CRD may have pruned it.
const NONE: &str =
    "must name an analyzer; the cluster's CRD prunes analyzers that it does not know: name them below plugin";

pub(super) fn validate(metric: &Metric, served: &[ServedAnalyzer<'_>], path: &Path, faults: &mut Faults) {
    let provider = &metric.provider;
    let at = path.field("provider");
    let plugin = provider.0.get(PLUGIN);
    if plugin.is_some_and(|plugin| !plugin.is_object()) {
        faults.add(&at.field(PLUGIN), "must be a map from the name of a plugin to its configuration");
        return;
    }
    let analyzers = provider.analyzers();
    let (name, at) = match analyzers.as_slice() {
        [] => return faults.add(&at, NONE),
        [(name, _)] if provider.is_plugin() => (*name, at.field(PLUGIN).field(name)),
        [(name, _)] => (*name, at.field(name)),
        several => {
            let names = several.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
            return faults.add(&at, format!("must name one analyzer, not several: {names}"));
        }
    };
    if !served.iter().any(|analyzer| analyzer.name == name) {
        let names = served.iter().map(|analyzer| analyzer.name).collect::<Vec<_>>().join(", ");
        faults.add(&at, format!("is not served; there are: {names}"));
    }
}

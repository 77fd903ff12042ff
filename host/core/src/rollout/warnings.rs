//! Warning events about a spec that can be followed but looks wrong.

use serde_json::json;

use super::context::Context;
use crate::plan::{EventReason, KubeEvent};
use crate::{hash, reference};

/// The warnings, once per generation, or once a rollout's errors are gone. Their names are derived from their messages, so the
/// API server refuses duplicates.
pub(crate) fn of_spec(context: &Context) -> Vec<KubeEvent> {
    let observed = &context.observed;
    if !reference::are_warnings_due(&observed.rollout) {
        return Vec::new();
    }
    let generation = observed.rollout.metadata.generation.unwrap_or(0).to_string();
    let of_spec = reference::spec_warnings(observed).into_iter().map(|warning| (EventReason::SpecWarning, warning));
    let of_analyses = reference::warnings(observed).into_iter();
    let of_analyses = of_analyses.map(|warning| (EventReason::AnalysisWarning, warning));
    let event = |(reason, warning): (EventReason, kulta_api::FieldError)| {
        let message = warning.to_string();
        let mark = format!("warning.{}", hash::steps_hash(&json!([generation, message])));
        context.warning(&mark, reason, message)
    };
    of_spec.chain(of_analyses).map(event).collect()
}

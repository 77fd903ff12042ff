//! The writes of Service selectors.

use kulta_api::annotations;
use serde_json::json;

use crate::observed::Service;
use crate::plan::{Action, EventReason, Write};
use crate::rollout::context::Context;
use crate::rollout::safety::SafeGoal;

pub(super) fn plan(context: &Context, goal: &SafeGoal) -> Vec<Write> {
    let stable = context.service(context.fields.stable_service.as_ref()).zip(goal.stable_selector());
    let canary = context.service(context.fields.canary_service.as_ref()).zip(goal.canary_selector());
    stable.into_iter().chain(canary).filter_map(|(service, hash)| switch(context, service, hash)).collect()
}

/// `None` if the Service is managed by this rollout and selects the revision.
fn switch(context: &Context, service: &Service, hash: &str) -> Option<Write> {
    let owner = context.rollout_name();
    let selects = service.hash() == Some(hash);
    let managed = service.managed_by.as_deref() == Some(owner);
    if selects && managed {
        return None;
    }
    let patch = json!({
        "metadata": {
            "resourceVersion": service.resource_version,
            "annotations": { annotations::MANAGED_BY: owner }
        },
        "spec": { "selector": { annotations::POD_TEMPLATE_HASH: hash } }
    });
    let event = (!selects).then(|| {
        let before = service.hash().unwrap_or_default();
        context.event(
            &format!("{}.{}", service.name, service.resource_version),
            EventReason::SwitchService,
            format!("Switched selector for service '{}' from '{before}' to '{hash}'", service.name),
        )
    });
    let action = Action::PatchService { name: service.name.clone(), patch };
    Some(Write { action, events: event.into_iter().collect() })
}

//! What the spec refers to: Services that must be there, and must be nobody else's (`reference/argo-rollouts.md` section 1.5,
//! "References checked every sync").

use std::collections::BTreeMap;

use kulta_api::annotations;
use kulta_api::validation::FieldError;

use crate::observed::{Observed, Service};

/// Path of the strategy's fields in the object.
fn strategy_path(observed: &Observed) -> &'static str {
    if observed.rollout.spec.strategy.plugin.is_some() { "spec.strategy.plugin" } else { "spec.strategy.canary" }
}

/// Everything that is wrong with the references; empty when all is well.
#[must_use]
pub fn check(observed: &Observed) -> Vec<FieldError> {
    let mut errors = observed.strategy_errors.clone();
    errors.extend(observed.unknown_fields.iter().cloned());
    let path = strategy_path(observed);
    if let Some(fields) = observed.rollout.spec.strategy.fields() {
        let labels = observed.rollout.spec.template.labels();
        for (field, name) in [("canaryService", &fields.canary_service), ("stableService", &fields.stable_service)] {
            let Some(name) = name.as_ref().filter(|name| !name.is_empty()) else { continue };
            let field = format!("{path}.{field}");
            match observed.services.get(name) {
                Some(Some(service)) => {
                    if let Some(message) = misfit(observed, service, &labels) {
                        errors.push(FieldError { path: field, message });
                    }
                }
                _ => errors.push(FieldError { path: field, message: format!("service {name:?} not found") }),
            }
        }
    }
    if let Some(rival) = &observed.rival_selector {
        let message = format!("matches pods of Rollout {rival:?} too: each needs a selector of its own");
        errors.push(FieldError { path: "spec.selector".to_owned(), message });
    }
    errors
}

fn misfit(observed: &Observed, service: &Service, labels: &BTreeMap<String, String>) -> Option<String> {
    let name = &service.name;
    // Who has it keeps it: a newcomer must not stop what runs.
    let own = service.managed_by.is_some() && service.managed_by == observed.rollout.metadata.name;
    if let Some(rival) = observed.rival_services.get(name).filter(|_| !own) {
        return Some(format!("service {name:?} is used by Rollout {rival:?} too"));
    }
    let (key, value) = service
        .selector
        .iter()
        .find(|(key, value)| *key != annotations::POD_TEMPLATE_HASH && labels.get(*key) != Some(value))?;
    Some(format!("service {name:?} selects {key}={value}, which spec.template.metadata.labels does not have"))
}

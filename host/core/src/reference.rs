//! The objects that the spec refers to: Services, which must exist and must not belong to another rollout, and templates of
//! analyses (`reference/argo-rollouts.md` section 1.5, "References checked every sync").

use std::collections::BTreeSet;

use kulta_api::analysis::RolloutAnalysis;
use kulta_api::conditions::{self, ConditionType};
use kulta_api::gateway::GATEWAY_PLUGIN;
use kulta_api::strategy::PodMetadata;
use kulta_api::validation::{self, FieldError, Path};
use kulta_api::{Rollout, RolloutStatus, annotations};

use crate::analysis::{self, Configuration, NOT_KNOWN_YET, Source, TemplateRef, Templates};
use crate::observed::{Analyzer, Observed, RouteState, Service};
use crate::runs::Role;

/// Path of the strategy's fields in the Rollout.
pub(crate) fn strategy_path(rollout: &Rollout) -> &'static str {
    let strategy = &rollout.spec.strategy;
    match (&strategy.canary, &strategy.plugin, &strategy.blue_green) {
        (None, Some(_), _) => "spec.strategy.plugin",
        (None, None, Some(_)) => "spec.strategy.blueGreen",
        _ => "spec.strategy.canary",
    }
}

/// Path of the analysis that the spec asks for in this role.
pub(crate) fn analysis_path(rollout: &Rollout, role: Role) -> String {
    let path = strategy_path(rollout);
    match role {
        Role::Background => format!("{path}.analysis"),
        Role::Step(index) => format!("{path}.steps[{index}].analysis"),
        Role::PrePromotion => format!("{path}.prePromotionAnalysis"),
        Role::PostPromotion => format!("{path}.postPromotionAnalysis"),
    }
}

/// The analyses that the spec asks for.
fn analyses(rollout: &Rollout) -> Vec<(Role, &RolloutAnalysis)> {
    let strategy = &rollout.spec.strategy;
    let background = strategy.fields().and_then(|fields| fields.analysis.as_ref());
    let steps = strategy.canary.iter().flat_map(|canary| canary.steps.iter().zip(0..));
    let steps = steps.filter_map(|(step, index)| Some((Role::Step(index), step.analysis.as_ref()?)));
    let promotion = strategy.blue_green.iter().flat_map(|blue_green| {
        [
            blue_green.pre_promotion_analysis.as_ref().map(|analysis| (Role::PrePromotion, analysis)),
            blue_green.post_promotion_analysis.as_ref().map(|analysis| (Role::PostPromotion, analysis)),
        ]
    });
    background
        .map(|analysis| (Role::Background, analysis))
        .into_iter()
        .chain(steps)
        .chain(promotion.flatten())
        .filter(|(_, analysis)| !analysis.templates.is_empty())
        .collect()
}

/// The templates that a rollout's analyses refer to, as far as the found ones show. The caller looks up those that are missing. A
/// newly found template may refer to more.
#[must_use]
pub fn templates(rollout: &Rollout, found: &Templates) -> BTreeSet<TemplateRef> {
    analyses(rollout).into_iter().flat_map(|(_, analysis)| analysis::referenced(&analysis.templates, found)).collect()
}

/// All errors in the references.
#[must_use]
pub fn check(observed: &Observed) -> Vec<FieldError> {
    let mut errors = observed.strategy_errors.clone();
    errors.extend(observed.step_errors.iter().cloned());
    for NamedService { path, name, metadata } in named_services(observed) {
        match observed.services.get(name) {
            Some(Some(service)) => {
                errors.extend(mismatch(observed, service, metadata).map(|message| FieldError { path, message }));
            }
            _ => errors.push(FieldError { path, message: format!("service {name:?} not found") }),
        }
    }
    errors.extend(check_analyses(observed));
    errors.extend(observed.analyzer_errors.iter().cloned());
    if !errors.is_empty() {
        // A missing route alone only keeps traffic from being moved. Beside other errors it is reported with them.
        errors.extend(missing_routes(observed, strategy_path(&observed.rollout)));
    }
    errors
}

/// The routes that the spec names and that do not exist.
fn missing_routes(observed: &Observed, path: &str) -> Vec<FieldError> {
    let own = observed.rollout.metadata.namespace.as_deref().unwrap_or_default();
    let missing = observed.routes.iter().filter(|route| route.state == RouteState::Missing);
    missing
        .map(|route| FieldError {
            path: format!("{path}.trafficRouting.plugins[{GATEWAY_PLUGIN:?}]"),
            message: format!("{} not found", route.key.shown(own)),
        })
        .collect()
}

/// A Service that the spec names.
struct NamedService<'a> {
    /// Path of the field.
    path: String,
    name: &'a str,
    /// Labels and annotations that pods behind the Service have in addition to the template's.
    metadata: Option<&'a PodMetadata>,
}

fn named_services(observed: &Observed) -> Vec<NamedService<'_>> {
    let path = strategy_path(&observed.rollout);
    let strategy = &observed.rollout.spec.strategy;
    let by_canary = strategy.fields().into_iter().flat_map(|fields| {
        [
            ("canaryService", fields.canary_service.as_deref(), &fields.canary_metadata),
            ("stableService", fields.stable_service.as_deref(), &fields.stable_metadata),
        ]
    });
    let by_blue_green = strategy.blue_green.iter().flat_map(|strategy| {
        [
            ("previewService", strategy.preview_service.as_deref(), &strategy.preview_metadata),
            ("activeService", Some(strategy.active_service.as_str()), &strategy.active_metadata),
        ]
    });
    let named = by_canary.chain(by_blue_green).filter_map(|(field, name, metadata)| {
        let name = name.filter(|name| !name.is_empty())?;
        Some(NamedService { path: format!("{path}.{field}"), name, metadata: metadata.as_ref() })
    });
    named.collect()
}

/// Errors of existing Services that do not fit this rollout.
pub(crate) fn mismatches(observed: &Observed) -> Vec<FieldError> {
    named_services(observed)
        .into_iter()
        .filter_map(|NamedService { path, name, metadata }| {
            let message = mismatch(observed, observed.services.get(name)?.as_ref()?, metadata)?;
            Some(FieldError { path, message })
        })
        .collect()
}

/// The configurations that the rollout's analyses pass to analyzers, as far as they are known before any run is created, without
/// duplicates. The caller has the analyzers check them and puts their errors into [`Observed::analyzer_errors`].
#[must_use]
pub fn configurations(observed: &Observed) -> Vec<Configuration> {
    let rollout = &observed.rollout;
    let analyses = analyses(rollout);
    if analyses.is_empty() {
        return Vec::new();
    }
    let object = serde_json::to_value(rollout).unwrap_or_default();
    let source = Source { rollout: &object, latest: NOT_KNOWN_YET, stable: Some(NOT_KNOWN_YET) };
    let mut all = Vec::new();
    for (role, analysis) in analyses {
        let at = Path::new(&analysis_path(rollout, role));
        let analysis = without_later_fields(analysis, NOT_KNOWN_YET);
        for one in analysis::configurations(&analysis, &at, &source, &observed.templates) {
            if !all.contains(&one) {
                all.push(one);
            }
        }
    }
    all
}

/// Whether warnings about the spec are emitted in this reconciliation: the first one of a generation, or the first one after the spec had
/// errors, during which no warning is emitted.
#[must_use]
pub fn are_warnings_due(rollout: &Rollout) -> bool {
    let generation = rollout.metadata.generation.unwrap_or(0).to_string();
    let status = rollout.status.as_ref();
    let had_errors =
        |status: &RolloutStatus| conditions::find(&status.conditions, ConditionType::InvalidSpec).is_some();
    status.is_none_or(|status| status.observed_generation != generation || had_errors(status))
}

/// Warnings about analyses. As in Argo Rollouts, such an analysis runs nevertheless.
pub(crate) fn warnings(observed: &Observed) -> Vec<FieldError> {
    let needs_condition = |name: &str| observed.analyzers.iter().any(|one| one.name == name && one.needs_condition);
    let unconditional = configurations(observed).into_iter().filter(|one| one.conditions.is_empty());
    let unconditional = unconditional.filter(|one| needs_condition(&one.analyzer)).map(|one| {
        let message = "neither successCondition nor failureCondition is set: every value passes";
        one.at.error(format!("metric {:?}: {message}", one.metric))
    });
    let rollout = &observed.rollout;
    let without_effect = analyses(rollout).into_iter().flat_map(|(role, analysis)| {
        analysis::args_without_effect(analysis, &Path::new(&analysis_path(rollout, role)), &observed.templates)
    });
    observed.template_warnings.iter().cloned().chain(unconditional).chain(without_effect).collect()
}

/// Warnings about the rest of the spec. As in Argo Rollouts, such a rollout runs nevertheless.
pub(crate) fn spec_warnings(observed: &Observed) -> Vec<FieldError> {
    let overlap = observed.conflicting_selector.iter().map(|other| {
        let message = format!(
            "matches pods of Rollout {other:?} too: counts by labels, such as those of an autoscaler, take in both"
        );
        FieldError { path: "spec.selector".to_owned(), message }
    });
    let unknown_fields = observed.unknown_fields.iter().cloned();
    overlap.chain(unknown_fields).chain(validation::warnings(&observed.rollout)).collect()
}

/// Placeholder for a hash that is not known yet, while a run is only validated.
const SOME_HASH: &str = "hash";

/// Errors that keep runs from being created. They are reported before any run is needed.
fn check_analyses(observed: &Observed) -> Vec<FieldError> {
    let rollout = &observed.rollout;
    let analyses = analyses(rollout);
    if analyses.is_empty() {
        return Vec::new();
    }
    let object = serde_json::to_value(rollout).unwrap_or_default();
    let source = Source { rollout: &object, latest: SOME_HASH, stable: Some(SOME_HASH) };
    let served: Vec<_> = observed.analyzers.iter().map(Analyzer::served).collect();
    let errors_of = |(role, analysis): (Role, &RolloutAnalysis)| {
        let at = Path::new(&analysis_path(rollout, role));
        let analysis = without_later_fields(analysis, "");
        analysis::resolve(&analysis, &at, &source, &observed.templates, &served, role.is_endless()).err()
    };
    let all = analyses.into_iter().filter_map(errors_of).flatten();
    // Two analyses that use the same template have its errors in common.
    let mut unique = Vec::new();
    for error in all {
        if !unique.contains(&error) {
            unique.push(error);
        }
    }
    unique
}

/// Replaces arguments that read fields other than metadata, which may not exist yet. They are validated when the run is created.
fn without_later_fields(analysis: &RolloutAnalysis, stand_in: &str) -> RolloutAnalysis {
    let mut analysis = analysis.clone();
    for arg in &mut analysis.args {
        let field = arg.value_from.as_ref().and_then(|from| from.field_ref.as_ref());
        if field.is_some_and(|field| !field.field_path.starts_with("metadata")) {
            arg.value_from = None;
            arg.value = Some(stand_in.to_owned());
        }
    }
    analysis
}

/// Why the Service does not fit the rollout. Pods that the Service selects have `metadata` in addition to the template's labels,
/// as in Argo (`validSvcSelectorForType`).
fn mismatch(observed: &Observed, service: &Service, metadata: Option<&PodMetadata>) -> Option<String> {
    let name = &service.name;
    let labels = observed.template().labels();
    // The rollout that manages the Service keeps it, so that a new rollout cannot stop one that runs.
    let own = service.managed_by.is_some() && service.managed_by == observed.rollout.metadata.name;
    if let Some(other) = observed.conflicting_services.get(name).filter(|_| !own) {
        return Some(format!("service {name:?} is used by Rollout {other:?} too"));
    }
    let given = |key: &str| metadata.and_then(|metadata| metadata.labels.get(key));
    let (key, value) = service.selector.iter().find(|(key, value)| {
        *key != annotations::POD_TEMPLATE_HASH && labels.get(*key) != Some(value) && given(key) != Some(value)
    })?;
    Some(format!("service {name:?} selects {key}={value}, which spec.template.metadata.labels does not have"))
}

#[cfg(test)]
#[path = "reference_tests.rs"]
mod tests;

//! Warnings about a Rollout's spec that looks wrong but is valid, as in Argo Rollouts (`reference/argo-rollouts.md`
//! sections 1.1 to 1.5). Each warning describes the actual effect.

use std::collections::BTreeSet;

use super::WHOLE_PERCENT;
use super::gateway::unknown_keys;
use crate::analysis::{AnalysisArgument, RolloutAnalysis};
use crate::blue_green::BlueGreenStrategy;
use crate::field_error::{Faults, FieldError, Path};
use crate::gateway::GATEWAY_PLUGIN;
use crate::rollout::Rollout;
use crate::share::{ProgressThreshold, Share};
use crate::step::{CanaryStep, SetCanaryScale};
use crate::strategy::CanaryFields;

/// Every warning about the spec. They are useful only if [`super::validate`] reports no error.
#[must_use]
pub fn warnings(rollout: &Rollout) -> Vec<FieldError> {
    let spec = &rollout.spec;
    let path = Path::new("spec");
    let mut doubts = Faults::default();
    let revisions = spec.rollback_window.as_ref().and_then(|window| window.revisions);
    negative(revisions, &path.field("rollbackWindow").field("revisions"), &mut doubts);
    let strategy = path.field("strategy");
    if let Some(canary) = &spec.strategy.canary {
        let path = strategy.field("canary");
        fields(&canary.fields, &path, &mut doubts);
        if let Some(analysis) = &canary.fields.analysis {
            starting_step(analysis, canary.steps.len(), &path.field("analysis"), &mut doubts);
        }
        for (index, step) in canary.steps.iter().enumerate() {
            self::step(step, &path.field("steps").index(index), &mut doubts);
        }
    } else if let Some(plugin) = &spec.strategy.plugin {
        fields(&plugin.fields, &strategy.field("plugin"), &mut doubts);
    } else if let Some(strategy_fields) = &spec.strategy.blue_green {
        blue_green(strategy_fields, spec.replicas(), &strategy.field("blueGreen"), &mut doubts);
    }
    doubts.done().err().unwrap_or_default()
}

fn blue_green(strategy: &BlueGreenStrategy, replicas: u32, path: &Path, doubts: &mut Faults) {
    let preview = strategy.preview_replica_count.and_then(|pods| u32::try_from(pods).ok());
    let more = preview.is_some_and(|pods| pods > replicas);
    let count = path.field("previewReplicaCount");
    doubts.add_if(
        more,
        &count,
        format!("is more than spec.replicas ({replicas}): the preview has more pods than the active version"),
    );
    let seconds = path.field("autoPromotionSeconds");
    negative(strategy.auto_promotion_seconds, &seconds, doubts);
    let by_user = strategy.auto_promotion_enabled == Some(false);
    doubts.add_if(
        by_user && strategy.auto_promotion_seconds.is_some(),
        &seconds,
        "has no effect with autoPromotionEnabled: false: a user must promote",
    );
    fields(&strategy.as_fields(), path, doubts);
    let analyses = [
        (&strategy.pre_promotion_analysis, "prePromotionAnalysis"),
        (&strategy.post_promotion_analysis, "postPromotionAnalysis"),
    ];
    for (analysis, field) in analyses {
        let Some(analysis) = analysis else { continue };
        let path = path.field(field);
        doubts.add_if(analysis.templates.is_empty(), &path.field("templates"), "is empty: nothing is measured");
        let started = analysis.starting_step.is_some();
        doubts.add_if(started, &path.field("startingStep"), "has no effect: blue-green has no steps");
        args(&analysis.args, &path.field("args"), doubts);
    }
}

fn negative(number: Option<i32>, path: &Path, doubts: &mut Faults) {
    doubts.add_if(number.is_some_and(|number| number < 0), path, "is negative: it counts as 0");
}

fn fields(fields: &CanaryFields, path: &Path, doubts: &mut Faults) {
    negative(fields.scale_down_delay_seconds, &path.field("scaleDownDelaySeconds"), doubts);
    negative(fields.scale_down_delay_revision_limit, &path.field("scaleDownDelayRevisionLimit"), doubts);
    let delay = path.field("abortScaleDownDelaySeconds");
    let at_once = "is negative: the canary is scaled down as soon as the rollout is aborted";
    doubts.add_if(fields.abort_scale_down_delay_seconds.is_some_and(|seconds| seconds < 0), &delay, at_once);
    let floor = path.field("minPodsPerReplicaSet");
    negative(fields.min_pods_per_replica_set, &floor, doubts);
    let routed = fields.traffic_routing.is_some();
    let unused = fields.min_pods_per_replica_set.is_some() && !routed;
    doubts.add_if(unused, &floor, "has no effect without trafficRouting");
    let unavailable = fields.max_unavailable.as_ref().and_then(|written| Share::parse(written).ok());
    doubts.add_if(
        matches!(unavailable, Some(Share::Percent(percent)) if percent > WHOLE_PERCENT),
        &path.field("maxUnavailable"),
        "is more than 100%: all pods may be unavailable",
    );
    threshold(fields, &path.field("replicaProgressThreshold"), doubts);
    if let Some(routing) = fields.traffic_routing.as_ref().filter(|routing| !routing.has_router()) {
        let whole =
            fields.dynamic_stable_scale() && fields.stable_service.as_ref().is_some_and(|name| !name.is_empty());
        let has_no_effect =
            "has no effect without a router if there is a stableService: its revision keeps all its pods";
        doubts.add_if(whole, &path.field("dynamicStableScale"), has_no_effect);
        let path = path.field("trafficRouting");
        let services = "pods are counted as behind routes, and only the selectors of Services change";
        doubts.add(&path, format!("has no router: {services}"));
        let unused = !routing.managed_routes.is_empty();
        doubts.add_if(unused, &path.field("managedRoutes"), "has no effect without a router");
    }
    if let Some(config) = fields.traffic_routing.as_ref().and_then(|routing| routing.gateway()) {
        let path = path.field("trafficRouting").field("plugins").field(GATEWAY_PLUGIN);
        for path in unknown_keys(config, &path) {
            doubts.add(&path, "is not a field of this plugin: it has no effect");
        }
    }
    if let Some(analysis) = &fields.analysis {
        let path = path.field("analysis");
        let before = analysis.starting_step.is_some_and(|step| step < 0);
        doubts.add_if(before, &path.field("startingStep"), "is negative: the analysis begins with the update");
        args(&analysis.args, &path.field("args"), doubts);
    }
}

fn threshold(fields: &CanaryFields, path: &Path, doubts: &mut Faults) {
    let Some(written) = &fields.replica_progress_threshold else { return };
    match written.threshold() {
        None => doubts.add(&path.field("type"), "is neither Percent nor Pods: all pods must be available"),
        Some(ProgressThreshold::Percent(percent)) => {
            let more = percent > WHOLE_PERCENT;
            doubts.add_if(more, &path.field("value"), "is more than 100 percent: all pods must be available");
        }
        Some(ProgressThreshold::Pods(_)) => {}
    }
}

fn starting_step(analysis: &RolloutAnalysis, steps: usize, path: &Path, doubts: &mut Faults) {
    let start = analysis.starting_step.and_then(|index| usize::try_from(index).ok());
    let Some(start) = start.filter(|start| *start > steps) else { return };
    let message = format!("{start} is after the last of {steps} steps: the analysis never begins");
    doubts.add(&path.field("startingStep"), message);
}

fn step(step: &CanaryStep, path: &Path, doubts: &mut Faults) {
    if let Some(scale) = &step.set_canary_scale {
        let others = [step.set_weight.is_some(), step.pause.is_some(), step.analysis.is_some(), step.plugin.is_some()];
        let beside = others.into_iter().any(|present| present);
        doubts.add_if(beside, path, "has more than one action: setCanaryScale is applied first");
        self::scale(scale, &path.field("setCanaryScale"), doubts);
    }
    if step.plugin.is_some() {
        let at = path.field("plugin");
        doubts.add_if(step.pause.is_some(), &at, "has no effect: no plugin is called during a pause");
        let moves = "the plugin is called beside setWeight, and the step ends when both are done";
        doubts.add_if(step.set_weight.is_some(), path, format!("does more than one thing: {moves}"));
        let judged = "the plugin is called beside the analysis, and the step ends with the analysis";
        doubts.add_if(step.analysis.is_some(), path, format!("does more than one thing: {judged}"));
    }
    if let Some(analysis) = &step.analysis {
        let path = path.field("analysis");
        let started = analysis.starting_step.is_some();
        doubts.add_if(started, &path.field("startingStep"), "has no effect: this analysis begins with its step");
        args(&analysis.args, &path.field("args"), doubts);
    }
}

fn scale(scale: &SetCanaryScale, path: &Path, doubts: &mut Faults) {
    let kinds = [scale.match_traffic_weight == Some(true), scale.replicas.is_some(), scale.weight.is_some()];
    match kinds.into_iter().filter(|present| *present).count() {
        0 => doubts.add(path, "has none of replicas, weight and matchTrafficWeight: pods follow the traffic weight"),
        1 => {}
        _ => doubts.add(
            path,
            "has several measures: matchTrafficWeight takes precedence over replicas, and replicas over weight",
        ),
    }
}

fn args(args: &[AnalysisArgument], path: &Path, doubts: &mut Faults) {
    let mut names = BTreeSet::new();
    for (index, arg) in args.iter().enumerate() {
        let path = path.index(index);
        let name = path.field("name");
        doubts.add_if(arg.name.is_empty(), &name, "is empty: no template has an argument of this name");
        let again = !names.insert(&arg.name);
        doubts.add_if(again, &name, format!("{:?} is a duplicate: the last value counts", arg.name));
        let Some(from) = &arg.value_from else { continue };
        doubts.add_if(arg.value.is_some(), &path.field("value"), "has no effect beside valueFrom");
        let from_path = path.field("valueFrom");
        match (&from.pod_template_hash_value, &from.field_ref) {
            (Some(_), Some(_)) => doubts.add(&from_path.field("fieldRef"), "has no effect beside podTemplateHashValue"),
            (None, None) => doubts.add(&from_path, "has no source: value is used, or the empty text"),
            _ => {}
        }
    }
}

#[cfg(test)]
#[path = "warnings_tests.rs"]
mod tests;

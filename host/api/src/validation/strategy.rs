//! Validates the strategy.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{gateway, managed_routes, request, steps};
use crate::blue_green::BlueGreenStrategy;
use crate::field_error::{Faults, Path};
use crate::gateway::GATEWAY_PLUGIN;
use crate::share::{DEFAULT_SHARE, Share};
use crate::strategy::{AntiAffinity, CanaryFields, RolloutStrategy, TrafficRouting};

const ANTI_AFFINITY_WEIGHTS: std::ops::RangeInclusive<i32> = 1..=100;

/// `history` is the value of `revisionHistoryLimit`.
pub(super) fn validate(strategy: &RolloutStrategy, history: usize, path: &Path, faults: &mut Faults) {
    match [strategy.canary.is_some(), strategy.blue_green.is_some(), strategy.plugin.is_some()]
        .into_iter()
        .filter(|present| *present)
        .count()
    {
        0 => faults.add(
            path,
            "must have canary, blueGreen or plugin; if you wrote spec.strategy.plugin, Argo Rollouts' own CRD has removed it: install KULTA's CRD",
        ),
        1 => {}
        _ => faults.add(path, "must have only one of canary, blueGreen and plugin"),
    }
    if let Some(strategy) = &strategy.blue_green {
        blue_green(strategy, history, &path.field("blueGreen"), faults);
    }
    if let Some(canary) = &strategy.canary {
        let path = path.field("canary");
        fields(&canary.fields, &path, faults);
        steps::validate(&canary.steps, &canary.fields, &path.field("steps"), faults);
    }
    if let Some(plugin) = &strategy.plugin {
        let path = path.field("plugin");
        faults.add_if(plugin.name.is_empty(), &path.field("name"), "is required");
        faults.add_if(
            plugin.steps.is_some(),
            &path.field("steps"),
            "is for canary only: this plugin decides about steps",
        );
        fields(&plugin.fields, &path, faults);
    }
}

fn blue_green(strategy: &BlueGreenStrategy, history: usize, path: &Path, faults: &mut Faults) {
    let active = path.field("activeService");
    faults.add_if(strategy.active_service.is_empty(), &active, "is required");
    faults.add_if(
        !strategy.active_service.is_empty() && strategy.preview_service.as_ref() == Some(&strategy.active_service),
        &path.field("previewService"),
        "must be another service than activeService",
    );
    let preview = path.field("previewReplicaCount");
    faults.add_if(strategy.preview_replica_count.is_some_and(|pods| pods < 0), &preview, "must not be negative");
    share(strategy.max_unavailable.as_ref(), &path.field("maxUnavailable"), faults);
    let kept = strategy.scale_down_delay_revision_limit.and_then(|limit| usize::try_from(limit).ok());
    faults.add_if(
        kept.is_some_and(|kept| kept > history),
        &path.field("scaleDownDelayRevisionLimit"),
        format!("must not be greater than spec.revisionHistoryLimit ({history})"),
    );
    let analyses = [
        (&strategy.pre_promotion_analysis, "prePromotionAnalysis"),
        (&strategy.post_promotion_analysis, "postPromotionAnalysis"),
    ];
    for (analysis, field) in analyses {
        if let Some(analysis) = analysis {
            request::background(analysis, &path.field(field), faults);
        }
    }
    if let Some(affinity) = &strategy.anti_affinity {
        anti_affinity(affinity, &path.field("antiAffinity"), faults);
    }
}

fn fields(fields: &CanaryFields, path: &Path, faults: &mut Faults) {
    services(fields, path, faults);
    shares(fields, path, faults);
    if let Some(background) = &fields.analysis {
        request::background(background, &path.field("analysis"), faults);
    }
    faults.unsupported(fields.ping_pong.is_some(), &path.field("pingPong"));
    if let Some(routing) = &fields.traffic_routing {
        traffic_routing(routing, &path.field("trafficRouting"), faults);
    }
    if let Some(affinity) = &fields.anti_affinity {
        anti_affinity(affinity, &path.field("antiAffinity"), faults);
    }
    scaling(fields, path, faults);
}

fn services(fields: &CanaryFields, path: &Path, faults: &mut Faults) {
    let canary = fields.canary_service.as_deref().unwrap_or_default();
    let stable = fields.stable_service.as_deref().unwrap_or_default();
    if fields.traffic_routing.as_ref().is_some_and(|routing| routing.gateway().is_some()) {
        for (name, field) in [(canary, "canaryService"), (stable, "stableService")] {
            faults.add_if(name.is_empty(), &path.field(field), format!("is required with {GATEWAY_PLUGIN}"));
        }
    }
    faults.add_if(
        !canary.is_empty() && canary == stable,
        &path.field("stableService"),
        "must be another service than canaryService",
    );
}

fn shares(fields: &CanaryFields, path: &Path, faults: &mut Faults) {
    let surge = share(fields.max_surge.as_ref(), &path.field("maxSurge"), faults);
    let unavailable = share(fields.max_unavailable.as_ref(), &path.field("maxUnavailable"), faults);
    faults.add_if(
        surge.is_some_and(Share::is_zero) && unavailable.is_some_and(Share::is_zero),
        &path.field("maxSurge"),
        "must not be 0 when maxUnavailable is 0: no pod could ever be replaced",
    );
}

fn share(written: Option<&IntOrString>, path: &Path, faults: &mut Faults) -> Option<Share> {
    match written.map_or(Ok(DEFAULT_SHARE), Share::parse) {
        Ok(share) => Some(share),
        Err(error) => {
            faults.add(path, error.to_string());
            None
        }
    }
}

fn traffic_routing(routing: &TrafficRouting, path: &Path, faults: &mut Faults) {
    let later = [
        (routing.alb.is_some(), "alb"),
        (routing.ambassador.is_some(), "ambassador"),
        (routing.apisix.is_some(), "apisix"),
        (routing.app_mesh.is_some(), "appMesh"),
        (routing.istio.is_some(), "istio"),
        (routing.nginx.is_some(), "nginx"),
        (routing.smi.is_some(), "smi"),
        (routing.traefik.is_some(), "traefik"),
    ];
    for (present, field) in later {
        faults.unsupported(present, &path.field(field));
    }
    // Without a router nothing makes these routes, so Argo Rollouts ignores them.
    if routing.has_router() {
        managed_routes::names(&routing.managed_routes, &path.field("managedRoutes"), faults);
    }
    let plugins = path.field("plugins");
    for (name, config) in &routing.plugins {
        if name == GATEWAY_PLUGIN {
            gateway::validate(&config.0, &plugins.field(name), faults);
        } else {
            faults.unsupported(true, &plugins.field(name));
        }
    }
    let weight = path.field("maxTrafficWeight");
    faults.add_if(
        routing.max_traffic_weight.is_some() && !routing.has_router(),
        &weight,
        format!("can only be used with {GATEWAY_PLUGIN}"),
    );
    faults.add_if(routing.max_traffic_weight.is_some_and(|weight| weight <= 0), &weight, "must be greater than 0");
}

fn anti_affinity(affinity: &AntiAffinity, path: &Path, faults: &mut Faults) {
    let preferred = affinity.preferred_during_scheduling_ignored_during_execution.as_ref();
    let required = affinity.required_during_scheduling_ignored_during_execution.is_some();
    faults.add_if(
        preferred.is_some() == required,
        path,
        "must have exactly one of preferredDuringSchedulingIgnoredDuringExecution and requiredDuringSchedulingIgnoredDuringExecution",
    );
    faults.add_if(
        preferred.is_some_and(|preferred| !ANTI_AFFINITY_WEIGHTS.contains(&preferred.weight)),
        &path.field("preferredDuringSchedulingIgnoredDuringExecution").field("weight"),
        "must be between 1 and 100",
    );
}

/// Validates the delays before unused pods are scaled down.
fn scaling(fields: &CanaryFields, path: &Path, faults: &mut Faults) {
    let routed = fields.traffic_routing.is_some();
    let routed_only = "can only be used with trafficRouting";
    let delay = path.field("scaleDownDelaySeconds");
    faults.add_if(fields.scale_down_delay_seconds.is_some() && !routed, &delay, routed_only);
    faults.add_if(
        fields.scale_down_delay_seconds.is_some() && fields.dynamic_stable_scale(),
        &delay,
        "cannot be used with dynamicStableScale",
    );
    faults.add_if(fields.dynamic_stable_scale() && !routed, &path.field("dynamicStableScale"), routed_only);
}

#[cfg(test)]
#[path = "strategy_tests.rs"]
mod tests;

//! Names of steps, as in Argo's events (upstream `utils/replicaset/canary.go`, step descriptions).

use kulta_api::{IntOrString, SetCanaryScale};

use super::context::Context;

/// The step's name; for a strategy without a list of steps the plugin's name.
pub(super) fn of(context: &Context, index: u32) -> String {
    let steps = context.observed.rollout.spec.strategy.canary.as_ref().map(|canary| canary.steps.as_slice());
    let Some(step) = steps.and_then(|steps| steps.get(usize::try_from(index).ok()?)) else {
        return context.strategy.plugin.clone();
    };
    if let Some(weight) = step.set_weight {
        return format!("setWeight: {weight}");
    }
    if let Some(pause) = &step.pause {
        return match &pause.duration {
            Some(IntOrString::Int(seconds)) => format!("pause: {seconds}"),
            Some(IntOrString::String(text)) => format!("pause: {text}"),
            None => "pause".to_owned(),
        };
    }
    if step.analysis.is_some() {
        return "analysis".to_owned();
    }
    if let Some(plugin) = &step.plugin {
        return format!("plugin: {}", plugin.name);
    }
    if let Some(route) = &step.set_header_route {
        return format!("setHeaderRoute: {}", route.name);
    }
    if let Some(route) = &step.set_mirror_route {
        return format!("setMirrorRoute: {}", route.name);
    }
    match &step.set_canary_scale {
        Some(SetCanaryScale { weight: Some(weight), .. }) => format!("setCanaryScale{{weight: {weight}}}"),
        Some(SetCanaryScale { match_traffic_weight: Some(true), .. }) => {
            "setCanaryScale{matchTrafficWeight: true}".to_owned()
        }
        Some(SetCanaryScale { replicas: Some(replicas), .. }) => format!("setCanaryScale{{replicas: {replicas}}}"),
        _ => "setCanaryScale".to_owned(),
    }
}

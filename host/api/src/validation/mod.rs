//! Validates Rollouts (`reference/argo-rollouts.md` sections 1.1 to 1.3 and 3). All errors are reported at once. An
//! unsupported field is rejected by its path, never ignored.

pub mod analysis;
mod gateway;
mod managed_routes;
pub mod plugin;
mod pods;
mod request;
mod steps;
mod strategy;
mod warnings;

pub use crate::field_error::{FieldError, Path, joined};
pub use warnings::warnings;

use crate::field_error::Faults;
use crate::rollout::{DEFAULT_PROGRESS_DEADLINE_SECONDS, Rollout, RolloutSpec};

const WHOLE_PERCENT: u32 = 100;

/// # Errors
/// Every error of the spec.
pub fn validate(rollout: &Rollout) -> Result<(), Vec<FieldError>> {
    let spec = &rollout.spec;
    let path = Path::new("spec");
    let mut faults = Faults::default();
    faults.not_negative(spec.replicas, &path.field("replicas"));
    if spec.workload_ref.is_some() {
        // It replaces selector and template, so their absence is not another error.
        faults.unsupported(true, &path.field("workloadRef"));
    } else {
        pods::validate(spec, &path, &mut faults);
    }
    faults.not_negative(spec.min_ready_seconds, &path.field("minReadySeconds"));
    faults.not_negative(spec.revision_history_limit, &path.field("revisionHistoryLimit"));
    deadline(spec, &path, &mut faults);
    strategy::validate(&spec.strategy, spec.revision_history_limit(), &path.field("strategy"), &mut faults);
    faults.done()
}

fn deadline(spec: &RolloutSpec, path: &Path, faults: &mut Faults) {
    let deadline = spec.progress_deadline_seconds.unwrap_or(DEFAULT_PROGRESS_DEADLINE_SECONDS);
    let ready = spec.min_ready_seconds.unwrap_or(0);
    faults.add_if(
        deadline <= ready,
        &path.field("progressDeadlineSeconds"),
        format!("{deadline} must be greater than minReadySeconds ({ready})"),
    );
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::decode::decode;

    /// A valid rollout, changed by a merge patch.
    pub(crate) fn rollout(patch: Value) -> Rollout {
        let mut object = json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": { "name": "shop" },
            "spec": {
                "replicas": 2,
                "selector": { "matchLabels": { "app": "shop" } },
                "template": {
                    "metadata": { "labels": { "app": "shop" } },
                    "spec": { "containers": [{ "name": "shop", "image": "shop:1" }] },
                },
                "strategy": { "canary": {} },
            },
        });
        merge(&mut object["spec"], patch);
        decode(&object).unwrap()
    }

    /// The same with complete traffic routing.
    pub(crate) fn routed(canary: Value) -> Rollout {
        let mut whole = json!({
            "canaryService": "canary", "stableService": "stable",
            "trafficRouting": { "plugins": { "argoproj-labs/gatewayAPI": { "httpRoute": "shop" } } },
        });
        merge(&mut whole, canary);
        rollout(json!({ "strategy": { "canary": whole } }))
    }

    pub(crate) fn canary(canary: Value) -> Rollout {
        rollout(json!({ "strategy": { "canary": canary } }))
    }

    /// RFC 7386.
    pub(crate) fn merge(target: &mut Value, patch: Value) {
        match patch {
            Value::Object(patch) => {
                if !target.is_object() {
                    *target = json!({});
                }
                for (key, value) in patch {
                    if value.is_null() {
                        target.as_object_mut().unwrap().remove(&key);
                    } else {
                        merge(&mut target[&key], value);
                    }
                }
            }
            other => *target = other,
        }
    }

    pub(crate) fn paths(rollout: &Rollout) -> Vec<String> {
        validate(rollout).err().unwrap_or_default().into_iter().map(|error| error.path).collect()
    }

    /// Each entry has a rollout and the paths of all its errors.
    pub(crate) fn assert_faults(cases: Vec<(Rollout, &[&str])>) {
        for (rollout, expected) in cases {
            assert_eq!(paths(&rollout), expected, "{:?}\n{}", validate(&rollout), json!(rollout.spec));
        }
    }

    #[test]
    fn a_plain_canary_is_valid() {
        assert_eq!(validate(&rollout(json!({}))), Ok(()));
        assert_eq!(validate(&routed(json!({}))), Ok(()));
    }

    #[test]
    fn all_errors_are_reported_at_once_in_the_order_of_the_fields() {
        let rollout = rollout(json!({ "replicas": -1, "minReadySeconds": -2, "revisionHistoryLimit": -3 }));

        let errors = validate(&rollout).unwrap_err();

        assert_eq!(
            joined(&errors),
            "spec.replicas: must not be negative; spec.minReadySeconds: must not be negative; \
             spec.revisionHistoryLimit: must not be negative"
        );
    }

    #[test]
    fn the_numbers_of_a_rollout_are_validated() {
        assert_faults(vec![
            (rollout(json!({ "replicas": 0 })), &[]),
            (rollout(json!({ "progressDeadlineSeconds": 10, "minReadySeconds": 9 })), &[]),
            (
                rollout(json!({ "progressDeadlineSeconds": 10, "minReadySeconds": 10 })),
                &["spec.progressDeadlineSeconds"],
            ),
            (rollout(json!({ "progressDeadlineSeconds": 0 })), &["spec.progressDeadlineSeconds"]),
            (rollout(json!({ "minReadySeconds": 600 })), &["spec.progressDeadlineSeconds"]),
            (rollout(json!({ "rollbackWindow": { "revisions": 0 } })), &[]),
            (rollout(json!({ "rollbackWindow": { "revisions": -1 } })), &[]),
        ]);
    }

    #[test]
    fn history_limits_of_analysis_runs_are_accepted() {
        assert_faults(vec![(rollout(json!({ "analysis": { "successfulRunHistoryLimit": 1 } })), &[])]);
    }

    #[test]
    fn a_workload_reference_is_rejected_once_and_not_for_the_missing_template() {
        let rollout = rollout(json!({ "workloadRef": { "kind": "Deployment" }, "selector": null, "template": null }));

        assert_eq!(paths(&rollout), ["spec.workloadRef"]);
    }
}

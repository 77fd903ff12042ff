//! Labels and annotations of the API, which tools and a controller that adopts objects read
//! (`reference/argo-rollouts.md` section 4, "Annotations/labels used").

/// On ReplicaSets, pods and Service selectors: the hash of the revision.
pub const POD_TEMPLATE_HASH: &str = "rollouts-pod-template-hash";
/// On ReplicaSets and Rollouts: the revision's number.
pub const REVISION: &str = "rollout.argoproj.io/revision";
/// On ReplicaSets: earlier revision numbers of this template, comma separated.
pub const REVISION_HISTORY: &str = "rollout.argoproj.io/revision-history";
/// On ReplicaSets: `spec.replicas` of the Rollout when the ReplicaSet was last scaled.
pub const DESIRED_REPLICAS: &str = "rollout.argoproj.io/desired-replicas";
/// On ReplicaSets: the labels and annotations that were injected into its template by role, as JSON.
pub const EPHEMERAL_METADATA: &str = "rollout.argoproj.io/ephemeral-metadata";
/// On ReplicaSets: RFC 3339 time at which it is scaled to zero. Argo writes this key without a prefix.
pub const SCALE_DOWN_DEADLINE: &str = "scale-down-deadline";
/// On Services: the name of the Rollout that switches the selector.
pub const MANAGED_BY: &str = "argo-rollouts.argoproj.io/managed-by-rollouts";
/// On Rollouts: the controller instance that serves it.
pub const INSTANCE_ID: &str = "argo-rollouts.argoproj.io/controller-instance-id";
/// On Rollouts: with `true`, `status.HPAReplicas` counts the pods of all revisions, as Argo does.
pub const HPA_COUNTS_ALL_PODS: &str = "kulta.io/hpa-counts-all-pods";
/// On AnalysisRuns: the part of the rollout that the run judges (`Step`, `Background`, `PrePromotion`,
/// `PostPromotion`).
pub const ROLLOUT_TYPE: &str = "rollout-type";
/// On AnalysisRuns: the index of the step that the run judges.
pub const STEP_INDEX: &str = "step-index";
/// On ReplicaSets: the canonical hash of the template in the user's spelling, so that no later version computes another
/// one; comma separated if the same template was written in several ways.
pub const TEMPLATE_HASH: &str = "kulta.io/template-hash";
/// On AnalysisRuns: the components that the run began with, as JSON: analyzer → `built-in`, or `sha256:` and hex.
pub const PLUGINS: &str = "kulta.io/plugins";
/// On routes while a canary has traffic, unless configured otherwise.
pub const IN_PROGRESS_LABEL: &str = "rollouts.argoproj.io/gatewayapi-canary";
pub const IN_PROGRESS_VALUE: &str = "in-progress";
/// Written by kubectl on apply; large, and useless on a ReplicaSet.
pub const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

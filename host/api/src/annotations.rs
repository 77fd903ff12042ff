//! Labels and annotations that are part of the API: tools and a controller that takes over read them
//! (`reference/argo-rollouts.md` section 4, "Annotations/labels used").

/// On ReplicaSets, pods and Service selectors: which revision.
pub const POD_TEMPLATE_HASH: &str = "rollouts-pod-template-hash";
/// On ReplicaSets and Rollouts: the revision's number.
pub const REVISION: &str = "rollout.argoproj.io/revision";
/// On ReplicaSets: earlier revision numbers that this template has had, comma separated.
pub const REVISION_HISTORY: &str = "rollout.argoproj.io/revision-history";
/// On ReplicaSets: `spec.replicas` of the Rollout when the ReplicaSet was last scaled.
pub const DESIRED_REPLICAS: &str = "rollout.argoproj.io/desired-replicas";
/// On ReplicaSets: the labels and annotations injected into its template by role, as JSON.
pub const EPHEMERAL_METADATA: &str = "rollout.argoproj.io/ephemeral-metadata";
/// On ReplicaSets: RFC 3339 time at which it is scaled to zero. Argo writes it without a prefix.
pub const SCALE_DOWN_DEADLINE: &str = "scale-down-deadline";
/// On Services: the name of the Rollout that switches the selector.
pub const MANAGED_BY: &str = "argo-rollouts.argoproj.io/managed-by-rollouts";
/// On Rollouts: which controller instance serves it.
pub const INSTANCE_ID: &str = "argo-rollouts.argoproj.io/controller-instance-id";
/// On Rollouts: `true` makes `status.HPAReplicas` count the pods of all revisions, as Argo does.
pub const HPA_COUNTS_ALL_PODS: &str = "kulta.io/hpa-counts-all-pods";
/// On AnalysisRuns: what of a rollout the run judges (`Step`, `Background`, `PrePromotion`, `PostPromotion`).
pub const ROLLOUT_TYPE: &str = "rollout-type";
/// On AnalysisRuns: the index of the step that the run judges.
pub const STEP_INDEX: &str = "step-index";
/// On ReplicaSets: the canonical hash of the template that the user wrote, so that no later version computes another; several,
/// comma separated, when the same template was written in several ways.
pub const TEMPLATE_HASH: &str = "kulta.io/template-hash";
/// On AnalysisRuns: the components that the run began with, as JSON: analyzer → `built-in`, or `sha256:` and hex.
pub const PLUGINS: &str = "kulta.io/plugins";
/// On routes while a canary takes traffic, unless configured otherwise.
pub const IN_PROGRESS_LABEL: &str = "rollouts.argoproj.io/gatewayapi-canary";
pub const IN_PROGRESS_VALUE: &str = "in-progress";
/// Copied by kubectl on apply; large, and of no use on a ReplicaSet.
pub const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

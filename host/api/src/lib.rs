//! The served objects as types: Argo Rollouts' own API (`argoproj.io/v1alpha1`) and KULTA's additions. Types, defaults,
//! parsing and validation only; nothing here reads a clock or connects to a server.

pub mod analysis;
pub mod annotations;
pub mod blue_green;
pub mod conditions;
pub mod crd;
pub mod decode;
pub mod duration;
pub mod experiment;
pub mod field_error;
pub mod foreign_status;
pub mod gateway;
pub mod kulta_status;
pub mod outbox;
pub mod plugin;
pub mod retry_after;
pub mod rollout;
pub mod routes;
pub mod share;
pub mod status;
pub mod step;
pub mod strategy;
pub mod template;
pub mod validation;

pub use analysis::{AnalysisPhase, AnalysisRun, AnalysisTemplate, ClusterAnalysisTemplate};
pub use conditions::{ConditionReason, ConditionStatus, ConditionType, RolloutCondition};
pub use decode::{Unchecked, decode, decode_as, unchecked, unchecked_of};
pub use field_error::FieldError;
pub use gateway::{GATEWAY_PLUGIN, GatewayRouting, RouteKey, RouteKind, RouteRef};
pub use kulta_status::{DecisionEntry, FailureKind, InconclusiveRun, KultaPhase, KultaStatus};
pub use outbox::{OutboxEntry, Outcome, TransitionKind};
pub use plugin::{Plugin, PluginReason, PluginStatus};
pub use rollout::{Rollout, RolloutSpec};
pub use share::{ProgressThreshold, Share};
pub use status::{PauseCondition, PauseReason, RolloutPhase, RolloutStatus};
pub use step::{CanaryStep, Pause, SetCanaryScale, StepPlugin};
pub use strategy::{CanaryFields, CanaryStrategy, PluginStrategy, RolloutStrategy};
pub use template::{ContainerImage, PodTemplate};

pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
pub use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

//! The objects KULTA serves, as types: Argo Rollouts' own API (`argoproj.io/v1alpha1`) and what KULTA adds to it.
//! Types, defaults, parsing and validation only; nothing here reads a clock or talks to a server.

pub mod annotations;
pub mod conditions;
pub mod duration;
pub mod gateway;
pub mod kulta_status;
pub mod outbox;
pub mod rollout;
pub mod status;
pub mod strategy;
pub mod template;

pub use conditions::{ConditionReason, ConditionStatus, ConditionType, RolloutCondition};
pub use gateway::{GATEWAY_PLUGIN, GatewayRouting, RouteRef};
pub use kulta_status::{DecisionEntry, FailureKind, KultaPhase, KultaStatus};
pub use outbox::{OutboxEntry, Outcome, TransitionKind};
pub use rollout::{Rollout, RolloutSpec};
pub use status::{PauseCondition, PauseReason, RolloutPhase, RolloutStatus};
pub use strategy::{CanaryFields, CanaryStep, CanaryStrategy, PluginStrategy, RolloutStrategy};
pub use template::PodTemplate;

pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
pub use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

//! The input of a decision: plain values, which the caller fills from watch caches.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use kulta_api::analysis::AnalysisRun;
use kulta_api::validation::analysis::ServedAnalyzer;
use kulta_api::{PodTemplate, Rollout, RouteKey, annotations};
use serde_json::Value;

use crate::analysis::Templates;
use crate::decision::StrategyFailure;
use crate::step_plugins::call::{StepAnswer, StepCall};
use crate::workload::Revision;

/// One rollout and the objects around it, at one moment.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    pub rollout: Rollout,
    /// The revisions whose objects the rollout controls, by owner reference.
    pub revisions: Vec<Arc<Revision>>,
    /// The Services that the spec names.
    pub services: BTreeMap<String, Option<Arc<Service>>>,
    /// The routes that the spec names or selects.
    pub routes: Vec<ObservedRoute>,
    /// Other rollouts in the namespace that name one of the same Services: Service → rollout.
    pub conflicting_services: BTreeMap<String, String>,
    /// An older rollout in the namespace whose selector matches this template's labels, or whose pods this selector matches.
    pub conflicting_selector: Option<String>,
    /// Errors in the configuration of a strategy plugin, as the plugin reports them.
    pub strategy_errors: Vec<kulta_api::FieldError>,
    /// The strategy plugin failed to check its configuration. The strategy is not asked for a decision then.
    pub strategy_failure: Option<StrategyFailure>,
    /// Errors that analyzers report in the configurations of the templates ([`crate::reference::configurations`]).
    pub analyzer_errors: Vec<kulta_api::FieldError>,
    /// What looks wrong in the templates and runs nevertheless, as in Argo Rollouts: conditions that no value can satisfy, fields without
    /// effect. Read only when [`crate::reference::are_warnings_due`].
    pub template_warnings: Vec<kulta_api::FieldError>,
    /// Fields of `spec` that the API does not define, where the CRD does not prune them. They are ignored, with a warning.
    pub unknown_fields: Vec<kulta_api::FieldError>,
    /// The CRD keeps `status.kulta`. Argo's stock CRD does not.
    pub record_kept: bool,
    /// Message of the API server when it last refused to create this generation's ReplicaSet; `None` once it was created.
    pub create_error: Option<String>,
    /// Names of ReplicaSets that were found to be taken by other owners when one was to be created.
    pub taken_names: BTreeSet<String>,
    /// The templates that the rollout's analyses refer to, directly or through others. An error says why a template cannot be
    /// decoded. ([`crate::reference::templates`] lists those to look up.)
    pub templates: Templates,
    /// The analyzers that metrics may name.
    pub analyzers: Arc<Vec<Analyzer>>,
    /// The components that serve the plugins of the spec, by `<kind>/<name>`, for a revision that begins now: see
    /// [`crate::pins`].
    pub pins: BTreeMap<String, String>,
    /// The AnalysisRuns that the rollout controls, by owner reference.
    pub runs: Vec<Arc<AnalysisRun>>,
    /// Names of AnalysisRuns that were found to be taken by other owners when one was to be created.
    pub taken_run_names: BTreeSet<String>,
    /// Results of calls of step plugins since the last reconciliation.
    pub step_answers: Vec<StepAnswer>,
    /// The first call of work whose entry is not stored yet: see [`crate::plan::Plan::first_call_may_wait`].
    pub unstored_call: Option<StepCall>,
    /// Errors that step plugins report in the configurations of the steps.
    pub step_errors: Vec<kulta_api::FieldError>,
    /// Step plugins whose steps are skipped, because an admin disabled them in the Plugin object.
    pub disabled_step_plugins: BTreeSet<String>,
    /// CDEvents up to this sequence are delivered, or all of them if there is no sink. Their outbox entries can be removed.
    pub delivered: u64,
}

impl Observed {
    /// The pod template of the revision that the spec asks for.
    #[must_use]
    pub fn template(&self) -> &PodTemplate {
        &self.rollout.spec.template
    }
}

/// An analyzer that a metric can name under `provider`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Analyzer {
    pub name: String,
    /// The component that serves the analyzer for a run that begins now; `None` if the controller itself does.
    pub pin: Option<String>,
    /// The analyzer only measures, so the metric's conditions decide.
    pub needs_condition: bool,
}

impl Analyzer {
    #[must_use]
    pub fn served(&self) -> ServedAnalyzer<'_> {
        ServedAnalyzer { name: &self.name }
    }
}

/// Pods by name: those to which Services send requests, and the controlled pods of ReplicaSets whose pod names are cut.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// Pods that EndpointSlices list, by Service.
    pub listed: BTreeMap<String, BTreeSet<String>>,
    /// Pods that a ReplicaSet controls, by its uid.
    pub controlled: BTreeMap<String, BTreeSet<String>>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Service {
    pub name: String,
    pub resource_version: String,
    pub selector: BTreeMap<String, String>,
    pub managed_by: Option<String>,
}

impl Service {
    /// The revision that the Service selects, if it selects one.
    #[must_use]
    pub fn hash(&self) -> Option<&str> {
        self.selector.get(annotations::POD_TEMPLATE_HASH).map(String::as_str)
    }
}

/// A route that the spec names or selects, and what could be read of it.
#[derive(Clone, Debug, PartialEq)]
pub struct ObservedRoute {
    pub key: RouteKey,
    pub state: RouteState,
}

#[derive(Clone, Debug, PartialEq)]
pub enum RouteState {
    Missing,
    /// The API server does not permit reading or patching the route.
    Forbidden {
        /// Message of the API server.
        message: String,
        /// When to try again; `None` if a watch reports the change.
        until: Option<Timestamp>,
    },
    /// The cluster does not serve the kind.
    NotInstalled,
    Found(Arc<Route>),
}

/// A route as raw JSON, so that unknown fields stay untouched.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Route {
    pub generation: i64,
    pub resource_version: String,
    pub labels: BTreeMap<String, String>,
    pub spec: Value,
    pub status: Value,
    /// Field managers other than ours, the newest writer last.
    pub foreign_managers: Vec<String>,
    /// Time of the last write by any writer, writes of the status excluded; in whole seconds.
    pub written: Option<Timestamp>,
    /// The last write of this process; empty after a restart.
    pub last_write: Option<RouteWrite>,
    /// Message of the API server, if it has refused this process's guarded patch several times in a row.
    pub refused: Option<String>,
    /// The generation that the route's parents last accepted, if this process has observed one.
    pub accepted: Option<AcceptedRoute>,
    /// Other rollouts of this controller whose spec names or selects the route.
    pub other_rollouts: Vec<OtherRollout>,
    /// A rule splits traffic between Services of a rollout that this controller may not serve.
    pub foreign_split: bool,
}

impl Route {
    /// `metadata.resourceVersion` as a number, to compare versions of one object; 0 if it is not a number.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.resource_version.parse().unwrap_or(0)
    }
}

/// The generation that the route's parents have accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcceptedRoute {
    pub generation: i64,
    /// Since when the route's status no longer says that it is accepted.
    pub refused_since: Option<Timestamp>,
}

/// A rollout that shares a route with the observed one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherRollout {
    pub name: String,
    /// Namespace of the rollout and its Services.
    pub namespace: String,
    pub canary: String,
    pub stable: String,
    /// Key and value of the rollout's in-progress label; `None` if it sets none.
    pub label: Option<(String, String)>,
    /// Names of its `managedRoutes`.
    pub managed: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteWrite {
    /// The canary's share.
    pub weight: u32,
    /// Value of the in-progress label after the write.
    pub label: Option<String>,
    /// The rules of managed routes after the write, in their order.
    pub managed: Vec<Value>,
    pub at: Timestamp,
    /// `metadata.generation` that the write produced.
    pub generation: i64,
    /// `metadata.resourceVersion` that the write produced, as a number.
    pub version: u64,
    /// The last correction of a foreign weight.
    pub corrected: Option<Correction>,
    /// Time of the last write that changed only the label, or corrected a foreign change of the label.
    pub label_corrected: Option<Timestamp>,
}

/// A correction of a foreign weight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Correction {
    pub at: Timestamp,
    /// The field manager that wrote the foreign weight. The correction itself removes this manager from the object.
    pub manager: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    pub name: String,
    /// The pod's hash label.
    pub hash: String,
    /// Uid of the pod's controller, usually a ReplicaSet; empty if it has none.
    pub owner: String,
    pub created: Timestamp,
    pub ready: bool,
    pub terminating: bool,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
}

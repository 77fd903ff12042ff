//! What a decision may depend on: plain values, filled from watch caches. Nothing here knows where they came from.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use kulta_api::analysis::AnalysisRun;
use kulta_api::validation::analysis::ServedAnalyzer;
use kulta_api::{PodTemplate, Rollout, annotations};
use serde_json::Value;

use crate::analysis::Templates;
use crate::decision::StrategyFailure;
use crate::step_plugins::{StepAnswer, StepCall};

/// One rollout and everything around it, at one moment.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    pub rollout: Rollout,
    /// The ReplicaSets that the rollout controls, by owner reference.
    pub replica_sets: Vec<Arc<ReplicaSet>>,
    /// The Services that the spec names.
    pub services: BTreeMap<String, Option<Arc<Service>>>,
    /// The routes that the spec names or selects.
    pub routes: Vec<ObservedRoute>,
    /// Other rollouts in the namespace that name one of the same Services: service → rollout.
    pub rival_services: BTreeMap<String, String>,
    /// An older rollout in the namespace whose selector matches this template's labels, or whose pods this selector matches.
    pub rival_selector: Option<String>,
    /// Number of steps and other facts of a plugin strategy's configuration are its own; whether it was accepted is not.
    pub strategy_errors: Vec<kulta_api::FieldError>,
    /// The strategy plugin failed when it was asked whether it takes its configuration, so it is not asked where to go.
    pub strategy_failure: Option<StrategyFailure>,
    /// What analyzers find wrong with the configurations that the templates hold ([`crate::reference::configurations`]).
    pub analyzer_errors: Vec<kulta_api::FieldError>,
    /// Conditions in the templates that can hold for no value. Argo Rollouts runs them, and so does this: they are a warning.
    pub condition_errors: Vec<kulta_api::FieldError>,
    /// Fields of `spec` that the API does not have, where the CRD lets them through.
    pub unknown_fields: Vec<kulta_api::FieldError>,
    /// `status.kulta` survives a write; false on Argo's stock CRD.
    pub record_kept: bool,
    /// The API server's words when it last refused to create the new ReplicaSet of this generation; `None` once it was created.
    pub create_error: Option<String>,
    /// Names of ReplicaSets that a stranger holds, found when one of them was to be created.
    pub taken_names: BTreeSet<String>,
    /// The templates that the rollout's analyses refer to, directly or through others: those that are there, or why one cannot be
    /// read ([`crate::reference::templates`] says which to look for).
    pub templates: Templates,
    /// The analyzers that metrics may name.
    pub analyzers: Arc<Vec<Analyzer>>,
    /// The components that serve what the spec names, by `<kind>/<name>`, for a revision that begins now: see [`crate::pins`].
    pub pins: BTreeMap<String, String>,
    /// The AnalysisRuns that the rollout controls, by owner reference.
    pub runs: Vec<Arc<AnalysisRun>>,
    /// Names of AnalysisRuns that a stranger holds, found when one of them was to be created.
    pub taken_run_names: BTreeSet<String>,
    /// What calls of step plugins have come to since the last look.
    pub step_answers: Vec<StepAnswer>,
    /// The first call of work whose entry is not stored yet: see [`crate::plan::Plan::first_call_may_wait`].
    pub unstored_call: Option<StepCall>,
    /// What step plugins find wrong with the configurations that the steps hold.
    pub step_errors: Vec<kulta_api::FieldError>,
    /// Step plugins whose steps are skipped, as an admin's Plugin objects say.
    pub disabled_step_plugins: BTreeSet<String>,
    /// CDEvents up to this sequence have been delivered (all of them when nobody listens): their outbox entries may go.
    pub delivered: u64,
}

/// An analyzer that can be named under `provider`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Analyzer {
    pub name: String,
    /// The component that serves it, for a run that begins now; none for what is the controller's own work.
    pub pin: Option<String>,
    /// It measures and leaves the judging to the metric's conditions.
    pub needs_condition: bool,
}

impl Analyzer {
    #[must_use]
    pub fn served(&self) -> ServedAnalyzer<'_> {
        ServedAnalyzer { name: &self.name }
    }
}

/// Pods by name: those that Services send requests to, and whose they are where their names do not tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// Pods that EndpointSlices list, by Service.
    pub listed: BTreeMap<String, BTreeSet<String>>,
    /// Pods that a ReplicaSet controls, by its uid.
    pub controlled: BTreeMap<String, BTreeSet<String>>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReplicaSet {
    pub name: String,
    pub uid: String,
    pub created: Timestamp,
    pub generation: i64,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    /// Wanted pods.
    pub replicas: u32,
    pub min_ready_seconds: u32,
    pub template: PodTemplate,
    /// Pods that exist.
    pub created_replicas: u32,
    pub ready_replicas: u32,
    pub available_replicas: u32,
    /// It is being deleted.
    pub deleting: bool,
    /// Message of a true ReplicaFailure condition.
    pub failure: Option<String>,
}

impl ReplicaSet {
    /// The revision's hash; empty when the label is missing.
    #[must_use]
    pub fn hash(&self) -> &str {
        self.labels.get(annotations::POD_TEMPLATE_HASH).map_or("", String::as_str)
    }

    /// The revision's number; 0 when the annotation is missing.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.annotations.get(annotations::REVISION).and_then(|number| number.parse().ok()).unwrap_or(0)
    }

    #[must_use]
    pub fn scale_down_deadline(&self) -> Option<Timestamp> {
        self.annotations.get(annotations::SCALE_DOWN_DEADLINE).and_then(|time| time.parse().ok())
    }

    /// `spec.replicas` of the rollout when this ReplicaSet was last scaled.
    #[must_use]
    pub fn desired_replicas(&self) -> Option<u32> {
        self.annotations.get(annotations::DESIRED_REPLICAS).and_then(|number| number.parse().ok())
    }
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

/// A route that the spec names or selects, as far as it can be seen.
#[derive(Clone, Debug, PartialEq)]
pub struct ObservedRoute {
    pub namespace: String,
    pub name: String,
    pub state: RouteState,
}

impl ObservedRoute {
    /// What messages call it: its name, behind its namespace when that is not the rollout's.
    #[must_use]
    pub fn shown(&self, own_namespace: &str) -> String {
        if self.namespace == own_namespace { self.name.clone() } else { format!("{}/{}", self.namespace, self.name) }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum RouteState {
    Missing,
    /// The API server refuses to show it or to change it.
    Forbidden {
        /// The API server's words.
        words: String,
        /// When to try again; `None` when a watch does.
        until: Option<Timestamp>,
    },
    /// The cluster serves no HTTPRoute.
    NotInstalled,
    Found(Arc<Route>),
}

/// An HTTPRoute, raw: what this build does not know stays untouched.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Route {
    pub generation: i64,
    pub resource_version: String,
    pub labels: BTreeMap<String, String>,
    pub spec: Value,
    pub status: Value,
    /// Field managers, newest write last, ours left out.
    pub foreign_managers: Vec<String>,
    /// When anybody last wrote it, its status apart; whole seconds.
    pub written: Option<Timestamp>,
    /// What this process last wrote, and when; empty after a restart.
    pub last_write: Option<RouteWrite>,
    /// The API server's words when it has refused this process's guarded patch several times in a row.
    pub refused: Option<String>,
    /// The generation that its parents last accepted, if this process has observed one.
    pub accepted: Option<AcceptedRoute>,
    /// The other rollouts that this controller serves and whose spec names or selects the route.
    pub other_rollouts: Vec<OtherRollout>,
    /// A rule splits traffic between Services of a rollout that this controller does not serve, or may: another controller's.
    pub foreign_split: bool,
}

impl Route {
    /// `metadata.resourceVersion` as a number, by which versions of one object compare; 0 when it is none.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.resource_version.parse().unwrap_or(0)
    }
}

/// The parents of a route have accepted this generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcceptedRoute {
    pub generation: i64,
    /// Since when the route's status contradicts that, if it does.
    pub refused_since: Option<Timestamp>,
}

/// A rollout that shares a route with the observed one: where its weights are, and the label that it puts on the route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherRollout {
    /// Of the rollout and its Services.
    pub namespace: String,
    pub canary: String,
    pub stable: String,
    /// Key and value of its in-progress label; `None` when it puts none on.
    pub label: Option<(String, String)>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteWrite {
    /// The canary's share.
    pub weight: u32,
    /// Value of the in-progress label that the write left.
    pub label: Option<String>,
    pub at: Timestamp,
    /// `metadata.generation` that the write produced.
    pub generation: i64,
    /// `metadata.resourceVersion` that the write produced, as a number.
    pub version: u64,
    /// The last time that a foreign weight was put right.
    pub corrected: Option<Correction>,
    /// The last time that the label was written alone, or put right after somebody else changed it.
    pub label_corrected: Option<Timestamp>,
}

/// A foreign weight was put right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Correction {
    pub at: Timestamp,
    /// The field manager that had written it; putting it right takes it off the object.
    pub manager: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    pub name: String,
    /// Hash label.
    pub hash: String,
    /// Uid of its controller, usually a ReplicaSet; empty when it has none.
    pub owner: String,
    pub created: Timestamp,
    pub ready: bool,
    pub terminating: bool,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
}

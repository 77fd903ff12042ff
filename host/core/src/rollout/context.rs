//! The facts of one reconciliation: which revision is new, which is stable, and where the traffic is. They do not change during
//! the reconciliation.

use std::sync::Arc;

use jiff::Timestamp;
use kulta_api::conditions::{self, ConditionType};
use kulta_api::validation::FieldError;
use kulta_api::{CanaryFields, RolloutStatus};

use super::strategy_choice::StrategyChoice;
use crate::identity;
use crate::observed::{Observed, Service};
use crate::replicas::basic::Side;
use crate::replicas::limits::{Limits, needed_available};
use crate::replicas::routed::Shape;
use crate::traffic::{Traffic, Unrouted};
use crate::workload::Revision;

#[derive(Debug)]
pub(crate) struct Context {
    pub observed: Arc<Observed>,
    /// The status as it was observed.
    pub before: RolloutStatus,
    pub now: Timestamp,
    pub fields: CanaryFields,
    pub strategy: StrategyChoice,
    /// `spec.replicas`.
    pub replicas: u32,
    pub limits: Limits,
    /// Hash of the pod template's revision.
    pub new_hash: String,
    pub new: Option<Arc<Revision>>,
    /// The stable revision's ReplicaSet. It is the same as `new` if the pod template is stable.
    pub stable: Option<Arc<Revision>>,
    /// The ReplicaSets that are neither new nor stable, newest first.
    pub others: Vec<Arc<Revision>>,
    /// `None` if nothing but the number of pods shifts traffic.
    pub traffic: Option<Traffic>,
    /// `Some` if `trafficRouting` names no router. Without it and without routes the number of pods sets the share.
    pub unrouted: Option<Unrouted>,
    /// The errors for which the spec cannot be followed.
    pub faults: Option<SpecFaults>,
}

/// The spec is invalid, or refers to objects that do not exist. The rollout completes no step and starts nothing; revisions that
/// serve are kept.
#[derive(Clone, Debug)]
pub(crate) struct SpecFaults {
    pub errors: Vec<FieldError>,
    /// The spec does not identify this rollout's traffic, or names Services of another rollout. No weight can be moved, so no pod
    /// that may serve is deleted.
    pub traffic_unknown: bool,
}

/// The revision of the pod template.
#[derive(Clone, Debug)]
pub(crate) struct NewRevision {
    pub hash: String,
    pub revision: Option<Arc<Revision>>,
}

impl Context {
    /// `status` says which revision is stable.
    pub fn new(
        observed: Arc<Observed>,
        (fields, strategy): (CanaryFields, StrategyChoice),
        new: NewRevision,
        status: &RolloutStatus,
        faults: Option<SpecFaults>,
        now: Timestamp,
    ) -> Self {
        let replicas = observed.rollout.spec.replicas();
        let stable = identity::by_hash(&observed.revisions, &status.stable_rs);
        let name = |revision: &Option<Arc<Revision>>| revision.as_ref().map(|found| found.name.clone());
        let (new_name, stable_name) = (name(&new.revision), name(&stable));
        let mut others: Vec<_> = observed
            .revisions
            .iter()
            .filter(|other| Some(&other.name) != new_name.as_ref() && Some(&other.name) != stable_name.as_ref())
            .cloned()
            .collect();
        others.sort_by_key(|other| std::cmp::Reverse((other.created, other.number())));
        let traffic_unknown = faults.as_ref().is_some_and(|faults| faults.traffic_unknown);
        let traffic = if traffic_unknown { None } else { Traffic::observe(&observed, &fields, status, &new.hash, now) };
        let unrouted = Unrouted::of(&observed, &fields).filter(|_| !traffic_unknown);
        Self {
            before: observed.rollout.status.clone().unwrap_or_default(),
            limits: Limits::of(&fields, replicas),
            observed,
            now,
            fields,
            strategy,
            replicas,
            new_hash: new.hash,
            new: new.revision,
            stable,
            others,
            traffic,
            unrouted,
            faults,
        }
    }

    pub fn service(&self, name: Option<&String>) -> Option<&Arc<Service>> {
        self.observed.services.get(name?)?.as_ref()
    }

    /// Hash of the revision that the Service selects.
    pub fn selected(&self, service: &String) -> Option<&str> {
        self.service(Some(service)).and_then(|service| service.hash())
    }

    /// Whether the canary's Service selects the new revision's pods.
    pub fn canary_selected(&self) -> bool {
        let service = self.fields.canary_service.as_ref();
        service.and_then(|name| self.selected(name)) == Some(self.new_hash.as_str())
    }

    pub fn revision_number(&self) -> u64 {
        let highest = self.others.iter().chain(&self.stable).map(|other| (other.name.as_str(), other.number()));
        let new_name = self.new.as_ref().map(|new| new.name.as_str());
        let above =
            highest.filter(|(name, _)| Some(*name) != new_name).map(|(_, number)| number).max().unwrap_or(0) + 1;
        self.new.as_ref().map_or(above, |new| new.number().max(above))
    }

    /// Number of the revision with this hash, if it is known.
    pub fn number_of(&self, hash: &str) -> Option<u64> {
        if hash == self.new_hash {
            return Some(self.revision_number());
        }
        let found = self.observed.revisions.iter().find(|revision| revision.hash() == hash);
        found.map(|revision| revision.number())
    }

    /// How pods are counted with `trafficRouting`: stable's beside the canary's.
    pub fn shape(&self) -> Option<Shape> {
        let unrouted = self.unrouted.as_ref().map(|unrouted| unrouted.shape);
        self.traffic.as_ref().map(|traffic| traffic.shape).or(unrouted)
    }

    pub fn max_weight(&self) -> u32 {
        self.shape().map_or(kulta_api::strategy::DEFAULT_MAX_WEIGHT, |shape| shape.max_weight)
    }

    pub fn canary_side(&self) -> Side {
        side(self.new.as_deref())
    }

    pub fn stable_side(&self) -> Side {
        side(self.stable.as_deref())
    }

    /// Number of available pods that is enough of `desired` (`replicaProgressThreshold`).
    pub fn needed(&self, desired: u32) -> u32 {
        needed_available(self.fields.replica_progress_threshold.as_ref(), desired)
    }

    /// The canary's present share: the one that the data plane has confirmed or, without routes, the share of the pods.
    pub fn weight_in_force(&self) -> u32 {
        match &self.traffic {
            Some(traffic) => traffic.state.confirmed.unwrap_or(traffic.state.range.max),
            None => {
                let canary = self.new.as_ref().map_or(0, |new| new.available_replicas);
                let rest = self.stable.iter().chain(&self.others).map(|old| old.available_replicas).sum::<u32>();
                (canary * self.max_weight()).checked_div(canary + rest).unwrap_or(0)
            }
        }
    }

    /// Whether any request may reach pods of the new revision.
    pub fn canary_exposed(&self) -> bool {
        match &self.traffic {
            Some(traffic) => traffic.state.is_canary_exposed(),
            None => self.new.as_ref().is_some_and(|new| new.available_replicas > 0 && self.may_be_selected(new)),
        }
    }

    /// Without a router: whether a Service that the spec names for the canary leaves requests to this revision. Without routing
    /// any Service may select its pods.
    fn may_be_selected(&self, revision: &Revision) -> bool {
        let service = self.service(self.fields.canary_service.as_ref()).filter(|_| self.unrouted.is_some());
        service.and_then(|service| service.hash()).is_none_or(|hash| hash == revision.hash())
    }

    /// Without a router: whether requests may reach the new revision once it has pods.
    pub fn canary_may_serve(&self) -> bool {
        self.new.as_deref().is_some_and(|new| self.may_be_selected(new))
    }

    /// Without a router: the Services that the spec names. Each may get any share of the requests.
    pub fn named_services(&self) -> impl Iterator<Item = &String> {
        self.fields.stable_service.iter().chain(&self.fields.canary_service).filter(|name| !name.is_empty())
    }

    /// Whether requests for the canary reach only the new revision. Between two canaries the Service changes only once it has no
    /// traffic.
    pub fn canary_serves(&self) -> bool {
        let service = self.service(self.fields.canary_service.as_ref());
        self.canary_exposed() && service.is_none_or(|service| service.hash() == Some(self.new_hash.as_str()))
    }

    /// Whether requests may reach this revision, because a Service that selects it may have weight.
    pub fn may_serve(&self, revision: &Revision) -> bool {
        let selects = |service: &String| self.selected(service) == Some(revision.hash());
        if self.unrouted.is_some() {
            return self.named_services().any(selects);
        }
        let Some(traffic) = &self.traffic else { return false };
        traffic.exposed_services().any(selects)
    }

    /// The strategy is `blueGreen`.
    pub fn is_blue_green(&self) -> bool {
        self.observed.rollout.spec.strategy.blue_green.is_some()
    }

    /// The revision that the active Service of blue-green selects.
    pub fn active(&self) -> Option<&Arc<Revision>> {
        let hash = self.selected(self.fields.stable_service.as_ref()?).filter(|_| self.is_blue_green())?;
        self.observed.revisions.iter().find(|revision| revision.hash() == hash)
    }

    pub fn rollout_name(&self) -> &str {
        self.observed.rollout.metadata.name.as_deref().unwrap_or_default()
    }

    /// `spec.paused`.
    pub fn is_stopped(&self) -> bool {
        self.observed.rollout.spec.paused()
    }

    /// Whether the spec had errors at the last reconciliation.
    pub fn had_faults(&self) -> bool {
        conditions::find(&self.before.conditions, ConditionType::InvalidSpec).is_some()
    }

    pub fn resource_version(&self) -> &str {
        self.observed.rollout.metadata.resource_version.as_deref().unwrap_or_default()
    }
}

fn side(revision: Option<&Revision>) -> Side {
    revision.map_or_else(Side::default, |found| Side { replicas: found.replicas, available: found.available_replicas })
}

//! The gate between the goal of a stage and the writes. It applies whatever a plugin or a user requests, and also if our own code
//! is wrong (design section 1). The weight stays within its bounds. No share goes to a side without the pods for it, and none is
//! taken from a side if the other side has no pods for it. The side that serves keeps the pods that its share needs. No revision
//! loses its last pods while requests may reach them. A Service selects only pods that can answer. Writers of weights, scales and
//! selectors take a [`SafeGoal`], which only this file builds.

use jiff::{SignedDuration, Timestamp};

use super::context::Context;
use super::outcome::{Goal, Outcome, SidesGoal};
use super::questions::{LookedUp, Need};
use super::record::Record;
use super::selectors::{self, Beside, Selectors};
use super::{blue_green, managed_routes, restart, weight};
use crate::identity;
use crate::pod_names;
use crate::replicas::basic::{self, Sides, Split};
use crate::replicas::share_of;
use crate::traffic::{ManagedGoal, Pods, Traffic, Unrouted};
use crate::workload::PodController;
use crate::workload::Revision;

/// Interval at which EndpointSlices are checked for pods that are about to be deleted.
const ENDPOINTS_RETRY: SignedDuration = SignedDuration::from_millis(500);

/// The changes that may be written now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SafeGoal {
    weight: Option<u32>,
    canary: Option<u32>,
    stable: Option<u32>,
    older: Vec<u32>,
    selectors: Selectors,
    managed: ManagedGoal,
}

/// The result of the gate for a goal.
#[derive(Debug)]
pub(crate) struct Checked {
    pub goal: SafeGoal,
    /// A fact to look up before pods may be deleted.
    pub need: Option<Need>,
    /// When to check again whether pods may be deleted.
    pub wake_up: Option<Timestamp>,
}

impl SafeGoal {
    /// `older` has the number of pods to keep of each revision that is neither new nor stable. Without routes those revisions
    /// drain as fast as availability allows.
    pub fn check(context: &Context, outcome: &Outcome, older: &[u32], looked_up: &LookedUp) -> Checked {
        let record = &outcome.record;
        let goal = match (outcome.goal, &context.traffic, &context.unrouted) {
            (Goal::KeepPods, ..) => Self::keep_pods(context),
            (Goal::Sides(goal), Some(traffic), _) if traffic.has_routes() => {
                let wanted = (goal, &outcome.routes);
                let managed = managed_routes::safe(context, record, traffic, wanted, looked_up);
                Self::routed(context, record, traffic, (goal, older), managed, looked_up)
            }
            (Goal::Sides(goal), Some(traffic), _) => Self::switched(context, record, traffic, (goal, older)),
            (Goal::Sides(goal), None, Some(unrouted)) => Self::unrouted(context, record, unrouted, (goal, older)),
            (Goal::Sides(goal), None, None) => Self::by_pods(context, record, goal),
        };
        goal.without_losing_endpoints(context, looked_up)
    }

    /// The canary's share to write to the routes; `None` if they are not written.
    pub fn weight(&self) -> Option<u32> {
        self.weight
    }

    /// The rules of managed routes to write to the routes.
    pub fn managed(&self) -> &ManagedGoal {
        &self.managed
    }

    /// `spec.replicas` of the new revision's ReplicaSet; `None` if it is not written.
    pub fn canary(&self) -> Option<u32> {
        self.canary
    }

    /// `spec.replicas` of the stable ReplicaSet. It is unused while the new revision is stable.
    pub fn stable(&self) -> Option<u32> {
        self.stable
    }

    /// `spec.replicas` of each of [`Context::others`].
    pub fn older(&self) -> &[u32] {
        &self.older
    }

    /// Hash that the stable Service should select; `None` leaves it unchanged.
    pub fn stable_selector(&self) -> Option<&str> {
        self.selectors.stable.as_deref()
    }

    /// Hash that the canary's Service should select; `None` leaves it unchanged.
    pub fn canary_selector(&self) -> Option<&str> {
        self.selectors.canary.as_deref()
    }

    /// Nothing moves, and stable gets all the pods that it may need.
    fn keep_pods(context: &Context) -> Self {
        Self {
            weight: None,
            canary: None,
            stable: context.stable.as_ref().map(|stable| stable.replicas.max(context.replicas)),
            older: context.others.iter().map(|other| other.replicas).collect(),
            selectors: Selectors::default(),
            managed: ManagedGoal::default(),
        }
    }

    fn routed(
        context: &Context,
        record: &Record,
        traffic: &Traffic,
        (goal, older): (SidesGoal, &[u32]),
        managed: ManagedGoal,
        looked_up: &LookedUp,
    ) -> Self {
        let (shape, range) = (traffic.shape, traffic.state.range);
        let weight = safe_weight(context, record, traffic, goal, looked_up);
        // While the canary's Service selects another revision, the new one has no share.
        let selected = if context.canary_selected() { 0 } else { shape.stable_wanted(0) };
        let stable = goal.stable.max(shape.stable_wanted(weight)).max(selected);
        let keep_serving = |(other, pods): (&std::sync::Arc<Revision>, &u32)| {
            if context.may_serve(other) { other.replicas.max(*pods) } else { *pods }
        };
        let canary = shape.canary_target(goal.canary, context.canary_side().replicas, range);
        let stable = shape.stable_target(stable, range);
        let for_requests = |revision: Option<&std::sync::Arc<Revision>>, pods: u32| {
            revision.map_or(pods, |found| {
                let by_rule = managed_routes::pods_to_keep((context, record), traffic, found, (goal.canary, &managed));
                pods.max(pods_for_requests(context, traffic, found, weight)).max(by_rule)
            })
        };
        Self {
            weight: Some(weight),
            canary: Some(for_requests(context.new.as_ref(), canary)),
            stable: Some(for_requests(context.stable.as_ref(), stable)),
            older: context.others.iter().zip(older).map(keep_serving).collect(),
            selectors: selectors::safe(context, record, Beside { weight: Some(weight), canary_pods: goal.canary }),
            managed,
        }
    }

    /// The active Service is the router: the revision that it selects, or is pointed at now, keeps its pods.
    fn switched(context: &Context, record: &Record, traffic: &Traffic, (goal, older): (SidesGoal, &[u32])) -> Self {
        let selectors = blue_green::selectors(context, record, goal);
        let serves =
            |revision: &Revision| context.may_serve(revision) || selectors.stable.as_deref() == Some(revision.hash());
        let for_requests = |revision: Option<&std::sync::Arc<Revision>>, pods: u32| {
            let serving = revision.filter(|found| serves(found));
            serving.map_or(pods, |found| pods.max(found.replicas.min(traffic.shape.replicas)))
        };
        let keep_serving = |(other, pods): (&std::sync::Arc<Revision>, &u32)| {
            if serves(other) { other.replicas.max(*pods) } else { *pods }
        };
        Self {
            weight: None,
            canary: Some(for_requests(context.new.as_ref(), goal.canary)),
            stable: Some(for_requests(context.stable.as_ref(), goal.stable)),
            older: context.others.iter().zip(older).map(keep_serving).collect(),
            selectors,
            managed: ManagedGoal::default(),
        }
    }

    /// Without a router no weight is written. Available pods go only as others can serve.
    fn unrouted(context: &Context, record: &Record, unrouted: &Unrouted, (goal, older): (SidesGoal, &[u32])) -> Self {
        let distinct = context.stable.is_some() && !record.is_stable(context);
        let canary = context.canary_side();
        let stable = if distinct { context.stable_side() } else { basic::Side::default() };
        let wanted = Pods { canary: goal.canary, stable: goal.stable };
        let pods = unrouted.targets(wanted, canary, stable, context.canary_may_serve());
        let stays = canary.available.min(pods.canary) + stable.available.min(pods.stable);
        let lacks = unrouted.lacks(stays);
        let keep_serving = |(other, pods): (&std::sync::Arc<Revision>, &u32)| {
            let needed = if context.may_serve(other) { other.replicas } else { other.replicas.min(lacks) };
            needed.max(*pods)
        };
        Self {
            weight: None,
            canary: Some(pods.canary),
            stable: Some(pods.stable),
            older: context.others.iter().zip(older).map(keep_serving).collect(),
            selectors: selectors::safe(context, record, Beside { weight: None, canary_pods: goal.canary }),
            managed: ManagedGoal::default(),
        }
    }

    /// Without routing the number of pods sets the share: the next scale of both sides that keeps enough pods available.
    fn by_pods(context: &Context, record: &Record, goal: SidesGoal) -> Self {
        let distinct = context.stable.is_some() && !record.is_stable(context);
        let sides = Sides {
            canary: context.canary_side(),
            stable: distinct.then(|| context.stable_side()),
            older: context.others.iter().map(|other| other.replicas).sum(),
        };
        let split = Split { canary: goal.canary, stable: goal.stable };
        let next = basic::next_scale(context.replicas, split, context.limits, sides);
        Self {
            weight: None,
            canary: Some(next.canary),
            stable: Some(next.stable),
            older: drained(context, record),
            selectors: selectors::safe(context, record, Beside { weight: None, canary_pods: goal.canary }),
            managed: ManagedGoal::default(),
        }
    }

    /// No revision is scaled to zero while a Service with weight lists its pods.
    fn without_losing_endpoints(self, context: &Context, looked_up: &LookedUp) -> Checked {
        let (mut need, mut wake_up) = (None, None);
        let mut keep = |revision: Option<&Revision>, target: u32| {
            let Some(revision) = revision.filter(|found| target == 0 && found.replicas > 0) else {
                return target;
            };
            match may_lose_all_pods(context, revision, looked_up) {
                Removal::Safe => 0,
                Removal::Unknown(question) => {
                    need = Some(question);
                    revision.replicas
                }
                Removal::StillListed => {
                    wake_up = Some(context.now.checked_add(ENDPOINTS_RETRY).unwrap_or(context.now));
                    revision.replicas
                }
            }
        };
        let canary = self.canary.map(|pods| keep(context.new.as_deref(), pods));
        let other_stable = context.stable.as_deref().filter(|stable| stable.hash() != context.new_hash);
        let stable = self.stable.map(|pods| keep(other_stable, pods));
        let older =
            context.others.iter().zip(self.older).map(|(other, pods)| keep(Some(other.as_ref()), pods)).collect();
        Checked { goal: Self { canary, stable, older, ..self }, need, wake_up }
    }
}

/// The weight that is safe to write now on the way to the goal's weight.
fn safe_weight(context: &Context, record: &Record, traffic: &Traffic, goal: SidesGoal, looked_up: &LookedUp) -> u32 {
    let max = traffic.shape.max_weight;
    let stable_hash = record.status.stable_rs.as_str();
    let is_stable = record.is_stable(context);
    // The stable Service selects the pods of a first revision too.
    let stable = if is_stable || stable_hash.is_empty() { context.canary_side() } else { context.stable_side() };
    // An unmanaged Service still selects every pod of the rollout. A Service that does not exist has no pods.
    let stable_service_ready = context
        .service(Some(&traffic.stable_service))
        .is_some_and(|service| service.hash().is_none_or(|selected| selected == stable_hash));
    // The pods that the canary's Service selects serve its share, whatever their revision is.
    let (wanted, canary_available) = if context.canary_selected() && !is_stable {
        // A canary whose last ready pod is about to be restarted gets no requests.
        let restarts = !goal.is_held && restart::empties_canary(context, record, looked_up);
        (if restarts { 0 } else { goal.weight.min(max) }, context.canary_side().available)
    } else {
        let hash = context.selected(&traffic.canary_service);
        let backing = hash.and_then(|hash| identity::by_hash(&context.observed.revisions, hash));
        (0, backing.map_or(0, |backing| backing.available_replicas))
    };
    let stable_needed = context.needed(share_of(traffic.shape.replicas, max.saturating_sub(wanted), max));
    let least = if stable.available >= stable_needed { 0 } else { traffic.shape.least_canary_share(stable.available) };
    // A share that another writer took away comes back only with the pods for it. Without stable, any pod serves better than none.
    let for_share = share_of(traffic.shape.replicas, wanted, max).min(goal.canary);
    let canary_needed = match &context.stable {
        Some(_) => goal.canary_needed.max(context.needed(for_share)),
        None => goal.canary_needed,
    };
    weight::next(&weight::Facts {
        wanted,
        current: traffic.state.range.max,
        max_weight: max,
        canary_available,
        canary_needed,
        stable_service_ready,
        least,
    })
}

/// Number of pods of a revision that its requests need, through either Service: with the present weight, or with the one written
/// in this reconciliation.
fn pods_for_requests(context: &Context, traffic: &Traffic, revision: &Revision, weight: u32) -> u32 {
    let (max, range) = (traffic.shape.max_weight, traffic.state.range);
    let (least, most) = (range.min.min(weight), range.max.max(weight));
    let selects = |service: &String| context.selected(service) == Some(revision.hash());
    // The canary's Service selects the new revision, or may be pointed at it in this reconciliation.
    let by_canary = selects(&traffic.canary_service) || revision.hash() == context.new_hash;
    let by_stable = selects(&traffic.stable_service);
    let share = if by_stable { max.saturating_sub(least) } else { 0 } + if by_canary { most } else { 0 };
    revision.replicas.min(share_of(traffic.shape.replicas, share.min(max), max))
}

/// Without routes older revisions drain as fast as availability allows, the oldest first. An abort needs their place for stable,
/// also while the spec pauses the rollout.
fn drained(context: &Context, record: &Record) -> Vec<u32> {
    let others = &context.others;
    if context.is_stopped() && !record.is_stable(context) && !record.status.abort {
        return others.iter().map(|other| other.replicas).collect();
    }
    let oldest_first: Vec<basic::Side> = others
        .iter()
        .rev()
        .map(|other| basic::Side { replicas: other.replicas, available: other.available_replicas })
        .collect();
    let available =
        context.observed.revisions.iter().map(|revision| revision.available_replicas.min(revision.replicas)).sum();
    let mut targets = basic::drain(&oldest_first, available, context.replicas, context.limits);
    targets.reverse();
    targets
}

/// Whether a revision may lose all of its pods.
enum Removal {
    Safe,
    Unknown(Need),
    StillListed,
}

fn may_lose_all_pods(context: &Context, revision: &Revision, looked_up: &LookedUp) -> Removal {
    // A rollout with zero replicas has no pods that serve.
    if revision.created_replicas == 0 || context.replicas == 0 {
        return Removal::Safe;
    }
    let services: Vec<&String> = match &context.traffic {
        Some(traffic) => traffic.exposed_services().collect(),
        None if context.unrouted.is_some() => context.named_services().collect(),
        None => Vec::new(),
    };
    if services.is_empty() {
        return Removal::Safe;
    }
    let Some(endpoints) = &looked_up.endpoints else {
        return Removal::Unknown(endpoints_of(context, services));
    };
    let controlled = endpoints.controlled.get(&revision.uid);
    let is_own = |pod: &String| match controlled {
        Some(controlled) => controlled.contains(pod),
        None => pod_names::may_be_of(pod, &revision.name),
    };
    let mut listed = services.into_iter().filter_map(|service| endpoints.listed.get(service));
    if listed.any(|pods| pods.iter().any(is_own)) { Removal::StillListed } else { Removal::Safe }
}

/// Asks which pods the Services list, and which workload controls them if their names are cut.
fn endpoints_of(context: &Context, services: Vec<&String>) -> Need {
    let with_pods = context.observed.revisions.iter().filter(|other| other.created_replicas > 0);
    let workloads = with_pods
        .filter(|other| pod_names::is_cut(&other.name))
        .map(|other| PodController { uid: other.uid.clone(), hash: other.hash().to_owned() })
        .collect();
    Need::Endpoints { services: services.into_iter().cloned().collect(), workloads }
}

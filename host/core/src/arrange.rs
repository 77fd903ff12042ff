//! From where a revision should be to what each side is given now: pods, Services, weights. Every figure here is safe on its own,
//! whatever of it gets written.

use crate::decision::{Scale, Waiting};
use crate::identity;
use crate::observed::ReplicaSet;
use crate::pass::Pass;
use crate::replicas::basic::{self, Side, Sides, Split};
use crate::replicas::limits::needed_available;
use crate::replicas::routed::{Served, Shape};
use crate::traffic::weight;
use crate::workload::Pods;

/// Where the canary should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// In parts of the maximum weight.
    pub weight: u32,
    pub canary: Scale,
}

impl Pass {
    fn canary_side(&self) -> Side {
        side(self.scene.new.as_deref())
    }

    fn stable_side(&self) -> Side {
        side(self.scene.stable.as_deref())
    }

    fn older(&self) -> u32 {
        self.scene.others.iter().map(|other| other.replicas).sum()
    }

    pub fn needed(&self, desired: u32) -> u32 {
        needed_available(self.scene.fields.replica_progress_threshold.as_ref(), desired)
    }

    /// The cluster has what the target asks for.
    pub fn in_place(&mut self, target: &Target) -> bool {
        let canary = self.canary_side();
        let stable = self.stable_side();
        let weight = target.weight.min(self.scene.max_weight());
        match &self.scene.traffic {
            Some(traffic) => {
                let wanted = traffic.shape.canary_wanted(target.canary, weight);
                let pods = traffic.shape.canary_target(wanted, canary.replicas, traffic.served);
                let stable_pods = traffic.shape.stable_target(traffic.shape.stable_wanted(weight), traffic.served);
                // Without pods there is nothing to share, and no weight that would be safe.
                let shared = match traffic.confirmed {
                    Some(_) if self.scene.replicas == 0 => true,
                    confirmed => confirmed == Some(weight) && (weight == 0 || self.canary_selected()),
                };
                let there = canary.replicas == pods
                    && canary.available >= self.needed(pods)
                    && stable.replicas == stable_pods
                    && (traffic.shape.dynamic_stable || self.stable_created());
                if !there {
                    self.waiting = Some(Waiting::Pods);
                    return false;
                }
                if !shared {
                    self.waiting = Some(Waiting::Routes);
                    return false;
                }
                true
            }
            None => {
                let goal = self.basic_goal(weight);
                let older = self.scene.others.iter().all(|other| other.available_replicas == 0);
                let there = canary.replicas == goal.canary
                    && canary.available >= self.needed(goal.canary)
                    && stable.replicas == goal.stable
                    && stable.available >= self.needed(goal.stable)
                    && older;
                if !there {
                    self.waiting = Some(Waiting::Pods);
                }
                there
            }
        }
    }

    fn stable_created(&self) -> bool {
        self.scene.stable.as_ref().is_some_and(|stable| stable.created_replicas >= stable.replicas)
    }

    fn basic_goal(&self, weight: u32) -> Split {
        basic::nearest_split(self.scene.replicas, weight, self.scene.max_weight(), self.scene.limits.surge)
    }

    /// Moves both sides towards the target.
    pub fn arrange(&mut self, target: &Target) {
        let weight = target.weight.min(self.scene.max_weight());
        let canary = self.canary_side();
        match &self.scene.traffic {
            Some(traffic) => {
                let wanted = traffic.shape.canary_wanted(target.canary, weight);
                let next = self.safe_weight(self.while_restarting(weight), canary.available, self.needed(wanted));
                let pods = Pods {
                    new: traffic.shape.canary_target(wanted, canary.replicas, traffic.served),
                    stable: self.stable_pods(traffic.shape, traffic.served, weight, next),
                };
                self.apply_sides(pods, Some(next));
            }
            None => {
                let pods = self.basic_scale(self.basic_goal(weight));
                self.apply_sides(pods, None);
            }
        }
    }

    /// A canary about to lose its last ready pod to a restart has no weight.
    fn while_restarting(&self, weight: u32) -> u32 {
        if self.restart_empties_canary() { 0 } else { weight }
    }

    /// Stable's pods on the way to `weight` when the routes are to say `next` now: whichever of the two leaves stable more to serve.
    fn stable_pods(&self, shape: Shape, served: Served, weight: u32, next: u32) -> u32 {
        let share = self.next_share(weight).min(next);
        shape.stable_target(shape.stable_wanted(share), served)
    }

    fn basic_scale(&self, goal: Split) -> Pods {
        let distinct = self.scene.stable.is_some() && !self.scene.is_stable(&self.status);
        let sides =
            Sides { canary: self.canary_side(), stable: distinct.then(|| self.stable_side()), older: self.older() };
        let next = basic::next_scale(self.scene.replicas, goal, self.scene.limits, sides);
        Pods { new: next.canary, stable: next.stable }
    }

    /// The canary's Service selects the new revision's pods.
    fn canary_selected(&self) -> bool {
        let service = self.scene.service(self.scene.fields.canary_service.as_ref());
        service.and_then(|service| service.hash()) == Some(self.scene.new_hash.as_str())
    }

    /// The canary's share on the way to `weight`: none while its Service still selects another revision's pods, for that one
    /// is left before the new one is shown to anybody.
    fn next_share(&self, weight: u32) -> u32 {
        if self.canary_selected() { weight } else { 0 }
    }

    /// The weight that is safe to write now on the way to `wanted`.
    fn safe_weight(&self, wanted: u32, canary_available: u32, canary_needed: u32) -> u32 {
        let Some(traffic) = &self.scene.traffic else { return 0 };
        let max = traffic.shape.max_weight;
        let stable_hash = self.status.stable_rs.as_str();
        let stable = if self.scene.is_stable(&self.status) { self.canary_side() } else { self.stable_side() };
        let service = |name: &String| self.scene.service(Some(name)).and_then(|service| service.hash());
        // An unmanaged Service still selects every pod of the rollout; one that is not there has none.
        let stable_service_ready = self
            .scene
            .service(Some(&traffic.stable_service))
            .is_some_and(|service| service.hash().is_none_or(|selected| selected == stable_hash));
        // What the canary Service carries is served by the pods that it selects, whosever they are.
        let (wanted, canary_available) = if self.canary_selected() && !self.scene.is_stable(&self.status) {
            (wanted, canary_available)
        } else {
            let backing = service(&traffic.canary_service)
                .and_then(|hash| identity::by_hash(&self.scene.observed.replica_sets, hash));
            (0, backing.map_or(0, |backing| backing.available_replicas))
        };
        let left = max.saturating_sub(wanted);
        let stable_needed = self.needed(crate::replicas::share_of(traffic.shape.replicas, left, max));
        let least =
            if stable.available >= stable_needed { 0 } else { traffic.shape.least_canary_share(stable.available) };
        weight::next(&weight::Scene {
            wanted,
            current: traffic.served.most,
            max_weight: max,
            canary_available,
            canary_needed,
            stable_service_ready,
            least,
        })
    }

    /// No revision is stable yet: all pods at once, no steps.
    pub fn first_deploy(&mut self) {
        self.waiting = Some(Waiting::Pods);
        "first revision: waiting for its pods to become available".clone_into(&mut self.reason);
        let replicas = self.scene.replicas;
        let new = self.canary_side();
        if self.scene.new.is_some() && new.replicas == replicas && new.available >= replicas {
            self.become_stable();
        }
        let pods = match &self.scene.traffic {
            Some(_) => Pods { new: replicas, stable: 0 },
            None => self.basic_scale(Split { canary: replicas, stable: 0 }),
        };
        let weight = self.scene.traffic.as_ref().map(|_| 0);
        self.apply_sides(pods, weight);
    }

    /// Stable is gone: the new revision gets all pods, and all traffic as soon as one of them is available. It becomes stable once it is
    /// whole, unless it was aborted or the spec cannot be followed; then it only serves.
    pub fn take_over(&mut self) {
        self.waiting = Some(Waiting::Pods);
        "the stable ReplicaSet is gone: the new revision takes over".clone_into(&mut self.reason);
        if self.blocked.is_none() {
            self.clear_pause();
        }
        let replicas = self.scene.replicas;
        let new = self.canary_side();
        let whole = self.scene.new.is_some() && new.replicas == replicas && new.available >= replicas;
        if whole && !self.status.abort && self.blocked.is_none() {
            self.become_stable();
        }
        if self.scene.traffic.is_some() {
            let next = self.weight_without_stable();
            self.apply_sides(Pods { new: replicas, stable: 0 }, Some(next));
        } else {
            let pods = self.basic_scale(Split { canary: replicas, stable: 0 });
            self.apply_sides(pods, None);
        }
    }

    /// Everything, if the canary can serve at all.
    fn weight_without_stable(&self) -> u32 {
        self.safe_weight(self.scene.max_weight(), self.canary_side().available, 1)
    }

    /// The template is stable: all pods, all traffic on the stable Service, what is left of others goes.
    pub fn steady(&mut self) {
        let replicas = self.scene.replicas;
        match &self.scene.traffic {
            Some(_) => {
                let next = self.safe_weight(0, 0, 0);
                self.apply_sides(Pods { new: replicas, stable: replicas }, Some(next));
            }
            None => {
                let pods = self.basic_scale(Split { canary: replicas, stable: 0 });
                self.apply_sides(pods, None);
            }
        }
        let new = self.canary_side();
        let traffic_back = self.scene.traffic.as_ref().is_none_or(|traffic| traffic.confirmed == Some(0));
        if new.available < replicas || new.replicas != replicas {
            self.waiting = Some(Waiting::Pods);
            "waiting for pods of the stable revision".clone_into(&mut self.reason);
        } else if !traffic_back {
            self.waiting = Some(Waiting::Routes);
            "waiting for all traffic to be on the stable Service".clone_into(&mut self.reason);
        }
        let left = self.kulta.restoring.clone().unwrap_or_default();
        let gone = self.scene.others.iter().all(|other| other.hash() != left || other.replicas == 0);
        if traffic_back && gone {
            self.restored();
        }
    }

    /// Stopped: nothing moves but what keeps requests answered, and the scale when `spec.replicas` changes.
    pub fn hold(&mut self) {
        let Some(stable) = self.scene.stable.clone() else {
            let weight = if self.status.stable_rs.is_empty() { 0 } else { self.weight_without_stable() };
            if let Some(new) = self.scene.new.clone() {
                self.apply_sides(Pods { new: new.replicas, stable: 0 }, self.scene.traffic.as_ref().map(|_| weight));
            }
            return;
        };
        match &self.scene.traffic {
            Some(traffic) => {
                let weight = traffic.held();
                let next = self.safe_weight(weight, self.canary_side().available, 0);
                let pods = Pods {
                    new: self.scene.new.as_deref().map_or(0, |new| self.rescaled(new)),
                    stable: self.stable_pods(traffic.shape, traffic.served, weight, next),
                };
                self.apply_sides(pods, Some(next));
            }
            None => {
                let pods = self.basic_scale(self.held_split(&stable));
                self.apply_sides(pods, None);
            }
        }
    }

    /// A held canary's pods: as many as there are, or their part of `spec.replicas` when a user has changed that.
    fn rescaled(&self, canary: &ReplicaSet) -> u32 {
        match canary.desired_replicas() {
            Some(desired) if desired != self.scene.replicas && desired > 0 => {
                crate::replicas::share_of(self.scene.replicas, canary.replicas, desired)
            }
            _ => canary.replicas,
        }
    }

    /// A held split without routes: as it is, or in proportion when a user has changed `spec.replicas`, or has done so before and the
    /// sides could not follow at once.
    fn held_split(&self, stable: &ReplicaSet) -> Split {
        let replicas = self.scene.replicas;
        let canary = self.canary_side();
        let total = canary.replicas + stable.replicas;
        let differs = |side: &ReplicaSet| side.desired_replicas().is_some_and(|desired| desired != replicas);
        let changed = differs(stable) || self.scene.new.as_deref().is_some_and(differs);
        if !changed && total <= replicas + self.scene.limits.surge {
            return Split { canary: canary.replicas, stable: stable.replicas };
        }
        let canary = crate::replicas::share_of(replicas, canary.replicas, total);
        Split { canary, stable: replicas.saturating_sub(canary) }
    }

    /// All of the canary's pods, then all of the traffic, then it is stable.
    pub fn promote_fully(&mut self) {
        self.clear_pause();
        if !self.kulta.promoting {
            self.kulta.promoting = true;
            self.tell(kulta_api::TransitionKind::Promoted, |_| {});
        }
        let replicas = self.scene.replicas;
        let max = self.scene.max_weight();
        let canary = self.canary_side();
        self.waiting = Some(Waiting::Pods);
        "promoting: waiting for all pods of the new revision".clone_into(&mut self.reason);
        // Without replicas a ReplicaSet has nothing to wait for, but it has to be there: it says what the stable revision is.
        let there = self.scene.new.is_some() && canary.replicas == replicas && canary.available >= replicas;
        let Some(traffic) = &self.scene.traffic else {
            if there {
                self.become_stable();
            }
            let pods = self.basic_scale(Split { canary: replicas, stable: 0 });
            self.apply_sides(pods, None);
            return;
        };
        let (shape, served) = (traffic.shape, traffic.served);
        let confirmed = traffic.confirmed == Some(max) || (replicas == 0 && traffic.confirmed.is_some());
        let held = traffic.held();
        let weight = if there {
            max
        } else if shape.dynamic_stable && replicas > 0 {
            let shared = u64::from(canary.available) * u64::from(max) / u64::from(replicas);
            held.max(u32::try_from(shared).unwrap_or(max)).min(max)
        } else {
            held
        };
        if there && confirmed {
            self.become_stable();
        } else if there {
            self.waiting = Some(Waiting::Routes);
            "promoting: waiting for all traffic to reach the new revision".clone_into(&mut self.reason);
        }
        let next = self.safe_weight(self.while_restarting(weight), canary.available, 0);
        let pods = Pods { new: replicas, stable: self.stable_pods(shape, served, weight, next) };
        self.apply_sides(pods, Some(next));
    }

    /// Aborted: `weight` at most for the canary, all pods for stable.
    pub fn restore(&mut self, weight: u32) {
        let canary = self.canary_side();
        let stable = self.stable_side();
        let replicas = self.scene.replicas;
        self.waiting = None;
        if self.reason.is_empty() {
            "aborted: stable serves".clone_into(&mut self.reason);
        }
        let back = match &self.scene.traffic {
            Some(traffic) => {
                let shape = traffic.shape;
                let Served { least, most } = traffic.served;
                let mut served = Served { least, most };
                let back = traffic.confirmed == Some(0);
                if !shape.dynamic_stable {
                    served.least = 0;
                }
                let kept = self.canary_kept_after_abort(stable.available >= replicas);
                let pods = Pods {
                    new: shape.canary_target(kept, canary.replicas, served),
                    stable: shape.stable_target(shape.stable_wanted(0), served),
                };
                let next = self.safe_weight(weight.min(most), canary.available, u32::MAX);
                self.apply_sides(pods, Some(next));
                back
            }
            None => {
                let pods = self.basic_scale(self.basic_goal(0));
                self.apply_sides(pods, None);
                canary.replicas == 0
            }
        };
        if back {
            self.restored();
        }
    }
}

fn side(replica_set: Option<&ReplicaSet>) -> Side {
    replica_set
        .map_or_else(Side::default, |found| Side { replicas: found.replicas, available: found.available_replicas })
}

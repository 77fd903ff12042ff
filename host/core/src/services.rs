//! Service selectors follow the revisions (`reference/argo-rollouts.md` section 4, "Service selectors").

use kulta_api::annotations;
use serde_json::json;

use crate::identity;
use crate::observed::Service;
use crate::pass::Pass;
use crate::plan::{Action, EventReason, Write};

impl Pass {
    pub fn switch_services(&mut self) {
        let stable_hash = self.status.stable_rs.clone();
        let stable_service = self.scene.service(self.scene.fields.stable_service.as_ref()).cloned();
        let canary_service = self.scene.service(self.scene.fields.canary_service.as_ref()).cloned();
        if let Some(service) = stable_service
            && !stable_hash.is_empty()
        {
            self.switch(&service, &stable_hash);
        }
        if let Some(service) = canary_service
            && let Some(hash) = self.canary_service_target(&service)
        {
            self.switch(&service, &hash);
        }
    }

    /// The revision that the canary Service should select; `None` leaves it as it is. It always ends at pods that can answer:
    /// between two canaries it selects stable.
    fn canary_service_target(&self, service: &Service) -> Option<String> {
        let stable = self.status.stable_rs.as_str();
        let new = self.scene.new_hash.as_str();
        if stable.is_empty() {
            return None;
        }
        let served = self.scene.traffic.as_ref().map_or(0, |traffic| traffic.served.most);
        // With the stable revision deleted, an abort has nothing to restore.
        if stable == new || (self.status.abort && self.scene.stable.is_some()) {
            // A stable revision that shrank takes its share back bit by bit, by weight.
            let whole = !self.scene.fields.dynamic_stable_scale();
            return (whole || served == 0).then(|| stable.to_owned());
        }
        let selected = service.hash();
        if selected == Some(new) {
            return None;
        }
        if self.scene.observed.rollout.spec.paused() || self.blocked.is_some() {
            return None;
        }
        // Traffic that still goes to another canary's pods is taken away first.
        let free = served == 0 || selected == Some(stable) || selected.is_none();
        if free && self.can_serve(service, new) {
            return Some(new.to_owned());
        }
        (selected.is_some() && selected != Some(stable) && served == 0).then(|| stable.to_owned())
    }

    /// A Service that selects no revision yet is narrowed only to one that is whole; one that does may follow to pods that can serve its
    /// requests, or that are no fewer than those that serve them now.
    fn can_serve(&self, service: &Service, hash: &str) -> bool {
        let replica_sets = &self.scene.observed.replica_sets;
        let Some(target) = identity::by_hash(replica_sets, hash) else { return false };
        if self.scene.replicas == 0 {
            return true;
        }
        let Some(selected) = service.hash() else {
            return target.replicas > 0 && target.available_replicas >= target.replicas;
        };
        let serving = identity::by_hash(replica_sets, selected).map_or(0, |serving| serving.available_replicas);
        let enough = self.needed(self.pods_for_requests(service, hash));
        target.available_replicas > 0 && (target.available_replicas >= enough || target.available_replicas >= serving)
    }

    /// Pods of a revision that its requests need once the Service sends it its own, beside those of the other Service.
    fn pods_for_requests(&self, service: &Service, hash: &str) -> u32 {
        let Some(traffic) = &self.scene.traffic else { return 0 };
        let (max, served) = (traffic.shape.max_weight, traffic.served);
        let selects_it = |other: &String| self.scene.service(Some(other)).and_then(|other| other.hash()) == Some(hash);
        let (own, selects_it) = if service.name == traffic.stable_service {
            (max.saturating_sub(served.least), selects_it(&traffic.canary_service))
        } else {
            // The stable Service selects the stable revision, or is about to.
            (served.most, selects_it(&traffic.stable_service) || self.status.stable_rs == hash)
        };
        let share = match own {
            0 => 0,
            _ if selects_it => max,
            own => own,
        };
        crate::replicas::share_of(traffic.shape.replicas, share, max)
    }

    fn switch(&mut self, service: &Service, hash: &str) {
        let owner = self.scene.observed.rollout.metadata.name.clone().unwrap_or_default();
        let selects = service.hash() == Some(hash);
        let managed = service.managed_by.as_deref() == Some(owner.as_str());
        if (selects && managed) || !(selects || self.can_serve(service, hash)) {
            return;
        }
        let patch = json!({
            "metadata": {
                "resourceVersion": service.resource_version,
                "annotations": { annotations::MANAGED_BY: owner }
            },
            "spec": { "selector": { annotations::POD_TEMPLATE_HASH: hash } }
        });
        let event = (!selects).then(|| {
            self.write_event(
                &format!("{}.{}", service.name, service.resource_version),
                EventReason::SwitchService,
                format!(
                    "Switched selector for service '{}' from '{}' to '{hash}'",
                    service.name,
                    service.hash().unwrap_or_default()
                ),
            )
        });
        let action = Action::PatchService { name: service.name.clone(), patch };
        self.writes.push(Write { action, events: event.into_iter().collect() });
    }
}

//! What a rollout waits for, with the objects named: messages in the status quote it.

use crate::decision::Waiting;
use crate::observed::ReplicaSet;
use crate::pass::Pass;

/// What is waited for, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wait {
    Pods(String),
    /// Traffic cannot be routed, or the data plane has yet to take a weight.
    Routes(String),
    /// An analysis, or a step plugin's work.
    Runs(String),
}

impl Pass {
    /// None when nothing is waited for, or nothing but time or a user.
    pub fn waits_for(&self) -> Option<Wait> {
        let obstacle = || Some(Wait::Routes(self.scene.traffic.as_ref()?.obstacle.clone()?.message));
        match self.waiting {
            Some(Waiting::Pods) => self.missing_pods().map(Wait::Pods).or_else(obstacle),
            Some(Waiting::Routes) => obstacle().or_else(|| self.unconfirmed_routes().map(Wait::Routes)),
            Some(Waiting::Runs) => self.open_work().map(Wait::Runs),
            Some(Waiting::Other) => None,
            // An update that is taken back names its own reason.
            None => obstacle().filter(|_| !self.status.abort),
        }
    }

    fn missing_pods(&self) -> Option<String> {
        let new = self.scene.new.iter();
        let stable = self.scene.stable.iter().filter(|stable| stable.hash() != self.scene.new_hash);
        let lacking = new.chain(stable).filter(|replica_set| replica_set.available_replicas < replica_set.replicas);
        joined(lacking.map(|replica_set| lack(replica_set)))
    }

    /// None of a rollout at rest: its stable revision serves whichever Service the route names, and a gateway that has yet to report a
    /// change of the route is no news.
    fn unconfirmed_routes(&self) -> Option<String> {
        if self.scene.is_stable(&self.status) && self.kulta.restoring.is_none() {
            return None;
        }
        let routes = &self.scene.traffic.as_ref()?.routes;
        joined(routes.iter().map(|view| format!("HTTPRoute {:?} has yet to be accepted with its weights", view.shown)))
    }

    fn open_work(&self) -> Option<String> {
        let runs = self.open_runs().into_iter().map(|name| format!("AnalysisRun {name:?}"));
        let plugin = self.open_step_plugin().map(|name| format!("step plugin {name:?}"));
        joined(runs.chain(plugin))
    }
}

fn lack(replica_set: &ReplicaSet) -> String {
    let ReplicaSet { name, available_replicas, replicas, failure, .. } = replica_set;
    let why = failure.as_ref().map_or_else(String::new, |why| format!(" ({why})"));
    format!("ReplicaSet {name:?} has {available_replicas} of {replicas} pods available{why}")
}

fn joined(parts: impl Iterator<Item = String>) -> Option<String> {
    let parts: Vec<_> = parts.collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

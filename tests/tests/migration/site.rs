//! A cluster for one scenario: without CRDs and controllers at its start, with the applications' namespace.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kube::api::DynamicObject;
use kulta_tests::{
    api,
    argo::Argo,
    kinds,
    manifests::{Canary, service},
    scenario::Scenario,
};
use serde_json::{Value, json};

use crate::{
    page::{Page, argos_manifests},
    pods::Pods,
};

/// What an earlier scenario has left. Deleting a CRD deletes its objects.
const CLEAN: &str = "
kubectl delete namespace argo-rollouts kulta-system kulta-lease --ignore-not-found
kubectl delete clusterrole,clusterrolebinding --selector app.kubernetes.io/part-of=argo-rollouts
kubectl delete clusterrole,clusterrolebinding --selector app.kubernetes.io/name=kulta
kubectl delete clusterrolebinding argo-rollouts-kulta --ignore-not-found
kubectl get crd --output name | sed -nE '/[.](argoproj|kulta)[.]io$/p' | xargs --no-run-if-empty kubectl delete
";
/// Argo's pod has a limit of ephemeral storage, which kwok's node has only if its status says so.
const ROOM: &str = r#"
kubectl get nodes --output name | xargs -I NODE kubectl patch NODE --subresource status --type merge --patch \
    '{"status": {"capacity": {"ephemeral-storage": "1Ti"}, "allocatable": {"ephemeral-storage": "1Ti"}}}'
"#;

/// Argo's controller writes the answer to its own patch back into its cache. A user's verb that it has seen a moment before is lost
/// then, until its next resync.
const WRITTEN_BACK: Duration = Duration::from_secs(1);
/// Long enough for a controller that would replace a pod to have begun.
pub const CALM: Duration = Duration::from_secs(5);

pub struct Site {
    pub scenario: Scenario,
    pub page: Page,
    pub pods: Pods,
}

/// Uids of a rollout's pods and ReplicaSets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    pub pods: BTreeSet<String>,
    pub sets: BTreeSet<String>,
}

impl Site {
    pub async fn begin(name: &str) -> Result<Self> {
        Self::with_chart(name, PathBuf::from("no-chart")).await
    }

    /// With a chart that stands for Argo's.
    pub async fn with_chart(name: &str, chart: PathBuf) -> Result<Self> {
        let scenario = Scenario::begin(name).await?;
        let page = Page::open(&scenario, &chart)?;
        page.shell(CLEAN).await.context("clean the cluster")?;
        page.shell(ROOM).await.context("prepare the node")?;
        let pods = Pods::start(scenario.client.clone(), &scenario.environment);
        Ok(Self { scenario, page, pods })
    }

    /// As Argo's documentation installs it.
    pub async fn install_argo(&self) -> Result<()> {
        let manifests = argos_manifests();
        let install = format!(
            "kubectl create namespace argo-rollouts; kubectl apply --namespace argo-rollouts -f {}/install.yaml",
            manifests.display()
        );
        self.page.shell(&install).await?;
        self.until_argo_leads().await
    }

    pub async fn until_argo_leads(&self) -> Result<()> {
        self.pods.until_logged("argo-rollouts", "Started controller").await
    }

    /// By the page's block for manifests.
    pub async fn install_kulta(&self) -> Result<()> {
        self.page.run("start-kulta").await?;
        self.until_kulta_leads().await
    }

    pub async fn until_kulta_leads(&self) -> Result<()> {
        self.pods.until_logged("kulta", "cache filled kind=\"Rollout\"").await
    }

    /// Applies a canary by pods, and waits until it is healthy.
    pub async fn deployed(&self, canary: &Canary) -> Result<()> {
        self.scenario.apply(canary.rollout()).await?;
        self.scenario.until_phase(&canary.name, "Healthy").await.map(drop)
    }

    /// As [`deployed`](Self::deployed), then updates it to v2, until the last pause.
    pub async fn paused(&self, canary: &Canary) -> Result<DynamicObject> {
        self.deployed(canary).await?;
        self.updated(canary, "v2").await
    }

    /// Updates it to a version, and promotes it past the first pause. A controller that returns it to its first step stays there.
    pub async fn updated(&self, canary: &Canary, version: &str) -> Result<DynamicObject> {
        self.scenario.apply(canary.clone().version(version).rollout()).await?;
        self.past_first_pause(&canary.name).await
    }

    pub async fn past_first_pause(&self, rollout: &str) -> Result<DynamicObject> {
        self.until_paused_at(rollout, FIRST_PAUSE).await?;
        Argo::of(&self.scenario).run(&["promote", rollout]).await?;
        self.until_paused(rollout).await
    }

    /// At the last pause, with one pod of each version.
    pub async fn until_paused(&self, rollout: &str) -> Result<DynamicObject> {
        self.until_paused_at(rollout, LAST_PAUSE).await
    }

    async fn until_paused_at(&self, rollout: &str, step: i64) -> Result<DynamicObject> {
        let paused = self
            .scenario
            .until(&kinds::rollout(), rollout, &format!("the pause at step {step} with one new pod"), |rollout| {
                api::text(rollout, "/status/phase") == "Paused"
                    && api::number(rollout, "/status/currentStepIndex") == step
                    && rollout.data.pointer("/status/pauseConditions/0").is_some()
                    && api::number(rollout, "/status/updatedReplicas") == 1
                    && api::number(rollout, "/status/availableReplicas") == 2
            })
            .await?;
        tokio::time::sleep(WRITTEN_BACK).await;
        Ok(paused)
    }

    /// By Argo's kubectl plugin, until the rollout is healthy with v2 as its stable version.
    pub async fn promoted(&self, rollout: &str) -> Result<()> {
        let argo = Argo::of(&self.scenario);
        argo.run(&["promote", rollout]).await?;
        argo.run(&["status", rollout, "--timeout", "60s"]).await?;
        let seen = self.scenario.until_phase(rollout, "Healthy").await?;
        let (stable, current) = (api::text(&seen, "/status/stableRS"), api::text(&seen, "/status/currentPodHash"));
        ensure!(!stable.is_empty() && stable == current, "{:?}", seen.data);
        Ok(())
    }

    pub async fn workload(&self, rollout: &str) -> Result<Workload> {
        let pods = self.scenario.list(&kinds::pod(), &format!("app={rollout}")).await?;
        let pods = pods.into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_none());
        let sets = self.scenario.replica_sets(rollout).await?;
        let uids = |objects: Vec<DynamicObject>| objects.into_iter().filter_map(|object| object.metadata.uid).collect();
        Ok(Workload { pods: uids(pods.collect()), sets: uids(sets) })
    }

    pub async fn workloads(&self, rollouts: &[&str]) -> Result<BTreeMap<String, Workload>> {
        let mut found = BTreeMap::new();
        for rollout in rollouts {
            found.insert((*rollout).to_owned(), self.workload(rollout).await?);
        }
        Ok(found)
    }

    /// The rollout's uid: a deleted and created one has another.
    pub async fn uid(&self, rollout: &str) -> Result<String> {
        self.scenario.get(&kinds::rollout(), rollout).await?.metadata.uid.context("no uid")
    }

    pub async fn end(self) -> Result<()> {
        let Self { scenario, page, pods } = self;
        // The controllers end before their namespaces, so that no lease is written again.
        drop(pods);
        page.shell(CLEAN).await.context("clean the cluster")?;
        scenario.end().await
    }
}

/// Indexes of the pauses of [`canary`].
const FIRST_PAUSE: i64 = 1;
const LAST_PAUSE: i64 = 2;

/// A canary by pods with two pauses.
pub fn canary(name: &str) -> Canary {
    Canary::new(name).without_routing().steps(json!([{"setWeight": 50}, {"pause": {"duration": "1h"}}, {"pause": {}}]))
}

/// A canary by pods with the two Services, whose selectors the controller switches.
pub fn with_services(name: &str) -> (Canary, Vec<Value>) {
    let canary = canary(name);
    let services = [canary.stable_service(), canary.canary_service()];
    let fields = json!({"stableService": canary.stable_service(), "canaryService": canary.canary_service()});
    let objects = services.iter().map(|service_name| service(service_name, &json!({"app": name}))).collect();
    (canary.canary(fields), objects)
}

//! From Argo to KULTA, by manifests.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use kulta_tests::{argo::Argo, kinds};
use serde_json::Value;

use crate::site::{CALM, Site, Workload, canary, with_services};

#[tokio::test]
#[ignore = "needs a control plane: make cluster-test runs it"]
async fn kulta_continues_what_argo_has_begun_and_replaces_no_pod() -> Result<()> {
    let site = Site::begin("there").await?;
    site.install_argo().await?;
    let scenario = &site.scenario;
    let before = before_the_move(&site).await?;

    site.page.run("check").await?;
    site.page.run("stop-argo").await?;
    site.install_kulta().await?;
    tokio::time::sleep(CALM).await;

    before.is_unchanged(&site).await?;
    let looked = site.page.run("look").await?;
    for (rollout, phase) in [("idle", "Healthy"), ("bad", "Degraded"), ("web", "Paused")] {
        let line = looked.lines().find(|line| line.contains(&format!(" {rollout} ")));
        ensure!(line.is_some_and(|line| line.contains(phase)), "{rollout} is not {phase}: {looked}");
    }
    site.until_paused("web").await?;
    site.promoted("web").await?;
    Argo::of(scenario).run(&["retry", "rollout", "bad"]).await?;
    site.past_first_pause("bad").await?;
    site.promoted("bad").await?;
    ensure!(site.workload("idle").await? == before.workloads["idle"]);
    site.page.run("remove-argo").await?;
    scenario.until_phase("idle", "Healthy").await?;
    site.end().await
}

/// The rollouts that move: one is healthy, one aborted, one at the last pause of an update.
pub const ROLLOUTS: [&str; 3] = ["idle", "bad", "web"];

/// What no move may change.
pub struct Before {
    pub workloads: BTreeMap<String, Workload>,
    selectors: Vec<Value>,
}

impl Before {
    async fn of(site: &Site) -> Result<Self> {
        Ok(Self { workloads: site.workloads(&ROLLOUTS).await?, selectors: selectors(site).await? })
    }

    pub async fn is_unchanged(&self, site: &Site) -> Result<()> {
        let now = Self::of(site).await?;
        ensure!(now.workloads == self.workloads, "{:?}, not {:?}", now.workloads, self.workloads);
        ensure!(now.selectors == self.selectors, "{:?}, not {:?}", now.selectors, self.selectors);
        Ok(())
    }
}

/// Makes [`ROLLOUTS`] with the controller that is there.
pub async fn before_the_move(site: &Site) -> Result<Before> {
    let scenario = &site.scenario;
    let (web, services) = with_services("web");
    scenario.apply_all(services).await?;
    site.deployed(&canary("idle")).await?;
    site.paused(&canary("bad")).await?;
    Argo::of(scenario).run(&["abort", "bad"]).await?;
    scenario.until_phase("bad", "Degraded").await?;
    site.paused(&web).await?;
    tokio::time::sleep(CALM).await;
    Before::of(site).await
}

/// Selectors of the Services of `web`.
async fn selectors(site: &Site) -> Result<Vec<Value>> {
    let mut found = Vec::new();
    for name in ["web-stable", "web-canary"] {
        let service = site.scenario.get(&kinds::service(), name).await?;
        found.push(service.data.pointer("/spec/selector").cloned().unwrap_or_default());
    }
    let hash = |selector: &Value| selector.get("rollouts-pod-template-hash").is_some();
    ensure!(found.iter().all(hash), "Argo has not switched the Services: {found:?}");
    Ok(found)
}

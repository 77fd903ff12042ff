//! The controller as stories run it: under the rights that are shipped, for the story's own namespace, so that stories do not
//! disturb each other; and the first two moves of nearly every story.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Result;
use serde_json::json;
use tokio::sync::OnceCell;

use crate::{
    api,
    controller::{Controller, Start, free_address},
    crds,
    manifests::Canary,
    run_folder,
    sink::Sink,
    story::Story,
    wait,
};

const LISTEN: &str = "KULTA_LISTEN";
/// How long the controller may take until it is ready; a debug build compiles its plugins slowly.
const READY: Duration = Duration::from_secs(30);
/// How long the API server may take until it serves a CRD as it was changed.
const SERVED: Duration = Duration::from_secs(20);

/// The kubeconfig of the shipped ServiceAccount; made once, because stories run side by side.
static RIGHTS: OnceCell<PathBuf> = OnceCell::const_new();

/// Applies what is shipped, so that the shipped rights are what is tested, and gives the kubeconfig that has them.
pub async fn rights(story: &Story) -> Result<PathBuf> {
    RIGHTS.get_or_try_init(|| shipped_rights(story)).await.cloned()
}

/// As [`rights`], on CRDs without KULTA's additions: for a cluster of its own, before anything else is done there.
pub async fn rights_on_stock_crd(story: &Story) -> Result<PathBuf> {
    let made = RIGHTS.get_or_try_init(|| async {
        api::apply_crd(&story.client, crds::stock_rollout()?).await?;
        for crd in crds::stock_analyses()? {
            api::apply_crd(&story.client, crd).await?;
        }
        shipped_account(story).await
    });
    made.await.cloned()
}

/// As [`rights`], on a Rollout CRD without a schema, which replaces the cluster's.
pub async fn rights_on_loose_crd(story: &Story) -> Result<PathBuf> {
    let made = RIGHTS.get_or_try_init(|| async {
        api::apply_crd(&story.client, crds::loose_rollout()?).await?;
        // A CRD that was there before goes on as established while its new schema is taken up.
        wait::poll("the API server to let everything through", SERVED, || async {
            let object = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
                "metadata": {"name": "loose"}, "spec": {"replicas": "x"}});
            api::dry_run(&story.client, &story.namespace, object).await.map(Some)
        })
        .await?;
        shipped_account(story).await
    });
    made.await.cloned()
}

async fn shipped_rights(story: &Story) -> Result<PathBuf> {
    api::apply_crds(&story.client, &run_folder::repository().join("crds")).await?;
    shipped_account(story).await
}

async fn shipped_account(story: &Story) -> Result<PathBuf> {
    let repository = run_folder::repository();
    for file in ["namespace.yaml", "rbac.yaml"] {
        let yaml = std::fs::read_to_string(repository.join("deploy").join(file))?;
        api::apply_yaml(&story.client, &story.namespace, &yaml).await?;
    }
    story.kubeconfig_of("kulta-system", "kulta").await
}

/// Starts a controller for the story's namespace, with a sink for its CDEvents or none, and waits until it is ready.
pub async fn start(story: &Story, sink: Option<&Sink>) -> Result<Controller> {
    start_with(story, sink, &[]).await
}

/// As [`start`], with more environment variables; a later one of the same name wins.
pub async fn start_with(story: &Story, sink: Option<&Sink>, variables: &[(&str, &str)]) -> Result<Controller> {
    let kubeconfig = rights(story).await?;
    start_as(story, &kubeconfig, sink, variables).await
}

/// As [`start_with`], under the rights that a kubeconfig has.
pub async fn start_as(
    story: &Story,
    kubeconfig: &Path,
    sink: Option<&Sink>,
    variables: &[(&str, &str)],
) -> Result<Controller> {
    let chosen = variables.iter().find(|(name, _)| *name == LISTEN).map(|(_, address)| address.parse());
    let address = chosen.transpose()?.map_or_else(free_address, Ok)?;
    let mut settings = Start::new(&story.namespace, kubeconfig)
        .variable("KULTA_NAMESPACES", &story.namespace)
        .variable(LISTEN, address.to_string())
        .variable("KULTA_PROMETHEUS_ADDRESS", format!("http://{}", story.environment.prometheus))
        .variable("KULTA_LOG_LEVEL", "info,kulta_controller=debug");
    if let Some(sink) = sink {
        settings = settings.variable("KULTA_CDEVENTS_SINK", sink.url());
    }
    for (name, value) in variables {
        settings = settings.variable(name, *value);
    }
    let mut controller = Controller::start(&settings, &story.environment.run)?;
    controller.wait_http(address, "/readyz", READY).await?;
    Ok(controller)
}

/// Deploys the canary as it is (version v1 as a rule) and waits until it is healthy.
pub async fn deployed(story: &Story, canary: &Canary) -> Result<()> {
    story.apply_canary(canary).await?;
    story.until_phase(&canary.name, "Healthy").await?;
    Ok(())
}

/// Writes version v2 into the template.
pub async fn updated(story: &Story, canary: &Canary) -> Result<()> {
    updated_to(story, canary, "v2").await
}

/// Writes a version into the template.
pub async fn updated_to(story: &Story, canary: &Canary, version: &str) -> Result<()> {
    story.apply(canary.clone().version(version).rollout()).await?;
    Ok(())
}

/// Wanted pods of each revision, oldest first.
pub async fn pods(story: &Story, rollout: &str) -> Result<Vec<i64>> {
    Ok(story.replica_sets(rollout).await?.iter().map(|set| api::number(set, "/spec/replicas")).collect())
}

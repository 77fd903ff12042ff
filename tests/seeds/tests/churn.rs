//! Rollouts that are made and deleted: what is remembered of one is forgotten with it, and is nothing to the next one of its name.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kulta_embedded::store::{Patch, WriteOptions};
use kulta_seeds::calm::{self, Calm};
use kulta_seeds::cluster::{Cluster, NAMESPACE, ROLLOUT, What};
use kulta_seeds::scenario::{Health, template};
use serde_json::{Value, json};

/// Made and deleted one after the other.
const ROLLOUTS: usize = 200;
/// The same, in the night.
const MANY_ROLLOUTS: usize = 10_000;
/// A rollout without pods is deployed, and a deleted one is forgotten, within this time.
const A_WHILE: Duration = Duration::from_secs(5);
/// The longest that a delivery waits until it tries again.
const UNTIL_RETRIED: Duration = Duration::from_secs(120);

fn rollout(name: &str) -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
        "metadata": { "name": name, "namespace": NAMESPACE },
        "spec": {
            "replicas": 0,
            "selector": { "matchLabels": { "app": ROLLOUT } },
            "template": template("v1", Health::Good),
            "strategy": { "canary": {} },
        },
    })
}

fn uid(cluster: &Cluster, name: &str) -> Result<String> {
    let rollout = cluster.get(What::Rollout, name)?.context("no Rollout")?;
    Ok(rollout.pointer("/metadata/uid").and_then(Value::as_str).context("no uid")?.to_owned())
}

async fn upgrade(cluster: &Cluster, version: &str) -> Result<()> {
    tokio::time::sleep(A_WHILE).await;
    cluster.patch(What::Rollout, ROLLOUT, false, json!({ "spec": { "template": template(version, Health::Good) } }))?;
    tokio::time::sleep(A_WHILE).await;
    Ok(())
}

/// Types of the events about the rollout with this uid, in their order.
fn told_of(calm: &Calm, uid: &str) -> Vec<String> {
    let events = calm.sink.taken();
    let about = events.iter().filter(|event| event.to_string().contains(uid));
    about.filter_map(|event| Some(event.pointer("/context/type")?.as_str()?.to_owned())).collect()
}

#[test]
fn a_delivery_for_a_deleted_rollout_does_not_count_for_the_next_one_of_its_name() -> Result<()> {
    calm::run(async || {
        let calm = Calm::start()?;
        calm.cluster.create(What::Rollout, rollout(ROLLOUT))?;
        upgrade(&calm.cluster, "v2").await?;
        let of_the_first = told_of(&calm, &uid(&calm.cluster, ROLLOUT)?);
        calm.sink.away.store(true, Ordering::Relaxed);
        upgrade(&calm.cluster, "v3").await?;
        calm.cluster.delete(What::Rollout, ROLLOUT)?;
        tokio::time::sleep(A_WHILE).await;
        calm.cluster.create(What::Rollout, rollout(ROLLOUT))?;
        tokio::time::sleep(A_WHILE).await;
        calm.sink.away.store(false, Ordering::Relaxed);
        tokio::time::sleep(UNTIL_RETRIED).await;

        upgrade(&calm.cluster, "v2").await?;

        let of_the_next = told_of(&calm, &uid(&calm.cluster, ROLLOUT)?);
        ensure!(!of_the_first.is_empty() && of_the_next == of_the_first, "{of_the_next:?} instead of {of_the_first:?}");
        Ok(())
    })
}

fn churn(rollouts: usize) -> Result<()> {
    calm::run(async || {
        let calm = Calm::start()?;
        let mut most = 0;
        for number in 0..rollouts {
            let name = format!("web-{number}");
            calm.cluster.create(What::Rollout, rollout(&name))?;
            tokio::time::sleep(A_WHILE).await;
            most = most.max(calm.rollouts_known());
            calm.cluster.delete(What::Rollout, &name)?;
            tokio::time::sleep(A_WHILE).await;
        }

        ensure!((most, calm.rollouts_known()) == (1, 0), "{most} at most, {} in the end", calm.rollouts_known());
        Ok(())
    })
}

#[test]
fn each_removal_is_told_once_the_sink_is_back_however_many_wait_for_it() -> Result<()> {
    /// More than are on their way at a time, and more than had room in earlier versions.
    const REMOVED: usize = 1_100;
    /// Few enough for the watches to follow.
    const AT_ONCE: usize = 100;
    calm::run(async || {
        let calm = Calm::start()?;
        calm.sink.away.store(true, Ordering::Relaxed);
        let names: Vec<String> = (0..REMOVED).map(|number| format!("web-{number}")).collect();
        for names in names.chunks(AT_ONCE) {
            for name in names {
                let mut rollout = rollout(name);
                // A spec that is refused makes nothing that would have to be reported.
                rollout["spec"]["strategy"] = json!({});
                calm.cluster.create(What::Rollout, rollout)?;
            }
            tokio::time::sleep(A_WHILE).await;
            for name in names {
                calm.cluster.delete(What::Rollout, name)?;
            }
            tokio::time::sleep(A_WHILE).await;
        }

        calm.sink.away.store(false, Ordering::Relaxed);
        tokio::time::sleep(UNTIL_RETRIED * 2).await;

        let removed = calm.sink.taken().iter().filter(|event| event.to_string().contains("service.removed")).count();
        ensure!(removed == REMOVED, "{removed} of {REMOVED} removals are told");
        Ok(())
    })
}

/// The ids of the events, each as often as it was sent.
fn ids(calm: &Calm) -> Vec<String> {
    let id = |event: &Value| Some(event.pointer("/context/id")?.as_str()?.to_owned());
    calm.sink.taken().iter().filter_map(id).collect()
}

/// Puts a CRD in the place of the Rollout's that does not know KULTA's record, as Argo's.
fn prune_records(cluster: &Cluster) -> Result<()> {
    let kind = cluster.store.kind("apiextensions.k8s.io/v1", "CustomResourceDefinition").context("no CRDs")?;
    let path = "/spec/versions/0/schema/openAPIV3Schema/properties/status/properties/kulta";
    let patch = Patch::Json(json!([{ "op": "remove", "path": path }]));
    cluster.store.patch(&kind, "", "rollouts.argoproj.io", &patch, &WriteOptions::by("person"))?;
    Ok(())
}

#[test]
fn a_record_outlives_a_crd_that_prunes_it_so_that_no_event_has_the_id_of_another() -> Result<()> {
    calm::run(async || {
        let calm = Calm::start()?;
        calm.cluster.create(What::Rollout, rollout(ROLLOUT))?;
        upgrade(&calm.cluster, "v2").await?;
        let before = ids(&calm).len();
        prune_records(&calm.cluster)?;
        tokio::time::sleep(A_WHILE).await;
        // A write that is not about the record takes it away.
        calm.cluster.patch(What::Rollout, ROLLOUT, false, json!({ "metadata": { "labels": { "team": "shop" } } }))?;

        upgrade(&calm.cluster, "v3").await?;

        let (ids, record) = (ids(&calm), calm.get(What::Rollout, ROLLOUT)?.pointer("/status/kulta").cloned());
        let distinct: BTreeSet<&String> = ids.iter().collect();
        ensure!(record.is_none(), "the record is kept: {record:?}");
        ensure!(ids.len() > before && distinct.len() == ids.len(), "{} of {} ids", distinct.len(), ids.len());
        Ok(())
    })
}

#[test]
fn nothing_is_remembered_of_rollouts_that_are_made_and_deleted() -> Result<()> {
    churn(ROLLOUTS)
}

#[test]
#[ignore = "takes minutes: make seeds-nightly"]
fn nothing_is_remembered_of_ten_thousand_rollouts_that_are_made_and_deleted() -> Result<()> {
    churn(MANY_ROLLOUTS)
}

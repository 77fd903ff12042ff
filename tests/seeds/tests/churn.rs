//! Rollouts that are created and deleted: the local state of one is dropped with it, and does not count for the next one of its name.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kulta_embedded::store::{Patch, WriteOptions};
use kulta_seeds::cluster::{Cluster, NAMESPACE, ObjectKind, ROLLOUT, USER};
use kulta_seeds::harness::{self, Harness};
use kulta_seeds::{objects::Health, scenario::template};
use serde_json::{Value, json};

/// Rollouts that are created and deleted one after the other.
const ROLLOUTS: usize = 200;
/// Rollouts of `make seeds-nightly`.
const MANY_ROLLOUTS: usize = 10_000;
/// Within this time a rollout without pods is deployed, and the state of a deleted one is dropped.
const A_WHILE: Duration = Duration::from_secs(5);
/// The longest delay before a delivery is retried.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(120);

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
    let rollout = cluster.get(ObjectKind::Rollout, name)?.context("no Rollout")?;
    Ok(rollout.pointer("/metadata/uid").and_then(Value::as_str).context("no uid")?.to_owned())
}

async fn upgrade(cluster: &Cluster, version: &str) -> Result<()> {
    tokio::time::sleep(A_WHILE).await;
    cluster.patch(
        ObjectKind::Rollout,
        ROLLOUT,
        false,
        json!({ "spec": { "template": template(version, Health::Good) } }),
    )?;
    tokio::time::sleep(A_WHILE).await;
    Ok(())
}

/// The types of the events of the rollout with this uid, in order.
fn events_of(harness: &Harness, uid: &str) -> Vec<String> {
    let events = harness.sink.received();
    let about = events.iter().filter(|event| event.to_string().contains(uid));
    about.filter_map(|event| Some(event.pointer("/context/type")?.as_str()?.to_owned())).collect()
}

#[test]
fn a_delivery_for_a_deleted_rollout_does_not_count_for_the_next_one_of_its_name() -> Result<()> {
    harness::run(async || {
        let harness = Harness::start()?;
        harness.cluster.create(ObjectKind::Rollout, rollout(ROLLOUT))?;
        upgrade(&harness.cluster, "v2").await?;
        let of_the_first = events_of(&harness, &uid(&harness.cluster, ROLLOUT)?);
        harness.sink.unavailable.store(true, Ordering::Relaxed);
        upgrade(&harness.cluster, "v3").await?;
        harness.cluster.delete(ObjectKind::Rollout, ROLLOUT)?;
        tokio::time::sleep(A_WHILE).await;
        harness.cluster.create(ObjectKind::Rollout, rollout(ROLLOUT))?;
        tokio::time::sleep(A_WHILE).await;
        harness.sink.unavailable.store(false, Ordering::Relaxed);
        tokio::time::sleep(MAX_RETRY_DELAY).await;

        upgrade(&harness.cluster, "v2").await?;

        let of_the_next = events_of(&harness, &uid(&harness.cluster, ROLLOUT)?);
        ensure!(!of_the_first.is_empty() && of_the_next == of_the_first, "{of_the_next:?} instead of {of_the_first:?}");
        Ok(())
    })
}

fn churn(rollouts: usize) -> Result<()> {
    harness::run(async || {
        let harness = Harness::start()?;
        let mut most = 0;
        for number in 0..rollouts {
            let name = format!("web-{number}");
            harness.cluster.create(ObjectKind::Rollout, rollout(&name))?;
            tokio::time::sleep(A_WHILE).await;
            most = most.max(harness.rollouts_known());
            harness.cluster.delete(ObjectKind::Rollout, &name)?;
            tokio::time::sleep(A_WHILE).await;
        }

        ensure!((most, harness.rollouts_known()) == (1, 0), "at most {most}, in the end {}", harness.rollouts_known());
        Ok(())
    })
}

#[test]
fn each_removal_is_delivered_once_the_sink_is_available_however_many_wait() -> Result<()> {
    /// More than are delivered at a time, and more than earlier versions could queue.
    const REMOVED: usize = 1_100;
    /// Few enough for the watches not to fall behind.
    const AT_ONCE: usize = 100;
    harness::run(async || {
        let harness = Harness::start()?;
        harness.sink.unavailable.store(true, Ordering::Relaxed);
        let names: Vec<String> = (0..REMOVED).map(|number| format!("web-{number}")).collect();
        for names in names.chunks(AT_ONCE) {
            for name in names {
                let mut rollout = rollout(name);
                // An invalid spec creates no objects, and so no other events.
                rollout["spec"]["strategy"] = json!({});
                harness.cluster.create(ObjectKind::Rollout, rollout)?;
            }
            tokio::time::sleep(A_WHILE).await;
            for name in names {
                harness.cluster.delete(ObjectKind::Rollout, name)?;
            }
            tokio::time::sleep(A_WHILE).await;
        }

        harness.sink.unavailable.store(false, Ordering::Relaxed);
        tokio::time::sleep(MAX_RETRY_DELAY * 2).await;

        let removed =
            harness.sink.received().iter().filter(|event| event.to_string().contains("service.removed")).count();
        ensure!(removed == REMOVED, "{removed} of {REMOVED} removals are delivered");
        Ok(())
    })
}

/// The ids of the events in the order in which they were received.
fn ids(harness: &Harness) -> Vec<String> {
    let id = |event: &Value| Some(event.pointer("/context/id")?.as_str()?.to_owned());
    harness.sink.received().iter().filter_map(id).collect()
}

/// Removes KULTA's records from the Rollout CRD, which then prunes them as Argo's does.
fn prune_records(cluster: &Cluster) -> Result<()> {
    let kind = cluster.store.kind("apiextensions.k8s.io/v1", "CustomResourceDefinition").context("no CRDs")?;
    let path = "/spec/versions/0/schema/openAPIV3Schema/properties/status/properties/kulta";
    let patch = Patch::Json(json!([{ "op": "remove", "path": path }]));
    cluster.store.patch(&kind, "", "rollouts.argoproj.io", &patch, &WriteOptions::by(USER))?;
    Ok(())
}

#[test]
fn records_survive_in_memory_if_the_crd_prunes_them_so_that_event_ids_stay_unique() -> Result<()> {
    harness::run(async || {
        let harness = Harness::start()?;
        harness.cluster.create(ObjectKind::Rollout, rollout(ROLLOUT))?;
        upgrade(&harness.cluster, "v2").await?;
        let before = ids(&harness).len();
        prune_records(&harness.cluster)?;
        tokio::time::sleep(A_WHILE).await;
        // Any write of the object removes the record from it.
        harness.cluster.patch(
            ObjectKind::Rollout,
            ROLLOUT,
            false,
            json!({ "metadata": { "labels": { "team": "shop" } } }),
        )?;

        upgrade(&harness.cluster, "v3").await?;

        let (ids, record) =
            (ids(&harness), harness.get(ObjectKind::Rollout, ROLLOUT)?.pointer("/status/kulta").cloned());
        let distinct: BTreeSet<&String> = ids.iter().collect();
        ensure!(record.is_none(), "the record is not pruned: {record:?}");
        ensure!(ids.len() > before && distinct.len() == ids.len(), "{} of {} ids", distinct.len(), ids.len());
        Ok(())
    })
}

#[test]
fn no_state_is_kept_of_rollouts_that_are_created_and_deleted() -> Result<()> {
    churn(ROLLOUTS)
}

#[test]
#[ignore = "takes minutes: make seeds-nightly"]
fn no_state_is_kept_of_ten_thousand_rollouts_that_are_created_and_deleted() -> Result<()> {
    churn(MANY_ROLLOUTS)
}

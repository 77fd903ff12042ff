//! Values that the chart rejects.

use anyhow::{Result, ensure};
use kulta_tests::helm;
use serde_json::{Value, json};

/// The rejection is one sentence that has all of `parts`.
fn rejected(values: &Value, parts: &[&str]) -> Result<()> {
    let error = helm::rejection(values)?;
    for part in parts {
        ensure!(error.contains(part), "{part:?} is not in the rejection of {values}: {error}");
    }
    Ok(())
}

#[test]
#[ignore = "needs helm: make cluster-test runs it"]
fn an_unknown_key_is_named() -> Result<()> {
    rejected(&json!({"replicaCount": 2}), &["replicaCount"])?;
    rejected(&json!({"controller": {"namespace": ["shop"]}}), &["controller", "'namespace'"])?;
    rejected(&json!({"rbac": {"jobs": {"enabled": true}}}), &["/rbac/jobs", "'enabled'"])?;
    rejected(&json!({"livenessProbe": {"httpGet": {}}}), &["livenessProbe", "httpGet"])
}

#[test]
#[ignore = "needs helm: make cluster-test runs it"]
fn a_value_outside_its_range_is_named() -> Result<()> {
    rejected(&json!({"controller": {"workers": 0}}), &["/controller/workers"])?;
    rejected(&json!({"controller": {"logFormat": "xml"}}), &["/controller/logFormat"])?;
    rejected(&json!({"controller": {"namespaces": ["Shop"]}}), &["/controller/namespaces/0"])?;
    rejected(&json!({"cdevents": {"sink": "events.example"}}), &["/cdevents/sink"])?;
    rejected(&json!({"image": {"digest": "latest"}}), &["/image/digest"])?;
    rejected(&json!({"plugins": {"objects": {"gate": {}}}}), &["/plugins/objects/gate", "source"])
}

#[test]
#[ignore = "needs helm: make cluster-test runs it"]
fn a_permission_without_its_namespaces_is_explained() -> Result<()> {
    for feature in ["jobs", "secrets"] {
        let reason =
            format!("rbac.{feature}.scope is namespaces, but rbac.{feature}.namespaces is empty: list at least one");
        rejected(&json!({"rbac": {feature: {"scope": "namespaces"}}}), &[&reason])?;
    }
    Ok(())
}

#[test]
#[ignore = "needs helm: make cluster-test runs it"]
fn contradictory_values_are_explained() -> Result<()> {
    let image = "registry.example.com/gate";
    let cases = [
        (
            json!({"replicas": 2, "leaderElection": {"enabled": false}}),
            "replicas is 2, but leaderElection.enabled is false",
        ),
        (
            json!({"replicas": 2, "plugins": {"cache": {"claim": "kulta"}}}),
            "replicas is 2, but plugins.cache.claim is \"kulta\"",
        ),
        (json!({"podDisruptionBudget": {"enabled": true}}), "podDisruptionBudget.enabled needs at least 2 replicas"),
        (json!({"serviceAccount": {"create": false}}), "serviceAccount.name is empty"),
        (json!({"networkPolicy": {"egress": [{}]}}), "networkPolicy.egress has rules"),
        (json!({"networkPolicy": {"ingressFrom": [{}]}}), "networkPolicy.ingressFrom has peers"),
        (
            json!({"rbac": {"create": false, "jobs": {"scope": "cluster"}}}),
            "rbac.jobs.scope is cluster, but rbac.create is false",
        ),
        (
            json!({"rbac": {"jobs": {"scope": "cluster", "namespaces": ["shop"]}}}),
            "rbac.jobs.namespaces has entries, but rbac.jobs.scope is cluster",
        ),
        (
            json!({"controller": {"namespaces": ["shop"]}, "rbac": {"secrets": {"scope": "cluster"}}}),
            "rbac.secrets.scope is cluster, but controller.namespaces limits the controller",
        ),
        (
            json!({"controller": {"namespaces": ["shop"]}, "rbac": {"jobs": {"scope": "namespaces", "namespaces": ["bank"]}}}),
            "rbac.jobs.namespaces has bank, which controller.namespaces does not have",
        ),
        (json!({"rbac": {"secrets": {"names": ["token"]}}}), "rbac.secrets.names has entries"),
        (
            json!({"plugins": {"trustedKeys": {"configMap": "keys"}, "objects": {"gate": {"source": {"file": "/gate"}}}}}),
            "plugins.objects.gate has a source that cannot be signed",
        ),
        (
            json!({"plugins": {"objects": {"gate": {"source": {"oci": {"image": image}}}}}}),
            "plugins.objects.gate has source.oci without a digest",
        ),
    ];
    for (values, reason) in cases {
        rejected(&values, &[reason])?;
    }
    Ok(())
}

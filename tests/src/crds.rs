//! The Rollout CRD as it is shipped, as Argo's stock one is to KULTA: without what KULTA adds, and so loose that it lets everything
//! through; and what a cluster of Argo's has beside it.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::{api, run_folder};

const FILE: &str = "crds/argoproj.io_rollouts.yaml";
/// KULTA's additions, below the schema of a version.
const ADDITIONS: [(&str, &str); 2] = [
    ("/schema/openAPIV3Schema/properties/status/properties", "kulta"),
    ("/schema/openAPIV3Schema/properties/spec/properties/strategy/properties", "plugin"),
];

/// As `kulta crds` writes it.
pub fn rollout() -> Result<Value> {
    let path = run_folder::repository().join(FILE);
    let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    api::documents(&text)?.into_iter().next().with_context(|| format!("{FILE} is empty"))
}

/// Without a schema: what the API server then stores need not be a Rollout but by name. Without the scale subresource too, for whose
/// sake it reads `spec.replicas` as a number whatever the schema says.
pub fn loose_rollout() -> Result<Value> {
    let mut crd = rollout()?;
    let versions = crd.pointer_mut("/spec/versions").and_then(Value::as_array_mut).context("no versions")?;
    for version in versions {
        let schema = version.pointer_mut("/schema/openAPIV3Schema").context("no schema")?;
        *schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        let subresources = version.pointer_mut("/subresources").and_then(Value::as_object_mut);
        ensure!(subresources.is_some_and(|all| all.remove("scale").is_some()), "{FILE} has no scale subresource");
    }
    Ok(crd)
}

/// Argo's Experiment, as far as its kubectl plugin needs it: `get` and `status` list the kind.
pub fn experiment() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "experiments.argoproj.io"},
        "spec": {
            "group": "argoproj.io", "scope": "Namespaced",
            "names": {"kind": "Experiment", "plural": "experiments", "singular": "experiment"},
            "versions": [{
                "name": "v1alpha1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
            }],
        },
    })
}

/// Without KULTA's additions, which it prunes as Argo's own does.
pub fn stock_rollout() -> Result<Value> {
    let mut crd = rollout()?;
    let versions = crd.pointer_mut("/spec/versions").and_then(Value::as_array_mut).context("no versions")?;
    for version in versions {
        for (parent, field) in ADDITIONS {
            let properties = version.pointer_mut(parent).and_then(Value::as_object_mut);
            let removed = properties.and_then(|properties| properties.remove(field));
            ensure!(removed.is_some(), "{FILE} has no {parent}/{field}");
        }
    }
    Ok(crd)
}

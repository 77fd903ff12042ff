//! The Rollout CRD as it is shipped, and as Argo's stock one is to KULTA: without what KULTA adds.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

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

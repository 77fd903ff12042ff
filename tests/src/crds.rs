//! The CRDs: as shipped, as Argo's stock ones (without KULTA's additions), and permissive ones that accept everything.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::{api, run_folder};

const FILE: &str = "crds/argoproj.io_rollouts.yaml";
/// KULTA's additions, below the schema of a version.
const ADDITIONS: [(&str, &str); 2] = [
    ("/schema/openAPIV3Schema/properties/status/properties", "kulta"),
    ("/schema/openAPIV3Schema/properties/spec/properties/strategy/properties", "plugin"),
];

/// The analysis kinds: file, and the path of a metric's provider below the schema of a version.
const ANALYSES: [&str; 3] = [
    "crds/argoproj.io_analysistemplates.yaml",
    "crds/argoproj.io_clusteranalysistemplates.yaml",
    "crds/argoproj.io_analysisruns.yaml",
];
const METRIC: &str = "/schema/openAPIV3Schema/properties/spec/properties/metrics/items/properties";
/// Argo's providers that KULTA supports too.
const PROVIDERS: [&str; 10] =
    ["datadog", "graphite", "influxdb", "job", "newRelic", "plugin", "prometheus", "skywalking", "wavefront", "web"];

/// The output of `kulta crds`.
pub fn rollout() -> Result<Value> {
    shipped(FILE)
}

fn shipped(file: &str) -> Result<Value> {
    let path = run_folder::repository().join(file);
    let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    api::documents(&text)?.into_iter().next().with_context(|| format!("{file} is empty"))
}

/// The analysis CRDs with a list of providers and without a status subresource.
pub fn stock_analyses() -> Result<Vec<Value>> {
    let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let providers: serde_json::Map<String, Value> =
        PROVIDERS.iter().map(|name| ((*name).to_owned(), open.clone())).collect();
    let stock = |file: &str| {
        let mut crd = shipped(file)?;
        let versions = crd.pointer_mut("/spec/versions").and_then(Value::as_array_mut).context("no versions")?;
        for version in versions {
            version.as_object_mut().context("no version")?.remove("subresources");
            let metric = version.pointer_mut(METRIC).with_context(|| format!("{file} has no {METRIC}"))?;
            metric["provider"] = json!({"type": "object", "properties": providers});
        }
        Ok(crd)
    };
    ANALYSES.into_iter().map(stock).collect()
}

/// Without a schema: a stored object may be a Rollout by name only. Also without the scale subresource, for which the
/// API server reads `spec.replicas` as a number whatever the schema is.
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

/// Without KULTA's additions, which it prunes as Argo's own CRD does.
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

//! Whether the cluster's Rollout CRD keeps what KULTA adds to the status.

use kube::Client;
use kube::core::Request;
use kube::api::GetParams;
use serde_json::Value;

use crate::requests::{RequestError, send};

const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const ROLLOUT_CRD: &str = "rollouts.argoproj.io";

/// Asks once. A controller that may not read the CRD learns it from its first status patch instead.
pub async fn record_kept(client: &Client) -> bool {
    match crd(client).await {
        Ok(crd) => keeps_record(&crd),
        Err(error) => {
            tracing::debug!(%error, "the Rollout CRD cannot be read; whether it keeps status.kulta shows with the first status");
            true
        }
    }
}

async fn crd(client: &Client) -> Result<Value, RequestError> {
    send(client, Request::new(CRDS).get(ROLLOUT_CRD, &GetParams::default())?).await
}

fn keeps_record(crd: &Value) -> bool {
    let versions = crd.pointer("/spec/versions").and_then(Value::as_array);
    let served = versions.into_iter().flatten().find(|version| version.get("name").is_some_and(|name| name == "v1alpha1"));
    let Some(schema) = served.and_then(|version| version.pointer("/schema/openAPIV3Schema")) else { return true };
    let preserves = |schema: &Value| schema.get("x-kubernetes-preserve-unknown-fields").is_some_and(|keeps| keeps == true);
    let status = schema.pointer("/properties/status");
    preserves(schema)
        || status.is_some_and(|status| preserves(status) || status.pointer("/properties/kulta").is_some())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn crd(status: &Value) -> Value {
        json!({ "spec": { "versions": [
            { "name": "v1alpha1", "schema": { "openAPIV3Schema": { "properties": { "status": status } } } },
        ] } })
    }

    #[test]
    fn our_own_crd_keeps_the_record() {
        let ours = serde_json::to_value(kulta_api::crd::rollout()).unwrap();

        assert!(keeps_record(&ours));
    }

    #[test]
    fn a_schema_without_the_field_prunes_it_unless_it_keeps_everything() {
        let stock = crd(&json!({ "properties": { "phase": {} } }));
        let open = crd(&json!({ "x-kubernetes-preserve-unknown-fields": true }));

        assert_eq!((keeps_record(&stock), keeps_record(&open)), (false, true));
    }
}

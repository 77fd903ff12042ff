//! The roles that the chart adds to the cluster's view, edit and admin.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::{
    authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec},
    rbac::v1::ClusterRole,
};
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use kulta_tests::{
    helm, kulta,
    scenario::{SOON, Scenario},
    wait,
};
use serde_json::json;

/// Whether a ServiceAccount of the scenario may do this in the scenario's namespace.
async fn allowed(scenario: &Scenario, account: &str, verb: &str, group: &str, resource: &str) -> Result<bool> {
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let attributes = ResourceAttributes {
        namespace: Some(scenario.namespace.clone()),
        group: Some(group.to_owned()),
        resource: Some(resource.to_owned()),
        subresource: Some(subresource.to_owned()),
        verb: Some(verb.to_owned()),
        ..ResourceAttributes::default()
    };
    let user = Some(format!("system:serviceaccount:{}:{account}", scenario.namespace));
    let spec = SubjectAccessReviewSpec { resource_attributes: Some(attributes), user, ..Default::default() };
    let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
    let reviews: Api<SubjectAccessReview> = Api::all(scenario.client.clone());
    let answer = reviews.create(&PostParams::default(), &review).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

/// A ServiceAccount with one of the cluster's roles in the scenario's namespace.
async fn bind(scenario: &Scenario, role: &str) -> Result<()> {
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": role}});
    let group = "rbac.authorization.k8s.io";
    let binding = json!({
        "apiVersion": format!("{group}/v1"), "kind": "RoleBinding", "metadata": {"name": role},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": role, "namespace": scenario.namespace}],
    });
    scenario.apply_all([account, binding]).await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn an_editor_of_a_namespace_can_use_rollouts_and_a_viewer_can_read_them() -> Result<()> {
    let scenario = Scenario::begin("chart-roles").await?;
    kulta::rights(&scenario).await?;
    for role in ["view", "edit", "admin"] {
        bind(&scenario, role).await?;
    }
    ensure!(
        !allowed(&scenario, "edit", "create", "argoproj.io", "rollouts").await?,
        "an editor has it without the chart"
    );
    let objects = helm::template(&json!({"fullnameOverride": scenario.namespace}))?;

    for name in ["view", "edit"] {
        let name = format!("{}-{name}", scenario.namespace);
        scenario.apply(helm::object(&objects, "ClusterRole", &name)?.clone()).await?;
    }

    // The controller-manager copies the rules.
    wait::poll("an editor's permission", SOON, || async {
        Ok(allowed(&scenario, "admin", "create", "argoproj.io", "rollouts").await?.then_some(()))
    })
    .await?;
    let uses =
        [("create", "rollouts"), ("patch", "rollouts/status"), ("patch", "rollouts/scale"), ("delete", "analysisruns")];
    for (verb, resource) in uses {
        let answers = [
            allowed(&scenario, "view", verb, "argoproj.io", resource).await?,
            allowed(&scenario, "edit", verb, "argoproj.io", resource).await?,
            allowed(&scenario, "admin", verb, "argoproj.io", resource).await?,
        ];
        ensure!(answers == [false, true, true], "{verb} {resource}: {answers:?}");
    }
    for resource in ["rollouts", "analysisruns", "analysistemplates", "experiments"] {
        for account in ["view", "edit", "admin"] {
            ensure!(allowed(&scenario, account, "watch", "argoproj.io", resource).await?, "{account}: {resource}");
        }
    }
    for verb in ["create", "patch", "delete"] {
        ensure!(!allowed(&scenario, "admin", verb, "kulta.io", "plugins").await?, "an admin may {verb} Plugins");
    }
    let roles: Api<ClusterRole> = Api::all(scenario.client.clone());
    for name in ["view", "edit"] {
        let name = format!("{}-{name}", scenario.namespace);
        roles.delete(&name, &DeleteParams::default()).await.context("delete a role")?;
    }
    scenario.end().await
}

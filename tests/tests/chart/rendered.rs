//! What `helm template` makes of each value: the change itself, its validity for the API server, and for the controller.

use std::{collections::BTreeSet, process::Command, sync::OnceLock};

use anyhow::{Context, Result, anyhow, ensure};
use kube::{
    Api,
    api::{DynamicObject, Patch, PatchParams},
    core::GroupVersionKind,
    discovery::{self, Scope},
};
use kulta_tests::{api::FIELD_MANAGER, controller, helm, kulta, scenario::Scenario};
use serde_json::{Value, json};

use crate::{
    cases::{self, Case},
    files,
};

/// The objects of the default values, and of each case: rendered once, because two tests need all of them.
struct Rendered {
    default: Vec<Value>,
    cases: Vec<(Case, Vec<Value>)>,
}

fn rendered() -> Result<&'static Rendered> {
    static RENDERED: OnceLock<Result<Rendered, String>> = OnceLock::new();
    let render = || -> Result<Rendered> {
        let render = |case: Case| helm::template(&case.0).map(|objects| (case, objects));
        let cases = cases::all().into_iter().map(render).collect::<Result<_>>()?;
        Ok(Rendered { default: helm::template(&json!({}))?, cases })
    };
    RENDERED
        .get_or_init(|| render().map_err(|error| format!("{error:#}")))
        .as_ref()
        .map_err(|error| anyhow!(error.clone()))
}

/// The paths of the values that a case sets, as in [`files::paths`].
fn set(values: &Value, known: &BTreeSet<String>) -> BTreeSet<String> {
    known.iter().filter(|path| values.pointer(path).is_some()).cloned().collect()
}

#[test]
#[ignore = "needs helm: make cluster-test runs it"]
fn every_value_changes_the_manifests_as_expected() -> Result<()> {
    let rendered = rendered()?;

    for ((values, expected), objects) in &rendered.cases {
        for expected in expected {
            ensure!(expected.holds(objects)?, "{values} does not lead to {expected:?}");
            ensure!(!expected.holds(&rendered.default)?, "{expected:?} holds without {values} too");
        }
    }
    Ok(())
}

#[test]
fn every_value_has_a_case() -> Result<()> {
    let known = files::paths(&files::schema()?);

    let tested: BTreeSet<String> = cases::all().iter().flat_map(|(values, _)| set(values, &known)).collect();

    let missing: Vec<&String> = known.difference(&tested).collect();
    ensure!(missing.is_empty(), "no case sets {missing:?}");
    Ok(())
}

#[test]
#[ignore = "needs helm: make cluster-test runs it"]
fn a_controller_for_some_namespaces_has_no_permission_for_rollouts_elsewhere() -> Result<()> {
    let objects = helm::template(&json!({"controller": {"namespaces": ["default"]}}))?;

    let role = helm::object(&objects, "ClusterRole", "kulta")?;

    let rules = role["rules"].as_array().context("no rules")?;
    let resources: Vec<&Value> = rules.iter().filter_map(|rule| rule.pointer("/resources/0")).collect();
    ensure!(resources == ["clusteranalysistemplates", "plugins", "customresourcedefinitions"], "{resources:?}");
    Ok(())
}

#[test]
#[ignore = "needs helm: make cluster-test runs it"]
fn a_crd_of_the_chart_is_the_shipped_one_and_is_kept() -> Result<()> {
    let crds: Vec<&Value> =
        rendered()?.default.iter().filter(|object| object["kind"] == "CustomResourceDefinition").collect();

    ensure!(crds.len() == 6, "{} CRDs", crds.len());
    for crd in crds {
        let name = crd["metadata"]["name"].as_str().context("no name")?;
        ensure!(crd.pointer("/metadata/annotations") == Some(&json!({"helm.sh/resource-policy": "keep"})), "{name}");
        let (plural, group) = name.split_once('.').context("no group")?;
        let file = helm::chart().join(format!("files/crds/{group}_{plural}.yaml"));
        let shipped: Value = serde_yaml::from_str(&std::fs::read_to_string(&file)?)?;
        ensure!(crd["spec"] == shipped["spec"], "{name} differs from {}", file.display());
    }
    Ok(())
}

#[test]
#[ignore = "needs helm: make cluster-test runs it"]
fn helm_lint_finds_nothing_in_any_case() -> Result<()> {
    helm::lint(&json!({}))?;
    for (values, _) in cases::all() {
        helm::lint(&values)?;
    }
    Ok(())
}

#[test]
#[ignore = "needs helm and the built program: make cluster-test runs it"]
fn the_controller_accepts_the_arguments_of_every_case() -> Result<()> {
    let mut lists = BTreeSet::new();
    for (_, objects) in &rendered()?.cases {
        lists.insert(helm::arguments(objects)?);
    }
    // With --help the arguments before it are checked, and nothing starts.
    let check = |arguments: &[String]| Command::new(controller::binary()).args(arguments).arg("--help").output();

    for arguments in &lists {
        let output = check(arguments)?;
        ensure!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    ensure!(!check(&["controller".to_owned(), "--workers=none".to_owned()])?.status.success(), "--help hides errors");
    Ok(())
}

/// The API server validates the object, rejects unknown fields, and changes nothing.
async fn validated(scenario: &Scenario, object: &Value) -> Result<()> {
    let object: DynamicObject = serde_json::from_value(object.clone()).context("no Kubernetes object")?;
    let types = object.types.clone().context("no apiVersion and kind")?;
    let name = object.metadata.name.clone().context("no name")?;
    let (group, version) = types.api_version.split_once('/').unwrap_or(("", &types.api_version));
    let wanted = GroupVersionKind::gvk(group, version, &types.kind);
    let (resource, capabilities) = discovery::pinned_kind(&scenario.client, &wanted).await?;
    let namespace = object.metadata.namespace.as_deref();
    let api: Api<DynamicObject> = match (capabilities.scope, namespace) {
        (Scope::Cluster, None) => Api::all_with(scenario.client.clone(), &resource),
        (Scope::Namespaced, Some(namespace)) => Api::namespaced_with(scenario.client.clone(), namespace, &resource),
        (scope, namespace) => anyhow::bail!("its scope is {scope:?} and its namespace {namespace:?}"),
    };
    let strict = PatchParams::apply(FIELD_MANAGER).force().dry_run().validation_strict();
    api.patch(&name, &strict, &Patch::Apply(&object)).await?;
    Ok(())
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn the_api_server_accepts_every_object_of_every_case() -> Result<()> {
    let scenario = Scenario::begin("chart-strict").await?;
    // CRDs and the namespace of the plain manifests.
    kulta::rights(&scenario).await?;
    let rendered = rendered()?;
    let mut checked = BTreeSet::new();

    for ((values, _), objects) in &rendered.cases {
        // The API server does not know the Prometheus Operator's kinds.
        for object in objects.iter().filter(|object| object["kind"] != "ServiceMonitor") {
            if checked.insert(object.to_string()) {
                validated(&scenario, object)
                    .await
                    .with_context(|| format!("{} {} with {values}", object["kind"], object["metadata"]["name"]))?;
            }
        }
    }

    println!("the API server accepts {} different objects of {} cases", checked.len(), rendered.cases.len());
    let mut wrong = helm::object(&rendered.default, "Deployment", "kulta")?.clone();
    wrong["spec"]["replicaCount"] = json!(2);
    ensure!(validated(&scenario, &wrong).await.is_err(), "the API server accepts unknown fields");
    scenario.end().await
}

//! The CRD that users apply.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::path::PathBuf;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kulta_api::crd;

/// kubectl keeps the applied text in an annotation, and annotations hold 262144 bytes in all.
const CLIENT_SIDE_APPLY_BYTES: usize = 262_144;
/// Ours should not even come near.
const WANTED_BYTES: usize = CLIENT_SIDE_APPLY_BYTES / 2;
/// Set to write the file instead of comparing it.
const WRITE: &str = "KULTA_WRITE_CRDS";

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../crds/argoproj.io_rollouts.yaml")
}

fn schema() -> JSONSchemaProps {
    let version = crd::rollout().spec.versions.remove(0);
    version.schema.unwrap().open_api_v3_schema.unwrap()
}

fn children(schema: &JSONSchemaProps) -> Vec<(String, &JSONSchemaProps)> {
    let mut children: Vec<_> =
        schema.properties.iter().flatten().map(|(name, schema)| (format!(".{name}"), schema)).collect();
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &schema.items {
        children.push(("[]".into(), items));
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &schema.additional_properties {
        children.push(("{}".into(), values));
    }
    children
}

/// Every schema with its path.
fn walk(schema: &JSONSchemaProps, path: &str, visit: &mut impl FnMut(&str, &JSONSchemaProps)) {
    visit(path, schema);
    for (name, child) in children(schema) {
        walk(child, &format!("{path}{name}"), visit);
    }
}

/// The paths of all schemas for which the test holds.
fn paths_where(test: impl Fn(&JSONSchemaProps) -> bool) -> Vec<String> {
    let mut paths = Vec::new();
    walk(&schema(), "", &mut |path, schema| {
        if test(schema) {
            paths.push(path.to_owned());
        }
    });
    paths
}

#[test]
fn the_crd_file_is_what_the_types_say() {
    let expected = crd::crds_yaml().unwrap();
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(file(), &expected).unwrap();
    }

    let written = std::fs::read_to_string(file()).unwrap_or_default();

    assert!(
        written == expected,
        "crds/argoproj.io_rollouts.yaml is stale: write it anew with `kulta crds` (or {WRITE}=1 cargo test -p kulta-api --test crd)"
    );
}

#[test]
fn the_crd_is_small_enough_for_client_side_apply() {
    let yaml = crd::crds_yaml().unwrap().len();
    let json = serde_json::to_vec(&crd::rollout()).unwrap().len();

    println!("Rollout CRD: {yaml} bytes of YAML, {json} bytes of JSON");
    assert!(yaml < WANTED_BYTES && json < WANTED_BYTES, "{yaml} bytes of YAML, {json} bytes of JSON");
}

#[test]
fn the_crd_is_named_and_listed_as_argos() {
    let crd = crd::rollout();
    let version = &crd.spec.versions[0];
    let columns: Vec<_> = version
        .additional_printer_columns
        .iter()
        .flatten()
        .map(|column| (column.name.as_str(), column.type_.as_str(), column.json_path.as_str()))
        .collect();

    assert_eq!(crd.metadata.name.as_deref(), Some("rollouts.argoproj.io"));
    assert_eq!(
        (crd.spec.group.as_str(), version.name.as_str(), crd.spec.scope.as_str()),
        ("argoproj.io", "v1alpha1", "Namespaced")
    );
    assert_eq!(crd.spec.names.short_names.as_deref(), Some(&["ro".to_owned()][..]));
    assert_eq!(crd.spec.names.categories.unwrap_or_default(), Vec::<String>::new());
    assert_eq!(
        columns,
        [
            ("Desired", "integer", ".spec.replicas"),
            ("Current", "integer", ".status.replicas"),
            ("Up-to-date", "integer", ".status.updatedReplicas"),
            ("Available", "integer", ".status.availableReplicas"),
            ("Age", "date", ".metadata.creationTimestamp"),
        ]
    );
}

#[test]
fn the_crd_has_the_status_and_scale_subresources() {
    let version = crd::rollout().spec.versions.remove(0);
    let subresources = version.subresources.unwrap();
    let scale = subresources.scale.unwrap();

    assert!(subresources.status.is_some());
    assert_eq!(
        (scale.spec_replicas_path.as_str(), scale.status_replicas_path.as_str(), scale.label_selector_path.as_deref()),
        (".spec.replicas", ".status.HPAReplicas", Some(".status.selector"))
    );
}

#[test]
fn the_schema_refuses_no_value_that_argos_accepts() {
    let picky = paths_where(|schema| {
        schema.enum_.is_some()
            || schema.minimum.is_some()
            || schema.maximum.is_some()
            || schema.pattern.is_some()
            || schema.min_length.is_some()
            || schema.max_length.is_some()
            || schema.min_items.is_some()
            || schema.max_items.is_some()
            || schema.min_properties.is_some()
            || schema.max_properties.is_some()
            || schema.unique_items.is_some()
            || schema.one_of.is_some()
            || schema.all_of.is_some()
            || schema.not.is_some()
            || schema.format.as_deref().is_some_and(|format| !["int32", "int64", "date-time"].contains(&format))
    });

    assert_eq!(picky, Vec::<String>::new());
}

#[test]
fn nothing_is_defaulted_by_the_schema() {
    assert_eq!(paths_where(|schema| schema.default.is_some()), Vec::<String>::new());
}

#[test]
fn no_field_of_the_spec_is_required_beyond_what_argo_requires() {
    let mut required = Vec::new();
    walk(&schema(), "", &mut |path, schema| {
        required.extend(schema.required.iter().flatten().map(|field| format!("{path}.{field}")));
    });
    required.retain(|field| !field.starts_with(".status.kulta."));

    required.retain(|field| {
        ![
            ".spec",
            ".spec.selector.matchExpressions[].key",
            ".spec.selector.matchExpressions[].operator",
            ".spec.strategy.canary.steps[].experiment.templates[].selector.matchExpressions[].key",
            ".spec.strategy.canary.steps[].experiment.templates[].selector.matchExpressions[].operator",
            ".status.conditions[].lastTransitionTime",
            ".status.conditions[].lastUpdateTime",
            ".status.conditions[].status",
            ".status.conditions[].type",
            ".status.pauseConditions[].reason",
            ".status.pauseConditions[].startTime",
        ]
        .contains(&field.as_str())
    });
    assert_eq!(required, Vec::<String>::new());
}

#[test]
fn null_is_kept_only_where_it_says_something() {
    assert_eq!(paths_where(|schema| schema.nullable == Some(true)), [".spec.strategy.canary.steps[].pause"]);
}

#[test]
fn counts_that_may_be_percentages_are_int_or_string() {
    let paths = paths_where(|schema| schema.x_kubernetes_int_or_string == Some(true));

    assert_eq!(
        paths,
        [
            ".spec.strategy.blueGreen.maxUnavailable",
            ".spec.strategy.canary.maxSurge",
            ".spec.strategy.canary.maxUnavailable",
            ".spec.strategy.canary.steps[].pause.duration",
            ".spec.strategy.plugin.maxSurge",
            ".spec.strategy.plugin.maxUnavailable",
        ]
    );
}

#[test]
fn the_selector_is_guarded_by_the_only_rule() {
    assert_eq!(paths_where(|schema| schema.x_kubernetes_validations.is_some()), [".spec.selector"]);
}

/// What the API server calls structural: every schema has a type, or is int-or-string, or takes anything.
#[test]
fn the_schema_is_structural() {
    let shapeless = paths_where(|schema| {
        schema.type_.is_none()
            && schema.x_kubernetes_int_or_string != Some(true)
            && schema.x_kubernetes_preserve_unknown_fields != Some(true)
    });
    let two_faced = paths_where(|schema| schema.properties.is_some() && schema.additional_properties.is_some());
    let referring = paths_where(|schema| schema.ref_path.is_some() || schema.definitions.is_some());
    let branching = paths_where(|schema| {
        schema.any_of.as_ref().is_some_and(|branches| {
            schema.x_kubernetes_int_or_string != Some(true) || branches.iter().any(|branch| branch.type_.is_none())
        })
    });

    assert_eq!([shapeless, two_faced, referring, branching].concat(), Vec::<String>::new());
}

#[test]
fn the_template_takes_every_field() {
    let spec = schema().properties.unwrap().remove("spec").unwrap();
    let template = &spec.properties.unwrap()["template"];

    assert_eq!(
        (template.type_.as_deref(), template.x_kubernetes_preserve_unknown_fields),
        (Some("object"), Some(true))
    );
}

/// Argo's fields, so that none is pruned from an object that its controller wrote.
#[test]
fn every_field_of_the_reference_is_in_the_schema() {
    let mut known = Vec::new();
    walk(&schema(), "", &mut |path, _| known.push(path.to_owned()));

    let missing: Vec<_> = include_str!("argo_fields.txt")
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .filter(|line| !known.contains(&(*line).to_owned()))
        .collect();

    assert_eq!(missing, Vec::<&str>::new());
}

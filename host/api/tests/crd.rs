//! The CRDs that users apply.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::path::PathBuf;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kulta_api::crd::{self, Kind};
use serde::Deserialize;

/// kubectl stores the applied text in an annotation, and annotations have at most 262144 bytes in all.
const CLIENT_SIDE_APPLY_BYTES: usize = 262_144;
/// A stricter limit with room for growth.
const WANTED_BYTES: usize = CLIENT_SIDE_APPLY_BYTES / 2;
/// If set, the test writes the file instead of comparing it.
const WRITE: &str = "KULTA_WRITE_CRDS";

fn file(kind: Kind) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../crds").join(kind.file())
}

fn schema(kind: Kind) -> JSONSchemaProps {
    let version = kind.definition().spec.versions.remove(0);
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

/// The paths of all schemas for which the test holds, each after its kind.
fn paths_where(test: impl Fn(&JSONSchemaProps) -> bool) -> Vec<String> {
    let mut paths = Vec::new();
    for kind in Kind::ALL {
        walk(&schema(kind), kind.as_str(), &mut |path, schema| {
            if test(schema) {
                paths.push(path.to_owned());
            }
        });
    }
    paths
}

#[test]
fn the_crd_files_match_the_types() {
    for kind in Kind::ALL {
        let expected = kind.yaml().unwrap();
        if std::env::var_os(WRITE).is_some() {
            std::fs::write(file(kind), &expected).unwrap();
        }

        let written = std::fs::read_to_string(file(kind)).unwrap_or_default();

        assert!(
            written == expected,
            "crds/{} is stale: regenerate it with {WRITE}=1 cargo test -p kulta-api --test crd",
            kind.file()
        );
    }
}

#[test]
fn all_crds_in_one_text_are_one_document_each() {
    let yaml = crd::crds_yaml().unwrap();

    let names: Vec<String> = serde_yaml::Deserializer::from_str(&yaml)
        .map(|document| serde_json::Value::deserialize(document).unwrap()["spec"]["names"]["kind"].to_string())
        .collect();

    assert_eq!(names, Kind::ALL.map(|kind| format!("{:?}", kind.as_str())));
}

#[test]
fn each_crd_is_small_enough_for_client_side_apply() {
    for kind in Kind::ALL {
        let yaml = kind.yaml().unwrap().len();
        let json = serde_json::to_vec(&kind.definition()).unwrap().len();

        println!("{} CRD: {yaml} bytes of YAML, {json} bytes of JSON", kind.as_str());
        assert!(yaml < WANTED_BYTES && json < WANTED_BYTES, "{yaml} bytes of YAML, {json} bytes of JSON");
    }
}

#[test]
fn the_crds_have_argos_names_and_scopes() {
    let named = Kind::ALL.map(|kind| {
        let spec = kind.definition().spec;
        assert_eq!(spec.versions[0].name, "v1alpha1");
        assert_eq!(spec.names.categories.unwrap_or_default(), Vec::<String>::new());
        (spec.group, spec.names.plural, spec.names.short_names.unwrap_or_default().join(","), spec.scope)
    });

    assert_eq!(
        named.each_ref().map(|(group, plural, short, scope)| [group, plural, short, scope].map(String::as_str)),
        [
            ["argoproj.io", "rollouts", "ro", "Namespaced"],
            ["argoproj.io", "analysistemplates", "at", "Namespaced"],
            ["argoproj.io", "clusteranalysistemplates", "cat", "Cluster"],
            ["argoproj.io", "analysisruns", "ar", "Namespaced"],
            ["argoproj.io", "experiments", "exp", "Namespaced"],
            ["kulta.io", "plugins", "", "Cluster"],
        ]
    );
}

#[test]
fn the_crds_list_argos_columns() {
    let age = ("Age", "date", ".metadata.creationTimestamp");
    for (kind, expected) in [
        (
            Kind::Rollout,
            vec![
                ("Desired", "integer", ".spec.replicas"),
                ("Current", "integer", ".status.replicas"),
                ("Up-to-date", "integer", ".status.updatedReplicas"),
                ("Available", "integer", ".status.availableReplicas"),
                age,
            ],
        ),
        (Kind::AnalysisTemplate, vec![age]),
        (Kind::ClusterAnalysisTemplate, vec![age]),
        (Kind::AnalysisRun, vec![("Status", "string", ".status.phase"), age]),
        (Kind::Experiment, vec![("Status", "string", ".status.phase"), age]),
        (
            Kind::Plugin,
            vec![
                ("Kinds", "string", ".status.kinds"),
                ("Version", "string", ".status.version"),
                ("Ready", "string", ".status.conditions[?(@.type==\"Ready\")].status"),
                ("Reason", "string", ".status.conditions[?(@.type==\"Ready\")].reason"),
                ("Users", "integer", ".status.users"),
                ("Digest", "string", ".status.digest"),
                age,
            ],
        ),
    ] {
        let version = kind.definition().spec.versions.remove(0);

        let columns: Vec<_> = version
            .additional_printer_columns
            .iter()
            .flatten()
            .map(|column| (column.name.as_str(), column.type_.as_str(), column.json_path.as_str()))
            .collect();

        assert_eq!(columns, expected, "{}", kind.as_str());
    }
}

#[test]
fn the_rollout_has_the_scale_subresource() {
    let version = crd::rollout().spec.versions.remove(0);
    let scale = version.subresources.unwrap().scale.unwrap();

    assert_eq!(
        (scale.spec_replicas_path.as_str(), scale.status_replicas_path.as_str(), scale.label_selector_path.as_deref()),
        (".spec.replicas", ".status.HPAReplicas", Some(".status.selector"))
    );
}

#[test]
fn kinds_whose_status_kulta_writes_have_it_as_a_subresource() {
    let with_status = Kind::ALL.map(|kind| {
        let version = kind.definition().spec.versions.remove(0);
        version.subresources.is_some_and(|subresources| subresources.status.is_some())
    });

    assert_eq!(with_status, [true, false, false, true, false, true]);
}

#[test]
fn the_schema_accepts_every_value_that_argos_accepts() {
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
fn the_schema_sets_no_defaults() {
    assert_eq!(paths_where(|schema| schema.default.is_some()), Vec::<String>::new());
}

#[test]
fn the_schema_requires_only_fields_that_argo_requires() {
    let mut required = Vec::new();
    for kind in Kind::ALL {
        walk(&schema(kind), kind.as_str(), &mut |path, schema| {
            required.extend(schema.required.iter().flatten().map(|field| format!("{path}.{field}")));
        });
    }
    // Fields that Argo does not have may be required.
    required.retain(|field| !field.starts_with("Rollout.status.kulta.") && !field.starts_with("Plugin."));

    required.retain(|field| {
        ![
            "Rollout.spec",
            "Rollout.spec.selector.matchExpressions[].key",
            "Rollout.spec.selector.matchExpressions[].operator",
            "Rollout.spec.strategy.canary.steps[].experiment.templates[].selector.matchExpressions[].key",
            "Rollout.spec.strategy.canary.steps[].experiment.templates[].selector.matchExpressions[].operator",
            "Rollout.status.conditions[].lastTransitionTime",
            "Rollout.status.conditions[].lastUpdateTime",
            "Rollout.status.conditions[].status",
            "Rollout.status.conditions[].type",
            "Rollout.status.pauseConditions[].reason",
            "Rollout.status.pauseConditions[].startTime",
            "AnalysisTemplate.spec",
            "ClusterAnalysisTemplate.spec",
            "AnalysisRun.spec",
            "Experiment.spec",
            "AnalysisRun.status.metricResults[].name",
            "AnalysisRun.status.metricResults[].phase",
            "AnalysisRun.status.metricResults[].measurements[].phase",
        ]
        .contains(&field.as_str())
    });
    assert_eq!(required, Vec::<String>::new());
}

#[test]
fn null_is_kept_only_where_it_has_a_meaning() {
    assert_eq!(paths_where(|schema| schema.nullable == Some(true)), ["Rollout.spec.strategy.canary.steps[].pause"]);
}

#[test]
fn counts_that_may_be_text_are_int_or_string() {
    let mut expected: Vec<String> = [
        "Rollout.spec.strategy.blueGreen.maxUnavailable",
        "Rollout.spec.strategy.canary.maxSurge",
        "Rollout.spec.strategy.canary.maxUnavailable",
        "Rollout.spec.strategy.canary.steps[].pause.duration",
        "Rollout.spec.strategy.plugin.maxSurge",
        "Rollout.spec.strategy.plugin.maxUnavailable",
    ]
    .map(str::to_owned)
    .into();
    for kind in ["AnalysisTemplate", "ClusterAnalysisTemplate", "AnalysisRun"] {
        let numbers =
            ["consecutiveErrorLimit", "consecutiveSuccessLimit", "count", "failureLimit", "inconclusiveLimit"];
        expected.extend(numbers.map(|number| format!("{kind}.spec.metrics[].{number}")));
    }

    assert_eq!(paths_where(|schema| schema.x_kubernetes_int_or_string == Some(true)), expected);
}

#[test]
fn the_only_rule_makes_the_selector_immutable() {
    assert_eq!(paths_where(|schema| schema.x_kubernetes_validations.is_some()), ["Rollout.spec.selector"]);
}

/// The API server's rule for structural schemas: every schema has a type, is int-or-string, or accepts anything.
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
fn the_pod_template_the_providers_and_experiments_accept_every_field() {
    let free = |schema: &JSONSchemaProps| {
        schema.type_.as_deref() == Some("object") && schema.x_kubernetes_preserve_unknown_fields == Some(true)
    };
    let free = paths_where(free);

    for path in [
        "Rollout.spec.template",
        "AnalysisTemplate.spec.metrics[].provider",
        "ClusterAnalysisTemplate.spec.metrics[].provider",
        "AnalysisRun.spec.metrics[].provider",
        "Experiment",
        "Experiment.spec",
    ] {
        assert!(free.contains(&path.to_owned()), "{path} is not among {free:?}");
    }
}

/// Argo's fields, so that none is pruned from an object of its controller.
#[test]
fn every_field_of_the_reference_is_in_the_schemas() {
    let known = paths_where(|_| true);
    let rollout = include_str!("argo_fields.txt").lines().filter(|line| line.starts_with('.'));
    let analysis =
        include_str!("argo_analysis_fields.txt").lines().filter(|line| line.starts_with(char::is_alphabetic));

    let missing: Vec<_> = rollout
        .map(|path| format!("Rollout{path}"))
        .chain(analysis.map(str::to_owned))
        .filter(|path| !known.contains(path))
        .collect();

    assert_eq!(missing, Vec::<String>::new());
}

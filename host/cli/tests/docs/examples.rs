//! The manifests of `examples`: each is valid as the controller sees it, without an error and without a warning.

use std::collections::BTreeSet;
use std::process::Command;

use kulta_api::analysis::AnalysisTemplate;
use kulta_api::crd::Kind;
use kulta_api::plugin::Plugin;
use kulta_api::validation::{self, analysis};
use kulta_api::{Rollout, Unchecked, decode, decode_as, unchecked_of};
use serde::Deserialize;
use serde_json::Value;

use crate::support::{files, read};

const EXAMPLES: &str = "examples";
/// The built-in analyzers, and the provider that the controller itself implements.
const ANALYZERS: [&str; 11] = [
    "datadog",
    "graphite",
    "influxdb",
    "job",
    "newRelic",
    "prometheus",
    "sequential",
    "skywalking",
    "threshold",
    "wavefront",
    "web",
];
/// Objects of other projects and of Kubernetes: only their kinds are checked here.
const OTHERS: [(&str, &str); 10] = [
    ("apps/v1", "Deployment"),
    ("argoproj.io/v1alpha1", "Application"),
    ("autoscaling/v2", "HorizontalPodAutoscaler"),
    ("gateway.networking.k8s.io/v1", "HTTPRoute"),
    ("keda.sh/v1alpha1", "ScaledObject"),
    ("kustomize.toolkit.fluxcd.io/v1", "Kustomization"),
    ("source.toolkit.fluxcd.io/v1", "GitRepository"),
    ("v1", "ConfigMap"),
    ("v1", "Namespace"),
    ("v1", "Service"),
];

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Path and content of each object.
fn objects() -> Vec<(String, Value)> {
    let all = files(EXAMPLES, "yaml").into_iter().flat_map(|file| {
        let text = read(&file);
        let documents: Vec<Value> = serde_yaml::Deserializer::from_str(&text)
            .map(|document| Value::deserialize(document).unwrap_or_else(|error| panic!("{file}: {error}")))
            .collect();
        documents.into_iter().map(move |document| (file.clone(), document))
    });
    all.collect()
}

fn of_kind(kind: &str) -> Vec<(String, Value)> {
    let found: Vec<_> = objects().into_iter().filter(|(_, object)| text(object, "/kind") == kind).collect();
    assert!(!found.is_empty(), "no example has a {kind}");
    found
}

fn rollout(file: &str, object: &Value) -> Rollout {
    decode(object).unwrap_or_else(|error| panic!("{file}: {error}"))
}

#[test]
fn every_object_is_of_a_known_kind_and_has_a_name() {
    let own = [
        ("argoproj.io/v1alpha1", "Rollout"),
        ("argoproj.io/v1alpha1", "AnalysisTemplate"),
        ("kulta.io/v1alpha1", "Plugin"),
    ];
    for (file, object) in objects() {
        let kind = (text(&object, "/apiVersion"), text(&object, "/kind"));

        assert!(own.contains(&kind) || OTHERS.contains(&kind), "{file}: {kind:?}");
        assert!(!text(&object, "/metadata/name").is_empty(), "{file}: no name");
    }
}

#[test]
fn every_rollout_is_valid_without_a_warning() {
    for (file, object) in of_kind("Rollout") {
        let rollout = rollout(&file, &object);

        assert_eq!(unchecked_of(Kind::Rollout, &object), Unchecked::default(), "{file}");
        assert_eq!(validation::validate(&rollout), Ok(()), "{file}");
        assert_eq!(validation::warnings(&rollout), [], "{file}");
    }
}

#[test]
fn every_analysis_template_is_valid_without_a_warning() {
    let served = ANALYZERS.map(|name| analysis::ServedAnalyzer { name });
    for (file, object) in of_kind("AnalysisTemplate") {
        let template: AnalysisTemplate = decode_as(&object).unwrap_or_else(|error| panic!("{file}: {error}"));

        assert_eq!(unchecked_of(Kind::AnalysisTemplate, &object), Unchecked::default(), "{file}");
        assert_eq!(analysis::validate_template(&template.spec, &served), Ok(()), "{file}");
        assert_eq!(analysis::template_warnings(&template.spec), [], "{file}");
    }
}

#[test]
fn every_plugin_object_is_valid() {
    for (file, object) in of_kind("Plugin") {
        let plugin: Plugin = decode_as(&object).unwrap_or_else(|error| panic!("{file}: {error}"));

        assert_eq!(unchecked_of(Kind::Plugin, &object), Unchecked::default(), "{file}");
        assert_eq!(validation::plugin::validate(&plugin.spec), Ok(()), "{file}");
    }
}

/// Names under a key, wherever it is in a value.
fn named(value: &Value, keys: &[&str]) -> BTreeSet<String> {
    match value {
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(key, value)| {
                let own = value.as_str().filter(|_| keys.contains(&key.as_str())).map(str::to_owned);
                named(value, keys).into_iter().chain(own)
            })
            .collect(),
        Value::Array(items) => items.iter().flat_map(|item| named(item, keys)).collect(),
        _ => BTreeSet::new(),
    }
}

#[test]
fn every_service_route_and_template_that_a_rollout_names_is_in_its_folder() {
    let folder = |file: &str| file.rsplit_once('/').map(|(folder, _)| folder.to_owned()).unwrap();
    let all = objects();
    for (file, object) in of_kind("Rollout") {
        let has = |kind: &str, name: &str| {
            all.iter().any(|(other, object)| {
                folder(other) == folder(&file)
                    && text(object, "/kind") == kind
                    && text(object, "/metadata/name") == name
            })
        };
        let strategy = &object["spec"]["strategy"];
        let mut routes = named(strategy, &["httpRoute"]);
        for routing in ["/canary", "/plugin"] {
            let list =
                strategy.pointer(&format!("{routing}/trafficRouting/plugins/argoproj-labs~1gatewayAPI/httpRoutes"));
            routes.extend(list.map(|list| named(list, &["name"])).unwrap_or_default());
        }
        let wanted = [
            ("Service", named(strategy, &["stableService", "canaryService"])),
            ("HTTPRoute", routes),
            ("AnalysisTemplate", named(strategy, &["templateName"])),
        ];

        for (kind, names) in wanted {
            for name in names {
                assert!(has(kind, &name), "{file}: {kind} {name} is missing");
            }
        }
    }
}

#[test]
fn every_variable_of_the_controller_is_one_that_it_reads() {
    let help = Command::new(env!("CARGO_BIN_EXE_kulta")).args(["controller", "--help"]).output().unwrap().stdout;
    let help = String::from_utf8(help).unwrap();
    let deployments = of_kind("Deployment");
    let of_the_controller = deployments.iter().filter(|(_, object)| text(object, "/metadata/name") == "kulta");
    assert!(of_the_controller.clone().count() > 0, "no example changes the controller's Deployment");
    for (file, object) in of_the_controller {
        let variables = object.pointer("/spec/template/spec/containers/0/env").and_then(Value::as_array).unwrap();

        for name in variables.iter().map(|variable| text(variable, "/name")) {
            let is_read = [format!("[env: {name}="), format!("[env: {name}]")].iter().any(|shown| help.contains(shown));
            assert!(is_read, "{file}: the controller does not read {name:?}");
        }
    }
}

#[test]
fn every_example_is_described() {
    let readme = read("examples/README.md");

    for (file, _) in objects() {
        let folder = file.split('/').nth(1).unwrap();

        assert!(readme.contains(&format!("]({folder})")), "examples/README.md does not link to {folder}");
    }
}

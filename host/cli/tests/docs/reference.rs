//! The pages of `docs/reference` list every metric, condition and reason of the code, and none that the code does not have.

use std::collections::BTreeSet;
use std::process::Command;

use crate::support::{files, read};

const METRICS: &str = "host/controller/src/metrics.rs";

/// Names in backticks in the first column of a page's tables.
fn listed(page: &str) -> BTreeSet<String> {
    let text = read(page);
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    let names: BTreeSet<String> = rows.filter_map(|row| row.split('`').next()).map(str::to_owned).collect();
    assert!(!names.is_empty(), "{page} has no table");
    names
}

/// The texts of an enum's `as_str`: the arms `Self::Name => "Text"` and `Self::Name(Value) => "Text"` of its `impl`.
fn names(file: &str, kind: &str) -> BTreeSet<String> {
    let text = read(file);
    let block = text.split(&format!("impl {kind} {{")).nth(1).unwrap_or_else(|| panic!("{file}: no impl {kind}"));
    let block = block.split("\n}").next().unwrap();
    let arms = block.lines().filter(|line| line.trim_start().starts_with("Self::"));
    let names: BTreeSet<String> =
        arms.filter_map(|arm| arm.split("=> \"").nth(1)?.split('"').next()).map(str::to_owned).collect();
    assert!(!names.is_empty(), "{file}: {kind} has no names");
    names
}

/// The value of a constant of type `&str`.
fn constant(file: &str, name: &str) -> String {
    let text = read(file);
    let value = text.split(&format!("const {name}: &str = \"")).nth(1).and_then(|rest| rest.split('"').next());
    value.unwrap_or_else(|| panic!("{file}: no constant {name}")).to_owned()
}

/// Names as they are exposed: the encoder adds `_total` to counters.
fn metrics() -> BTreeSet<String> {
    let text = read(METRICS);
    let calls = text.split("registry.register(").skip(1);
    calls
        .map(|call| {
            let name = call.split('"').nth(1).unwrap();
            let field = call.split("metrics.").nth(1).unwrap().split('.').next().unwrap();
            let declared = text.lines().find_map(|line| line.trim().strip_prefix(&format!("{field}: ")));
            let is_counter = declared.unwrap_or_else(|| panic!("{field} is not declared")).contains("Counter");
            if is_counter { format!("{name}_total") } else { name.to_owned() }
        })
        .collect()
}

#[test]
fn every_metric_is_listed() {
    let metrics = metrics();

    assert_eq!(listed("docs/reference/metrics.md"), metrics);
}

/// The labels of the failures of plugins: the first text of each arm `Self::Name => ("label", …)`.
fn failure_classes() -> BTreeSet<String> {
    let text = read("host/core/src/plugin_failure.rs");
    let arms = text.lines().filter(|line| line.trim_start().starts_with("Self::"));
    arms.filter_map(|arm| arm.split("=> (\"").nth(1)?.split('"').next()).map(str::to_owned).collect()
}

#[test]
fn every_class_of_plugin_failures_is_listed() {
    let page = read("docs/reference/metrics.md");
    let section = page.split("## Classes of plugin failures").nth(1).unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next()).skip(1);
    let listed: Vec<String> = rows.flat_map(|names| names.split(", ")).map(str::to_owned).collect();

    assert_eq!(listed.iter().cloned().collect::<BTreeSet<_>>(), failure_classes());
    assert_eq!(listed.len(), failure_classes().len(), "a class is listed twice: {listed:?}");
}

#[test]
fn every_condition_and_its_reasons_are_listed() {
    let conditions = "host/api/src/conditions.rs";
    let status = "host/api/src/status.rs";
    let mut names_of_code = names(conditions, "ConditionType");
    names_of_code.extend(names(conditions, "ConditionReason"));
    names_of_code.extend(names("host/api/src/plugin/status.rs", "PluginReason"));
    names_of_code.extend(names(status, "PauseReason"));
    names_of_code.extend(names(status, "RolloutPhase"));
    // The only condition of a Plugin.
    names_of_code.insert("Ready".to_owned());

    assert_eq!(listed("docs/reference/conditions.md"), names_of_code);
}

#[test]
fn every_reason_of_a_kubernetes_event_is_listed() {
    let mut reasons = names("host/core/src/plan.rs", "EventReason");
    reasons.extend(names("host/core/src/analysis/assess.rs", "RunEventReason"));
    reasons.insert(constant("host/controller/src/cdevents/publisher.rs", "SINK_UNAVAILABLE"));

    assert_eq!(listed("docs/reference/kubernetes-events.md"), reasons);
}

/// The flags of the controller begin with these words. Flags of other programs are not checked.
const OWN_FLAGS: [&str; 14] = [
    "analysis",
    "cdevents",
    "environment",
    "event",
    "git",
    "instance",
    "lease",
    "listen",
    "log",
    "metrics",
    "namespaces",
    "plugin",
    "prometheus",
    "workers",
];

#[test]
fn every_flag_of_the_controller_that_a_page_names_is_in_its_help() {
    let help = Command::new(env!("CARGO_BIN_EXE_kulta")).args(["controller", "--help"]).output().unwrap().stdout;
    let help = String::from_utf8(help).unwrap();
    let known = |flag: &str| help.split([' ', '\n', ',', '=']).any(|word| word == flag);
    let pages =
        ["README.md", "SECURITY.md", "docs/analysis.md", "docs/concepts.md", "docs/plugins.md", "docs/quick-start.md"];
    let pages = pages.into_iter().map(str::to_owned);
    let pages = pages.chain(files("docs/guides", "md")).chain(files("docs/reference", "md"));

    for page in pages {
        let text = read(&page);
        let flags = text.split("--").skip(1).map(|rest| {
            let end = rest.find(|sign: char| !sign.is_ascii_lowercase() && sign != '-').unwrap_or(rest.len());
            rest[..end].trim_end_matches('-')
        });
        for flag in flags.filter(|flag| OWN_FLAGS.contains(&flag.split('-').next().unwrap_or_default())) {
            assert!(known(&format!("--{flag}")), "{page}: kulta controller has no flag --{flag}");
        }
    }
}

/// The programs of the test cluster: the folder of their go.mod, and their module.
const PROGRAMS: [(&str, &str); 4] = [
    ("argo-rollouts", "github.com/argoproj/argo-rollouts"),
    ("contour", "github.com/projectcontour/contour"),
    ("gateway-api", "sigs.k8s.io/gateway-api"),
    ("kubernetes", "k8s.io/kubernetes"),
];

#[test]
fn the_supported_versions_are_those_that_the_tests_run() {
    let page = read("docs/reference/versions.md");
    let module = |(folder, module): (&str, &str)| {
        let text = read(&format!("tests/tools/{folder}/go.mod"));
        let version = text.split(&format!("{module} v")).nth(1).and_then(|rest| rest.split_whitespace().next());
        version.unwrap_or_else(|| panic!("{folder}: no version of {module}")).to_owned()
    };
    let script = read("tests/tools/build.sh");
    let envoy = script.split("ENVOY_VERSION=").nth(1).and_then(|rest| rest.lines().next()).unwrap().to_owned();

    for version in PROGRAMS.into_iter().map(module).chain([envoy]) {
        assert!(page.contains(&version), "docs/reference/versions.md does not name {version}");
    }
}

//! The pages of `docs/reference` list every metric, condition and reason of the code, and none that the code does not have.

use std::collections::BTreeSet;

use crate::support::read;

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

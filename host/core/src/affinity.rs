//! `antiAffinity`: keeps the new revision's pods off the nodes of the stable one (`reference/argo-rollouts.md` section 1.2).

use kulta_api::annotations::POD_TEMPLATE_HASH;
use kulta_api::strategy::AntiAffinity;
use serde_json::{Value, json};

const TOPOLOGY: &str = "kubernetes.io/hostname";
const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

/// Adds the rule against pods of `stable`. Without another stable revision it adds nothing.
pub fn inject(template: &mut Value, wanted: Option<&AntiAffinity>, stable: Option<&str>) {
    let (Some(wanted), Some(stable)) = (wanted, stable) else { return };
    let term = json!({
        "labelSelector": {
            "matchExpressions": [{ "key": POD_TEMPLATE_HASH, "operator": "In", "values": [stable] }]
        },
        "topologyKey": TOPOLOGY
    });
    let (list, rule) = match &wanted.preferred_during_scheduling_ignored_during_execution {
        Some(preferred) => (PREFERRED, json!({ "weight": preferred.weight, "podAffinityTerm": term })),
        None => (REQUIRED, term),
    };
    crate::patch::merge_into_object(template, json!({ "spec": { "affinity": { "podAntiAffinity": {} } } }));
    let anti = template.pointer_mut("/spec/affinity/podAntiAffinity").and_then(Value::as_object_mut);
    if let Some(anti) = anti {
        let rules = anti.entry(list).or_insert_with(|| json!([]));
        if let Some(rules) = rules.as_array_mut() {
            rules.push(rule);
        }
    }
}

/// The template without injected rules, and without empty objects that remain around them.
#[must_use]
pub fn without_injected(mut template: Value) -> Value {
    if let Some(anti) = template.pointer_mut("/spec/affinity/podAntiAffinity").and_then(Value::as_object_mut) {
        for list in [REQUIRED, PREFERRED] {
            if let Some(rules) = anti.get_mut(list).and_then(Value::as_array_mut) {
                rules.retain(|rule| injected_against(rule).is_none());
            }
            if anti.get(list).and_then(Value::as_array).is_some_and(Vec::is_empty) {
                anti.remove(list);
            }
        }
    }
    remove_if_empty(&mut template, "/spec/affinity", "podAntiAffinity");
    remove_if_empty(&mut template, "/spec", "affinity");
    template
}

/// The hashes of the revisions that this template's injected rules name.
#[must_use]
pub fn injected(template: &Value) -> Vec<String> {
    let anti = template.pointer("/spec/affinity/podAntiAffinity");
    [REQUIRED, PREFERRED]
        .into_iter()
        .filter_map(|list| anti?.get(list)?.as_array())
        .flatten()
        .filter_map(injected_against)
        .collect()
}

/// The revision's hash, if the rule is an injected one: its only expression is about the hash label.
fn injected_against(rule: &Value) -> Option<String> {
    let term = rule.get("podAffinityTerm").unwrap_or(rule);
    if term.get("topologyKey")?.as_str()? != TOPOLOGY {
        return None;
    }
    let selector = term.get("labelSelector")?;
    if selector.get("matchLabels").is_some_and(|labels| labels.as_object().is_some_and(|labels| !labels.is_empty())) {
        return None;
    }
    let [expression] = selector.get("matchExpressions")?.as_array()?.as_slice() else { return None };
    if expression.get("key")?.as_str()? != POD_TEMPLATE_HASH {
        return None;
    }
    Some(expression.get("values")?.as_array()?.first()?.as_str()?.to_owned())
}

fn remove_if_empty(template: &mut Value, parent: &str, key: &str) {
    if let Some(parent) = template.pointer_mut(parent).and_then(Value::as_object_mut)
        && parent.get(key).and_then(Value::as_object).is_some_and(serde_json::Map::is_empty)
    {
        parent.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use kulta_api::strategy::{PreferredAntiAffinity, RequiredAntiAffinity};

    use super::*;

    fn required() -> AntiAffinity {
        AntiAffinity {
            required_during_scheduling_ignored_during_execution: Some(RequiredAntiAffinity {}),
            ..AntiAffinity::default()
        }
    }

    #[test]
    fn a_rule_keeps_the_new_pods_off_the_nodes_of_the_stable_ones() {
        let mut template = json!({ "spec": {} });

        inject(&mut template, Some(&required()), Some("old"));

        assert_eq!(injected(&template), ["old"]);
    }

    #[test]
    fn a_preferred_rule_carries_its_weight() {
        let mut template = json!({ "spec": {} });
        let wanted = AntiAffinity {
            preferred_during_scheduling_ignored_during_execution: Some(PreferredAntiAffinity { weight: 7 }),
            ..AntiAffinity::default()
        };

        inject(&mut template, Some(&wanted), Some("old"));

        assert_eq!(template["spec"]["affinity"]["podAntiAffinity"][PREFERRED][0]["weight"], 7);
    }

    #[test]
    fn removing_the_rule_restores_the_template() {
        let written = json!({ "spec": { "affinity": { "podAntiAffinity": { REQUIRED: [
            { "topologyKey": "zone", "labelSelector": { "matchLabels": { "app": "web" } } }
        ] } } } });
        let mut template = written.clone();

        inject(&mut template, Some(&required()), Some("old"));

        assert_eq!(without_injected(template), written);
    }

    #[test]
    fn no_rule_is_injected_without_another_stable_revision() {
        let mut template = json!({ "spec": {} });

        inject(&mut template, Some(&required()), None);

        assert_eq!(template, json!({ "spec": {} }));
    }
}

//! Ephemeral metadata: labels and annotations that pods carry for as long as they are canary or stable
//! (`reference/argo-rollouts.md` section 4, "Ephemeral metadata").

use std::collections::BTreeMap;

use kulta_api::strategy::PodMetadata;
use kulta_api::{PodTemplate, annotations};
use serde_json::{Value, json};

use crate::observed::{Pod, ReplicaSet};

/// The annotation's text.
#[must_use]
pub fn annotation(metadata: &PodMetadata) -> String {
    json!(metadata).to_string()
}

/// What the annotation of a ReplicaSet says is injected; nothing when it is missing or cannot be read.
#[must_use]
pub fn injected(replica_set: &ReplicaSet) -> PodMetadata {
    replica_set
        .annotations
        .get(annotations::EPHEMERAL_METADATA)
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default()
}

pub fn inject(template: &mut Value, metadata: &PodMetadata) {
    let mut addition = serde_json::Map::new();
    if !metadata.labels.is_empty() {
        addition.insert("labels".into(), json!(metadata.labels));
    }
    if !metadata.annotations.is_empty() {
        addition.insert("annotations".into(), json!(metadata.annotations));
    }
    crate::replica_set::merge_into_object(template, json!({ "metadata": addition }));
}

/// The template without what was injected: the value that the user wrote comes back.
#[must_use]
pub fn without_injected(mut template: Value, injected: &PodMetadata, written: &PodTemplate) -> Value {
    for (kind, keys, own) in
        [("labels", &injected.labels, written.labels()), ("annotations", &injected.annotations, written.annotations())]
    {
        let pointer = format!("/metadata/{kind}");
        let Some(map) = template.pointer_mut(&pointer).and_then(Value::as_object_mut) else { continue };
        for key in keys.keys() {
            match own.get(key) {
                Some(value) => map.insert(key.clone(), json!(value)),
                None => map.remove(key),
            };
        }
        if map.is_empty()
            && let Some(metadata) = template.pointer_mut("/metadata").and_then(Value::as_object_mut)
        {
            metadata.remove(kind);
        }
    }
    template
}

/// What has to be done to a ReplicaSet so that it carries `wanted`. The annotation is written last, when its pods carry it too:
/// until then the job counts as not done, whoever dies in between.
#[derive(Clone, Debug, PartialEq)]
pub enum Sync {
    Done,
    /// Merge patch of `spec.template.metadata`.
    Template(Value),
    /// The pods have to be looked at.
    Pods,
}

#[must_use]
pub fn next(replica_set: &ReplicaSet, wanted: &PodMetadata, written: &PodTemplate) -> Sync {
    let old = injected(replica_set);
    let labels = changes(&old.labels, &wanted.labels, &written.labels(), &replica_set.template.labels());
    let notes =
        changes(&old.annotations, &wanted.annotations, &written.annotations(), &replica_set.template.annotations());
    if !labels.is_empty() || !notes.is_empty() {
        return Sync::Template(json!({ "metadata": { "labels": labels, "annotations": notes } }));
    }
    if old == *wanted { Sync::Done } else { Sync::Pods }
}

/// The merge patch of a pod that does not carry `wanted` yet; `None` when it does.
#[must_use]
pub fn pod_patch(pod: &Pod, old: &PodMetadata, wanted: &PodMetadata, written: &PodTemplate) -> Option<Value> {
    let labels = changes(&old.labels, &wanted.labels, &written.labels(), &pod.labels);
    let notes = changes(&old.annotations, &wanted.annotations, &written.annotations(), &pod.annotations);
    (!labels.is_empty() || !notes.is_empty()).then(|| json!({ "metadata": { "labels": labels, "annotations": notes } }))
}

/// The keys whose value in `present` is not what it should be: the wanted one, else the written one, else none.
fn changes(
    old: &BTreeMap<String, String>,
    wanted: &BTreeMap<String, String>,
    written: &BTreeMap<String, String>,
    present: &BTreeMap<String, String>,
) -> serde_json::Map<String, Value> {
    old.keys()
        .chain(wanted.keys())
        .filter_map(|key| {
            let should = wanted.get(key).or_else(|| written.get(key));
            (present.get(key) != should).then(|| (key.clone(), json!(should)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> PodMetadata {
        let labels = pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        PodMetadata { labels, ..PodMetadata::default() }
    }

    fn replica_set(injected: &PodMetadata, present: Value) -> ReplicaSet {
        ReplicaSet {
            annotations: BTreeMap::from([(annotations::EPHEMERAL_METADATA.to_owned(), annotation(injected))]),
            template: PodTemplate(json!({ "metadata": { "labels": present } })),
            ..ReplicaSet::default()
        }
    }

    #[test]
    fn a_role_that_changed_is_written_to_the_template_first() {
        let canary = replica_set(&labels(&[("role", "canary")]), json!({ "role": "canary" }));

        let next = next(&canary, &labels(&[("role", "stable")]), &PodTemplate::default());

        assert_eq!(next, Sync::Template(json!({ "metadata": { "labels": { "role": "stable" }, "annotations": {} } })));
    }

    #[test]
    fn pods_follow_once_the_template_is_right() {
        let moved = replica_set(&labels(&[("role", "canary")]), json!({ "role": "stable" }));

        assert_eq!(next(&moved, &labels(&[("role", "stable")]), &PodTemplate::default()), Sync::Pods);
    }

    #[test]
    fn a_label_that_the_user_wrote_comes_back_when_the_role_gives_it_up() {
        let written = PodTemplate(json!({ "metadata": { "labels": { "role": "plain" } } }));
        let canary = replica_set(&labels(&[("role", "canary")]), json!({ "role": "canary" }));

        let next = next(&canary, &PodMetadata::default(), &written);

        assert_eq!(next, Sync::Template(json!({ "metadata": { "labels": { "role": "plain" }, "annotations": {} } })));
    }

    #[test]
    fn a_pod_that_carries_it_already_is_left_alone() {
        let wanted = labels(&[("role", "stable")]);
        let pod = Pod { labels: wanted.labels.clone(), ..Pod::default() };

        assert_eq!(pod_patch(&pod, &PodMetadata::default(), &wanted, &PodTemplate::default()), None);
    }

    #[test]
    fn what_was_injected_can_be_taken_out_again() {
        let written = json!({ "metadata": { "labels": { "app": "web" } } });
        let mut template = written.clone();
        let role = PodMetadata {
            labels: BTreeMap::from([("role".to_owned(), "canary".to_owned())]),
            annotations: BTreeMap::from([("note".to_owned(), "x".to_owned())]),
        };
        inject(&mut template, &role);

        assert_eq!(without_injected(template, &role, &PodTemplate(written.clone())), written);
    }
}

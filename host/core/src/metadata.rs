//! Ephemeral metadata: labels and annotations that pods have while they are canary or stable
//! (`reference/argo-rollouts.md` section 4, "Ephemeral metadata").

use std::collections::BTreeMap;

use kulta_api::strategy::PodMetadata;
use kulta_api::{PodTemplate, annotations};
use serde_json::{Value, json};

use crate::observed::Pod;
use crate::workload::Revision;

/// The value of the annotation that stores the injected metadata.
#[must_use]
pub fn annotation(metadata: &PodMetadata) -> String {
    json!(metadata).to_string()
}

/// The injected metadata, by the annotation of a ReplicaSet. Empty if the annotation is missing or cannot be decoded.
#[must_use]
pub fn injected(revision: &Revision) -> PodMetadata {
    revision
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
    crate::patch::merge_into_object(template, json!({ "metadata": addition }));
}

/// The template without injected metadata. Values that the user wrote are restored.
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

/// The next step that gives a ReplicaSet and its pods the metadata `wanted`. The annotation is written last, once the pods have
/// the metadata. So a controller that restarts in between continues.
#[derive(Clone, Debug, PartialEq)]
pub enum Sync {
    Done,
    /// Merge patch of `spec.template.metadata`.
    Template(Value),
    /// The pods have to be looked up.
    Pods,
}

#[must_use]
pub fn next(revision: &Revision, wanted: &PodMetadata, written: &PodTemplate) -> Sync {
    let old = injected(revision);
    let labels = changes(&old.labels, &wanted.labels, &written.labels(), &revision.template.labels());
    let annotations =
        changes(&old.annotations, &wanted.annotations, &written.annotations(), &revision.template.annotations());
    if !labels.is_empty() || !annotations.is_empty() {
        return Sync::Template(json!({ "metadata": { "labels": labels, "annotations": annotations } }));
    }
    if old == *wanted { Sync::Done } else { Sync::Pods }
}

/// The merge patch that gives a pod the metadata `wanted`; `None` if the pod has it.
#[must_use]
pub fn pod_patch(pod: &Pod, old: &PodMetadata, wanted: &PodMetadata, written: &PodTemplate) -> Option<Value> {
    let labels = changes(&old.labels, &wanted.labels, &written.labels(), &pod.labels);
    let annotations = changes(&old.annotations, &wanted.annotations, &written.annotations(), &pod.annotations);
    (!labels.is_empty() || !annotations.is_empty())
        .then(|| json!({ "metadata": { "labels": labels, "annotations": annotations } }))
}

/// The keys whose value in `present` is wrong, with the right value: the wanted one, else the written one, else none.
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

    fn revision(injected: &PodMetadata, present: Value) -> Revision {
        Revision {
            annotations: BTreeMap::from([(annotations::EPHEMERAL_METADATA.to_owned(), annotation(injected))]),
            template: PodTemplate(json!({ "metadata": { "labels": present } })),
            ..Revision::default()
        }
    }

    #[test]
    fn a_role_that_changed_is_written_to_the_template_first() {
        let canary = revision(&labels(&[("role", "canary")]), json!({ "role": "canary" }));

        let next = next(&canary, &labels(&[("role", "stable")]), &PodTemplate::default());

        assert_eq!(next, Sync::Template(json!({ "metadata": { "labels": { "role": "stable" }, "annotations": {} } })));
    }

    #[test]
    fn pods_are_patched_once_the_template_is_right() {
        let moved = revision(&labels(&[("role", "canary")]), json!({ "role": "stable" }));

        assert_eq!(next(&moved, &labels(&[("role", "stable")]), &PodTemplate::default()), Sync::Pods);
    }

    #[test]
    fn a_label_of_the_user_is_restored_when_the_role_no_longer_sets_it() {
        let written = PodTemplate(json!({ "metadata": { "labels": { "role": "plain" } } }));
        let canary = revision(&labels(&[("role", "canary")]), json!({ "role": "canary" }));

        let next = next(&canary, &PodMetadata::default(), &written);

        assert_eq!(next, Sync::Template(json!({ "metadata": { "labels": { "role": "plain" }, "annotations": {} } })));
    }

    #[test]
    fn a_pod_that_has_the_metadata_is_not_patched() {
        let wanted = labels(&[("role", "stable")]);
        let pod = Pod { labels: wanted.labels.clone(), ..Pod::default() };

        assert_eq!(pod_patch(&pod, &PodMetadata::default(), &wanted, &PodTemplate::default()), None);
    }

    #[test]
    fn injected_metadata_can_be_removed_again() {
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

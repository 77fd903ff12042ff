//! Finds the ReplicaSet of the current pod template. ReplicaSets of other controllers or versions are adopted if their pod
//! template is semantically equal. A recomputed hash alone does not decide (design section 3, "Adoption").

use std::sync::Arc;

use kulta_api::conditions::{self, ConditionType};
use kulta_api::{KultaStatus, PodTemplate, Rollout, RolloutStatus, annotations};
use serde_json::Value;

use crate::observed::Observed;
use crate::workload::Revision;
use crate::{affinity, hash, metadata, workload};

/// The revision of the pod template.
#[derive(Clone, Debug, PartialEq)]
pub enum Identity {
    /// This ReplicaSet has the template.
    Known(Arc<Revision>),
    /// No ReplicaSet has the template. A new one is created under this hash, computed for this number of collisions.
    New { hash: String, collisions: i32 },
    /// A ReplicaSet of another controller may have the template. The template with the API server's defaults is needed to compare.
    Unclear,
    /// The API server refuses the template with this message.
    Refused { hash: String, message: String },
}

/// `defaulted` is the template with the API server's defaults, or the message with which the server refuses it; `None` until looked up.
#[must_use]
pub fn identify(observed: &Observed, defaulted: Option<&Result<PodTemplate, String>>) -> Identity {
    let rollout = &observed.rollout;
    let template = observed.template();
    if generation_observed(rollout)
        && let Some(current) = by_hash(&observed.revisions, &current_hash(rollout))
    {
        return Identity::Known(current);
    }
    let canonical = hash::template_hash(&template.0);
    let ours = observed
        .revisions
        .iter()
        .filter(|revision| carries(revision, &canonical))
        .max_by_key(|revision| revision.number());
    if let Some(ours) = ours {
        return Identity::Known(Arc::clone(ours));
    }
    // `undo` writes a ReplicaSet's own template, defaults and all, into the spec.
    let copied = observed
        .revisions
        .iter()
        .filter(|revision| same_template(revision, template, template))
        .max_by_key(|revision| revision.number());
    if let Some(copied) = copied {
        return Identity::Known(Arc::clone(copied));
    }
    let (new, collisions) = free_hash(observed);
    let foreign: Vec<_> = observed
        .revisions
        .iter()
        .filter(|revision| !revision.annotations.contains_key(annotations::TEMPLATE_HASH))
        .collect();
    if foreign.is_empty() {
        return Identity::New { hash: new, collisions };
    }
    match defaulted {
        None => Identity::Unclear,
        Some(Err(message)) => Identity::Refused { hash: new, message: message.clone() },
        Some(Ok(defaulted)) => foreign
            .into_iter()
            .filter(|revision| same_template(revision, defaulted, template))
            .max_by_key(|revision| revision.number())
            .map_or(Identity::New { hash: new, collisions }, |found| Identity::Known(Arc::clone(found))),
    }
}

/// Canonical hashes that a ReplicaSet's annotation keeps. A template has several written forms: the user's, and the one of `undo`.
const HASHES_KEPT: usize = 4;

/// A written form of this ReplicaSet's template has this canonical hash.
fn carries(revision: &Revision, canonical: &str) -> bool {
    let known = revision.annotations.get(annotations::TEMPLATE_HASH);
    known.is_some_and(|known| known.split(',').any(|hash| hash == canonical))
}

/// The annotation's value with this canonical hash added to the known ones, newest last.
pub(crate) fn with_hash(revision: &Revision, canonical: &str) -> String {
    let known = revision.annotations.get(annotations::TEMPLATE_HASH).map_or("", String::as_str);
    if carries(revision, canonical) {
        return known.to_owned();
    }
    let mut hashes: Vec<&str> = known.split(',').filter(|hash| !hash.is_empty()).chain([canonical]).collect();
    let excess = hashes.len().saturating_sub(HASHES_KEPT);
    hashes.drain(..excess);
    hashes.join(",")
}

/// The status is about this generation, and the generation's spec was valid.
fn generation_observed(rollout: &Rollout) -> bool {
    let Some(status) = &rollout.status else { return false };
    rollout.metadata.generation.is_some_and(|generation| status.observed_generation == generation.to_string())
        && conditions::find(&status.conditions, ConditionType::InvalidSpec).is_none()
}

fn current_hash(rollout: &Rollout) -> String {
    rollout.status.as_ref().map(|status| status.current_pod_hash.clone()).unwrap_or_default()
}

fn collisions(rollout: &Rollout) -> i32 {
    rollout.status.as_ref().and_then(|status| status.collision_count).unwrap_or(0)
}

/// A hash for a new revision whose object name is free, and the number of collisions for which it is computed.
fn free_hash(observed: &Observed) -> (String, i32) {
    let rollout = &observed.rollout;
    let counted = collisions(rollout);
    let rollout_name = rollout.metadata.name.as_deref().unwrap_or_default();
    let is_taken = |hash: &str| {
        let name = workload::name(rollout_name, hash);
        observed.taken_names.contains(&name) || observed.revisions.iter().any(|own| own.name == name)
    };
    let hash = |collisions: i32| hash::revision_hash(&observed.template().0, collisions);
    (counted..i32::MAX)
        .map(|collisions| (hash(collisions), collisions))
        .find(|(hash, _)| !is_taken(hash))
        .unwrap_or_else(|| (hash(counted), counted))
}

/// Records the number of collisions. If the current revision's hash changes with it, the status keeps the revision under its new hash.
pub(crate) fn count_collisions(
    template: &PodTemplate,
    hash: &str,
    count: i32,
    status: &mut RolloutStatus,
    kulta: &mut KultaStatus,
) {
    let counted = status.collision_count.unwrap_or(0);
    if count == counted {
        return;
    }
    status.collision_count = Some(count);
    let previous = hash::revision_hash(&template.0, counted);
    if status.current_pod_hash == previous {
        hash.clone_into(&mut status.current_pod_hash);
        for entry in kulta.outbox.iter_mut().filter(|entry| entry.hash == previous) {
            hash.clone_into(&mut entry.hash);
        }
    }
}

/// The ReplicaSet of a revision.
#[must_use]
pub fn by_hash(revisions: &[Arc<Revision>], hash: &str) -> Option<Arc<Revision>> {
    if hash.is_empty() {
        return None;
    }
    revisions.iter().find(|revision| revision.hash() == hash).cloned()
}

/// Compares two templates without the parts that controllers add: hash label, injected anti-affinity, ephemeral metadata.
fn same_template(revision: &Revision, defaulted: &PodTemplate, written: &PodTemplate) -> bool {
    let injected = metadata::injected(revision);
    let strip = |template: &Value| {
        let mut template = template.clone();
        for key in ["labels", "annotations"] {
            let pointer = format!("/metadata/{key}");
            if let Some(map) = template.pointer_mut(&pointer).and_then(Value::as_object_mut) {
                map.remove(annotations::POD_TEMPLATE_HASH);
            }
        }
        let template = affinity::without_injected(template);
        without_empty_metadata(metadata::without_injected(template, &injected, written))
    };
    let mut one = Vec::new();
    let mut other = Vec::new();
    hash::canonical(&strip(&revision.template.0), &mut one);
    hash::canonical(&strip(&defaulted.0), &mut other);
    one == other
}

fn without_empty_metadata(mut template: Value) -> Value {
    if let Some(metadata) = template.pointer_mut("/metadata").and_then(Value::as_object_mut) {
        metadata.retain(|_, value| !value.is_null() && value.as_object().is_none_or(|map| !map.is_empty()));
        // The API server adds this to embedded metadata.
        metadata.remove("creationTimestamp");
    }
    template
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fixtures;

    /// A ReplicaSet that another controller created, with the API server's defaults.
    fn foreign(hash: &str, revision: u64, template: Value) -> Arc<Revision> {
        let mut revision = fixtures::revision(hash, revision, 2, 2);
        revision.annotations.remove(annotations::TEMPLATE_HASH);
        revision.template = PodTemplate(template);
        Arc::new(revision)
    }

    fn defaulted() -> Value {
        json!({
            "metadata": { "labels": { "app": "web" } },
            "spec": { "containers": [{ "name": "web", "image": "web:1", "imagePullPolicy": "IfNotPresent" }], "dnsPolicy": "ClusterFirst" }
        })
    }

    fn with_hash_label(mut template: Value, hash: &str) -> Value {
        template["metadata"]["labels"][annotations::POD_TEMPLATE_HASH] = json!(hash);
        template
    }

    fn observed(revisions: Vec<Arc<Revision>>) -> Observed {
        Observed { rollout: fixtures::rollout(json!({ "canary": {} })), revisions, ..Observed::default() }
    }

    #[test]
    fn a_template_without_a_replica_set_is_a_new_revision() {
        let identity = identify(&observed(vec![]), None);

        assert!(matches!(identity, Identity::New { collisions: 0, .. }), "{identity:?}");
    }

    #[test]
    fn the_status_of_this_generation_names_the_replica_set_whatever_its_hash_is() {
        let mut observed = observed(vec![foreign("argohash", 4, json!({}))]);
        observed.rollout.metadata.generation = Some(7);
        observed.rollout.status = Some(kulta_api::RolloutStatus {
            observed_generation: "7".into(),
            current_pod_hash: "argohash".into(),
            ..Default::default()
        });

        let Identity::Known(found) = identify(&observed, None) else { panic!("not known") };

        assert_eq!(found.hash(), "argohash");
    }

    #[test]
    fn our_annotation_identifies_the_replica_set_without_a_request_to_the_server() {
        let rollout = fixtures::rollout(json!({ "canary": {} }));
        let mut ours = fixtures::revision("anything", 1, 2, 2);
        ours.annotations.insert(annotations::TEMPLATE_HASH.into(), hash::template_hash(&rollout.spec.template.0));

        let identity = identify(&observed(vec![Arc::new(ours), foreign("x", 1, json!({}))]), None);

        assert!(matches!(identity, Identity::Known(found) if found.hash() == "anything"));
    }

    #[test]
    fn the_template_that_undo_copies_from_a_replica_set_identifies_it() {
        let mut own = fixtures::revision("own", 1, 2, 2);
        own.template = PodTemplate(with_hash_label(defaulted(), "own"));
        let mut observed = observed(vec![Arc::new(own)]);
        observed.rollout.spec.template = PodTemplate(defaulted());

        assert!(matches!(identify(&observed, None), Identity::Known(found) if found.hash() == "own"));
    }

    #[test]
    fn the_annotation_keeps_every_written_form_of_a_template() {
        let mut own = fixtures::revision("own", 1, 2, 2);
        let both = with_hash(&own, "another");
        own.annotations.insert(annotations::TEMPLATE_HASH.into(), both);

        assert_eq!(["canonical-own", "another", "third"].map(|hash| carries(&own, hash)), [true, true, false]);
    }

    #[test]
    fn a_foreign_replica_set_is_unclear_until_the_server_has_defaulted_the_template() {
        assert_eq!(identify(&observed(vec![foreign("x", 1, defaulted())]), None), Identity::Unclear);
    }

    #[test]
    fn a_foreign_replica_set_with_a_semantically_equal_template_is_adopted() {
        let observed = observed(vec![foreign("x", 1, with_hash_label(defaulted(), "x"))]);
        let defaulted = Some(Ok(PodTemplate(with_hash_label(defaulted(), "ours"))));

        assert!(matches!(identify(&observed, defaulted.as_ref()), Identity::Known(found) if found.hash() == "x"));
    }

    #[test]
    fn injected_metadata_does_not_affect_the_comparison() {
        let role: kulta_api::strategy::PodMetadata =
            serde_json::from_value(json!({ "annotations": { "role": "stable" } })).unwrap();
        let mut template = with_hash_label(defaulted(), "x");
        metadata::inject(&mut template, &role);
        let mut revision = fixtures::revision("x", 1, 2, 2);
        revision.annotations.remove(annotations::TEMPLATE_HASH);
        revision.annotations.insert(annotations::EPHEMERAL_METADATA.into(), metadata::annotation(&role));
        revision.template = PodTemplate(template);
        let observed = observed(vec![Arc::new(revision)]);
        let defaulted = Some(Ok(PodTemplate(defaulted())));

        assert!(matches!(identify(&observed, defaulted.as_ref()), Identity::Known(_)));
    }

    #[test]
    fn a_foreign_replica_set_with_another_template_is_not_adopted() {
        let mut other = defaulted();
        other["spec"]["containers"][0]["image"] = json!("web:2");
        let observed = observed(vec![foreign("x", 1, with_hash_label(other, "x"))]);
        let defaulted = Some(Ok(PodTemplate(defaulted())));

        assert!(matches!(identify(&observed, defaulted.as_ref()), Identity::New { .. }));
    }

    #[test]
    fn a_name_that_another_owner_has_taken_leads_to_another_hash() {
        let mut observed = observed(vec![]);
        let first = hash::revision_hash(&observed.rollout.spec.template.0, 0);
        observed.taken_names.insert(format!("web-{first}"));

        let identity = identify(&observed, None);

        let second = hash::revision_hash(&observed.rollout.spec.template.0, 1);
        assert_eq!(identity, Identity::New { hash: second, collisions: 1 });
    }

    #[test]
    fn a_revision_continues_under_its_new_hash() {
        let template = PodTemplate(fixtures::template("web:1"));
        let previous = hash::revision_hash(&template.0, 0);
        let mut status = RolloutStatus { current_pod_hash: previous, ..RolloutStatus::default() };

        count_collisions(&template, "other", 1, &mut status, &mut KultaStatus::default());

        assert_eq!((status.collision_count, status.current_pod_hash.as_str()), (Some(1), "other"));
    }

    #[test]
    fn a_refused_template_keeps_the_message_of_the_server() {
        let observed = observed(vec![foreign("x", 1, defaulted())]);
        let defaulted = Some(Err("spec.containers: Required value".into()));

        assert!(
            matches!(identify(&observed, defaulted.as_ref()), Identity::Refused { message, .. } if message.contains("Required"))
        );
    }
}

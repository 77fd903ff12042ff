//! Which ReplicaSet belongs to the template at hand. ReplicaSets that another controller or version made are adopted by meaning;
//! a recomputed hash is never taken as the truth (design section 3, "Adoption").

use std::sync::Arc;

use kulta_api::conditions::{self, ConditionType};
use kulta_api::{KultaStatus, PodTemplate, Rollout, RolloutStatus, annotations};
use serde_json::Value;

use crate::observed::{Observed, ReplicaSet};
use crate::{affinity, hash, metadata, replica_set};

/// Which revision the template is.
#[derive(Clone, Debug, PartialEq)]
pub enum Identity {
    /// This ReplicaSet has it.
    Known(Arc<ReplicaSet>),
    /// None has; it is to be created under this hash, which is the one for so many collisions.
    New { hash: String, collisions: i32 },
    /// Some ReplicaSet may have it under another writer's hash: compare with the template as the API server would store it.
    Unclear,
    /// The API server refuses the template: its words.
    Refused { hash: String, message: String },
}

/// `defaulted` is the template as the API server would store it, or the message with which it refuses the template, once it is looked up.
#[must_use]
pub fn identify(observed: &Observed, defaulted: Option<&Result<PodTemplate, String>>) -> Identity {
    let rollout = &observed.rollout;
    let template = &rollout.spec.template;
    if generation_observed(rollout)
        && let Some(current) = by_hash(&observed.replica_sets, &current_hash(rollout))
    {
        return Identity::Known(current);
    }
    let canonical = hash::template_hash(&template.0);
    let ours = observed
        .replica_sets
        .iter()
        .filter(|replica_set| carries(replica_set, &canonical))
        .max_by_key(|replica_set| replica_set.revision());
    if let Some(ours) = ours {
        return Identity::Known(Arc::clone(ours));
    }
    // `undo` writes a ReplicaSet's own template, defaults and all, into the spec.
    let copied = observed
        .replica_sets
        .iter()
        .filter(|replica_set| same_template(replica_set, template, template))
        .max_by_key(|replica_set| replica_set.revision());
    if let Some(copied) = copied {
        return Identity::Known(Arc::clone(copied));
    }
    let (new, collisions) = free_hash(observed);
    let foreign: Vec<_> = observed
        .replica_sets
        .iter()
        .filter(|replica_set| !replica_set.annotations.contains_key(annotations::TEMPLATE_HASH))
        .collect();
    if foreign.is_empty() {
        return Identity::New { hash: new, collisions };
    }
    match defaulted {
        None => Identity::Unclear,
        Some(Err(message)) => Identity::Refused { hash: new, message: message.clone() },
        Some(Ok(defaulted)) => foreign
            .into_iter()
            .filter(|replica_set| same_template(replica_set, defaulted, template))
            .max_by_key(|replica_set| replica_set.revision())
            .map_or(Identity::New { hash: new, collisions }, |found| Identity::Known(Arc::clone(found))),
    }
}

/// Canonical hashes that a ReplicaSet's annotation keeps. One template can be written in some ways: by its author, by `undo`.
const HASHES_KEPT: usize = 4;

/// One of the templates that are known to mean this ReplicaSet has this canonical hash.
fn carries(replica_set: &ReplicaSet, canonical: &str) -> bool {
    let known = replica_set.annotations.get(annotations::TEMPLATE_HASH);
    known.is_some_and(|known| known.split(',').any(|hash| hash == canonical))
}

/// The annotation of a ReplicaSet that a template with this canonical hash means: the hashes known before, newest last.
pub(crate) fn with_hash(replica_set: &ReplicaSet, canonical: &str) -> String {
    let known = replica_set.annotations.get(annotations::TEMPLATE_HASH).map_or("", String::as_str);
    if carries(replica_set, canonical) {
        return known.to_owned();
    }
    let mut hashes: Vec<&str> = known.split(',').filter(|hash| !hash.is_empty()).chain([canonical]).collect();
    let excess = hashes.len().saturating_sub(HASHES_KEPT);
    hashes.drain(..excess);
    hashes.join(",")
}

/// The status speaks of this very generation, and the generation was understood.
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

/// The hash of a new revision whose name nobody holds, and the collisions that were counted to find it.
fn free_hash(observed: &Observed) -> (String, i32) {
    let rollout = &observed.rollout;
    let counted = collisions(rollout);
    let rollout_name = rollout.metadata.name.as_deref().unwrap_or_default();
    let held = |hash: &str| {
        let name = replica_set::name(rollout_name, hash);
        observed.taken_names.contains(&name) || observed.replica_sets.iter().any(|own| own.name == name)
    };
    let hash = |collisions: i32| hash::revision_hash(&rollout.spec.template.0, collisions);
    (counted..i32::MAX)
        .map(|collisions| (hash(collisions), collisions))
        .find(|(hash, _)| !held(hash))
        .unwrap_or_else(|| (hash(counted), counted))
}

/// Counts the collisions. The revision that the status speaks of is the same under its other hash: nothing begins anew.
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
    let lost = hash::revision_hash(&template.0, counted);
    if status.current_pod_hash == lost {
        hash.clone_into(&mut status.current_pod_hash);
        for entry in kulta.outbox.iter_mut().filter(|entry| entry.hash == lost) {
            hash.clone_into(&mut entry.hash);
        }
    }
}

/// The ReplicaSet of a revision.
#[must_use]
pub fn by_hash(replica_sets: &[Arc<ReplicaSet>], hash: &str) -> Option<Arc<ReplicaSet>> {
    if hash.is_empty() {
        return None;
    }
    replica_sets.iter().find(|replica_set| replica_set.hash() == hash).cloned()
}

/// Equal but for what controllers add: hash label, injected anti-affinity, ephemeral metadata.
fn same_template(replica_set: &ReplicaSet, defaulted: &PodTemplate, written: &PodTemplate) -> bool {
    let injected = metadata::injected(replica_set);
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
    hash::canonical(&strip(&replica_set.template.0), &mut one);
    hash::canonical(&strip(&defaulted.0), &mut other);
    one == other
}

fn without_empty_metadata(mut template: Value) -> Value {
    if let Some(metadata) = template.pointer_mut("/metadata").and_then(Value::as_object_mut) {
        metadata.retain(|_, value| !value.is_null() && value.as_object().is_none_or(|map| !map.is_empty()));
        // The server's own stamp on embedded metadata.
        metadata.remove("creationTimestamp");
    }
    template
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fixtures;

    /// A ReplicaSet as another controller would have made it, defaults and all.
    fn foreign(hash: &str, revision: u64, template: Value) -> Arc<ReplicaSet> {
        let mut replica_set = fixtures::replica_set(hash, revision, 2, 2);
        replica_set.annotations.remove(annotations::TEMPLATE_HASH);
        replica_set.template = PodTemplate(template);
        Arc::new(replica_set)
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

    fn observed(replica_sets: Vec<Arc<ReplicaSet>>) -> Observed {
        Observed { rollout: fixtures::rollout(json!({ "canary": {} })), replica_sets, ..Observed::default() }
    }

    #[test]
    fn a_template_without_any_replica_set_is_new() {
        let identity = identify(&observed(vec![]), None);

        assert!(matches!(identity, Identity::New { collisions: 0, .. }), "{identity:?}");
    }

    #[test]
    fn a_status_of_this_generation_names_the_replica_set_whatever_its_hash() {
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
    fn our_own_annotation_names_the_replica_set_without_asking_the_server() {
        let rollout = fixtures::rollout(json!({ "canary": {} }));
        let mut ours = fixtures::replica_set("anything", 1, 2, 2);
        ours.annotations.insert(annotations::TEMPLATE_HASH.into(), hash::template_hash(&rollout.spec.template.0));

        let identity = identify(&observed(vec![Arc::new(ours), foreign("x", 1, json!({}))]), None);

        assert!(matches!(identity, Identity::Known(found) if found.hash() == "anything"));
    }

    #[test]
    fn the_template_that_undo_copies_from_a_replica_set_means_it() {
        let mut own = fixtures::replica_set("own", 1, 2, 2);
        own.template = PodTemplate(with_hash_label(defaulted(), "own"));
        let mut observed = observed(vec![Arc::new(own)]);
        observed.rollout.spec.template = PodTemplate(defaulted());

        assert!(matches!(identify(&observed, None), Identity::Known(found) if found.hash() == "own"));
    }

    #[test]
    fn every_way_to_write_a_template_is_remembered() {
        let mut own = fixtures::replica_set("own", 1, 2, 2);
        let both = with_hash(&own, "another");
        own.annotations.insert(annotations::TEMPLATE_HASH.into(), both);

        assert_eq!(["canonical-own", "another", "third"].map(|hash| carries(&own, hash)), [true, true, false]);
    }

    #[test]
    fn a_foreign_replica_set_is_unclear_until_the_server_has_defaulted_the_template() {
        assert_eq!(identify(&observed(vec![foreign("x", 1, defaulted())]), None), Identity::Unclear);
    }

    #[test]
    fn a_foreign_replica_set_with_the_same_meaning_is_adopted() {
        let observed = observed(vec![foreign("x", 1, with_hash_label(defaulted(), "x"))]);
        let defaulted = Some(Ok(PodTemplate(with_hash_label(defaulted(), "ours"))));

        assert!(matches!(identify(&observed, defaulted.as_ref()), Identity::Known(found) if found.hash() == "x"));
    }

    #[test]
    fn injected_metadata_does_not_hide_the_meaning() {
        let role: kulta_api::strategy::PodMetadata =
            serde_json::from_value(json!({ "annotations": { "role": "stable" } })).unwrap();
        let mut template = with_hash_label(defaulted(), "x");
        metadata::inject(&mut template, &role);
        let mut replica_set = fixtures::replica_set("x", 1, 2, 2);
        replica_set.annotations.remove(annotations::TEMPLATE_HASH);
        replica_set.annotations.insert(annotations::EPHEMERAL_METADATA.into(), metadata::annotation(&role));
        replica_set.template = PodTemplate(template);
        let observed = observed(vec![Arc::new(replica_set)]);
        let defaulted = Some(Ok(PodTemplate(defaulted())));

        assert!(matches!(identify(&observed, defaulted.as_ref()), Identity::Known(_)));
    }

    #[test]
    fn a_foreign_replica_set_with_another_meaning_is_not_adopted() {
        let mut other = defaulted();
        other["spec"]["containers"][0]["image"] = json!("web:2");
        let observed = observed(vec![foreign("x", 1, with_hash_label(other, "x"))]);
        let defaulted = Some(Ok(PodTemplate(defaulted())));

        assert!(matches!(identify(&observed, defaulted.as_ref()), Identity::New { .. }));
    }

    #[test]
    fn a_name_that_a_stranger_holds_gives_another_hash() {
        let mut observed = observed(vec![]);
        let first = hash::revision_hash(&observed.rollout.spec.template.0, 0);
        observed.taken_names.insert(format!("web-{first}"));

        let identity = identify(&observed, None);

        let second = hash::revision_hash(&observed.rollout.spec.template.0, 1);
        assert_eq!(identity, Identity::New { hash: second, collisions: 1 });
    }

    #[test]
    fn a_revision_goes_on_under_its_other_hash() {
        let template = PodTemplate(fixtures::template("web:1"));
        let lost = hash::revision_hash(&template.0, 0);
        let mut status = RolloutStatus { current_pod_hash: lost, ..RolloutStatus::default() };

        count_collisions(&template, "other", 1, &mut status, &mut KultaStatus::default());

        assert_eq!((status.collision_count, status.current_pod_hash.as_str()), (Some(1), "other"));
    }

    #[test]
    fn a_template_that_the_server_refuses_keeps_its_words() {
        let observed = observed(vec![foreign("x", 1, defaulted())]);
        let defaulted = Some(Err("spec.containers: Required value".into()));

        assert!(
            matches!(identify(&observed, defaulted.as_ref()), Identity::Refused { message, .. } if message.contains("Required"))
        );
    }
}

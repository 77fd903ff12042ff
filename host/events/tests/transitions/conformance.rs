//! The specification's own samples, and properties over any transition.

use std::sync::LazyLock;

use cdevents_sdk::CDEvent;
use kulta_api::{FailureKind, OutboxEntry, Outcome, Time, TransitionKind};
use kulta_events::{CdEvent, Revision, RolloutId, Subject};
use proptest::option;
use proptest::prelude::*;
use serde_json::Value;

use crate::support::{KINDS, Schemas, UID, files, images, json, origin, specification};

static SCHEMAS: LazyLock<Schemas> = LazyLock::new(Schemas::load);

fn parse(event: &Value) -> CDEvent {
    serde_json::from_value(event.clone()).unwrap()
}

#[test]
fn the_conformance_samples_satisfy_their_schemas() {
    for path in files(&specification().join("conformance")) {
        assert_eq!(SCHEMAS.errors(&json(&path)), [""; 0], "{}", path.display());
    }
    assert_eq!(SCHEMAS.errors(&json(&specification().join("custom/conformance.json"))), [""; 0]);
}

#[test]
fn the_conformance_samples_survive_a_round_trip_through_the_sdk() {
    let folder = specification();
    let custom = folder.join("custom/conformance.json");

    for path in files(&folder.join("conformance")).into_iter().chain([custom]) {
        let sample = json(&path);

        assert_eq!(serde_json::to_value(parse(&sample)).unwrap(), sample, "{}", path.display());
    }
}

#[test]
fn the_schemas_reject_an_event_without_its_artifact() {
    let mut sample = json(&specification().join("conformance/service_upgraded.json"));
    sample["subject"]["content"].as_object_mut().unwrap().remove("artifactId");

    assert_ne!(SCHEMAS.errors(&sample), [""; 0]);
}

prop_compose! {
    fn any_entry()(
        kind in prop::sample::select(KINDS.to_vec()),
        (first, after) in (1_u64..1_000_000, 0_u64..500),
        millis in 0_i64..4_000_000_000_000,
        hash in "[a-z0-9]{1,10}",
        (step, steps, weight, from) in
            (option::of(0_u32..40), option::of(0_u32..40), option::of(0_u32..1001), option::of(0_u32..1001)),
        outcome in option::of(prop::sample::select(vec![
            Outcome::Success, Outcome::Failure, Outcome::Cancel, Outcome::Error,
        ])),
        failure in option::of(prop::sample::select(vec![
            FailureKind::Analysis, FailureKind::Gate, FailureKind::Deployment, FailureKind::Evaluation,
        ])),
        why in option::of(any::<String>()),
        revision in option::of(any::<u64>()),
        (run, metric, cause) in (option::of("[0-9.-]{1,9}"), option::of(any::<String>()), option::of(1_u64..100)),
    ) -> OutboxEntry {
        OutboxEntry {
            seq: if kind == TransitionKind::Started { first } else { first + after },
            kind,
            at: Time(jiff::Timestamp::from_millisecond(millis).unwrap()),
            hash,
            revision,
            stable: Some("66d5c4b7f9".into()),
            step, steps, weight, from, outcome, failure, run, metric, cause, why, first,
        }
    }
}

prop_compose! {
    fn any_revision()(
        container in "[a-z]{1,2}",
        name in "[a-z0-9]{1,8}",
        tag in "[A-Za-z0-9_.-]{1,12}",
        digest in option::of(any::<String>()),
        keys in prop::collection::btree_map(
            prop::sample::select(vec![
                "kulta.io/git-commit", "kulta.io/artifact-id", "kulta.io/artifact-container",
                "kulta.io/cdevents-chain-id", "kulta.io/cdevents-parent-id",
            ]).prop_map(str::to_owned),
            any::<String>(),
            0..4,
        ),
    ) -> Revision {
        Revision {
            images: images(&[(&container, &format!("registry.example:5000/{name}:{tag}")), ("proxy", "proxy:1")]),
            digests: digest.map(|digest| (container, digest)).into_iter().collect(),
            annotations: keys.clone(),
            template_annotations: keys,
        }
    }
}

prop_compose! {
    fn any_subject()(
        name in any::<String>(),
        uid in prop_oneof![Just(UID.to_owned()), any::<String>()],
        revision in any_revision(),
        stable in any_revision(),
    ) -> Subject {
        Subject {
            rollout: RolloutId { namespace: "shop".into(), name, uid },
            strategy: "canary".into(),
            revision,
            stable: Some(stable),
        }
    }
}

/// The CloudEvent around the event.
fn bytes(event: &CdEvent) -> Vec<u8> {
    serde_json::to_vec(&event.cloud_event().unwrap()).unwrap()
}

proptest! {
    #[test]
    fn the_same_entry_always_gives_the_same_bytes(entry in any_entry(), subject in any_subject()) {
        let (first, second) = (origin().event(&entry, &subject).unwrap(), origin().event(&entry, &subject).unwrap());

        prop_assert_eq!(bytes(&first), bytes(&second));
    }

    #[test]
    fn an_entry_that_went_through_the_status_gives_the_same_bytes(entry in any_entry(), subject in any_subject()) {
        let stored: OutboxEntry = serde_json::from_slice(&serde_json::to_vec(&entry).unwrap()).unwrap();

        let (before, after) = (origin().event(&entry, &subject).unwrap(), origin().event(&stored, &subject).unwrap());

        prop_assert_eq!(bytes(&before), bytes(&after));
    }

    #[test]
    fn whatever_the_transition_its_event_is_valid_and_readable(entry in any_entry(), subject in any_subject()) {
        let event = origin().event(&entry, &subject).unwrap();

        prop_assert_eq!(SCHEMAS.errors(&event.body), Vec::<String>::new());
        prop_assert_eq!(serde_json::to_value(parse(&event.body)).unwrap(), event.body);
    }

    #[test]
    fn no_two_sequences_of_a_rollout_share_an_id(entry in any_entry(), subject in any_subject(), other in 0_u64..1_000_000) {
        prop_assume!(other != entry.seq);

        let (one, two) = (
            origin().event(&entry, &subject).unwrap(),
            origin().event(&OutboxEntry { seq: other, ..entry }, &subject).unwrap(),
        );

        prop_assert_ne!(one.id, two.id);
    }
}

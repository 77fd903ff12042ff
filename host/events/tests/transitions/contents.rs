//! The type and content of each transition's event.

use kulta_api::{OutboxEntry, TransitionKind};
use kulta_events::{CdEvent, Environment, EventError, GitKeys, Origin, OriginError, Subject};
use serde_json::{Value, json};

use crate::support::{ARTIFACT, KINDS, STABLE_ARTIFACT, Schemas, UID, at, entry, map, origin, rollout, subject};

fn build(entry: &OutboxEntry, subject: &Subject) -> CdEvent {
    origin().event(entry, subject).unwrap()
}

fn of(kind: TransitionKind) -> CdEvent {
    build(&entry(kind), &subject())
}

#[test]
fn every_kind_has_its_type() {
    let types: Vec<_> = KINDS.iter().map(|kind| of(*kind).event_type).collect();

    assert_eq!(
        types,
        [
            "dev.cdeventsx.kulta-rollout.started.0.1.0",
            "dev.cdeventsx.kulta-rollout.progressed.0.1.0",
            "dev.cdeventsx.kulta-rollout.paused.0.1.0",
            "dev.cdeventsx.kulta-rollout.resumed.0.1.0",
            "dev.cdeventsx.kulta-rollout.promoted.0.1.0",
            "dev.cdeventsx.kulta-rollout.finished.0.1.0",
            "dev.cdevents.service.deployed.0.3.0",
            "dev.cdevents.service.upgraded.0.3.0",
            "dev.cdevents.service.rolledback.0.3.0",
            "dev.cdevents.testsuiterun.started.0.3.0",
            "dev.cdevents.testcaserun.finished.0.3.0",
            "dev.cdevents.testsuiterun.finished.0.3.0",
        ]
    );
}

#[test]
fn every_kind_satisfies_the_schema_of_its_type() {
    let schemas = Schemas::load();

    for kind in KINDS {
        assert_eq!(schemas.errors(&of(kind).body), [""; 0], "{kind:?}");
    }
}

#[test]
fn a_removed_service_satisfies_its_schema() {
    let event = origin().service_removed(&rollout(), &at(1_800_000_000)).unwrap();

    assert_eq!(Schemas::load().errors(&event.body), [""; 0]);
}

#[test]
fn the_context_has_the_specifications_version_and_the_time_of_the_transition_in_whole_seconds() {
    let mut entry = entry(TransitionKind::Paused);
    entry.at.0 += jiff::SignedDuration::from_millis(750);

    let event = build(&entry, &subject());

    let context = &event.body["context"];
    assert_eq!((&context["specversion"], &context["timestamp"]), (&json!("0.5.1"), &json!("2027-01-15T08:00:00Z")));
    assert_eq!((&context["id"], &context["source"]), (&json!(event.id), &json!("/clusters/eu-1/kulta")));
    assert_eq!(context["type"], json!(event.event_type));
}

#[test]
fn a_started_event_names_both_revisions_and_the_environment() {
    let event = of(TransitionKind::Started);

    assert_eq!(
        event.body["subject"],
        json!({
            "id": format!("{UID}/7c9d8b6f5d"),
            "source": "/clusters/eu-1/kulta",
            "content": {
                "rollout": "checkout",
                "namespace": "shop",
                "revision": 2,
                "strategy": "canary",
                "artifactId": ARTIFACT,
                "previousArtifactId": STABLE_ARTIFACT,
                "environment": { "id": "production", "source": "/clusters/eu-1" },
                "steps": 4,
            }
        })
    );
}

#[test]
fn a_progressed_event_has_the_step_and_both_weights() {
    let event = of(TransitionKind::Progressed);

    let content = &event.body["subject"]["content"];
    let outcome = ["stepIndex", "steps", "weight", "previousWeight"].map(|field| content[field].clone());
    assert_eq!(outcome, [json!(1), json!(4), json!(20), json!(10)]);
}

#[test]
fn a_finished_event_has_the_outcome_and_the_reason() {
    let event = of(TransitionKind::Finished);

    let content = &event.body["subject"]["content"];
    let outcome = ["outcome", "failureType", "reason"].map(|field| content[field].clone());
    assert_eq!(outcome, [json!("failure"), json!("deployment"), json!("progress deadline")]);
}

#[test]
fn a_paused_event_has_the_reason_of_the_entry() {
    let entry = OutboxEntry { why: Some("by hand".into()), ..entry(TransitionKind::Paused) };

    let event = build(&entry, &subject());

    assert_eq!(event.body["subject"]["content"]["reason"], json!("by hand"));
}

#[test]
fn unknown_facts_are_left_out() {
    let entry = OutboxEntry { step: None, steps: None, weight: None, from: None, ..entry(TransitionKind::Progressed) };

    let event = build(&entry, &subject());

    let content = event.body["subject"]["content"].as_object().unwrap();
    assert_eq!(
        content.keys().map(String::as_str).collect::<std::collections::BTreeSet<_>>(),
        ["artifactId", "environment", "namespace", "revision", "rollout"].into()
    );
}

#[test]
fn the_first_revision_replaces_nothing() {
    let entry = OutboxEntry { stable: None, ..entry(TransitionKind::Started) };
    let subject = Subject { stable: None, ..subject() };

    let event = build(&entry, &subject);

    assert_eq!(event.body["subject"]["content"].get("previousArtifactId"), None);
}

#[test]
fn a_stable_revision_replaces_nothing() {
    let entry = OutboxEntry { stable: Some("7c9d8b6f5d".into()), ..entry(TransitionKind::ServiceUpgraded) };

    let event = build(&entry, &subject());

    assert_eq!(event.body["customData"]["kulta"].get("previous"), None);
}

#[test]
fn a_service_event_is_about_the_rollout_under_its_permanent_name() {
    let event = of(TransitionKind::ServiceUpgraded);

    assert_eq!(
        (event.subject.as_str(), &event.body["subject"]["content"]),
        (
            "shop/checkout",
            &json!({ "environment": { "id": "production", "source": "/clusters/eu-1" }, "artifactId": ARTIFACT })
        )
    );
}

#[test]
fn an_upgrade_names_the_new_commit_and_the_replaced_artifact() {
    let event = of(TransitionKind::ServiceUpgraded);

    assert_eq!(
        event.body["customData"],
        json!({
            "kulta": {
                "namespace": "shop",
                "name": "checkout",
                "sequence": 7,
                "hash": "7c9d8b6f5d",
                "revision": 2,
                "container": "shop",
                "image": "ghcr.io/acme/shop:2.0",
                "changedImages": [{
                    "container": "shop",
                    "image": "ghcr.io/acme/shop:2.0",
                    "artifactId": ARTIFACT,
                    "previousImage": "ghcr.io/acme/shop:1.0",
                }],
                "previous": {
                    "artifactId": STABLE_ARTIFACT,
                    "hash": "66d5c4b7f9",
                    "container": "shop",
                    "image": "ghcr.io/acme/shop:1.0",
                    "git": { "commit": "1111111" },
                },
            },
            "git": { "commit": "2222222" },
        })
    );
}

#[test]
fn a_rollback_names_the_restored_and_the_failed_artifact() {
    let event = of(TransitionKind::ServiceRolledBack);

    let custom = &event.body["customData"];
    assert_eq!(event.body["subject"]["content"]["artifactId"], json!(STABLE_ARTIFACT));
    assert_eq!(custom["git"]["commit"], json!("1111111"));
    assert_eq!(
        custom["kulta"]["failed"],
        json!({
            "artifactId": ARTIFACT,
            "hash": "7c9d8b6f5d",
            "revision": 2,
            "container": "shop",
            "image": "ghcr.io/acme/shop:2.0",
            "git": { "commit": "2222222" },
        })
    );
}

#[test]
fn a_rollback_without_a_known_stable_revision_has_no_event() {
    let subject = Subject { stable: None, ..subject() };

    let result = origin().event(&entry(TransitionKind::ServiceRolledBack), &subject);

    assert!(matches!(result, Err(EventError::StableUnknown { sequence: 7 })), "{result:?}");
}

#[test]
fn a_service_event_without_an_image_is_an_error() {
    let mut subject = subject();
    subject.revision.images = Vec::new();

    let result = origin().event(&entry(TransitionKind::ServiceDeployed), &subject);

    assert!(matches!(result, Err(EventError::NoArtifact { sequence: 7, .. })), "{result:?}");
}

#[test]
fn a_rollout_event_without_an_image_has_no_artifact() {
    let mut subject = subject();
    subject.revision.images = Vec::new();

    let event = build(&entry(TransitionKind::Paused), &subject);

    assert_eq!(event.body["subject"]["content"].get("artifactId"), None);
}

#[test]
fn an_artifact_annotation_is_used_byte_for_byte() {
    let mut subject = subject();
    subject.revision.annotations = map(&[("kulta.io/artifact-id", "pkg:oci/Shop@SHA256:ABC?x=%2F")]);

    let event = build(&entry(TransitionKind::ServiceUpgraded), &subject);

    assert_eq!(event.body["subject"]["content"]["artifactId"], json!("pkg:oci/Shop@SHA256:ABC?x=%2F"));
}

#[test]
fn an_artifact_annotation_on_the_pod_template_counts_too() {
    let mut subject = subject();
    subject.revision.template_annotations = map(&[("kulta.io/artifact-id", "pkg:oci/shop@v2")]);

    let event = build(&entry(TransitionKind::ServiceUpgraded), &subject);

    assert_eq!(event.body["subject"]["content"]["artifactId"], json!("pkg:oci/shop@v2"));
}

#[test]
fn the_keys_for_the_commit_are_tried_in_order() {
    type Annotations = &'static [(&'static str, &'static str)];
    let cases: [(Annotations, Annotations, Value); 5] = [
        (&[("kulta.io/git-commit", "own"), ("org.opencontainers.image.revision", "oci")], &[], json!("own")),
        (&[("org.opencontainers.image.revision", "oci")], &[("kulta.io/git-commit", "template")], json!("oci")),
        (&[], &[("kulta.io/git-commit", "template"), ("org.opencontainers.image.revision", "oci")], json!("template")),
        (&[("kulta.io/git-commit", "")], &[("org.opencontainers.image.revision", "oci")], json!("oci")),
        (&[], &[], Value::Null),
    ];

    for (annotations, template, expected) in cases {
        let mut subject = subject();
        subject.revision.annotations = map(annotations);
        subject.revision.template_annotations = map(template);

        let event = build(&entry(TransitionKind::Paused), &subject);

        assert_eq!(event.body["customData"]["git"]["commit"], expected, "{annotations:?} {template:?}");
    }
}

#[test]
fn the_keys_of_the_commit_and_the_repository_can_be_configured() {
    let keys = GitKeys { commit: vec!["ci/sha".into()], repository: vec!["ci/repo".into()] };
    let origin = Origin::new("/kulta", Environment { id: "test".into(), source: None }, keys).unwrap();
    let mut subject = subject();
    subject.revision.annotations = map(&[("ci/sha", "abc"), ("ci/repo", "https://example.com/shop.git")]);

    let event = origin.event(&entry(TransitionKind::Paused), &subject).unwrap();

    assert_eq!(
        event.body["customData"]["git"],
        json!({ "commit": "abc", "repository": "https://example.com/shop.git" })
    );
}

#[test]
fn a_removed_service_has_one_event_id_however_often_it_is_built() {
    let (first, second) =
        (origin().service_removed(&rollout(), &at(7)).unwrap(), origin().service_removed(&rollout(), &at(7)).unwrap());

    assert_eq!(first.cloud_event().unwrap(), second.cloud_event().unwrap());
    assert_eq!(first.id, uuid::Uuid::new_v5(&uuid::Uuid::parse_str(UID).unwrap(), b"removed").to_string());
    assert_eq!(first.subject, "shop/checkout");
}

#[test]
fn a_source_that_is_no_uri_reference_is_rejected() {
    let environment = Environment { id: "production".into(), source: None };

    for source in ["", "not a uri", "http://[half"] {
        let result = Origin::new(source, environment.clone(), GitKeys::default());

        assert!(matches!(result, Err(OriginError::Source { .. })), "{source:?}: {result:?}");
    }
}

#[test]
fn an_environment_without_an_id_or_with_a_bad_source_is_rejected() {
    let bad = |id: &str, source: Option<&str>| {
        Origin::new("/kulta", Environment { id: id.into(), source: source.map(Into::into) }, GitKeys::default())
    };

    assert!(matches!(bad("", None), Err(OriginError::Environment)));
    assert!(matches!(bad("production", Some("a b")), Err(OriginError::EnvironmentSource { .. })));
}

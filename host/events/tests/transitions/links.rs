//! Ids, chains and links between events, and their headers.

use kulta_api::{OutboxEntry, TransitionKind};
use kulta_events::{CdEvent, Subject};
use serde_json::json;

use crate::support::{UID, entry, map, origin, rollout, subject};

fn build(entry: &OutboxEntry, subject: &Subject) -> CdEvent {
    origin().event(entry, subject).unwrap()
}

fn of(kind: TransitionKind) -> CdEvent {
    build(&entry(kind), &subject())
}

fn id_of(sequence: u64) -> String {
    build(&OutboxEntry { seq: sequence, ..entry(TransitionKind::Paused) }, &subject()).id
}

#[test]
fn the_id_is_derived_from_the_rollouts_uid_and_the_sequence() {
    let namespace = uuid::Uuid::parse_str(UID).unwrap();

    let event = of(TransitionKind::Paused);

    assert_eq!(event.id, uuid::Uuid::new_v5(&namespace, b"7").to_string());
}

#[test]
fn a_uid_that_is_no_uuid_still_gives_each_sequence_its_own_id() {
    let mut subject = subject();
    subject.rollout.uid = "rollout-17".into();
    let other =
        Subject { rollout: kulta_events::RolloutId { uid: "rollout-18".into(), ..rollout() }, ..subject.clone() };

    let ids = [
        build(&entry(TransitionKind::Started), &subject).id,
        build(&entry(TransitionKind::Paused), &subject).id,
        build(&entry(TransitionKind::Paused), &other).id,
    ];

    assert_eq!(ids.iter().collect::<std::collections::BTreeSet<_>>().len(), 3);
}

#[test]
fn the_first_event_of_a_revision_links_to_its_trigger() {
    let mut subject = subject();
    subject.revision.annotations = map(&[("kulta.io/cdevents-parent-id", "upstream-1")]);

    let event = build(&entry(TransitionKind::Started), &subject);

    assert_eq!(
        event.body["context"]["links"],
        json!([{ "linkType": "RELATION", "linkKind": "TRIGGER", "target": { "contextId": "upstream-1" } }])
    );
}

#[test]
fn the_first_event_of_a_revision_without_a_trigger_has_no_links() {
    let event = of(TransitionKind::Started);

    assert_eq!(event.body["context"].get("links"), None);
}

#[test]
fn a_later_event_links_to_the_one_before_it() {
    let event = of(TransitionKind::Progressed);

    assert_eq!(event.body["context"]["links"], json!([{ "linkType": "PATH", "from": { "contextId": id_of(6) } }]));
}

#[test]
fn the_very_first_event_has_no_link_to_a_previous_one() {
    let entry = OutboxEntry { seq: 1, first: 0, ..entry(TransitionKind::Progressed) };

    let event = build(&entry, &subject());

    assert_eq!(event.body["context"].get("links"), None);
}

#[test]
fn the_finished_event_ends_the_chain() {
    let event = of(TransitionKind::Finished);

    let from = json!({ "contextId": id_of(6) });
    assert_eq!(
        event.body["context"]["links"],
        json!([{ "linkType": "PATH", "from": from }, { "linkType": "END", "from": from }])
    );
}

#[test]
fn all_events_of_a_revision_share_one_chain_and_the_next_revision_has_another() {
    let chain = |entry: &OutboxEntry| build(entry, &subject()).body["context"]["chainId"].clone();

    let started = chain(&entry(TransitionKind::Started));
    let finished = chain(&entry(TransitionKind::Finished));
    let next = chain(&OutboxEntry { seq: 9, first: 9, ..entry(TransitionKind::Started) });

    assert_eq!(started, finished);
    assert_ne!(started, next);
}

#[test]
fn a_chain_from_upstream_continues() {
    let chain = "6ca3f9c5-1cef-4ce0-861c-2456a69cf137";
    let mut subject = subject();
    subject.revision.annotations = map(&[("kulta.io/cdevents-chain-id", chain)]);

    let event = build(&entry(TransitionKind::Progressed), &subject);

    assert_eq!(event.body["context"]["chainId"], json!(chain));
}

#[test]
fn a_chain_annotation_that_is_no_uuid_is_ignored() {
    let mut subject = subject();
    subject.revision.annotations = map(&[("kulta.io/cdevents-chain-id", "build 17")]);

    let event = build(&entry(TransitionKind::Progressed), &subject);

    assert_eq!(event.body["context"]["chainId"], of(TransitionKind::Progressed).body["context"]["chainId"]);
}

#[test]
fn the_cloud_events_attributes_equal_the_cd_events_context() {
    let event = of(TransitionKind::ServiceUpgraded);

    let envelope = event.cloud_event().unwrap();

    assert_eq!(
        serde_json::to_value(&envelope).unwrap(),
        json!({
            "specversion": "1.0",
            "id": event.id,
            "source": "/clusters/eu-1/kulta",
            "type": "dev.cdevents.service.upgraded.0.3.0",
            "subject": "shop/checkout",
            "time": "2027-01-15T08:00:00Z",
            "datacontenttype": "application/json",
            "data": event.body,
        })
    );
}

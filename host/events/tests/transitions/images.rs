//! The image of a pod that is the artifact of an event.

use kulta_api::{OutboxEntry, TransitionKind};
use kulta_events::{CdEvent, Subject};
use serde_json::{Value, json};

use crate::support::{DIGEST, STABLE_DIGEST, entry, images, map, origin, subject};

const PROXY: &str = "ghcr.io/mesh/proxy:1.0";
const NEW_PROXY: &str = "ghcr.io/mesh/proxy:2.0";
const OLD: &str = "ghcr.io/acme/shop:1.0";
const NEW: &str = "ghcr.io/acme/shop:2.0";

/// A pod whose first container is a sidecar: this revision's images, and those of the stable one.
fn with_sidecar(revision: [&str; 2], stable: [&str; 2]) -> Subject {
    let mut subject = subject();
    let named = |[proxy, app]: [&str; 2]| images(&[("a-proxy", proxy), ("app", app)]);
    subject.revision.images = named(revision);
    subject.revision.digests = map(&[("app", DIGEST), ("a-proxy", STABLE_DIGEST)]);
    let stable_revision = subject.stable.as_mut().unwrap();
    stable_revision.images = named(stable);
    stable_revision.digests = map(&[("app", STABLE_DIGEST), ("a-proxy", DIGEST)]);
    subject
}

fn of(kind: TransitionKind, subject: &Subject) -> CdEvent {
    origin().event(&entry(kind), subject).unwrap()
}

fn artifact(event: &CdEvent) -> &str {
    event.body["subject"]["content"]["artifactId"].as_str().unwrap()
}

fn purl(name: &str, digest: &str, path: &str, tag: &str) -> String {
    format!("pkg:oci/{name}@{}?repository_url=ghcr.io/{path}&tag={tag}", digest.replace(':', "%3A"))
}

#[test]
fn the_artifact_is_the_changed_image_in_any_container() {
    let subject = with_sidecar([PROXY, NEW], [PROXY, OLD]);

    for kind in [TransitionKind::Started, TransitionKind::ServiceUpgraded] {
        assert_eq!(artifact(&of(kind, &subject)), purl("shop", DIGEST, "acme/shop", "2.0"), "{kind:?}");
    }
}

#[test]
fn the_replaced_artifact_is_the_image_of_the_same_container() {
    let event = of(TransitionKind::Started, &with_sidecar([PROXY, NEW], [PROXY, OLD]));

    let previous = &event.body["subject"]["content"]["previousArtifactId"];
    assert_eq!(*previous, json!(purl("shop", STABLE_DIGEST, "acme/shop", "1.0")));
}

#[test]
fn the_restored_artifact_is_the_image_of_the_changed_container() {
    let event = of(TransitionKind::ServiceRolledBack, &with_sidecar([PROXY, NEW], [PROXY, OLD]));

    assert_eq!(artifact(&event), purl("shop", STABLE_DIGEST, "acme/shop", "1.0"));
}

#[test]
fn of_several_changed_images_the_first_is_the_artifact_and_all_are_listed() {
    let event = of(TransitionKind::ServiceUpgraded, &with_sidecar([NEW_PROXY, NEW], [PROXY, OLD]));

    let told = event.body["customData"]["kulta"]["changedImages"].as_array().unwrap();
    let fields = |one: &Value| ["container", "image", "previousImage"].map(|field| one[field].clone());
    assert_eq!(artifact(&event), purl("proxy", STABLE_DIGEST, "mesh/proxy", "2.0"));
    assert_eq!(
        told.iter().map(fields).collect::<Vec<_>>(),
        [[json!("a-proxy"), json!(NEW_PROXY), json!(PROXY)], [json!("app"), json!(NEW), json!(OLD)]]
    );
}

#[test]
fn an_annotation_names_the_container_of_the_artifact() {
    let mut subject = with_sidecar([NEW_PROXY, NEW], [PROXY, OLD]);
    subject.revision.annotations = map(&[("kulta.io/artifact-container", "app")]);

    let event = of(TransitionKind::ServiceUpgraded, &subject);

    assert_eq!(artifact(&event), purl("shop", DIGEST, "acme/shop", "2.0"));
}

#[test]
fn an_annotation_with_an_unknown_container_is_ignored() {
    let mut subject = with_sidecar([PROXY, NEW], [PROXY, OLD]);
    subject.revision.annotations = map(&[("kulta.io/artifact-container", "gone")]);

    let event = of(TransitionKind::ServiceUpgraded, &subject);

    assert_eq!(artifact(&event), purl("shop", DIGEST, "acme/shop", "2.0"));
}

#[test]
fn without_a_changed_image_the_first_containers_is_the_artifact() {
    let event = of(TransitionKind::ServiceUpgraded, &with_sidecar([PROXY, OLD], [PROXY, OLD]));

    assert_eq!(artifact(&event), purl("proxy", STABLE_DIGEST, "mesh/proxy", "1.0"));
    assert_eq!(event.body["customData"]["kulta"].get("changedImages"), None);
}

#[test]
fn a_first_version_lists_all_of_its_images() {
    let mut subject = with_sidecar([PROXY, NEW], [PROXY, OLD]);
    subject.stable = None;
    let mut entry = entry(TransitionKind::ServiceDeployed);
    entry.stable = None;

    let event = origin().event(&entry, &subject).unwrap();

    let told = event.body["customData"]["kulta"]["changedImages"].as_array().unwrap();
    assert_eq!(told.iter().map(|one| &one["image"]).collect::<Vec<_>>(), [PROXY, NEW]);
}

#[test]
fn an_event_has_no_artifact_if_the_changed_image_is_unknown() {
    let mut unseen = with_sidecar([PROXY, NEW], [PROXY, OLD]);
    unseen.stable.as_mut().unwrap().images = Vec::new();
    let stable_itself = OutboxEntry { stable: Some("7c9d8b6f5d".into()), ..entry(TransitionKind::Paused) };

    let events = [
        of(TransitionKind::Paused, &unseen),
        origin().event(&stable_itself, &with_sidecar([PROXY, NEW], [PROXY, NEW])).unwrap(),
    ];

    for event in events {
        assert_eq!(event.body["subject"]["content"].get("artifactId"), None);
    }
}

#[test]
fn an_analysis_event_has_no_artifact_if_the_changed_image_is_unknown() {
    let mut entry = entry(TransitionKind::AnalysisStarted);
    entry.stable = None;
    let mut subject = with_sidecar([PROXY, NEW], [PROXY, OLD]);
    subject.stable = None;

    let event = origin().event(&entry, &subject).unwrap();

    assert_eq!(event.body["customData"]["kulta"].get("image"), None);
}

//! The specification's schemas, and entries and subjects to build events from.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use jsonschema::{Registry, Validator};
use kulta_api::{ContainerImage, FailureKind, OutboxEntry, Outcome, Time, TransitionKind};
use kulta_events::{Environment, GitKeys, Origin, Revision, RolloutId, Subject};
use serde_json::Value;

pub const UID: &str = "0b9d3c1e-52f4-4d4e-9a53-3f2f2c1f7a10";
pub const DIGEST: &str = "sha256:0b31b1c02ff458ad9b7b81cbdf8f028bd54699fa151f221d1e8de6817db93427";
pub const STABLE_DIGEST: &str = "sha256:5d20c808ce198565ff70b3ed23a991dd49afac45dece63474b27ce6ed036adc6";
pub const ARTIFACT: &str = "pkg:oci/shop@sha256%3A0b31b1c02ff458ad9b7b81cbdf8f028bd54699fa151f221d1e8de6817db93427\
                            ?repository_url=ghcr.io/acme/shop&tag=2.0";
pub const STABLE_ARTIFACT: &str = "pkg:oci/shop@sha256%3A5d20c808ce198565ff70b3ed23a991dd49afac45dece63474b27ce6ed036adc6\
                                   ?repository_url=ghcr.io/acme/shop&tag=1.0";

pub const KINDS: [TransitionKind; 12] = [
    TransitionKind::Started,
    TransitionKind::Progressed,
    TransitionKind::Paused,
    TransitionKind::Resumed,
    TransitionKind::Promoted,
    TransitionKind::Finished,
    TransitionKind::ServiceDeployed,
    TransitionKind::ServiceUpgraded,
    TransitionKind::ServiceRolledBack,
    TransitionKind::AnalysisStarted,
    TransitionKind::MetricFinished,
    TransitionKind::AnalysisFinished,
];

/// The folder with the specification's schemas and conformance samples.
pub fn specification() -> PathBuf {
    std::env::var_os("CDEVENTS_SCHEMAS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/cdevents"), PathBuf::from)
}

pub fn json(path: &Path) -> Value {
    let text = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).unwrap()
}

pub fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()).collect();
    files.sort();
    files
}

/// Event type → validator; all custom events share one schema.
pub struct Schemas {
    standard: BTreeMap<String, Validator>,
    custom: Validator,
}

impl Schemas {
    pub fn load() -> Self {
        let folder = specification();
        let mut registry = Registry::new();
        for path in files(&folder.join("schemas/links")) {
            let schema = json(&path);
            let id = schema["$id"].as_str().unwrap().to_owned();
            registry = registry.add(id, schema).unwrap();
        }
        let registry = registry.prepare().unwrap();
        let compile = |schema: &Value| {
            jsonschema::options().with_registry(&registry).should_validate_formats(true).build(schema).unwrap()
        };
        let standard = files(&folder.join("schemas"))
            .iter()
            .map(|path| json(path))
            .map(|schema| {
                let types = schema["properties"]["context"]["properties"]["type"]["enum"].clone();
                (types[0].as_str().unwrap().to_owned(), compile(&schema))
            })
            .collect();
        Self { standard, custom: compile(&json(&folder.join("custom/schema.json"))) }
    }

    /// Violations of the schema of the event's own type.
    pub fn errors(&self, event: &Value) -> Vec<String> {
        let name = event["context"]["type"].as_str().unwrap();
        let validator = if name.starts_with("dev.cdeventsx.") {
            &self.custom
        } else {
            self.standard.get(name).unwrap_or_else(|| panic!("no schema for {name}"))
        };
        validator.iter_errors(event).map(|error| format!("{}: {error}", error.instance_path())).collect()
    }
}

pub fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

pub fn images(pairs: &[(&str, &str)]) -> Vec<ContainerImage> {
    pairs
        .iter()
        .map(|(container, image)| ContainerImage { container: (*container).to_owned(), image: (*image).to_owned() })
        .collect()
}

pub fn origin() -> Origin {
    let environment = Environment { id: "production".into(), source: Some("/clusters/eu-1".into()) };
    Origin::new("/clusters/eu-1/kulta", environment, GitKeys::default()).unwrap()
}

pub fn rollout() -> RolloutId {
    RolloutId { namespace: "shop".into(), name: "checkout".into(), uid: UID.into() }
}

pub fn subject() -> Subject {
    Subject {
        rollout: rollout(),
        strategy: "canary".into(),
        revision: Revision {
            images: images(&[("shop", "ghcr.io/acme/shop:2.0")]),
            digests: map(&[("shop", DIGEST)]),
            annotations: map(&[("kulta.io/git-commit", "2222222")]),
            template_annotations: BTreeMap::new(),
        },
        stable: Some(Revision {
            images: images(&[("shop", "ghcr.io/acme/shop:1.0")]),
            digests: map(&[("shop", STABLE_DIGEST)]),
            annotations: map(&[("kulta.io/git-commit", "1111111")]),
            template_annotations: BTreeMap::new(),
        }),
    }
}

pub fn at(second: i64) -> Time {
    Time(jiff::Timestamp::from_second(second).unwrap())
}

/// A transition of a revision that began with sequence 5.
pub fn entry(kind: TransitionKind) -> OutboxEntry {
    let finished = kind == TransitionKind::Finished;
    OutboxEntry {
        seq: if kind == TransitionKind::Started { 5 } else { 7 },
        kind,
        at: at(1_800_000_000),
        hash: "7c9d8b6f5d".into(),
        revision: Some(2),
        stable: Some("66d5c4b7f9".into()),
        step: Some(1),
        steps: Some(4),
        weight: Some(20),
        from: Some(10),
        outcome: finished.then_some(Outcome::Failure),
        failure: finished.then_some(FailureKind::Deployment),
        run: None,
        metric: None,
        cause: None,
        why: finished.then(|| "progress deadline".into()),
        first: 5,
    }
}

//! Builds a CDEvent from an outbox entry.

use cdevents_sdk::spec_0_5_1::{service_deployed, service_removed};
pub use cloudevents::event::EventBuilderError as EnvelopeError;
use cloudevents::{EventBuilder, EventBuilderV10};
use kulta_api::{ContainerImage, OutboxEntry, Time, TransitionKind};
use serde_json::{Map, Value, json};

use crate::analysis;
use crate::ids::Ids;
use crate::kinds::{Content, Field, SERVICE_REMOVED, Side, event_type};
use crate::subject::{CHAIN_ID, Origin, PARENT_ID, Revision, RolloutId, Subject};

/// The CDEvents version of `body`.
const SPEC_VERSION: &str = "0.5.1";
/// The content type of a CDEvent.
const DATA_CONTENT_TYPE: &str = "application/json";
/// RFC 3339 in whole seconds, as in the status: an entry gives the same event before and after it is stored.
const TIME_FORMAT: &str = "%Y-%m-%dT%H:%M:%SZ";
/// The outbox's number of its first transition.
const FIRST_SEQUENCE: u64 = 1;
/// The key under `customData` for the controller's own facts; enrichers cannot write it.
const OWN_DATA: &str = "kulta";
/// The kind of a link to the event that began this chain.
const TRIGGER: &str = "TRIGGER";
/// The kind of a link to the event that caused this one.
const CAUSED_BY: &str = "causedBy";

/// A CDEvent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CdEvent {
    pub id: String,
    pub event_type: &'static str,
    pub source: String,
    /// The subject's id.
    pub subject: String,
    /// RFC 3339.
    pub time: String,
    /// The whole event: context, subject and customData.
    pub body: Value,
}

#[derive(Debug, thiserror::Error)]
pub enum EventError {
    #[error("transition {sequence}: the rollback names no stable revision that is known")]
    StableUnknown { sequence: u64 },
    #[error("transition {sequence}: revision {hash} has neither an image nor an artifact annotation")]
    NoArtifact { sequence: u64, hash: String },
    #[error("writing the event's content")]
    Content(#[from] serde_json::Error),
    #[error("naming the event's environment or artifact")]
    Value(#[from] cdevents_sdk::Error),
}

impl CdEvent {
    /// The CloudEvent around it: its attributes equal the CDEvent's context, and its data is the whole CDEvent.
    ///
    /// # Errors
    /// If CloudEvents cannot represent the time.
    pub fn cloud_event(&self) -> Result<cloudevents::Event, EnvelopeError> {
        EventBuilderV10::new()
            .id(&self.id)
            .source(&self.source)
            .ty(self.event_type)
            .subject(&self.subject)
            .time(self.time.as_str())
            .data(DATA_CONTENT_TYPE, self.body.clone())
            .build()
    }

    /// Adds an enricher's facts under its name, next to KULTA's own.
    pub fn add(&mut self, name: &str, facts: Value) {
        if name == OWN_DATA {
            return;
        }
        if let Some(data) = self.body.get_mut("customData").and_then(Value::as_object_mut) {
            data.insert(name.to_owned(), facts);
        }
    }
}

impl Origin {
    /// The event of a stored transition.
    ///
    /// # Errors
    /// If the event's type requires an artifact and the revision's is unknown. A retry does not help, unless the
    /// revision's ReplicaSet was not yet in the cache.
    pub fn event(&self, entry: &OutboxEntry, subject: &Subject) -> Result<CdEvent, EventError> {
        let described = event_type(entry.kind);
        let ids = Ids::of(&subject.rollout.uid);
        let stable = subject.stable.as_ref().zip(entry.stable.as_deref());
        let previous = stable.filter(|(_, hash)| *hash != entry.hash);
        // The revision that this one replaces: `Some(None)` if it is the first, `None` if it is unknown.
        let replaced = match (stable, previous) {
            (None, _) => Some(None),
            (Some(_), Some((revision, _))) if !revision.images.is_empty() => Some(Some(revision)),
            (Some(_), _) => None,
        };
        let container = match (described.content, replaced) {
            (Content::Rollout(_) | Content::Service(_), Some(other)) => subject.revision.artifact_container(other),
            // It must name an artifact.
            (Content::Service(_), None) => subject.revision.artifact_container(None),
            // The entry of an analysis has no replaced revision.
            (Content::Rollout(_), None) | (Content::SuiteRun(_) | Content::CaseRun, _) => {
                subject.revision.certain_container()
            }
        };
        let this = NamedRevision { revision: &subject.revision, hash: &entry.hash, container };
        let stable = stable.map(|(revision, hash)| NamedRevision {
            revision,
            hash,
            // The same container as for this revision, so that the two artifacts are comparable.
            container: container
                .and_then(|one| revision.container(&one.container))
                .or_else(|| revision.artifact_container(None)),
        });
        let previous = stable.filter(|stable| stable.hash != this.hash);
        let changed = |named: NamedRevision<'_>, other| replaced.and_then(|_| named.changed_images(other));

        let (subject_id, content, custom) = match described.content {
            Content::Rollout(fields) => (
                format!("{}/{}", subject.rollout.uid, entry.hash),
                self.rollout_content(fields, entry, subject, this, previous),
                self.custom_data(entry, &subject.rollout, this, None, changed(this, previous)),
            ),
            Content::SuiteRun(stage) => (
                analysis::run_id(entry, &subject.rollout),
                self.suite_run_content(stage, entry, &subject.rollout),
                self.custom_data(entry, &subject.rollout, this, None, None),
            ),
            Content::CaseRun => (
                analysis::case_id(entry, &subject.rollout),
                self.case_run_content(entry, &subject.rollout),
                self.custom_data(entry, &subject.rollout, this, None, None),
            ),
            Content::Service(side) => {
                let (serving, beside) = match side {
                    Side::Revision => (this, previous.map(|previous| ("previous", previous))),
                    Side::Stable => {
                        let stable = stable.ok_or(EventError::StableUnknown { sequence: entry.seq })?;
                        (stable, Some(("failed", this)))
                    }
                };
                (
                    service_id(&subject.rollout),
                    self.service_content(entry, serving)?,
                    self.custom_data(
                        entry,
                        &subject.rollout,
                        serving,
                        beside,
                        changed(serving, beside.map(|(_, other)| other)),
                    ),
                )
            }
        };
        let id = ids.event(entry.seq);
        let mut context = self.context(&id, described.name, &entry.at);
        let chain = subject.revision.annotation(CHAIN_ID).filter(|chain| uuid::Uuid::try_parse(chain).is_ok());
        let chain = chain.map_or_else(|| ids.chain(entry.first), str::to_owned);
        context.insert("chainId".into(), chain.into());
        let links = links(entry, &ids, subject.revision.annotation(PARENT_ID));
        if !links.is_empty() {
            context.insert("links".into(), links.into());
        }
        Ok(self.assemble(described.name, context, subject_id, content, custom))
    }

    /// The event of a deleted Rollout, which stores no transition: at most one for each uid.
    ///
    /// # Errors
    /// None for a checked [`Origin`]; errors of the encoder are returned.
    pub fn service_removed(&self, rollout: &RolloutId, at: &Time) -> Result<CdEvent, EventError> {
        let environment = service_removed::ContentEnvironment {
            id: self.environment.id.as_str().try_into()?,
            source: self.environment.source.as_deref().map(TryInto::try_into).transpose()?,
        };
        let content = serde_json::to_value(service_removed::Content { environment: Some(environment) })?;
        let context = self.context(&Ids::of(&rollout.uid).removed(), SERVICE_REMOVED, at);
        let custom = json!({ "kulta": { "namespace": rollout.namespace, "name": rollout.name } });
        Ok(self.assemble(SERVICE_REMOVED, context, service_id(rollout), content, custom))
    }

    fn context(&self, id: &str, event_type: &str, at: &Time) -> Map<String, Value> {
        let time = at.0.strftime(TIME_FORMAT).to_string();
        [
            ("specversion", SPEC_VERSION),
            ("id", id),
            ("source", self.source.as_str()),
            ("type", event_type),
            ("timestamp", &time),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), Value::from(value)))
        .collect()
    }

    fn rollout_content(
        &self,
        fields: &[Field],
        entry: &OutboxEntry,
        subject: &Subject,
        this: NamedRevision<'_>,
        previous: Option<NamedRevision<'_>>,
    ) -> Value {
        let common = [
            ("rollout", Some(subject.rollout.name.as_str().into())),
            ("namespace", Some(subject.rollout.namespace.as_str().into())),
            ("revision", entry.revision.map(Value::from)),
            ("environment", Some(self.environment_json())),
            ("artifactId", this.artifact_id().map(Value::from)),
        ];
        let own = fields.iter().map(|field| match field {
            Field::Strategy => ("strategy", Some(subject.strategy.as_str().into())),
            Field::PreviousArtifact => {
                ("previousArtifactId", previous.and_then(|previous| previous.artifact_id()).map(Value::from))
            }
            Field::StepIndex => ("stepIndex", entry.step.map(Value::from)),
            Field::Steps => ("steps", entry.steps.map(Value::from)),
            Field::Weight => ("weight", entry.weight.map(Value::from)),
            Field::PreviousWeight => ("previousWeight", entry.from.map(Value::from)),
            Field::Outcome => ("outcome", entry.outcome.map(|outcome| outcome.as_str().into())),
            Field::FailureType => ("failureType", entry.failure.map(|failure| failure.as_str().into())),
            Field::Reason => ("reason", entry.why.as_deref().map(Value::from)),
        });
        object(common.into_iter().chain(own))
    }

    /// The three `service.*` events have one shape.
    fn service_content(&self, entry: &OutboxEntry, serving: NamedRevision<'_>) -> Result<Value, EventError> {
        let artifact = serving
            .artifact_id()
            .ok_or_else(|| EventError::NoArtifact { sequence: entry.seq, hash: serving.hash.to_owned() })?;
        let environment = service_deployed::ContentEnvironment {
            id: self.environment.id.as_str().try_into()?,
            source: self.environment.source.as_deref().map(TryInto::try_into).transpose()?,
        };
        Ok(serde_json::to_value(service_deployed::Content { artifact_id: artifact.try_into()?, environment })?)
    }

    fn custom_data(
        &self,
        entry: &OutboxEntry,
        rollout: &RolloutId,
        named: NamedRevision<'_>,
        beside: Option<(&'static str, NamedRevision<'_>)>,
        changed: Option<Value>,
    ) -> Value {
        let kulta = [
            ("namespace", Some(rollout.namespace.as_str().into())),
            ("name", Some(rollout.name.as_str().into())),
            ("sequence", Some(entry.seq.into())),
        ];
        let beside = beside.map(|(name, other)| {
            let artifact = ("artifactId", other.artifact_id().map(Value::from));
            let git = ("git", self.git_json(other.revision));
            (name, Some(object(other.facts(entry).into_iter().chain([artifact, git]))))
        });
        let changed = ("changedImages", changed);
        let kulta = object(kulta.into_iter().chain(named.facts(entry)).chain(beside).chain([changed]));
        object([("kulta", Some(kulta)), ("git", self.git_json(named.revision))])
    }

    fn git_json(&self, revision: &Revision) -> Option<Value> {
        Some(revision.git(&self.git)).filter(|git| !git.is_empty()).map(Value::Object)
    }

    fn assemble(
        &self,
        event_type: &'static str,
        context: Map<String, Value>,
        subject: String,
        content: Value,
        custom_data: Value,
    ) -> CdEvent {
        let text = |name: &str| context.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        CdEvent {
            id: text("id"),
            event_type,
            source: self.source.as_str().to_owned(),
            time: text("timestamp"),
            body: json!({
                "context": context,
                "subject": { "id": subject, "source": self.source.as_str(), "content": content },
                "customData": custom_data,
            }),
            subject,
        }
    }
}

/// A revision, under the hash of the entry.
#[derive(Clone, Copy)]
struct NamedRevision<'a> {
    revision: &'a Revision,
    hash: &'a str,
    /// The container whose image is the artifact.
    container: Option<&'a ContainerImage>,
}

impl NamedRevision<'_> {
    /// A rollback gives a revision another number: only the number of the transition's own revision is certain.
    fn facts(self, entry: &OutboxEntry) -> [(&'static str, Option<Value>); 4] {
        [
            ("hash", Some(self.hash.into())),
            ("revision", entry.revision.filter(|_| self.hash == entry.hash).map(Value::from)),
            ("container", self.container.map(|one| one.container.as_str().into())),
            ("image", self.container.map(|one| one.image.as_str().into())),
        ]
    }

    fn artifact_id(self) -> Option<String> {
        self.revision.artifact_id(self.container)
    }

    /// Every image of this revision that differs from `other`'s, with `other`'s image.
    fn changed_images(self, other: Option<NamedRevision<'_>>) -> Option<Value> {
        let other = other.map(|other| other.revision);
        let changed = self.revision.changed(other).into_iter().map(|one| {
            let previous = other.and_then(|other| other.container(&one.container));
            object([
                ("container", Some(one.container.as_str().into())),
                ("image", Some(one.image.as_str().into())),
                ("artifactId", self.revision.purl(one).map(Value::from)),
                ("previousImage", previous.map(|previous| previous.image.as_str().into())),
            ])
        });
        Some(changed.collect::<Vec<_>>()).filter(|changed| !changed.is_empty()).map(Value::from)
    }
}

/// The first event of a revision links to its trigger, each later one to the one before, a failure's to the failed
/// analysis, and the last one ends the chain.
fn links(entry: &OutboxEntry, ids: &Ids, parent: Option<&str>) -> Vec<Value> {
    // A rollout that was adopted midway may have no first event.
    let follows = entry.seq > entry.first.max(FIRST_SEQUENCE);
    let from = follows.then(|| json!({ "contextId": ids.event(entry.seq - 1) }));
    let mut links = Vec::new();
    match (&from, parent) {
        (Some(from), _) => links.push(json!({ "linkType": "PATH", "from": from })),
        (None, Some(parent)) => {
            links.push(json!({ "linkType": "RELATION", "linkKind": TRIGGER, "target": { "contextId": parent } }));
        }
        (None, None) => {}
    }
    if let Some(cause) = entry.cause {
        let target = json!({ "contextId": ids.event(cause) });
        links.push(json!({ "linkType": "RELATION", "linkKind": CAUSED_BY, "target": target }));
    }
    if entry.kind == TransitionKind::Finished {
        links.push(object([("linkType", Some("END".into())), ("from", from)]));
    }
    links
}

fn service_id(rollout: &RolloutId) -> String {
    format!("{}/{}", rollout.namespace, rollout.name)
}

/// A JSON object of the members that have a value.
pub(crate) fn object(members: impl IntoIterator<Item = (&'static str, Option<Value>)>) -> Value {
    members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect::<Map<_, _>>().into()
}

//! An outbox entry becomes a CDEvent.

use cdevents_sdk::spec_0_5_1::{service_deployed, service_removed};
pub use cloudevents::event::EventBuilderError as EnvelopeError;
use cloudevents::{EventBuilder, EventBuilderV10};
use kulta_api::{ContainerImage, OutboxEntry, Time, TransitionKind};
use serde_json::{Map, Value, json};

use crate::analysis;
use crate::ids::Ids;
use crate::kinds::{Content, Field, SERVICE_REMOVED, Side, event_type};
use crate::subject::{CHAIN_ID, Origin, PARENT_ID, Revision, RolloutId, Subject};

/// The version of CDEvents that `body` follows.
const SPEC_VERSION: &str = "0.5.1";
/// The content type of a CDEvent.
const DATA_CONTENT_TYPE: &str = "application/json";
/// RFC 3339 in whole seconds, as the status stores times: an entry is the same event before and after it was stored.
const TIME_FORMAT: &str = "%Y-%m-%dT%H:%M:%SZ";
/// What an outbox numbers its first transition.
const FIRST_SEQUENCE: u64 = 1;
/// Under `customData`: what the controller itself knows. Nobody else writes there.
const OWN_DATA: &str = "kulta";
/// How a link names the event that began this chain.
const TRIGGER: &str = "TRIGGER";
/// How a link names the event that made this one necessary.
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
    /// The CloudEvent that carries it: the attributes say the same as the CDEvent's context, and the data is the whole CDEvent.
    ///
    /// # Errors
    /// When the time is none that CloudEvents can write.
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

    /// Puts facts beside KULTA's own, under the name of whoever knows them.
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
    /// When the event's type asks for an artifact and nothing is known of the revision that it is about. The entry will not get
    /// better by waiting, unless the revision's ReplicaSet was merely not seen yet.
    pub fn event(&self, entry: &OutboxEntry, subject: &Subject) -> Result<CdEvent, EventError> {
        let described = event_type(entry.kind);
        let ids = Ids::of(&subject.rollout.uid);
        let stable = subject.stable.as_ref().zip(entry.stable.as_deref());
        let previous = stable.filter(|(_, hash)| *hash != entry.hash);
        // What the revision replaces, nothing if it is the first; `None` when that is not known.
        let replaced = match (stable, previous) {
            (None, _) => Some(None),
            (Some(_), Some((revision, _))) if !revision.images.is_empty() => Some(Some(revision)),
            (Some(_), _) => None,
        };
        let container = match (described.content, replaced) {
            (Content::Rollout(_) | Content::Service(_), Some(other)) => subject.revision.artifact_container(other),
            // It must name an artifact.
            (Content::Service(_), None) => subject.revision.artifact_container(None),
            // The entry of an analysis does not say what its revision replaces.
            (Content::Rollout(_), None) | (Content::SuiteRun(_) | Content::CaseRun, _) => {
                subject.revision.certain_container()
            }
        };
        let this = Told { revision: &subject.revision, hash: &entry.hash, container };
        let stable = stable.map(|(revision, hash)| Told {
            revision,
            hash,
            // The same container as that of this revision, so that the two artifacts are of one kind.
            container: container
                .and_then(|one| revision.container(&one.container))
                .or_else(|| revision.artifact_container(None)),
        });
        let previous = stable.filter(|stable| stable.hash != this.hash);
        let changed = |told: Told<'_>, other| replaced.and_then(|_| told.changed_images(other));

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
    /// None that a checked [`Origin`] can cause; the writer's own are passed on.
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
        this: Told<'_>,
        previous: Option<Told<'_>>,
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

    /// The three `service.*` events that follow a transition have one shape.
    fn service_content(&self, entry: &OutboxEntry, serving: Told<'_>) -> Result<Value, EventError> {
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
        told: Told<'_>,
        beside: Option<(&'static str, Told<'_>)>,
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
        let kulta = object(kulta.into_iter().chain(told.facts(entry)).chain(beside).chain([changed]));
        object([("kulta", Some(kulta)), ("git", self.git_json(told.revision))])
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

/// A revision under the hash by which the entry names it.
#[derive(Clone, Copy)]
struct Told<'a> {
    revision: &'a Revision,
    hash: &'a str,
    /// Whose image is the artifact.
    container: Option<&'a ContainerImage>,
}

impl Told<'_> {
    /// A roll back gives a revision another number: only that of the transition's own one is known for good.
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

    /// Every image of this revision that `other` has not, with what that one has in its place.
    fn changed_images(self, other: Option<Told<'_>>) -> Option<Value> {
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

/// The first event of a revision points to what triggered it, each later one to the one before, those of a failure to the analysis
/// that failed, and the last ends the chain.
fn links(entry: &OutboxEntry, ids: &Ids, parent: Option<&str>) -> Vec<Value> {
    // A rollout that was taken over midway may have no beginning.
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

/// An object of the members that have a value.
pub(crate) fn object(members: impl IntoIterator<Item = (&'static str, Option<Value>)>) -> Value {
    members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect::<Map<_, _>>().into()
}

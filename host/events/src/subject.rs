//! Facts for an event in addition to the outbox entry.

use std::collections::BTreeMap;

use cdevents_sdk::UriReference;
use kulta_api::ContainerImage;
use serde_json::{Map, Value, json};

use crate::artifact::purl;

/// Annotation that replaces the computed purl, byte for byte.
pub const ARTIFACT_ID: &str = "kulta.io/artifact-id";
/// Annotation that names the container whose image is the artifact.
pub const ARTIFACT_CONTAINER: &str = "kulta.io/artifact-container";
/// Annotation with the chain id (a UUID) that GitOps or CI began and this rollout continues.
pub const CHAIN_ID: &str = "kulta.io/cdevents-chain-id";
/// Annotation with the id of the event that triggered this rollout.
pub const PARENT_ID: &str = "kulta.io/cdevents-parent-id";
/// Annotation with the git commit, by default.
pub const GIT_COMMIT: &str = "kulta.io/git-commit";
/// Annotation with the git repository's URL, by default.
pub const GIT_REPOSITORY: &str = "kulta.io/git-repository";
/// The same two, as image builders write them.
const OCI_REVISION: &str = "org.opencontainers.image.revision";
const OCI_SOURCE: &str = "org.opencontainers.image.source";

/// The environment of all rollouts; the same in all events, because dashboards filter by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    pub id: String,
    /// A URI reference.
    pub source: Option<String>,
}

/// Annotation keys for a revision's git commit and repository; the first with a value wins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitKeys {
    pub commit: Vec<String>,
    pub repository: Vec<String>,
}

impl Default for GitKeys {
    fn default() -> Self {
        let keys = |keys: [&str; 2]| keys.map(str::to_owned).to_vec();
        Self { commit: keys([GIT_COMMIT, OCI_REVISION]), repository: keys([GIT_REPOSITORY, OCI_SOURCE]) }
    }
}

/// The settings of the controller for all events, validated once.
#[derive(Clone, Debug)]
pub struct Origin {
    pub(crate) source: UriReference,
    pub(crate) environment: Environment,
    pub(crate) git: GitKeys,
}

#[derive(Debug, thiserror::Error)]
pub enum OriginError {
    #[error("event source {source_text:?} is not a URI reference such as \"/clusters/eu-1/kulta\"")]
    Source { source_text: String },
    #[error("the environment id is empty")]
    Environment,
    #[error("environment source {source_text:?} is not a URI reference such as \"/clusters/eu-1\"")]
    EnvironmentSource { source_text: String },
}

impl Origin {
    /// # Errors
    /// If an event would violate its schema: `source` or the environment's source is not a URI reference, or an id is
    /// empty.
    pub fn new(source: &str, environment: Environment, git: GitKeys) -> Result<Self, OriginError> {
        let source = uri_reference(source).ok_or_else(|| OriginError::Source { source_text: source.to_owned() })?;
        if environment.id.is_empty() {
            return Err(OriginError::Environment);
        }
        if let Some(text) = environment.source.as_deref().filter(|text| uri_reference(text).is_none()) {
            return Err(OriginError::EnvironmentSource { source_text: text.to_owned() });
        }
        Ok(Self { source, environment, git })
    }

    pub(crate) fn environment_json(&self) -> Value {
        match &self.environment.source {
            Some(source) => json!({ "id": self.environment.id, "source": source }),
            None => json!({ "id": self.environment.id }),
        }
    }
}

/// The schemas require at least one character, which the grammar does not.
fn uri_reference(text: &str) -> Option<UriReference> {
    Some(text).filter(|text| !text.is_empty()).and_then(|text| UriReference::try_from(text).ok())
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RolloutId {
    pub namespace: String,
    pub name: String,
    pub uid: String,
}

/// The rollout and the two revisions of an entry's hashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    pub rollout: RolloutId,
    /// The strategy's name, such as `canary`.
    pub strategy: String,
    /// The revision of `OutboxEntry::hash`.
    pub revision: Revision,
    /// The revision of `OutboxEntry::stable`.
    pub stable: Option<Revision>,
}

/// Facts about a revision; all may be missing if its ReplicaSet is gone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revision {
    /// The images of the pod template, in its order.
    pub images: Vec<ContainerImage>,
    /// Digests of images, `sha256:…`, by container, from other sources such as a pod's status.
    pub digests: BTreeMap<String, String>,
    /// The Rollout's annotations, from the copy in the revision's ReplicaSet, so that each revision has its own.
    pub annotations: BTreeMap<String, String>,
    pub template_annotations: BTreeMap<String, String>,
}

impl Revision {
    /// The container whose image is the artifact: the one that the annotation names, else the first whose image differs
    /// from `other`'s, else the first.
    pub(crate) fn artifact_container(&self, other: Option<&Self>) -> Option<&ContainerImage> {
        let changed = || other.and_then(|other| self.changed(Some(other)).into_iter().next());
        self.named_container().or_else(changed).or_else(|| self.images.first())
    }

    /// The same if the replaced revision is unknown.
    pub(crate) fn certain_container(&self) -> Option<&ContainerImage> {
        let only = || self.images.first().filter(|_| self.images.len() == 1);
        self.named_container().or_else(only)
    }

    fn named_container(&self) -> Option<&ContainerImage> {
        self.container(self.first_of(&[ARTIFACT_CONTAINER])?)
    }

    pub(crate) fn container(&self, name: &str) -> Option<&ContainerImage> {
        self.images.iter().find(|one| one.container == name)
    }

    /// The images that differ from `other`'s image of the same container; all without another revision, and none if
    /// that one is unknown.
    pub(crate) fn changed(&self, other: Option<&Self>) -> Vec<&ContainerImage> {
        let differs = |one: &&ContainerImage| {
            other.is_none_or(|other| other.container(&one.container).is_none_or(|before| before.image != one.image))
        };
        let unknown = other.is_some_and(|other| other.images.is_empty());
        self.images.iter().filter(|_| !unknown).filter(differs).collect()
    }

    /// The annotation's value or the purl of this image.
    pub(crate) fn artifact_id(&self, image: Option<&ContainerImage>) -> Option<String> {
        let named = self.first_of(&[ARTIFACT_ID]).map(str::to_owned);
        named.or_else(|| self.purl(image?))
    }

    pub(crate) fn purl(&self, image: &ContainerImage) -> Option<String> {
        purl(&image.image, self.digests.get(&image.container).map(String::as_str))
    }

    /// A value that only the Rollout's own annotations may set.
    pub(crate) fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.get(key).map(String::as_str).filter(|value| !value.is_empty())
    }

    pub(crate) fn git(&self, keys: &GitKeys) -> Map<String, Value> {
        [("commit", self.first_of(&keys.commit)), ("repository", self.first_of(&keys.repository))]
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), Value::from(value?))))
            .collect()
    }

    fn first_of(&self, keys: &[impl AsRef<str>]) -> Option<&str> {
        [&self.annotations, &self.template_annotations]
            .into_iter()
            .flat_map(|annotations| keys.iter().filter_map(|key| annotations.get(key.as_ref())))
            .map(String::as_str)
            .find(|value| !value.is_empty())
    }
}

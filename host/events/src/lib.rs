//! Builds CDEvents 0.5.1 from a rollout's transitions. A pure function: the same transition gives the same bytes, also
//! after a restart, so that a redelivery is the same event. No clock, no network, no cluster.

mod analysis;
mod artifact;
mod encode;
mod event;
mod ids;
mod kinds;
mod subject;

pub use artifact::{digest_from_image_id, purl};
pub use event::{CdEvent, EnvelopeError, EventError};
pub use subject::{
    ARTIFACT_CONTAINER, ARTIFACT_ID, CHAIN_ID, Environment, GIT_COMMIT, GIT_REPOSITORY, GitKeys, Origin, OriginError,
    PARENT_ID, Revision, RolloutId, Subject,
};

//! CDEvents: they wait in the rollouts' outboxes and are delivered in order for each rollout, again until the sink takes them, and never in
//! the way of a rollout.

mod delivery;
mod enrich;
mod image_digests;
mod outbox;
mod publisher;
mod removal;

pub use enrich::Enrichers;
pub use outbox::{Outbox, OutboxParts};
pub use publisher::{EventSink, Publisher};

//! Watches a cluster and carries out what `kulta-core` decides.

pub mod analysis;
pub mod apply;
pub mod backoff;
pub mod caches;
pub mod clock;
pub mod cluster;
pub mod controller;
pub mod decode;
pub mod enrich;
pub mod index;
pub mod key;
pub mod kinds;
pub mod kube_events;
pub mod lease;
pub mod memory;
pub mod metrics;
pub mod object;
pub mod observe;
pub mod outbox;
pub mod plugins;
pub mod queue;
pub mod reconcile;
pub mod record;
pub mod recorder;
pub mod release;
pub mod server;
pub mod steps;
pub mod store;
pub mod strategies;
pub mod transitions;
pub mod watch;

mod image_digests;
mod packed;
mod removal;
mod route_sharing;

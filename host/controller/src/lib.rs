//! Watches a cluster and carries out what `kulta-core` decides.

pub mod backoff;
pub mod caches;
pub mod clock;
pub mod decode;
pub mod index;
pub mod key;
pub mod kinds;
pub mod object;
pub mod queue;
pub mod store;

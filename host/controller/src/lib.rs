//! Watches a cluster and carries out what `kulta-core` decides.

pub mod apply;
pub mod backoff;
pub mod caches;
pub mod clock;
pub mod crd_probe;
pub mod decode;
pub mod health;
pub mod index;
pub mod key;
pub mod kinds;
pub mod kube_events;
pub mod lease;
pub mod look_up;
pub mod memory;
pub mod metrics;
pub mod object;
pub mod observe;
pub mod outbox;
pub mod queue;
pub mod reconcile;
pub mod requests;
pub mod route_watches;
pub mod run;
pub mod server;
pub mod settings;
pub mod store;
pub mod strategies;
pub mod subject;
pub mod watch;
pub mod worker;
pub mod writes;

pub use run::{RunError, run};
pub use settings::Settings;

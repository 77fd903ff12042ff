//! An in-memory Kubernetes API server, accurate enough that a controller cannot distinguish it for the objects it uses,
//! with a simulated cluster: pods that become ready, a gateway that applies weights, traffic and its metrics.

pub mod clock;
pub mod discovery;
pub mod faults;
mod http;
pub mod json;
pub mod kind;
pub mod metrics;
pub mod patch;
mod registry;
mod rules;
pub mod schema;
pub mod selector;
pub mod server;
pub mod status;
pub mod store;
pub mod table;
pub mod watch;
pub mod world;

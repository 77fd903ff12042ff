//! An in-memory Kubernetes API server, good enough that a controller cannot tell the difference for the objects it uses, and a small
//! world behind it: pods that become ready, a gateway that honours weights, traffic and its metrics.

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

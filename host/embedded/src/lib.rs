//! An in-memory Kubernetes API server, good enough that a controller cannot tell the difference for the objects it uses, and a small
//! world behind it: pods that become ready, a gateway that honours weights, traffic and its metrics.

pub mod discovery;
pub mod patch;
pub mod schema;
pub mod selector;
pub mod table;

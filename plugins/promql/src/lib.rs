//! Queries a Prometheus server (or one with its HTTP API) and reads the answer.

mod answer;
mod server;

pub use answer::{Data, MAX_NUMBERS, Reply, Sample, read};
pub use server::{ADDRESS_FACT, Query, Server};

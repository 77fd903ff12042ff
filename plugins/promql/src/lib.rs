//! Asks a Prometheus server (or one that speaks its HTTP API) and reads what it answers.

mod answer;
mod server;

pub use answer::{Data, MAX_NUMBERS, Reply, Sample, read};
pub use server::{ADDRESS_FACT, Query, Server};

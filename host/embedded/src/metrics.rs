//! Metrics of the simulated cluster: raw samples, the traffic that produces them, and the part of Prometheus that a
//! controller queries.

pub mod http;
pub mod labels;
pub mod promql;
pub mod scrape;
pub mod store;
pub mod traffic;

pub use labels::Labels;
pub use store::Store;

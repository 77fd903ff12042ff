//! Metrics of the small world: raw samples, the traffic that makes them, and the part of Prometheus that a controller asks.

pub mod http;
pub mod labels;
pub mod promql;
pub mod scrape;
pub mod store;
pub mod traffic;

pub use labels::Labels;
pub use store::Store;

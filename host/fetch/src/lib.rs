//! The only way out to the network. So far: delivering events to their sink.
//!
//! Nothing here installs a TLS provider; the process does that once, at its start.

mod backoff;
mod retry_after;
mod sink;

pub use backoff::Backoff;
pub use retry_after::LONGEST_RETRY_AFTER;
pub use sink::{CdEventHttp, Delivery, Sink, SinkConfig, SinkError};

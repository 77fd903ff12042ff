//! All outgoing HTTP: the requests that plugins return as data, and the delivery of events to their sink.
//!
//! This crate installs no TLS provider; the process does that once, at its start.

mod address;
mod aws;
mod call;
mod clients;
mod cloudevents;
mod counters;
mod fetcher;
mod http;
mod in_flight;
mod mask;
mod network;
mod oauth2;
mod proxies;
mod redirect;
mod request;
mod retry_after;
mod rights;
mod secrets;
mod settings;
mod sink;
mod tape;

pub use aws::AwsEnvironment;
pub use cloudevents::CloudEventsMode;
pub use counters::Counters;
pub use fetcher::{Fetcher, FetcherError};
pub use ipnet::IpNet;
pub use proxies::{Proxies, ProxyError};
pub use request::{Auth, Basic, Failure, OAuth2, Request, Response};
pub use retry_after::LONGEST_RETRY_AFTER;
pub use rights::{Right, Rights};
pub use secrets::{NoRandomness, Secrets};
pub use settings::{PrefixError, Settings, SettingsError, UrlPrefix};
pub use sink::{CdEventHttp, Delivery, Sink, SinkConfig, SinkError};
pub use tape::TapeError;

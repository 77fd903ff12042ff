//! The client against registries on the loopback interface with prepared answers. `tests/tests/registry.rs` uses a real
//! registry.

#[cfg(test)]
mod credentials;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod proxies;
#[cfg(test)]
#[path = "../../../fetch/tests/fetch/proxy_server.rs"]
mod proxy_server;
#[cfg(test)]
mod pull;
#[cfg(test)]
mod push;
#[cfg(test)]
mod server;
#[cfg(test)]
mod signatures;
#[cfg(test)]
mod tls;

//! The sink against servers on the loopback interface.

#[cfg(test)]
#[path = "../fetch/proxy_server.rs"]
mod proxy_server;
#[cfg(test)]
mod server;
#[cfg(test)]
mod sink;

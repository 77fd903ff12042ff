//! The client against registries on the loopback interface that answer as each test wants. A real registry is in `tests/tests/registry.rs`.

#[cfg(test)]
mod credentials;
#[cfg(test)]
mod limits;
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

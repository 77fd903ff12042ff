//! The sink against servers on the loopback interface.

#[cfg(test)]
mod server;
#[cfg(test)]
mod sink;

//! The process `kulta controller` against an API server in memory.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[cfg(test)]
mod cluster;
#[cfg(test)]
mod exit_codes;
#[cfg(test)]
mod readiness;
#[cfg(test)]
mod start;

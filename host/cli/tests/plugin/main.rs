//! `kulta plugin` as an author uses it: this build's binary, in temporary folders.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says by a line why it is skipped"
)]

mod errors;
mod languages;
mod list;
mod rust;
mod support;
mod tutorial;

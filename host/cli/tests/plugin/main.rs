//! `kulta plugin` as an author types it: the binary of this build, in folders of its own.

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

//! The documents: their links, what they say about the code, the examples, and the workflow.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod examples;
mod links;
mod reference;
mod support;
mod workflow;

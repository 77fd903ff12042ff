//! Requests that plugins of every kind may return.

pub use crate::bindings::analyzer::kulta::plugin::fetch::{Answer, Auth, Basic, Failure, Oauth2, Request, Response};

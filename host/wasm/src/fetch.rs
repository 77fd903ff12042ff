//! What plugins ask the host to fetch, whatever their kind.

pub use crate::bindings::analyzer::kulta::plugin::fetch::{Answer, Auth, Basic, Failure, Oauth2, Request, Response};

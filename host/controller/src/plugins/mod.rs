//! Plugins that admins add: from Plugin objects to components that rollouts and analyses call.
//!
//! A Plugin's component is fetched, compiled and tried beside the rollouts; only then it takes its place, in one step. What began with an
//! earlier component keeps it: see [`Pin`].

mod breaker;
mod component_store;
mod config_check;
mod handle;
pub mod http;
mod policy;
mod reconciler;
mod references;
mod registry;
mod source;
mod status;

pub use breaker::Breaker;
pub use component_store::{ComponentStore, StoreError};
pub use config_check::{ConfigCheck, ConfigChecks, ConfigErrors, dotted, errors_below};
pub use handle::{CallFailure, HandleError, Pin, PluginHandle};
pub use http::{HttpClient, HttpSession, MAX_CALLS, Reply, Requests, SessionError};
pub use policy::{Granted, GrantedHeader, Grants, PluginPolicy, SharedPolicy, over};
pub use reconciler::{FINALIZER, PluginReconciler, ServedSink};
pub use references::References;
pub use registry::{Entry, FetchedFor, PluginRegistry, Version};
pub use source::{SourceError, Sources};

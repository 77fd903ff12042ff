//! Plugins that admins bring: from Plugin objects to components that rollouts and analyses ask.
//!
//! A Plugin's component is fetched, compiled and tried beside the rollouts; only then it takes its place, in one go. What began with an
//! earlier component keeps it: see [`Pin`].

mod breaker;
mod catalog;
mod checks;
mod choice;
pub mod errands;
mod look;
mod source;
mod status;
mod store;
mod terms;
mod users;

pub use breaker::Breaker;
pub use catalog::{Catalog, Entry, Version};
pub use checks::Checks;
pub(crate) use checks::dotted;
pub use choice::{CallFailure, Choice, ChoiceError, Pin};
pub use errands::{Errands, MOST_ROUNDS, Requests};
pub use look::{FINALIZER, look};
pub use source::{SourceError, Sources};
pub use store::{ComponentStore, StoreError};
pub use terms::{Granted, GrantedHeader, Grants, SharedTerms, Terms, over};
pub use users::References;

//! Label and field selectors, as a query string or an object carries them.

mod fields;
mod labels;
mod names;

pub use fields::{FieldNames, Fields};
pub use labels::Labels;

/// Why a selector cannot be used, in the words of the API server; it answers 400 with them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SelectorError(pub(crate) String);

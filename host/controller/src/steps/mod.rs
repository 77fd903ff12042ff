//! Step plugins: checked when a rollout is seen, and called beside the workers, so that a slow one holds up nobody.

mod act;
mod flights;

pub use act::{Allowed, Steps};
pub use flights::Flights;

//! What field paths of arguments read.

use serde_json::Value;

/// The values that arguments can refer to.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The Rollout object as JSON.
    pub rollout: &'a Value,
    /// Pod template hash of the new revision.
    pub latest: &'a str,
    pub stable: Option<&'a str>,
}

//! Where a harness makes things go wrong: asked about every request and every event of a watch.

use std::time::Duration;

use crate::status::ApiError;
use crate::watch::WatchEvent;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    Get,
    List,
    Watch,
    Create,
    Update,
    Patch,
    Delete,
    DeleteAll,
}

impl Verb {
    #[must_use]
    pub const fn is_write(self) -> bool {
        !matches!(self, Self::Get | Self::List | Self::Watch)
    }
}

/// A request, as far as a harness may want to choose by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub verb: Verb,
    pub group: String,
    /// The plural.
    pub resource: String,
    /// Empty for the object itself.
    pub subresource: String,
    /// Empty for all namespaces, and for what has none.
    pub namespace: String,
    /// Empty for lists and creates.
    pub name: String,
    /// The field manager, or the first word of the user agent.
    pub manager: String,
}

/// What becomes of a request, before it is done or after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Pass,
    /// Answered so. After the request, the write has happened all the same.
    Refuse(ApiError),
    /// Goes on after a while.
    Delay(Duration),
    /// Never answered; after the request, the write has happened all the same.
    Hang,
}

/// What becomes of one event of a watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    Send,
    SendTwice,
    Drop,
    /// This event, and with it all later ones, comes after a while.
    Delay(Duration),
    /// The connection ends before the event.
    Cut,
}

/// Asked while the request waits; answers must not call the server.
pub trait Faults: Send + Sync {
    fn before(&self, call: &Call) -> Verdict;
    fn after(&self, call: &Call) -> Verdict;
    fn event(&self, call: &Call, event: &WatchEvent) -> Delivery;
}

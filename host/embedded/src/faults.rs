//! Fault injection: a harness decides about every request and every event of a watch.

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

/// The properties of a request by which a harness can choose.
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

/// A fault before or after a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Pass,
    /// Answered with this. After the request, the write has happened nevertheless.
    Refuse(ApiError),
    /// Continues after a delay.
    Delay(Duration),
    /// Never answered; after the request, the write has happened all the same.
    Hang,
}

/// A fault of one event of a watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    Send,
    SendTwice,
    Drop,
    /// This event and all later ones are delayed.
    Delay(Duration),
    /// The connection ends before the event.
    Cut,
}

/// Called while the request waits; implementations must not call the server.
pub trait Faults: Send + Sync {
    fn before(&self, call: &Call) -> Verdict;
    fn after(&self, call: &Call) -> Verdict;
    fn event(&self, call: &Call, event: &WatchEvent) -> Delivery;
}

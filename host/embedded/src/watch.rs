//! Watches: the changes of one selection.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};

use crate::json::set;
use crate::kind::Kind;
use crate::status::ApiError;
use crate::store::{Change, ListOptions, Selection, Store};

/// Interval of bookmarks for a watch without events, as in the real server.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);
/// Default duration of a watch; the real server's is 30 to 60 minutes.
const LASTS: Duration = Duration::from_secs(30 * 60);

/// Marks the bookmark after the initial objects.
const INITIAL_END: &str = "k8s.io/initial-events-end";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    Added,
    Modified,
    Deleted,
    Bookmark,
    /// The last event: the object is a Status.
    Error,
}

impl EventKind {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
            Self::Bookmark => "BOOKMARK",
            Self::Error => "ERROR",
        }
    }
}

#[derive(Clone, Debug)]
pub struct WatchEvent {
    pub kind: EventKind,
    pub object: Arc<Value>,
}

impl WatchEvent {
    fn error(error: &ApiError) -> Self {
        Self { kind: EventKind::Error, object: Arc::new(error.status()) }
    }
}

#[derive(Clone, Debug, Default)]
pub struct WatchOptions {
    /// The version after which to begin; `None` or 0 begins with all existing objects.
    pub version: Option<u64>,
    pub bookmarks: bool,
    pub lasts: Option<Duration>,
    /// Begin with all existing objects, followed by a bookmark.
    pub initial: bool,
}

/// A running watch.
#[derive(Debug)]
pub struct Watch {
    store: Store,
    kind: Arc<Kind>,
    namespace: String,
    selection: Selection,
    /// The newest version that was processed.
    seen: u64,
    ready: VecDeque<WatchEvent>,
    bookmarks: bool,
    next_bookmark: Instant,
    end: Instant,
    over: bool,
}

impl Watch {
    /// # Errors
    /// 504 for a future version. A version that is too old is reported in the first event, as by the real server.
    pub fn start(
        store: &Store,
        kind: Arc<Kind>,
        namespace: &str,
        selection: Selection,
        options: &WatchOptions,
    ) -> Result<Self, ApiError> {
        let now = Instant::now();
        let mut watch = Self {
            store: store.clone(),
            kind,
            namespace: namespace.to_owned(),
            selection,
            seen: 0,
            ready: VecDeque::new(),
            bookmarks: options.bookmarks,
            next_bookmark: now + BOOKMARK_EVERY,
            end: now + options.lasts.unwrap_or(LASTS),
            over: false,
        };
        match options.version.filter(|version| *version > 0 && !options.initial) {
            Some(version) => {
                let newest = watch.store.version();
                if version > newest {
                    return Err(ApiError::too_large_version(version, newest));
                }
                watch.seen = version;
            }
            None => watch.begin_with_all(options.initial)?,
        }
        Ok(watch)
    }

    fn begin_with_all(&mut self, tell: bool) -> Result<(), ApiError> {
        let page = self.store.list(&self.kind, &self.namespace, &self.selection, &ListOptions::default())?;
        self.seen = page.version;
        let added = page.items.into_iter().map(|object| WatchEvent { kind: EventKind::Added, object });
        self.ready.extend(added);
        if tell {
            let mut object = self.bookmark();
            set(&mut object, &["metadata", "annotations"], json!({ INITIAL_END: "true" }));
            self.ready.push_back(WatchEvent { kind: EventKind::Bookmark, object: Arc::new(object) });
        }
        Ok(())
    }

    fn bookmark(&self) -> Value {
        json!({
            "kind": self.kind.kind, "apiVersion": self.kind.api_version(),
            "metadata": { "resourceVersion": self.seen.to_string() },
        })
    }

    /// The next event; `None` once the watch has ended.
    pub async fn next(&mut self) -> Option<WatchEvent> {
        loop {
            let changed = self.store.changed();
            tokio::pin!(changed);
            changed.as_mut().enable();
            self.look();
            if let Some(event) = self.ready.pop_front() {
                self.over |= event.kind == EventKind::Error;
                return Some(event);
            }
            if self.over {
                return None;
            }
            tokio::select! {
                biased;
                () = &mut changed => {}
                () = sleep_until(self.end) => {
                    self.over = true;
                    if self.bookmarks {
                        return Some(WatchEvent { kind: EventKind::Bookmark, object: Arc::new(self.bookmark()) });
                    }
                    return None;
                }
                () = sleep_until(self.next_bookmark), if self.bookmarks => {
                    self.next_bookmark = Instant::now() + BOOKMARK_EVERY;
                    return Some(WatchEvent { kind: EventKind::Bookmark, object: Arc::new(self.bookmark()) });
                }
            }
        }
    }

    /// Processes the changes since the last call.
    fn look(&mut self) {
        if self.over {
            return;
        }
        let (kind, namespace, selection) = (&self.kind, &self.namespace, &self.selection);
        let wanted = |change: &Change| {
            change.collection == kind.collection && (namespace.is_empty() || change.key.namespace() == namespace)
        };
        match self.store.changes_after(self.seen, kind, wanted) {
            Ok((newest, changes)) => {
                let events = changes.iter().filter_map(|change| event(change, selection));
                self.ready.extend(events);
                self.seen = newest;
            }
            Err(error) => {
                self.ready.push_back(WatchEvent::error(&error));
            }
        }
    }
}

/// A change as the selection sees it: an object that begins to match is added, one that stops matching is deleted.
fn event(change: &Change, selection: &Selection) -> Option<WatchEvent> {
    let before = change.before.as_ref().filter(|object| selection.matches(object));
    let after = change.after.as_ref().filter(|object| selection.matches(object));
    match (before, after) {
        (None, None) => None,
        (None, Some(object)) => Some(WatchEvent { kind: EventKind::Added, object: Arc::clone(object) }),
        (Some(_), Some(object)) => Some(WatchEvent { kind: EventKind::Modified, object: Arc::clone(object) }),
        (Some(object), None) => {
            let mut last = Value::clone(object);
            set(&mut last, &["metadata", "resourceVersion"], change.version.to_string());
            Some(WatchEvent { kind: EventKind::Deleted, object: Arc::new(last) })
        }
    }
}

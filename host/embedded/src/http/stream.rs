//! The body of a watch: one line per event until it ends.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures::stream;
use http::StatusCode;
use serde::Serialize;
use serde_json::Value;

use super::show::{Form, json_text, typed};
use crate::faults::{Call, Delivery};
use crate::kind::Kind;
use crate::server::Server;
use crate::watch::{EventKind, Watch, WatchEvent};

struct Lines {
    server: Server,
    call: Call,
    watch: Watch,
    form: Form,
    kind: Arc<Kind>,
    /// True if the columns of a table have been sent.
    headed: bool,
    ready: VecDeque<Bytes>,
}

pub fn respond(server: Server, call: Call, watch: Watch, form: Form, kind: Arc<Kind>) -> Response {
    let lines = Lines { server, call, watch, form, kind, headed: false, ready: VecDeque::new() };
    let stream = stream::unfold(lines, |mut lines| async move {
        let line = lines.next().await?;
        Some((Ok::<_, Infallible>(line), lines))
    });
    typed(StatusCode::OK.as_u16(), "application/json", Body::from_stream(stream))
}

/// The type is first, as from the real server, so that a reader knows how to decode the object.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    object: &'a Value,
}

impl Lines {
    /// The next line; `None` if the watch has ended.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Some(line);
            }
            let event = self.watch.next().await?;
            let delivery = self.server.faults().map_or(Delivery::Send, |faults| faults.event(&self.call, &event));
            match delivery {
                Delivery::Send => return Some(self.line(&event)),
                Delivery::SendTwice => {
                    let line = self.line(&event);
                    self.ready.push_back(line.clone());
                    return Some(line);
                }
                Delivery::Drop => {}
                Delivery::Delay(duration) => {
                    tokio::time::sleep(duration).await;
                    return Some(self.line(&event));
                }
                Delivery::Cut => return None,
            }
        }
    }

    fn line(&mut self, event: &WatchEvent) -> Bytes {
        let object = match event.kind {
            EventKind::Error | EventKind::Bookmark => Cow::Borrowed(&*event.object),
            EventKind::Added | EventKind::Modified | EventKind::Deleted => {
                let clock = self.server.store().clock();
                let object = self.form.object(&self.kind, &event.object, clock, !self.headed);
                self.headed = true;
                object
            }
        };
        let line = Line { kind: event.kind.as_str(), object: &object };
        let mut text = json_text(&line);
        text.push(b'\n');
        Bytes::from(text)
    }
}

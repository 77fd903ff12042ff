//! The only function that a plugin may call: the host's log, with a limit for each call.

use crate::bindings::any::kulta::plugin::log::Level;
use crate::error::shortened;
use std::sync::Arc;

/// A call of microseconds needs no more lines; a plugin that logs in a loop must not fill the disk.
const MAX_LINES: u32 = 32;

/// Identifies the plugin in every line.
#[derive(Debug)]
pub(crate) struct Speaker {
    pub(crate) plugin: String,
    /// `sha256:` and hex.
    pub(crate) digest: String,
}

/// The log of one call. At the end of the call it reports how many lines were dropped.
pub(crate) struct CallLog {
    speaker: Arc<Speaker>,
    /// `namespace/name`; empty for a call without a rollout.
    rollout: String,
    lines: u32,
}

impl CallLog {
    pub(crate) fn new(speaker: Arc<Speaker>, rollout: String) -> Self {
        Self { speaker, rollout, lines: 0 }
    }

    pub(crate) fn emit(&mut self, level: Level, message: String) {
        self.lines = self.lines.saturating_add(1);
        if self.lines > MAX_LINES {
            return;
        }
        let (plugin, digest, rollout) = (&self.speaker.plugin, &self.speaker.digest, &self.rollout);
        // A guest's text is data: control characters must not forge log lines.
        let message = shortened(message).replace(char::is_control, " ");
        match level {
            Level::Debug => tracing::debug!(plugin, digest, rollout, "{message}"),
            Level::Info => tracing::info!(plugin, digest, rollout, "{message}"),
            Level::Warn => tracing::warn!(plugin, digest, rollout, "{message}"),
            Level::Error => tracing::error!(plugin, digest, rollout, "{message}"),
        }
    }
}

impl Drop for CallLog {
    fn drop(&mut self) {
        let dropped = self.lines.saturating_sub(MAX_LINES);
        if dropped > 0 {
            tracing::warn!(
                plugin = self.speaker.plugin,
                digest = self.speaker.digest,
                rollout = self.rollout,
                dropped,
                "the plugin logs too much: lines left out"
            );
        }
    }
}

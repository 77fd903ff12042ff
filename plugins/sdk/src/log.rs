//! Lines for the host's log. The host adds plugin, digest and rollout, and limits the number and length of lines per
//! call.

pub use crate::bindings::kulta::plugin::log::Level;

/// Writes one line. In a native build it does nothing.
pub fn emit(level: Level, message: &str) {
    #[cfg(target_arch = "wasm32")]
    crate::bindings::kulta::plugin::log::emit(level, message);
    #[cfg(not(target_arch = "wasm32"))]
    let _ = (level, message);
}

pub fn debug(message: &str) {
    emit(Level::Debug, message);
}

pub fn info(message: &str) {
    emit(Level::Info, message);
}

pub fn warn(message: &str) {
    emit(Level::Warn, message);
}

pub fn error(message: &str) {
    emit(Level::Error, message);
}

//! The engine that all components share, and what a single call gets of it.

use crate::bindings::any::AnyPlugin;
use crate::bindings::any::kulta::plugin::log::{Host as LogHost, Level};
use crate::bindings::any::kulta::plugin::types::Host as TypesHost;
use crate::limits::{DeadlineExceeded, Limits, MemoryGuard};
use crate::log::CallLog;
use crate::ticker::{Running, TICK, Ticker};
use std::path::Path;
use thiserror::Error;
use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{Config, Engine, Store, UpdateDeadline};

/// Why there is no runtime at all.
#[derive(Debug, Error)]
pub enum StartError {
    #[error("set up the WebAssembly engine: {0}")]
    Engine(wasmtime::Error),
    #[error("start the thread that keeps deadlines")]
    Ticker(#[source] std::io::Error),
}

pub(crate) struct Runtime {
    pub(crate) engine: Engine,
    /// Holds the log and nothing else: what a component cannot link, it cannot do.
    pub(crate) linker: Linker<CallState>,
    /// Absent when calls have no deadline.
    ticker: Option<Ticker>,
}

/// Whether calls end when their time is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Timing {
    Deadline,
    /// For built-in plugins in a process that must do the same twice: the thread that keeps deadlines would decide who goes first.
    None,
}

/// What the host keeps for one call.
pub(crate) struct CallState {
    memory: MemoryGuard,
    log: CallLog,
}

impl LogHost for CallState {
    fn emit(&mut self, level: Level, message: String) {
        self.log.emit(level, message);
    }
}

/// Types only: nothing to do.
impl TypesHost for CallState {}

impl Runtime {
    pub(crate) fn start(timing: Timing) -> Result<Self, StartError> {
        let engine = Engine::new(&engine_config(timing)).map_err(StartError::Engine)?;
        let mut linker = Linker::new(&engine);
        AnyPlugin::add_to_linker::<_, HasSelf<_>>(&mut linker, |state: &mut CallState| state)
            .map_err(StartError::Engine)?;
        let ticker = match timing {
            Timing::Deadline => Some(Ticker::start(&engine).map_err(StartError::Ticker)?),
            Timing::None => None,
        };
        Ok(Self { engine, linker, ticker })
    }

    /// Code that this controller's own compiler has just answered.
    #[allow(unsafe_code, reason = "the code comes from our own compiler, over a pipe that nobody else writes to")]
    pub(crate) fn read_code(&self, code: &[u8]) -> wasmtime::Result<Component> {
        // SAFETY: the bytes are what `Engine::precompile_component` answered, in this process or in a child of it.
        unsafe { Component::deserialize(&self.engine, code) }
    }

    /// Code from the cache; its pages are read when they are needed.
    #[allow(unsafe_code, reason = "the cache's folder is ours alone and holds only what our own compiler answered")]
    pub(crate) fn read_code_file(&self, file: &Path) -> wasmtime::Result<Component> {
        // SAFETY: `CodeCache` opens only folders that no other user can write, names files by a digest of their content and never
        // changes one, so the file is whole and stays as it was written.
        unsafe { Component::deserialize_file(&self.engine, file) }
    }

    /// A fresh store with every limit set, and the clock that enforces the deadline; keep both for as long as the call lasts.
    pub(crate) fn begin_call(&self, limits: &Limits, log: CallLog) -> (Store<CallState>, Option<Running<'_>>) {
        let memory = MemoryGuard::new(limits.memory_bytes);
        let mut store = Store::new(&self.engine, CallState { memory, log });
        store.limiter(|state| &mut state.memory);
        store.set_hostcall_fuel(limits.answer_bytes);
        let Some(ticker) = &self.ticker else { return (store, None) };
        let limit = limits.deadline;
        let mut ticks = ticks(limit);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(move |_| {
            ticks = ticks.saturating_sub(1);
            match ticks {
                0 => Err(wasmtime::Error::new(DeadlineExceeded { limit })),
                // Other tasks of this thread get a turn; the time they take is not the plugin's.
                _ => Ok(UpdateDeadline::Yield(1)),
            }
        });
        (store, Some(ticker.keep_running()))
    }
}

/// The same wherever code is compiled and run: what is compiled for one engine does not run on another.
pub(crate) fn engine_config(timing: Timing) -> Config {
    let mut config = Config::new();
    config.epoch_interruption(timing == Timing::Deadline);
    // Where in a component a trap was is of no use to anybody, and the tables for it take as much memory as the code.
    config.generate_address_map(false);
    config
}

/// One more than fit into the time: the first tick may come at once.
fn ticks(deadline: std::time::Duration) -> u128 {
    deadline.as_millis().div_ceil(TICK.as_millis()) + 1
}

//! The engine that all components share, and the store of a single call.

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

/// Why there is no runtime.
#[derive(Debug, Error)]
pub enum StartError {
    #[error("set up the WebAssembly engine: {0}")]
    Engine(wasmtime::Error),
    #[error("start the thread that enforces deadlines")]
    Ticker(#[source] std::io::Error),
}

pub(crate) struct Runtime {
    pub(crate) engine: Engine,
    /// Links the log and nothing else: a component cannot call what is not linked.
    pub(crate) linker: Linker<CallState>,
    /// `None` if calls have no deadline.
    ticker: Option<Ticker>,
}

/// Whether calls have a deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Timing {
    Deadline,
    /// For built-in plugins in a deterministic simulation: the thread that enforces deadlines would make the order of
    /// calls random.
    None,
}

/// The host's state of one call.
pub(crate) struct CallState {
    memory: MemoryGuard,
    log: CallLog,
}

impl LogHost for CallState {
    fn emit(&mut self, level: Level, message: String) {
        self.log.emit(level, message);
    }
}

/// Types only: there is nothing to implement.
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

    /// Loads code that this controller's own compiler has just written.
    #[allow(unsafe_code, reason = "the code comes from our own compiler, over a pipe that nobody else writes to")]
    pub(crate) fn read_code(&self, code: &[u8]) -> wasmtime::Result<Component> {
        // SAFETY: the bytes are the result of `Engine::precompile_component`, in this process or in a child of it.
        unsafe { Component::deserialize(&self.engine, code) }
    }

    /// Loads code from the cache; its pages are read when they are used.
    #[allow(unsafe_code, reason = "the cache's folder is ours alone and holds only what our own compiler answered")]
    pub(crate) fn read_code_file(&self, file: &Path) -> wasmtime::Result<Component> {
        // SAFETY: `CodeCache` opens only folders that no other user can write, names files by a digest of their content
        // and never changes one, so the file is complete and unchanged.
        unsafe { Component::deserialize_file(&self.engine, file) }
    }

    /// A fresh store with every limit set, and the guard of its deadline; keep both until the call ends.
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
                // Other tasks of this thread get a turn; their time does not count for the plugin.
                _ => Ok(UpdateDeadline::Yield(1)),
            }
        });
        (store, Some(ticker.keep_running()))
    }
}

/// The same settings wherever code is compiled and run: code that is compiled for one engine does not run on another.
pub(crate) fn engine_config(timing: Timing) -> Config {
    let mut config = Config::new();
    config.epoch_interruption(timing == Timing::Deadline);
    // Nobody uses the address of a trap in a component, and the tables for it take as much memory as the code.
    config.generate_address_map(false);
    config
}

/// One more tick than the time has: the first tick may come at once.
fn ticks(deadline: std::time::Duration) -> u128 {
    deadline.as_millis().div_ceil(TICK.as_millis()) + 1
}

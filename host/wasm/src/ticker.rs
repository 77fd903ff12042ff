//! The clock of deadlines: a thread that raises the engine's epoch while calls run, and sleeps when none does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;
use wasmtime::{Engine, EngineWeak};

/// How far off a deadline may be: one hundredth of the default one. A call that runs this long also lets others have its thread.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// Ticks without a call before the thread goes to sleep. Waking it costs a system call, so busy times should not need one.
const IDLE_TICKS: u32 = 100;

/// Epochs come from an own thread, not from the async runtime: a plugin that hogs the runtime's threads must not stop the clock
/// that would end it.
pub(crate) struct Ticker {
    shared: Arc<Shared>,
    thread: Thread,
}

#[derive(Default)]
struct Shared {
    running: AtomicUsize,
    asleep: AtomicBool,
    stopped: AtomicBool,
}

impl Ticker {
    pub(crate) fn start(engine: &Engine) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let (engine, state) = (engine.weak(), Arc::clone(&shared));
        let handle = thread::Builder::new().name("wasm-epoch".into()).spawn(move || tick(&engine, &state))?;
        Ok(Self { shared, thread: handle.thread().clone() })
    }

    /// Epochs rise at least until the answer is dropped.
    pub(crate) fn keep_running(&self) -> Running<'_> {
        self.shared.running.fetch_add(1, Ordering::SeqCst);
        if self.shared.asleep.load(Ordering::SeqCst) {
            self.thread.unpark();
        }
        Running(&self.shared)
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}

pub(crate) struct Running<'a>(&'a Shared);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

fn tick(engine: &EngineWeak, shared: &Shared) {
    let mut idle = 0;
    while !shared.stopped.load(Ordering::SeqCst) {
        thread::sleep(TICK);
        match engine.upgrade() {
            Some(engine) => engine.increment_epoch(),
            None => return,
        }
        idle = match shared.running.load(Ordering::SeqCst) {
            0 => idle + 1,
            _ => 0,
        };
        if idle > IDLE_TICKS {
            idle = 0;
            sleep_until_called(shared);
        }
    }
}

/// A call that begins between the check and the parking sees `asleep` and unparks; the park then returns at once.
fn sleep_until_called(shared: &Shared) {
    shared.asleep.store(true, Ordering::SeqCst);
    if shared.running.load(Ordering::SeqCst) == 0 && !shared.stopped.load(Ordering::SeqCst) {
        thread::park();
    }
    shared.asleep.store(false, Ordering::SeqCst);
}

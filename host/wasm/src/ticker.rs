//! The clock of deadlines: a thread that increments the engine's epoch while calls run, and sleeps otherwise.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;
use wasmtime::{Engine, EngineWeak};

/// Accuracy of a deadline: one hundredth of the default one. A call that runs this long also yields to other tasks.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// Ticks without a call before the thread goes to sleep. Waking it costs a system call, so it should stay awake in busy
/// times.
const IDLE_TICKS: u32 = 100;

/// A separate thread, not the async runtime, increments the epoch: a plugin that blocks the runtime's threads must not
/// stop the clock that ends it.
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

    /// The epoch is incremented at least until the returned guard is dropped.
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

/// A call that begins between the check and the parking sees `asleep` and unparks the thread; the park then returns at
/// once.
fn sleep_until_called(shared: &Shared) {
    shared.asleep.store(true, Ordering::SeqCst);
    if shared.running.load(Ordering::SeqCst) == 0 && !shared.stopped.load(Ordering::SeqCst) {
        thread::park();
    }
    shared.asleep.store(false, Ordering::SeqCst);
}

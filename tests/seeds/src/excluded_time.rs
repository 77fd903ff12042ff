//! Measures time that is not the controller's, so that a figure can leave it out: the server, the simulated cluster and the scenario itself
//! run in the controller's thread.

use std::cell::Cell;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::Stream;

thread_local! {
    static SPENT: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// The time that this thread has spent outside the controller, by the wall clock: it is inexact on a busy machine.
#[must_use]
pub fn spent() -> Duration {
    SPENT.get()
}

/// A future or a stream whose time is excluded.
pub struct Excluded<T>(Pin<Box<T>>);

impl<T> Excluded<T> {
    pub fn new(inner: T) -> Self {
        Self(Box::pin(inner))
    }

    fn work<R>(&mut self, work: impl FnOnce(Pin<&mut T>) -> R) -> R {
        let began = Instant::now();
        let result = work(self.0.as_mut());
        SPENT.set(SPENT.get() + began.elapsed());
        result
    }
}

impl<F: Future> Future for Excluded<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        self.work(|inner| inner.poll(context))
    }
}

impl<S: Stream> Stream for Excluded<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<S::Item>> {
        self.work(|inner| inner.poll_next(context))
    }
}

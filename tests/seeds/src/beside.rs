//! Measures the time of what is no part of the controller, so that it can be left out: the server, its world and the story itself run in
//! the controller's thread.

use std::cell::Cell;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::Stream;

thread_local! {
    static SPENT: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// The time that this thread has spent beside the controller. It is the wall clock's: on a busy machine it tells little.
#[must_use]
pub fn spent() -> Duration {
    SPENT.get()
}

/// A future or a stream whose time is not the controller's.
pub struct Beside<T>(Pin<Box<T>>);

impl<T> Beside<T> {
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

impl<F: Future> Future for Beside<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        self.work(|inner| inner.poll(context))
    }
}

impl<S: Stream> Stream for Beside<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<S::Item>> {
        self.work(|inner| inner.poll_next(context))
    }
}

//! Marks what is no part of the controller, so that a profiler can leave it out: the server, its world and the story itself run in the
//! controller's thread.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures::Stream;

/// A future or a stream whose work is done in [`Beside::work`] alone.
pub struct Beside<T>(Pin<Box<T>>);

impl<T> Beside<T> {
    pub fn new(inner: T) -> Self {
        Self(Box::pin(inner))
    }

    /// A function of its own in a profile: callgrind stops counting in it with `--toggle-collect`.
    #[inline(never)]
    fn work<R>(&mut self, work: impl FnOnce(Pin<&mut T>) -> R) -> R {
        work(self.0.as_mut())
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

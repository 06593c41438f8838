//! From the notifier to one task that waits: what a stream is made of.
//!
//! The notifier never waits for the task, so what is put in has to be bounded by itself
//! ([`Pending`]). The sender's end closes the mailbox when it is dropped, which the notifier does
//! once the store is closed or gone; what was put in before is still taken out.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

/// An item that waits to be taken, in a queue with a bound.
pub(crate) trait Pending {
    type Item;

    /// The next one.
    fn pop(&mut self) -> Option<Self::Item>;
}

pub(crate) struct Mailbox<P> {
    inner: Mutex<Inner<P>>,
}

struct Inner<P> {
    pending: P,
    waiting: Option<Waker>,
    closed: bool,
}

/// The end that puts in; dropping it closes the mailbox.
pub(crate) struct Sending<P> {
    mailbox: Arc<Mailbox<P>>,
}

impl<P: Pending> Mailbox<P> {
    pub(crate) fn new(pending: P) -> (Sending<P>, Arc<Self>) {
        let inner = Mutex::new(Inner { pending, waiting: None, closed: false });
        let mailbox = Arc::new(Mailbox { inner });
        (Sending { mailbox: Arc::clone(&mailbox) }, mailbox)
    }

    /// The next item; `None` once the mailbox is closed and empty.
    pub(crate) fn poll(&self, context: &Context<'_>) -> Poll<Option<P::Item>> {
        let mut inner = self.inner.lock();
        match inner.pending.pop() {
            Some(item) => Poll::Ready(Some(item)),
            None if inner.closed => Poll::Ready(None),
            None => {
                inner.waiting = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl<P> Sending<P> {
    /// Lets `put` add to what waits, and wakes the task.
    pub(crate) fn put(&self, put: impl FnOnce(&mut P)) {
        self.change(|inner| put(&mut inner.pending));
    }

    fn change(&self, change: impl FnOnce(&mut Inner<P>)) {
        let mut inner = self.mailbox.inner.lock();
        change(&mut inner);
        let waiting = inner.waiting.take();
        drop(inner);
        if let Some(waker) = waiting {
            waker.wake();
        }
    }
}

impl<P> Drop for Sending<P> {
    fn drop(&mut self) {
        self.change(|inner| inner.closed = true);
    }
}

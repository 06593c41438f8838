//! Changes as an async stream.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;
use samestate_proto::replication::{Change, Changes};

use crate::Store;
use crate::store::observe::mailbox::{Mailbox, Pending};
use crate::store::observe::subscribers::Subscription;
use crate::store::reducer::machine::{Action, State};

/// The number of changes that wait for a stream's task. Changes before them become one jump.
const WAITING_MAX: usize = 1024;

/// The number of bytes that their encoded actions may have in all.
const WAITING_BYTES_MAX: usize = 4 << 20;

impl<A> Pending for Changes<Arc<A>> {
    type Item = Change<Arc<A>>;

    fn pop(&mut self) -> Option<Self::Item> {
        Changes::pop(self, u64::MAX).map(|(change, _)| change)
    }
}

/// A stream of the changes of a store since [`Store::changes`] was called, in order. It implements
/// `futures_core::Stream`; [`next`](ChangeStream::next) needs no other crate.
///
/// The stream never delays the store or its other subscribers: at most 1,024 changes wait, with 4
/// MiB of encoded actions (or one action that is longer). The oldest changes beyond these limits
/// become one [`Change::Jumped`]. The stream ends, after the waiting changes, when the store is
/// closed or dropped. Dropping the stream ends the subscription.
#[must_use = "dropping a stream ends it"]
pub struct ChangeStream<A> {
    mailbox: Arc<Mailbox<Changes<Arc<A>>>>,
    _subscription: Subscription,
}

impl<A> ChangeStream<A> {
    /// Waits for the next change; `None` when the store is closed or dropped.
    pub async fn next(&mut self) -> Option<Change<Arc<A>>> {
        poll_fn(|context| self.mailbox.poll(context)).await
    }
}

impl<A> Stream for ChangeStream<A> {
    type Item = Change<Arc<A>>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.mailbox.poll(context)
    }
}

impl<A> std::fmt::Debug for ChangeStream<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChangeStream").finish_non_exhaustive()
    }
}

impl<S: State, A: Action> Store<S, A> {
    /// Returns a stream of every change from now on: the same changes that [`Store::subscribe`]
    /// delivers. Do not call this inside [`Store::read`].
    ///
    /// ```
    /// use samestate::{Change, create_store};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> anyhow::Result<()> {
    /// let sum = create_store("sum", |sum: &mut i64, by: &i64| *sum += by).open().await?;
    /// let mut changes = sum.changes();
    /// sum.dispatch(5).await?;
    /// let Some(Change::Applied { version, action }) = changes.next().await else { panic!() };
    /// assert_eq!((version.seq, *action), (1, 5));
    /// # Ok(())
    /// # }
    /// ```
    pub fn changes(&self) -> ChangeStream<A> {
        let (sending, mailbox) = Mailbox::new(Changes::new(WAITING_MAX, WAITING_BYTES_MAX));
        let subscription = self.shared.subscribe(|since| {
            sending.put(|waiting| waiting.set_wanted(true, since));
            Arc::new(move |change, bytes| {
                sending.put(|waiting| waiting.push(change.clone(), bytes));
            })
        });
        ChangeStream { mailbox, _subscription: subscription }
    }
}

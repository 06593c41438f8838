//! The newest version of a store, as it changes.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use samestate_proto::Version;
use tokio::sync::watch;

type Changing = Pin<Box<dyn Future<Output = (Watching, Option<Version>)> + Send + Sync>>;

#[derive(Clone)]
struct Watching {
    newest: watch::Receiver<Version>,
    closed: watch::Receiver<bool>,
}

/// The newest version of a store, as it changes: from [`Store::watch`](crate::Store::watch). A
/// `futures_core::Stream`; [`changed`](Watch::changed) needs no other crate.
///
/// It holds one version, however slowly it is read, and ends when the store is closed or gone.
pub struct Watch {
    watching: Watching,
    /// The future that a poll of the stream waits for.
    changing: Option<Changing>,
}

impl Watch {
    pub(crate) fn new(newest: watch::Receiver<Version>, closed: watch::Receiver<bool>) -> Self {
        Watch { watching: Watching { newest, closed }, changing: None }
    }

    /// The newest version, once it is another than the one last returned; `None` when the store
    /// is closed or gone.
    pub async fn changed(&mut self) -> Option<Version> {
        self.changing = None;
        self.watching.changed().await
    }

    /// The newest version now.
    pub fn newest(&self) -> Version {
        *self.watching.newest.borrow()
    }
}

impl Watching {
    async fn changed(&mut self) -> Option<Version> {
        tokio::select! {
            biased;
            changed = self.newest.changed() => changed.ok()?,
            _ = self.closed.wait_for(|closed| *closed) => return None,
        }
        Some(*self.newest.borrow_and_update())
    }
}

impl Stream for Watch {
    type Item = Version;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Version>> {
        let this = self.get_mut();
        let mut watching = this.watching.clone();
        let changing = this.changing.get_or_insert_with(|| {
            Box::pin(async move {
                let changed = watching.changed().await;
                (watching, changed)
            })
        });
        let (watching, changed) = ready!(changing.as_mut().poll(context));
        this.watching = watching;
        this.changing = None;
        Poll::Ready(changed)
    }
}

impl Clone for Watch {
    fn clone(&self) -> Self {
        Watch { watching: self.watching.clone(), changing: None }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("newest", &self.newest()).finish_non_exhaustive()
    }
}

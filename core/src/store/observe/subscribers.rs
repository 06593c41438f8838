//! Delivery of changes to subscribers, by one notifier for each store.
//!
//! The notifier is a task that takes the changes from the replica and calls the subscribers, one
//! after another, outside of every lock. So a subscriber may dispatch, read, subscribe and
//! unsubscribe.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use samestate_proto::Version;
use samestate_proto::replication::Change;
use tokio::sync::Notify;

use crate::event::EventKind;
use crate::link::LinkEndpoint;
use crate::store::driver::shared::Shared;
use crate::store::driver::trace;
use crate::store::observe::reading;
use crate::store::reducer::machine::{Action, State};

/// Told of a change, and how many bytes its action has, encoded.
pub(crate) type Callback<A> = Arc<dyn Fn(&Change<Arc<A>>, usize) + Send + Sync>;

struct Subscriber<A> {
    callback: Callback<A>,
    /// Changes up to this number happened before it subscribed.
    since: u64,
}

pub(crate) struct Subscribers<A> {
    table: Mutex<(u64, BTreeMap<u64, Subscriber<A>>)>,
    notify: Notify,
}

impl<A> Default for Subscribers<A> {
    fn default() -> Self {
        Subscribers { table: Mutex::new((0, BTreeMap::new())), notify: Notify::new() }
    }
}

impl<A> Subscribers<A> {
    pub(crate) fn wake(&self) {
        self.notify.notify_one();
    }

    fn insert(&self, callback: Callback<A>, since: u64) -> u64 {
        let mut table = self.table.lock();
        table.0 += 1;
        let id = table.0;
        table.1.insert(id, Subscriber { callback, since });
        id
    }

    /// Takes one out, and says whether it was the last. It is the caller's to drop, under no lock.
    fn remove(&self, id: u64) -> (Option<Subscriber<A>>, bool) {
        let mut table = self.table.lock();
        let removed = table.1.remove(&id);
        (removed, table.1.is_empty())
    }

    pub(crate) fn count(&self) -> usize {
        self.table.lock().1.len()
    }

    /// Takes all out. They are the caller's to drop, under no lock.
    fn clear(&self) -> BTreeMap<u64, Subscriber<A>> {
        std::mem::take(&mut self.table.lock().1)
    }

    /// Returns the subscribers that are to be told of the change with this number.
    fn concerned(&self, number: u64) -> Vec<Callback<A>> {
        let table = self.table.lock();
        let concerned = table.1.values().filter(|subscriber| subscriber.since < number);
        concerned.map(|subscriber| Arc::clone(&subscriber.callback)).collect()
    }
}

/// A change whose action each subscriber may keep.
fn shareable<A>((change, bytes): (Change<A>, usize)) -> (Change<Arc<A>>, usize) {
    let change = match change {
        Change::Applied { version, action } => {
            Change::Applied { version, action: Arc::new(action) }
        }
        Change::Jumped { why, from, to } => Change::Jumped { why, from, to },
    };
    (change, bytes)
}

impl<S: State, A: Action> Shared<S, A> {
    /// Tells the callback that `subscriber` makes of every change after the version that it gets.
    /// `subscriber` is called under the store's lock.
    pub(crate) fn subscribe(
        self: &Arc<Self>,
        subscriber: impl FnOnce(Version) -> Callback<A>,
    ) -> Subscription {
        let id = self.with(|inner, _| {
            inner.replica.set_changes_wanted(true);
            let callback = subscriber(inner.replica.version());
            self.subscribers.insert(callback, inner.replica.changes_pushed())
        });
        // A closed store has no notifier any more that would let go of it.
        if self.is_closed() {
            drop(self.subscribers.clear());
        }
        let weak = Arc::downgrade(self);
        Subscription { end: Some(Box::new(move || Shared::unsubscribe(&weak, id))) }
    }

    fn unsubscribe(weak: &Weak<Self>, id: u64) {
        let Some(shared) = weak.upgrade() else { return };
        let removed = shared.with(|inner, _| {
            let (removed, last) = shared.subscribers.remove(id);
            if last {
                inner.replica.set_changes_wanted(false);
            }
            removed
        });
        drop(removed);
    }

    /// The notifier.
    pub(crate) async fn notify(weak: Weak<Self>) {
        loop {
            let Some(shared) = weak.upgrade() else { return };
            let (changes, newest) = shared.with(|inner, _| {
                let replica = &mut inner.replica;
                let pop = || replica.pop_change();
                let changes: Vec<_> = std::iter::from_fn(pop).map(shareable).collect();
                (changes, replica.changes_taken())
            });
            for (before_newest, (change, bytes)) in (0..changes.len() as u64).rev().zip(&changes) {
                shared.tell(newest.saturating_sub(before_newest), change, *bytes);
            }
            if !changes.is_empty() {
                tokio::task::yield_now().await;
                continue;
            }
            if shared.is_closed() {
                drop(shared.subscribers.clear());
                return;
            }
            // Without a hold on the store meanwhile, so that the last handle's drop ends it.
            let subscribers = Arc::clone(&shared.subscribers);
            drop(shared);
            subscribers.notify.notified().await;
        }
    }

    fn tell(&self, number: u64, change: &Change<Arc<A>>, bytes: usize) {
        for callback in self.subscribers.concerned(number) {
            if catch_unwind(AssertUnwindSafe(|| callback(change, bytes))).is_err() {
                trace::subscriber_panicked(self.name());
                let text = format!("a subscriber of store `{}` panicked", self.name());
                self.report(EventKind::SubscriberPanicked, &text);
            }
        }
    }
}

/// A subscription. Dropping it ends the subscription, but the notifier may be about to call the
/// subscriber once more.
#[must_use = "dropping a subscription ends it"]
pub struct Subscription {
    end: Option<Box<dyn FnOnce() + Send + Sync>>,
}

impl Subscription {
    /// Keeps the subscription for as long as the store lives.
    pub fn forever(mut self) {
        self.end = None;
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        match self.end.take() {
            Some(end) if reading::inside() => reading::defer(end),
            Some(end) => end(),
            None => {}
        }
    }
}

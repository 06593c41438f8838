//! Selectors: parts of the state, and notices when they change.
//!
//! The store's notifier takes the part from the newest state after a change. So a burst of actions
//! costs one look at the state, and a part that changed and changed back is not reported.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;
use parking_lot::Mutex;
use samestate_proto::Version;
use samestate_proto::replication::Change;

use crate::Store;
use crate::store::observe::mailbox::{Mailbox, Pending};
use crate::store::observe::subscribers::Subscription;
use crate::store::reducer::machine::{Action, State};

/// A part of a store's state, as returned by [`Store::select`]. Clones select the same part.
///
/// The part is taken while the state is borrowed, at most once a change. So a selector should be
/// cheap, and return a small value or one that is cloned in O(1). Put expensive derivations into a
/// [`create_selector`].
pub struct Select<S: State, A: Action, T> {
    store: Store<S, A>,
    selector: Selector<S, T>,
}

type Selector<S, T> = Arc<dyn Fn(&S) -> T + Send + Sync>;

impl<S: State, A: Action, T> Clone for Select<S, A, T> {
    fn clone(&self) -> Self {
        Select { store: self.store.clone(), selector: Arc::clone(&self.selector) }
    }
}

impl<S: State, A: Action> Store<S, A> {
    /// Selects a part of the state, to be read, subscribed to or streamed.
    ///
    /// ```
    /// use samestate::create_store;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> anyhow::Result<()> {
    /// let reducer = |list: &mut Vec<String>, item: &String| list.push(item.clone());
    /// let list = create_store("list", reducer).open().await?;
    /// let length = list.select(|list| list.len());
    /// let mut lengths = length.stream();
    /// list.dispatch("first".into()).await?;
    /// assert_eq!(lengths.next().await.as_deref(), Some(&1));
    /// assert_eq!(length.get(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn select<T: PartialEq + Send + Sync + 'static>(
        &self,
        selector: impl Fn(&S) -> T + Send + Sync + 'static,
    ) -> Select<S, A, T> {
        Select { store: self.clone(), selector: Arc::new(selector) }
    }
}

impl<S: State, A: Action, T: PartialEq + Send + Sync + 'static> Select<S, A, T> {
    /// Returns the current part.
    pub fn get(&self) -> T {
        self.store.read(|state| (self.selector)(state))
    }

    /// Calls `subscriber` with the part whenever it differs from the one before (`PartialEq`), for
    /// changes from now on. The subscriber gets the newest part: if changes arrive while it runs,
    /// parts in between are skipped. It is called as the subscribers of [`Store::subscribe`] are.
    /// Do not call this inside [`Store::read`].
    pub fn subscribe(&self, subscriber: impl Fn(&T) + Send + Sync + 'static) -> Subscription {
        self.tell(move |part| subscriber(&part))
    }

    /// Returns a stream of the part, which yields whenever the part differs from the one before.
    /// Only the newest part waits.
    pub fn stream(&self) -> Selected<T> {
        let (sending, mailbox) = Mailbox::new(Newest(None));
        let subscription =
            self.tell(move |part| sending.put(|newest: &mut Newest<T>| newest.0 = Some(part)));
        Selected { mailbox, _subscription: subscription }
    }

    fn tell(&self, told: impl Fn(Arc<T>) + Send + Sync + 'static) -> Subscription {
        // Weak, or a store would be held by its own subscriber.
        let weak = Arc::downgrade(&self.store.shared);
        let selector = Arc::clone(&self.selector);
        let last = Arc::new(Mutex::new(None));
        let known = Arc::clone(&last);
        // Held until the first part is known: a notifier that is quicker waits for it here.
        let mut first = last.lock();
        let subscription = self.store.shared.subscribe(|_| {
            Arc::new(move |change, _| {
                let Some(shared) = weak.upgrade() else { return };
                // Locked before the state is read, so that an older part never replaces a newer.
                let mut known = known.lock();
                let looked_at = shared.version();
                if known.as_ref().is_some_and(|known: &Known<T>| known.has_seen(change, looked_at))
                {
                    return;
                }
                let part = Arc::new(shared.read(|state| selector(state)));
                let told_before = known.replace(Known { part: Arc::clone(&part), looked_at });
                drop(known);
                if told_before.is_none_or(|before| *before.part != *part) {
                    told(part);
                }
            })
        });
        let looked_at = self.store.version();
        *first = Some(Known { part: Arc::new(self.get()), looked_at });
        drop(first);
        subscription
    }
}

/// The part as it was last taken.
struct Known<T> {
    part: Arc<T>,
    /// The version before it was taken: the part is of this one or a newer.
    looked_at: Version,
}

impl<T> Known<T> {
    /// Nothing happened since, with this change told and the store at version `now`. A jump may
    /// replace a state by another of the same version.
    fn has_seen<A>(&self, change: &Change<A>, now: Version) -> bool {
        matches!(change, Change::Applied { .. }) && self.looked_at == now
    }
}

/// A mailbox for one: what comes replaces what waits.
struct Newest<T>(Option<Arc<T>>);

impl<T> Pending for Newest<T> {
    type Item = Arc<T>;

    fn pop(&mut self) -> Option<Arc<T>> {
        self.0.take()
    }
}

/// A stream of a part of the state, which yields whenever the part changes. It implements
/// `futures_core::Stream`; [`next`](Selected::next) needs no other crate.
///
/// Only the newest part waits, so the stream is bounded and delays no other subscriber. It ends
/// when the store is closed or dropped. Dropping the stream ends the subscription.
#[must_use = "dropping a stream ends it"]
pub struct Selected<T> {
    mailbox: Arc<Mailbox<Newest<T>>>,
    _subscription: Subscription,
}

impl<T> Selected<T> {
    /// Waits for a part that differs from the one before; `None` when the store is closed or
    /// dropped.
    pub async fn next(&mut self) -> Option<Arc<T>> {
        poll_fn(|context| self.mailbox.poll(context)).await
    }
}

impl<T> Stream for Selected<T> {
    type Item = Arc<T>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.mailbox.poll(context)
    }
}

impl<T> std::fmt::Debug for Selected<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Selected").finish_non_exhaustive()
    }
}

/// Creates a selector that remembers: `derive` is called only if the value that `input` takes from
/// the state differs from the last one. Use it for a value that is expensive to derive from a part
/// that is cheap to compare.
///
/// ```
/// use samestate::{create_selector, create_store};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> anyhow::Result<()> {
/// let reducer = |(limit, clicks): &mut (u64, u32), by: &u64| {
///     *limit += by;
///     *clicks += 1;
/// };
/// let store = create_store("primes", reducer).open().await?;
/// // Counted anew when the limit is another, and never because of a click.
/// let primes = store.select(create_selector(
///     |(limit, _clicks): &(u64, u32)| *limit,
///     |limit| (2..=*limit).filter(|n| (2..*n).all(|d| n % d > 0)).count(),
/// ));
/// store.dispatch(100).await?;
/// assert_eq!(primes.get(), 25);
/// # Ok(())
/// # }
/// ```
#[doc(alias = "createSelector")]
pub fn create_selector<S, I, T>(
    input: impl Fn(&S) -> I + Send + Sync + 'static,
    derive: impl Fn(&I) -> T + Send + Sync + 'static,
) -> impl Fn(&S) -> T + Send + Sync + 'static
where
    I: PartialEq + Send + 'static,
    T: Clone + Send + 'static,
{
    let last: Mutex<Option<(I, T)>> = Mutex::new(None);
    move |state| {
        let input = input(state);
        let mut last = last.lock();
        if let Some((_, derived)) = last.as_ref().filter(|(before, _)| *before == input) {
            return derived.clone();
        }
        let derived = derive(&input);
        *last = Some((input, derived.clone()));
        derived
    }
}

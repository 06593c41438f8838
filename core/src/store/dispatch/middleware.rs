//! Middleware, in Redux's sense: functions that see each dispatch before it is queued.
//!
//! A store's middleware is a chain, in the order in which it was added. Each layer gets the action
//! and the rest of the chain ([`Next`]); the last layer queues the action. All layers run inside
//! the call of `dispatch`, which therefore still never waits.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::event::EventKind;
use crate::link::LinkEndpoint;
use crate::store::DispatchError;
use crate::store::dispatch::future::{DispatchFuture, Outcome};
use crate::store::handle::store::Store;
use crate::store::observe::reading;
use crate::store::reducer::machine::{Action, State};
use crate::task::{BoxFuture, guarded};

/// A middleware may dispatch inside dispatches of its own, nested this deep.
const NESTED_MAX: u32 = 128;

thread_local! {
    static NESTED: Cell<u32> = const { Cell::new(0) };
}

/// Marks a dispatch that passes middleware on this thread.
struct Nested;

impl Nested {
    /// Begins a dispatch to the store of this name. Panics inside too many others: a middleware
    /// that dispatches without end would overflow the stack, which ends the process.
    fn begin(store: &str) -> Self {
        let depth = NESTED.get();
        assert!(
            depth < NESTED_MAX,
            "store `{store}`: a middleware dispatches inside its own dispatches, {NESTED_MAX} \
             deep. Pass on with `next.run(..)` the actions that it has made itself, or dispatch \
             them in a task with `next.later(..)`"
        );
        NESTED.set(depth + 1);
        Nested
    }
}

impl Drop for Nested {
    fn drop(&mut self) {
        NESTED.set(NESTED.get() - 1);
    }
}

pub(crate) type Middleware<S, A> = Box<dyn Fn(A, Next<'_, S, A>) -> DispatchFuture + Send + Sync>;

/// The middleware of one store.
pub(crate) struct Chain<S: State, A: Action> {
    layers: Vec<Middleware<S, A>>,
    runtime: Handle,
}

impl<S: State, A: Action> Chain<S, A> {
    /// `None` where there is no middleware. Needs a tokio runtime otherwise.
    pub(crate) fn new(layers: Vec<Middleware<S, A>>) -> Option<Arc<Self>> {
        match layers.is_empty() {
            true => None,
            false => Some(Arc::new(Chain { layers, runtime: Handle::current() })),
        }
    }

    pub(crate) fn dispatch(&self, store: &Store<S, A>, action: A) -> DispatchFuture {
        self.pass(store, None, action)
    }

    /// Dispatches many, waiting for room as needed: see [`Store::dispatch_many`].
    pub(crate) async fn dispatch_many(&self, store: &Store<S, A>, actions: Vec<A>) -> Vec<Outcome> {
        let mut under_way = Vec::with_capacity(actions.len());
        let mut cut_off = false;
        for action in actions {
            if cut_off {
                let cut_off = store.shared.counted(Err(DispatchError::NotConnected));
                under_way.push(DispatchFuture::resolved(cut_off));
                continue;
            }
            store.has_room().await;
            let many = Many::default();
            under_way.push(self.pass(store, Some(&many), action));
            let Many { busy, not_connected } = many;
            cut_off |= not_connected.get();
            for (action, mut sender) in busy.into_inner() {
                loop {
                    store.has_room().await;
                    match store.offer(&action, sender) {
                        Some((again, Err(DispatchError::Busy(_)))) => sender = again,
                        Some((sender, outcome)) => {
                            cut_off |= outcome == Err(DispatchError::NotConnected);
                            let _ = sender.send(outcome);
                            break;
                        }
                        None => break,
                    }
                }
            }
            tokio::task::yield_now().await;
        }
        let mut outcomes = Vec::with_capacity(under_way.len());
        for dispatching in under_way {
            outcomes.push(dispatching.await);
        }
        outcomes
    }

    /// Passes an action through the whole chain.
    fn pass(&self, store: &Store<S, A>, many: Option<&Many<A>>, action: A) -> DispatchFuture {
        let _nested = Nested::begin(store.name());
        Next { store, runtime: &self.runtime, rest: &self.layers, many }.run(action)
    }
}

/// The rest of the work of one of many dispatches.
struct Many<A> {
    /// There was no room for these, in this order.
    busy: RefCell<Vec<(A, oneshot::Sender<Outcome>)>>,
    not_connected: Cell<bool>,
}

impl<A> Default for Many<A> {
    fn default() -> Self {
        Many { busy: RefCell::default(), not_connected: Cell::new(false) }
    }
}

impl<A: Action> Many<A> {
    fn dispatch<S: State>(&self, store: &Store<S, A>, action: A) -> DispatchFuture {
        let (sender, receiver) = oneshot::channel();
        let mut busy = self.busy.borrow_mut();
        if !busy.is_empty() {
            busy.push((action, sender));
            return DispatchFuture::waiting(receiver);
        }
        match store.offer(&action, sender) {
            None => DispatchFuture::waiting(receiver),
            Some((sender, Err(DispatchError::Busy(_)))) => {
                busy.push((action, sender));
                DispatchFuture::waiting(receiver)
            }
            Some((_, outcome)) => {
                let not_connected = outcome == Err(DispatchError::NotConnected);
                self.not_connected.set(self.not_connected.get() || not_connected);
                DispatchFuture::resolved(outcome)
            }
        }
    }
}

/// The rest of the chain after a middleware: the next middleware, and at last the store. See
/// [`StoreBuilder::middleware`](crate::store::StoreBuilder::middleware).
pub struct Next<'a, S: State, A: Action> {
    store: &'a Store<S, A>,
    runtime: &'a Handle,
    rest: &'a [Middleware<S, A>],
    many: Option<&'a Many<A>>,
}

impl<'a, S: State, A: Action> Next<'a, S, A> {
    /// Passes an action on, this one or another. Actions are queued in the order of these calls.
    pub fn run(&self, action: A) -> DispatchFuture {
        match (self.rest.split_first(), self.many) {
            (Some((layer, rest)), _) => layer(action, Next { rest, ..*self }),
            (None, Some(many)) if !reading::inside() => many.dispatch(self.store, action),
            (None, _) => self.store.hand_over(action),
        }
    }

    /// Passes an action on, and calls `told` once with its outcome, even if the future is dropped:
    /// at once if the outcome is known, in a task of its own otherwise.
    pub fn run_then(
        &self,
        action: A,
        told: impl FnOnce(&Result<crate::Version, DispatchError>) + Send + 'static,
    ) -> DispatchFuture {
        let dispatching = self.run(action);
        if let Some(outcome) = dispatching.try_outcome() {
            told(outcome);
            return dispatching;
        }
        self.later(async move {
            let outcome = dispatching.await;
            told(&outcome);
            outcome
        })
    }

    /// Refuses the action: it never applies, and resolves as [`DispatchError::Refused`].
    pub fn refuse(&self, reason: impl Into<String>) -> DispatchFuture {
        let refused = Err(DispatchError::Refused(reason.into()));
        DispatchFuture::resolved(self.store.shared.counted(refused))
    }

    /// Resolves the dispatch by a task, as Redux's thunks do. The task may wait, and may dispatch
    /// at any time through a clone of [`Next::store`].
    pub fn later(
        &self,
        thunk: impl Future<Output = Result<crate::Version, DispatchError>> + Send + 'static,
    ) -> DispatchFuture {
        let (sender, receiver) = oneshot::channel();
        let shared = Arc::downgrade(&self.store.shared);
        let thunk = guarded("thunk of a middleware", thunk);
        let resolving: BoxFuture<()> = Box::pin(async move {
            match (thunk.await, shared.upgrade()) {
                // Who dispatched may have dropped the future.
                (Ok(outcome), _) => drop(sender.send(outcome)),
                (Err(panic), Some(shared)) => {
                    let text = format!("store `{}`: {panic}", shared.name());
                    shared.report(EventKind::MiddlewarePanicked, &text);
                }
                (Err(_), None) => {}
            }
        });
        self.runtime.spawn(resolving);
        DispatchFuture::waiting(receiver)
    }

    /// Returns the store, to read it and to dispatch further actions, which pass the whole chain.
    pub fn store(&self) -> &'a Store<S, A> {
        self.store
    }
}

impl<S: State, A: Action> fmt::Debug for Next<'_, S, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Next")
            .field("store", &self.store.name())
            .field("layers", &self.rest.len())
            .finish_non_exhaustive()
    }
}

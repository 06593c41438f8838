//! The store itself.

use std::iter::Peekable;
use std::sync::Arc;
use std::time::Duration;

use samestate_proto::replication::{Change, Counters, Observer, Refused};
use samestate_proto::{Epoch, NodeId, Version};
use tokio::sync::oneshot;

use super::dispatching::{Batch, Dispatching, Outcome, Waiter};
use super::error::resolved;
use super::middleware::Chain;
use super::reading;
use super::reduced::{Action, State};
use super::servers::Serving;
use super::shared::{Inner, Shared};
use super::subscribers::Subscription;
use super::upkeep::{Upkeep, close};
use super::{Client, DispatchError, Result, Role, Server, Watch};
use crate::link::{LinkCounts, LinkStats, Port};

/// Dispatches of [`Store::dispatch_many`] are handed over this many at a time.
const BATCH: usize = 256;

/// A named state, the same in every process. A handle: clones are the same store.
///
/// The store lives while a handle of it does, or until [`Store::close`].
pub struct Store<S: State, A: Action> {
    pub(super) shared: Arc<Shared<S, A>>,
    pub(super) upkeep: Arc<Upkeep>,
    /// `None`: there is no middleware.
    pub(super) middleware: Option<Arc<Chain<S, A>>>,
}

impl<S: State, A: Action> Clone for Store<S, A> {
    fn clone(&self) -> Self {
        Store {
            shared: Arc::clone(&self.shared),
            upkeep: Arc::clone(&self.upkeep),
            middleware: self.middleware.clone(),
        }
    }
}

impl<S: State, A: Action> Store<S, A> {
    /// Hands an action over, at once and in the order of the calls, and returns a future for its
    /// outcome: the version at which it was applied, here too.
    ///
    /// Never waits: a full window resolves as [`DispatchError::Busy`]. Dropping the future changes
    /// nothing. It passes the store's middleware first, if there is any. Inside [`Store::read`] the
    /// action is handed over when the read ends.
    pub fn dispatch(&self, action: A) -> Dispatching {
        match &self.middleware {
            None => self.hand_over(action),
            Some(chain) => chain.dispatch(self, action),
        }
    }

    /// Hands an action over that has passed the middleware.
    pub(super) fn hand_over(&self, action: A) -> Dispatching {
        if reading::inside() {
            return self.hand_over_later(action);
        }
        let mut receiver = None;
        let taken = self.shared.with(|inner, now| {
            Shared::dispatch(inner, &action, now, || {
                let (sender, waiting) = oneshot::channel();
                receiver = Some(waiting);
                Waiter::One(sender)
            })
        });
        match (taken, receiver) {
            (Ok(None), Some(receiver)) => Dispatching::waiting(receiver),
            (Ok(Some(resolution)), _) => Dispatching::resolved(resolved(resolution)),
            (Ok(None), None) => Dispatching::resolved(Err(DispatchError::OutcomeUnknown)),
            (Err(busy @ Refused::Busy(_)), _) => {
                Dispatching::resolved(self.shared.counted(Err(busy.into())))
            }
            (Err(refused), _) => Dispatching::resolved(Err(refused.into())),
        }
    }

    fn hand_over_later(&self, action: A) -> Dispatching {
        let (sender, receiver) = oneshot::channel();
        let shared = Arc::clone(&self.shared);
        reading::defer(Box::new(move || {
            if let Some((sender, outcome)) = shared.offer(&action, sender) {
                let outcome = match outcome {
                    busy @ Err(DispatchError::Busy(_)) => shared.counted(busy),
                    outcome => outcome,
                };
                // Who dispatched may have dropped the future.
                let _ = sender.send(outcome);
            }
        }));
        Dispatching::waiting(receiver)
    }

    /// Offers an action on behalf of who waits at `sender`; `Some`: its outcome is known already.
    pub(super) fn offer(
        &self,
        action: &A,
        sender: oneshot::Sender<Outcome>,
    ) -> Option<(oneshot::Sender<Outcome>, Outcome)> {
        self.shared.offer(action, sender)
    }

    /// Dispatches many actions, waiting for room as needed, and returns their outcomes in order.
    ///
    /// Once one is refused since this replica is not connected, so are all after it, whether or not
    /// it is connected again by then: what applied is a beginning of `actions`.
    pub async fn dispatch_many(
        &self,
        actions: impl IntoIterator<Item = A>,
    ) -> Vec<Result<Version, DispatchError>> {
        let actions: Vec<A> = actions.into_iter().collect();
        if let Some(chain) = &self.middleware {
            return chain.dispatch_many(self, actions).await;
        }
        let batch = Batch::new(actions.len());
        let mut actions = actions.into_iter().enumerate().peekable();
        let mut cut_off = false;
        while actions.peek().is_some() {
            if !self.hand_over_many(&batch, &mut actions, &mut cut_off) {
                self.has_room().await;
            }
            tokio::task::yield_now().await;
        }
        batch.completed().await
    }

    /// Hands over the next actions, under one lock. False: there was no room for the next one.
    fn hand_over_many(
        &self,
        batch: &Arc<Batch>,
        actions: &mut Peekable<impl Iterator<Item = (usize, A)>>,
        cut_off: &mut bool,
    ) -> bool {
        self.shared.with(|inner, now| {
            for _ in 0..BATCH {
                let Some((index, action)) = actions.peek() else { break };
                let (index, waiter_of) = (*index, Arc::clone(batch));
                let waiter = || Waiter::Many { batch: waiter_of, index };
                let taken = match *cut_off {
                    true => {
                        inner.dispatches.not_connected += 1;
                        Err(Refused::NotConnected)
                    }
                    false => Shared::dispatch(inner, action, now, waiter),
                };
                match taken {
                    Ok(None) => {}
                    Ok(Some(resolution)) => batch.put(index, resolved(resolution)),
                    Err(Refused::Busy(_)) => return false,
                    Err(refused) => {
                        *cut_off |= refused == Refused::NotConnected;
                        batch.put(index, Err(refused.into()));
                    }
                }
                actions.next();
            }
            true
        })
    }

    /// Waits until a dispatch would be taken: in sync, with room in the window. Where none will
    /// ever be taken, since the store is closed or poisoned or its master is gone, it returns at
    /// once, and the dispatch says why.
    pub async fn ready(&self) {
        loop {
            let notified = self.shared.room.notified();
            let taken =
                |inner: &mut Inner<S, A>| inner.replica.connected() && inner.replica.has_room();
            if self.shared.with(|inner, _| taken(inner)) || self.shared.takes_none() {
                return;
            }
            notified.await;
        }
    }

    /// Waits until a dispatch would not be `Busy`.
    pub(super) async fn has_room(&self) {
        loop {
            let notified = self.shared.room.notified();
            if self.shared.with(|inner, _| !inner.replica.connected() || inner.replica.has_room()) {
                return;
            }
            notified.await;
        }
    }

    /// Calls `subscriber` for every change from now on, in order: each action, or a jump where
    /// the state was replaced. Called by one task a store, outside of every lock: it may read,
    /// dispatch and subscribe. [`Store::state`] may be newer than the change told.
    pub fn subscribe(
        &self,
        subscriber: impl Fn(&Change<Arc<A>>) + Send + Sync + 'static,
    ) -> Subscription {
        self.shared.subscribe(|_| Arc::new(move |change, _| subscriber(change)))
    }

    /// The newest version, as a stream: versions in between may be skipped.
    pub fn watch(&self) -> Watch {
        Watch::new(self.shared.newest(), self.shared.closed())
    }

    /// Borrows the state. Reads nest; other threads' reads go on beside it, changes wait.
    ///
    /// Inside, this store may be read, dispatched to and asked whether it is connected and at
    /// which version; whatever else would wait for a change that waits for this read.
    pub fn read<R>(&self, reader: impl FnOnce(&S) -> R) -> R {
        self.shared.read(reader)
    }

    /// The state. O(1); if it is still held when the next action comes, that action changes a
    /// clone.
    #[doc(alias = "getState")]
    pub fn state(&self) -> Arc<S> {
        reading::may_call(self.name());
        Arc::clone(&self.shared.cell.read(reading::inside()))
    }

    /// The state and its version, as one. Not to be called inside [`Store::read`].
    pub fn state_at(&self) -> (Version, Arc<S>) {
        self.shared
            .with(|inner, _| (inner.replica.version(), Arc::clone(&self.shared.cell.read(true))))
    }

    /// The version of the state.
    pub fn version(&self) -> Version {
        self.shared.version()
    }

    /// In sync with the store's sequencer (A9): dispatches are refused exactly while this is
    /// false. In a worker it follows its master's link.
    pub fn connected(&self) -> bool {
        self.shared.is_connected()
    }

    /// Waits until [`Store::connected`] is `wanted`.
    pub async fn until_connected(&self, wanted: bool) {
        let mut connected = self.shared.connected();
        // The sender lives in `shared`, which outlives this borrow.
        let _ = connected.wait_for(|connected| *connected == wanted).await;
    }

    /// Returns the roles of this store in this process (A10), several at once.
    pub fn role(&self) -> Vec<Role> {
        self.upkeep.roles()
    }

    /// The name by which all processes know the store.
    pub fn name(&self) -> &str {
        self.shared.name()
    }

    /// Returns the id of this store's node. It is drawn when the store opens, and named in the
    /// reports to [`Store::on_error`] and in the paths that nodes report.
    pub fn node(&self) -> NodeId {
        self.shared.node()
    }

    /// Serves the store (A4): clients may link to it from now on. Stores of one process that are
    /// served at the same address share one server there, and have to ask for the same logins.
    /// [`Cluster::create_server`](crate::Cluster::create_server) serves all of them at once.
    ///
    /// The server lives as long as the store, or until it is closed by what comes back, which also
    /// tells its address and lifts lock-outs.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Link`] if it cannot listen there; [`crate::Error::OtherLogins`],
    /// [`crate::Error::OtherTls`], [`crate::Error::ServedTwice`] or [`crate::Error::AlreadyServed`]
    /// if this process serves there already, and otherwise.
    pub async fn create_server(&self, server: Server) -> Result<Serving> {
        let port: Arc<dyn Port> = Arc::clone(&self.shared) as Arc<dyn Port>;
        self.upkeep.listen(server, port).await
    }

    /// Makes the store a client of a server (A7). It stops ordering or following at once; what is
    /// under way resolves as `OutcomeUnknown`, and the server's state takes the place of its own.
    /// In a worker it stops all traffic with the master (A10). Returns before it is in sync.
    ///
    /// # Errors
    ///
    /// [`crate::Error::AlreadyClient`] if it is one, and [`crate::Error::Link`] if the address or
    /// the options make no sense. A server that is not there is no error: the store keeps trying.
    pub fn create_client(&self, client: Client) -> Result<()> {
        let port: Arc<dyn Port> = Arc::clone(&self.shared) as Arc<dyn Port>;
        self.upkeep.dial(client, port, || self.shared.follow())
    }

    /// Stops being a client: the store leaves its server, and what is under way resolves as
    /// `OutcomeUnknown`. It can be read, and is not connected until it follows a server again by
    /// [`Store::create_client`]. In a worker it follows the master again.
    ///
    /// # Errors
    ///
    /// [`crate::Error::NotAClient`](crate::Error::NotAClient) if it is none.
    pub async fn detach_client(&self) -> Result<()> {
        let port: Arc<dyn Port> = Arc::clone(&self.shared) as Arc<dyn Port>;
        self.upkeep.detach(port, || self.shared.follow()).await
    }

    /// The servers that were made by [`Store::create_server`] and are not closed.
    pub fn servers(&self) -> Vec<Serving> {
        self.upkeep.servers()
    }

    /// Replaces the receiver of non-critical errors (A16), such as a lost connection or a bad
    /// message. The default is standard error.
    #[doc(alias = "stderr")]
    pub fn on_error(&self, on_error: impl Fn(&str) + Send + Sync + 'static) {
        self.shared.set_on_error(Arc::new(on_error));
    }

    /// Returns the counters since the store opened. Not to be called inside [`Store::read`].
    pub fn counters(&self) -> Counters {
        self.shared.with(|inner, _| inner.replica.counters())
    }

    /// Bytes and system calls of all links of this process, since it began.
    pub fn link_counts(&self) -> LinkCounts {
        LinkStats::process().counts()
    }

    /// Tells `observer` of all that happens to the state, under the store's lock: for
    /// instruments.
    #[doc(hidden)]
    pub fn set_observer(&self, observer: Box<dyn Observer>) {
        self.shared.with(|inner, _| inner.replica.set_observer(observer));
    }

    /// The version where the store stands with its rolling hash, and the life in which this node
    /// orders or follows: what an instrument begins with that is set after the store opened.
    #[doc(hidden)]
    pub fn stands_at(&self) -> ((Version, u64), Epoch) {
        self.shared.with(|inner, _| {
            let (version, history) = (inner.replica.version(), inner.replica.history());
            ((version, history), inner.replica.lineage().head().unwrap_or(version.epoch))
        })
    }

    /// Waits until the dispatches that are under way here are resolved, `within` at most, and ends
    /// the store's server and client, and its backup: all that was ordered is then on disk. What is
    /// dispatched meanwhile resolves as [`DispatchError::OutcomeUnknown`] where it was not resolved
    /// by then. A store that is closed can still be read.
    ///
    /// The backup is waited for as long as its disk answers. If the disk hangs, which is that one
    /// call takes 10 s and a second more for each 8 MiB to be written, the store is closed without
    /// it, but not before `within` has passed.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Undrained`] if dispatches were still under way, and [`crate::Error::Backup`]
    /// if the last of them could not be written. The store is closed all the same.
    pub async fn close(&self, within: Duration) -> Result<()> {
        close(&self.shared, &self.upkeep, within).await
    }
}

impl<S: State, A: Action> std::fmt::Debug for Store<S, A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("name", &self.name())
            .field("version", &self.version())
            .field("connected", &self.connected())
            .finish_non_exhaustive()
    }
}

//! The store itself.

use std::iter::Peekable;
use std::sync::Arc;
use std::time::Duration;

use samestate_proto::replication::{Change, Counters, Observer, Refused};
use samestate_proto::{Epoch, NodeId, Version};
use tokio::sync::oneshot;

use crate::event::Event;
use crate::link::{ClientConfig, LinkCounts, LinkEndpoint, LinkStats, ServerConfig};
use crate::store::dispatch::future::{Batch, DispatchFuture, Outcome, Waiter};
use crate::store::dispatch::middleware::Chain;
use crate::store::driver::shared::{Inner, Shared};
use crate::store::error::resolved;
use crate::store::observe::reading;
use crate::store::observe::subscribers::Subscription;
use crate::store::reducer::machine::{Action, State};
use crate::store::serve::attachments::{self, Attachments, close};
use crate::store::serve::servers::ServerHandle;
use crate::store::{DispatchError, Result, Role, Watch};

/// The number of actions that [`Store::dispatch_many`] dispatches at a time.
const BATCH: usize = 256;

/// A named state, the same in every process. This is a handle: its clones refer to the same store.
///
/// The store lives until its last handle is dropped, or until [`Store::close`].
pub struct Store<S: State, A: Action> {
    pub(crate) shared: Arc<Shared<S, A>>,
    pub(crate) upkeep: Arc<Attachments>,
    /// The middleware; `None` if there is none.
    pub(crate) middleware: Option<Arc<Chain<S, A>>>,
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
    /// Dispatches an action, and returns a future of its outcome: the version at which the action
    /// was applied, here too.
    ///
    /// The action is queued before this method returns, so dispatches are ordered as they are
    /// called. The method never waits: if the window is full, the future resolves as
    /// [`DispatchError::Busy`]. Dropping the future does not cancel the action. The store's
    /// middleware sees the action first. Inside [`Store::read`] the action is queued when the read
    /// ends.
    pub fn dispatch(&self, action: A) -> DispatchFuture {
        match &self.middleware {
            None => self.hand_over(action),
            Some(chain) => chain.dispatch(self, action),
        }
    }

    /// Dispatches an action that has passed the middleware.
    pub(crate) fn hand_over(&self, action: A) -> DispatchFuture {
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
            (Ok(None), Some(receiver)) => DispatchFuture::waiting(receiver),
            (Ok(Some(resolution)), _) => DispatchFuture::resolved(resolved(resolution)),
            (Ok(None), None) => DispatchFuture::resolved(Err(DispatchError::OutcomeUnknown)),
            (Err(busy @ Refused::Busy(_)), _) => DispatchFuture::resolved(
                self.shared.counted(Err(DispatchError::from_refused(busy))),
            ),
            (Err(refused), _) => {
                DispatchFuture::resolved(Err(DispatchError::from_refused(refused)))
            }
        }
    }

    fn hand_over_later(&self, action: A) -> DispatchFuture {
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
        DispatchFuture::waiting(receiver)
    }

    /// Offers an action for the receiver of `sender`. Returns its outcome if that is known already.
    pub(crate) fn offer(
        &self,
        action: &A,
        sender: oneshot::Sender<Outcome>,
    ) -> Option<(oneshot::Sender<Outcome>, Outcome)> {
        self.shared.offer(action, sender)
    }

    /// Dispatches many actions, and returns their outcomes in order. Waits for room as needed.
    ///
    /// If one action is refused because this replica is not connected, so are all after it, even if
    /// the replica is connected again by then. So the applied actions are a prefix of `actions`.
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

    /// Dispatches the next actions, under one lock. Returns false if there was no room for the next
    /// one.
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
                        batch.put(index, Err(DispatchError::from_refused(refused)));
                    }
                }
                actions.next();
            }
            true
        })
    }

    /// Waits until a dispatch would be accepted: the store is in sync, and the window has room.
    /// Returns at once if no dispatch will ever be accepted, because the store is closed or
    /// poisoned or its master is gone. The next dispatch then reports the reason.
    pub async fn ready(&self) {
        loop {
            let notified = self.shared.room.notified();
            let taken =
                |inner: &mut Inner<S, A>| inner.replica.is_connected() && inner.replica.has_room();
            if self.shared.with(|inner, _| taken(inner)) || self.shared.takes_none() {
                return;
            }
            notified.await;
        }
    }

    /// Waits until a dispatch would not be `Busy`.
    pub(crate) async fn has_room(&self) {
        loop {
            let notified = self.shared.room.notified();
            if self
                .shared
                .with(|inner, _| !inner.replica.is_connected() || inner.replica.has_room())
            {
                return;
            }
            notified.await;
        }
    }

    /// Calls `subscriber` for every change from now on, in order: for each action, or for a jump if
    /// the state was replaced. One task for each store calls all subscribers, outside of every
    /// lock, so a subscriber may read, dispatch and subscribe. [`Store::state`] may be newer than
    /// the change.
    pub fn subscribe(
        &self,
        subscriber: impl Fn(&Change<Arc<A>>) + Send + Sync + 'static,
    ) -> Subscription {
        self.shared.subscribe(|_| Arc::new(move |change, _| subscriber(change)))
    }

    /// Returns a stream of the newest version. It may skip versions in between.
    pub fn watch(&self) -> Watch {
        Watch::new(self.shared.newest(), self.shared.closed())
    }

    /// Borrows the state. Reads may nest. Other threads can read meanwhile, but changes wait.
    ///
    /// The reader may read this store, dispatch to it, and ask for its version and whether it is
    /// connected. Any other call would wait for a change, which waits for this read.
    pub fn read<R>(&self, reader: impl FnOnce(&S) -> R) -> R {
        self.shared.read(reader)
    }

    /// Returns the state in O(1). If the state is still held when the next action is applied, the
    /// action changes a clone.
    #[doc(alias = "getState")]
    pub fn state(&self) -> Arc<S> {
        reading::may_call(self.name());
        Arc::clone(&self.shared.cell.read(reading::inside()))
    }

    /// Returns the state and its version together. Do not call this inside [`Store::read`].
    pub fn state_at(&self) -> (Version, Arc<S>) {
        self.shared
            .with(|inner, _| (inner.replica.version(), Arc::clone(&self.shared.cell.read(true))))
    }

    /// Returns the version of the state.
    pub fn version(&self) -> Version {
        self.shared.version()
    }

    /// Returns whether the store is in sync with its sequencer. Dispatches are refused exactly
    /// while it is not. In a worker, this depends on the link of its master too.
    pub fn is_connected(&self) -> bool {
        self.shared.is_connected()
    }

    /// Waits until [`Store::is_connected`] is `wanted`.
    pub async fn until_connected(&self, wanted: bool) {
        let mut connected = self.shared.connected();
        // The sender lives in `shared`, which outlives this borrow.
        let _ = connected.wait_for(|connected| *connected == wanted).await;
    }

    /// Returns the roles of this store in this process, several at once.
    pub fn roles(&self) -> Vec<Role> {
        self.upkeep.roles()
    }

    /// Returns the name by which all processes know the store.
    pub fn name(&self) -> &str {
        self.shared.name()
    }

    /// Returns the id of this store's node. It is drawn when the store opens, and named in the
    /// reports to [`Store::on_error`] and in the paths that nodes report.
    pub fn node(&self) -> NodeId {
        self.shared.node()
    }

    /// Serves the store: from now on clients may link to it. Stores of one process that are
    /// served at the same address share one server, and must have the same logins.
    /// [`Cluster::create_server`](crate::Cluster::create_server) serves all stores at once.
    ///
    /// The server lives as long as the store, or until it is closed by the returned handle. The
    /// handle also returns the address and lifts lock-outs.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Link`] if the server cannot listen there; [`crate::Error::OtherLogins`],
    /// [`crate::Error::OtherTls`], [`crate::Error::ServedTwice`] or [`crate::Error::AlreadyServed`]
    /// if this process has a server there already, with other options.
    pub async fn create_server(&self, server: ServerConfig) -> Result<ServerHandle> {
        let port: Arc<dyn LinkEndpoint> = Arc::clone(&self.shared) as Arc<dyn LinkEndpoint>;
        self.upkeep.listen(server, port).await
    }

    /// Makes the store a client of a server. The store stops ordering or following at once.
    /// Dispatches under way resolve as `OutcomeUnknown`, and the server's state replaces its own.
    /// In a worker, all traffic with the master stops. Returns before the store is in sync.
    ///
    /// # Errors
    ///
    /// [`crate::Error::AlreadyClient`] if the store is a client already, and [`crate::Error::Link`]
    /// if the address or the options are invalid. A server that cannot be reached is no error: the
    /// store keeps trying.
    pub fn create_client(&self, client: ClientConfig) -> Result<()> {
        let port: Arc<dyn LinkEndpoint> = Arc::clone(&self.shared) as Arc<dyn LinkEndpoint>;
        self.upkeep.dial(client, port, || self.shared.follow())
    }

    /// Ends the store's role as a client: the store leaves its server, and dispatches under way
    /// resolve as `OutcomeUnknown`. It can be read, and is not connected until it follows a server
    /// again by [`Store::create_client`]. In a worker, the store follows the master again.
    ///
    /// # Errors
    ///
    /// [`crate::Error::NotAClient`](crate::Error::NotAClient) if the store is not a client.
    pub async fn detach_client(&self) -> Result<()> {
        let port: Arc<dyn LinkEndpoint> = Arc::clone(&self.shared) as Arc<dyn LinkEndpoint>;
        self.upkeep.detach(port, || self.shared.follow()).await
    }

    /// Takes the place of the store's sequencer, which is gone: this client leaves its server, and
    /// orders the actions from now on. Returns the version at which it continues. Nodes below it
    /// stay, and clients that know its address as one of several
    /// ([`ClientConfig::tcp`](crate::ClientConfig::tcp)) come to it.
    ///
    /// Actions that the last sequencer ordered and this node never got are lost. Whoever had them
    /// is told so, as `HistoryLost`. If this node is a [standby](crate::StoreBuilder::standby),
    /// dispatches under way of other nodes are applied once, as after a reconnection. Otherwise,
    /// and where this node cannot know, they resolve as
    /// [`OutcomeUnknown`](crate::DispatchError::OutcomeUnknown), as those of this node do.
    ///
    /// Call it only when the last sequencer orders no more: no node can tell a sequencer that died
    /// from one that it cannot reach, and two sequencers make two histories, of which one is lost
    /// when they meet. A sequencer that comes back joins this one by itself if this is one of its
    /// [standbys](crate::StoreBuilder::standbys), and by [`Store::create_client`] otherwise. One
    /// that became a client by it, and still has a link to this node, hands over: this node waits
    /// for its last action, up to 10 s, and nothing is lost.
    ///
    /// An operator may promote a store that a server serves over the network:
    /// [`ClientConfig::promote`](crate::ClientConfig::promote), or `samestate promote`.
    ///
    /// # Errors
    ///
    /// [`crate::Error::NotPromotable`] if the store is the sequencer, cannot order from its state,
    /// or can reach a sequencer that orders; [`crate::Error::NotAClient`] if it is a worker, or has
    /// left its server; and [`crate::Error::Backup`] if it has a backup that cannot be written, or
    /// whose files hold actions that it never got. It is a client as before then.
    pub async fn promote(&self) -> Result<Version> {
        attachments::promote(&self.shared, &self.upkeep).await
    }

    /// Returns the servers that were made by [`Store::create_server`] and are not closed.
    pub fn servers(&self) -> Vec<ServerHandle> {
        self.upkeep.servers()
    }

    /// Replaces the receiver of non-critical errors, such as a lost connection or a divergence. It
    /// must not block. The default is standard error.
    #[doc(alias = "stderr")]
    pub fn on_error(&self, on_error: impl Fn(&Event) + Send + Sync + 'static) {
        self.shared.set_on_error(Arc::new(on_error));
    }

    /// Returns the counters since the store opened. Do not call this inside [`Store::read`].
    pub fn counters(&self) -> Counters {
        self.shared.with(|inner, _| inner.replica.counters())
    }

    /// Returns the bytes and system calls of all links of this process, since the process began.
    pub fn link_counts(&self) -> LinkCounts {
        LinkStats::process().counts()
    }

    /// Sets an observer of every event of the state. It is called under the store's lock, and is
    /// meant for instruments.
    #[doc(hidden)]
    pub fn set_observer(&self, observer: Box<dyn Observer>) {
        self.shared.with(|inner, _| inner.replica.set_observer(observer));
    }

    /// Returns the version with its rolling hash, and the epoch in which this node orders or
    /// follows. An instrument that is set after the store opened begins with them.
    #[doc(hidden)]
    pub fn stands_at(&self) -> ((Version, u64), Epoch) {
        self.shared.with(|inner, _| {
            let (version, history) = (inner.replica.version(), inner.replica.history());
            ((version, history), inner.replica.lineage().head().unwrap_or(version.epoch))
        })
    }

    /// Closes the store. Waits until the dispatches under way at this node are resolved, for
    /// `within` at most, and then ends the store's server, its client and its backup. All ordered
    /// actions are then on disk. A dispatch that is made meanwhile and is not resolved by then
    /// resolves as [`DispatchError::OutcomeUnknown`]. A closed store can still be read.
    /// Once the call has returned, a store can be opened with the same backup again, here or in
    /// another process, unless the disk hung.
    ///
    /// The call waits for the backup while its disk answers. A disk hangs if one call to it takes
    /// 10 s, and a second more for each 8 MiB to be written. In this case the store is closed
    /// without waiting for the disk, but not before `within` has passed.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Undrained`] if dispatches were still under way, and [`crate::Error::Backup`]
    /// if the last of them could not be written. The store is closed in both cases.
    pub async fn close(&self, within: Duration) -> Result<()> {
        close(&self.shared, &self.upkeep, within).await
    }
}

impl<S: State, A: Action> std::fmt::Debug for Store<S, A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("name", &self.name())
            .field("version", &self.version())
            .field("connected", &self.is_connected())
            .finish_non_exhaustive()
    }
}

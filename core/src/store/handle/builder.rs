//! Options of a store before it opens.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant};

use samestate_proto::replication::{Config, Observer, Replica, Resync, StateMachine};
use samestate_proto::wire::Codec;
use samestate_proto::{Epoch, Mode, NodeId};

use crate::backup::Backup;
use crate::event::Event;
use crate::link::{ClientConfig, LinkEndpoint};
use crate::state::{Delta, Patching};
use crate::store::dispatch::future::DispatchFuture;
use crate::store::dispatch::middleware::{Chain, Middleware, Next};
use crate::store::driver::backing::{self, Later};
use crate::store::driver::random;
use crate::store::driver::shared::{OnError, Shared, to_stderr};
use crate::store::driver::trace;
use crate::store::handle::bounds;
use crate::store::handle::opening::{self, Begun};
use crate::store::handle::store::Store;
use crate::store::reducer::machine::{
    Action, IntoReduction, Reducer, ReducerMachine, State, encoded,
};
use crate::store::reducer::undo::UndoPanics;
use crate::store::serve::attachments::Placement;
use crate::store::serve::standbys::Standbys;
use crate::store::{Error, Result};
use crate::task;

/// The default time that [`StoreBuilder::open`] waits.
const OPEN_TIMEOUT: Duration = Duration::from_secs(30);

/// A store that is not open yet.
#[must_use = "a store begins with `open()` or `start()`"]
pub struct StoreBuilder<S: State, A: Action> {
    home: Placement,
    config: Config,
    reducer: Option<Reducer<S, A>>,
    preloaded: S,
    undo_panics: UndoPanics,
    patching: Option<Patching<S>>,
    client: Option<ClientConfig>,
    standbys: Option<ClientConfig>,
    backup: Option<Backup>,
    durable: bool,
    on_error: OnError,
    open_timeout: Duration,
    observer: Option<Box<dyn Observer>>,
    middleware: Vec<Middleware<S, A>>,
    action: PhantomData<fn(A)>,
}

/// Prepares a store outside of a cluster: one on its own, or a client if [`StoreBuilder::client`]
/// names a server. In a cluster, use [`crate::Cluster::create_store`].
///
/// The reducer must be pure and deterministic: the same state and action give the same next state
/// in every process. It returns nothing, or `Result<(), Reject>`. A reducer that rejects actions
/// checks an action before it changes the state.
#[doc(alias = "createStore")]
pub fn create_store<S, A, V>(
    name: &str,
    reducer: impl Fn(&mut S, &A) -> V + Send + Sync + 'static,
) -> StoreBuilder<S, A>
where
    S: State + Default,
    A: Action,
    V: IntoReduction,
{
    StoreBuilder::new(Placement::Alone, name, reducer, S::default())
}

impl<S: State, A: Action> StoreBuilder<S, A> {
    pub(crate) fn new<V: IntoReduction>(
        home: Placement,
        name: &str,
        reducer: impl Fn(&mut S, &A) -> V + Send + Sync + 'static,
        preloaded: S,
    ) -> Self {
        StoreBuilder {
            home,
            config: Config::new(name),
            reducer: Some(Box::new(move |state, action| reducer(state, action).verdict())),
            preloaded,
            undo_panics: UndoPanics::default(),
            patching: None,
            client: None,
            standbys: None,
            backup: None,
            durable: false,
            on_error: Arc::new(|event| to_stderr(event)),
            open_timeout: OPEN_TIMEOUT,
            observer: None,
            middleware: Vec::new(),
            action: PhantomData,
        }
    }

    /// Prepares a client without a reducer, which cannot serve other nodes.
    pub(crate) fn without_reducer(name: &str, client: ClientConfig, state: S) -> Self {
        let builder = StoreBuilder::new(Placement::Alone, name, |_: &mut S, _: &A| {}, state);
        StoreBuilder { reducer: None, client: Some(client), ..builder }
    }

    /// Sets the mode in which this node sends downstream. For [`Mode::Delta`] call
    /// [`StoreBuilder::delta`] instead; without it, opening the store fails with
    /// [`Error::Options`]. Default: [`Mode::Action`].
    pub fn mode(mut self, mode: Mode) -> Self {
        self.config.mode = mode;
        self
    }

    /// Sends downstream in [`Mode::Delta`], and takes patches from upstream: for a large state with
    /// an expensive reducer, which only the sending node runs then.
    ///
    /// Call it in all processes of the store. A node that does not gets the actions instead, and
    /// runs the reducer. [`StoreBuilder::mode`] after it sets another mode of sending. Subscribers
    /// are told of each action as in mode action. The metric `patches_applied` shows that patches
    /// are in use.
    ///
    /// ```
    /// use samestate::create_store;
    /// use samestate::state::{Delta, Map};
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Clone, Default, Serialize, Deserialize, Delta)]
    /// struct Ranking { points: Map<String, u64>, first: String }
    ///
    /// // Every point may change who is first.
    /// fn reduce(ranking: &mut Ranking, player: &String) {
    ///     let points = ranking.points.get(player).copied().unwrap_or_default();
    ///     ranking.points.insert(player.clone(), points + 1);
    ///     let first = ranking.points.iter().max_by_key(|(_, points)| **points);
    ///     ranking.first = first.map(|(player, _)| player.clone()).unwrap_or_default();
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> anyhow::Result<()> {
    /// let ranking = create_store("ranking", reduce).delta().open().await?;
    /// ranking.dispatch("Ada".to_owned()).await?;
    /// assert_eq!(ranking.read(|ranking| ranking.first.clone()), "Ada");
    /// # Ok(())
    /// # }
    /// ```
    pub fn delta(self) -> Self
    where
        S: Delta,
    {
        self.patching(Some(Patching::new())).mode(Mode::Delta)
    }

    /// Sets the functions that make and apply patches, if there are any.
    #[doc(hidden)]
    pub fn patching(self, patching: Option<Patching<S>>) -> Self {
        StoreBuilder { patching, ..self }
    }

    /// Sets how copies are checked in modes action and delta: every 1 to 1,000,000,000 actions, or
    /// not at all. Default: `Resync::Verify(100)`.
    pub fn resync(mut self, resync: Resync) -> Self {
        self.config.resync = resync;
        self
    }

    /// Sets the state that the store begins with if this node is its sequencer. Default:
    /// `S::default()`.
    ///
    /// ```
    /// use samestate::create_store;
    /// use serde_json::{Value, json};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> anyhow::Result<()> {
    /// // State and actions may be any JSON.
    /// let rename = |user: &mut Value, action: &Value| user["name"] = action["name"].clone();
    /// let user = create_store("user", rename)
    ///     .preloaded(json!({ "name": "nobody", "id": 7 }))
    ///     .open()
    ///     .await?;
    /// user.dispatch(json!({ "type": "RENAME", "name": "Ada" })).await?;
    /// assert_eq!(*user.state(), json!({ "name": "Ada", "id": 7 }));
    /// # Ok(())
    /// # }
    /// ```
    pub fn preloaded(mut self, state: S) -> Self {
        self.preloaded = state;
        self
    }

    /// Sets whether a panic of the reducer is undone. Default: [`UndoPanics::WhileSmall`].
    ///
    /// If a panic is undone, its action is rejected, and the store continues with the state before
    /// it. If it is not undone, the store is poisoned: it accepts no dispatch until the process is
    /// restarted. Undoing panics takes the memory of one more state, and at most 16 MiB.
    pub fn undo_panics(mut self, undo: UndoPanics) -> Self {
        self.undo_panics = undo;
        self
    }

    /// Sets the encoding of actions and states. Default: MessagePack with field names.
    pub fn codec(mut self, codec: Codec) -> Self {
        self.config.codec = codec;
        self
    }

    /// Sets the version of the types of state and action. Nodes with different versions refuse each
    /// other. Default: 1.
    pub fn schema_version(mut self, version: u32) -> Self {
        self.config.schema_version = version;
        self
    }

    /// Makes the store a client of this server from the beginning, instead of a sequencer or a
    /// worker.
    pub fn client(mut self, client: ClientConfig) -> Self {
        self.client = Some(client);
        self
    }

    /// Makes a client a standby: it keeps what it needs to continue the dispatches of other nodes
    /// after [`Store::promote`]. These are the outcomes of the last dispatches that it has applied:
    /// of 4,096 nodes, and as many of each as [`StoreBuilder::window`] says, with about 40 bytes
    /// each. A sequencer is a standby once it follows
    /// another one. It has no effect at a worker.
    pub fn standby(mut self) -> Self {
        self.config.standby = true;
        self
    }

    /// Names the servers of the standbys of this node, one of which may have been
    /// [promoted](Store::promote) in its place while it was away. If this node is the store's
    /// sequencer, it asks them: in [`StoreBuilder::open`], before anyone can follow the store, and
    /// then every 5 s. If one of them was promoted, this node becomes a client of it, and reports
    /// [`EventKind::Superseded`](crate::EventKind::Superseded). The actions that it alone had are
    /// lost, and told as `Jump::HistoryLost`. A later start is that of a client.
    ///
    /// `open` waits for standbys that it cannot reach, up to 10 s, and then orders. So a sequencer
    /// that is cut off from one that was promoted orders until it reaches that one, and all that
    /// is lost. [`StoreBuilder::start`] orders while it asks.
    pub fn standbys(mut self, standbys: ClientConfig) -> Self {
        self.standbys = Some(standbys);
        self
    }

    /// Keeps the store on disk. Opening the store restores the backup, if there is one,
    /// instead of the [`StoreBuilder::preloaded`] state. Later actions are written at the pace that
    /// [`Backup`] sets.
    ///
    /// If this node is the store's sequencer (a store alone, a master, a server), the restored
    /// state goes to all workers and clients. In other nodes a backup has no effect, because a
    /// replica gets its state from its upstream. So every process of a cluster may have the same
    /// options. A client begins it with [`Store::promote`], in place of what the files hold.
    pub fn backup(mut self, backup: Backup) -> Self {
        self.backup = Some(backup);
        self
    }

    /// Makes `Ok` mean that the action is on disk. No answer, entry, snapshot or event leaves this
    /// node before. Actions that are ordered while the disk is busy are written together. This
    /// needs a [`StoreBuilder::backup`], whose pace has no effect then. [`Store::state`] and
    /// [`Store::version`] of this node may be ahead of the disk.
    ///
    /// While the disk refuses writes, the store is not connected: dispatches under way resolve as
    /// `OutcomeUnknown`, new ones as [`crate::DispatchError::Stalled`]. The store continues by
    /// itself when the disk works again.
    pub fn durable(mut self) -> Self {
        self.durable = true;
        self
    }

    /// Sets the receiver of non-critical errors, such as a lost connection or a divergence. It must
    /// not block. Default: standard error.
    #[doc(alias = "stderr")]
    pub fn on_error(mut self, on_error: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.on_error = Arc::new(on_error);
        self
    }

    /// Sets the maximum number of bytes of actions in the log, up to 1 TiB. A link that falls
    /// behind by more gets a snapshot. Default: 16 MiB.
    pub fn log_bytes_max(mut self, bytes: usize) -> Self {
        self.config.log_bytes_max = bytes;
        self
    }

    /// Sets how many bytes of actions the log keeps beyond [`StoreBuilder::log_bytes_max`] while a
    /// snapshot is being sent, and until its receiver has caught up. The log never keeps more bytes
    /// than the snapshot has. 1 TiB at most. Default: 64 MiB.
    pub fn catch_up_bytes_max(mut self, bytes: usize) -> Self {
        self.config.catch_up_bytes_max = bytes;
        self
    }

    /// Sets how long dispatches wait for slow followers that near the end of the log: for all
    /// followers together, in a period of a hundred times this length. After that a slow follower
    /// falls off the log, which is reported. A follower that takes 4 MiB a second or more is always
    /// waited for. [`Duration::MAX`] removes the limit for slower followers too. Default: 1 s.
    pub fn pressure_grace(mut self, grace: Duration) -> Self {
        self.config.pressure_grace = grace;
        self
    }

    /// Sets the maximum number of dispatches under way at this node, from 1 to 16,777,216. Beyond
    /// it, a dispatch is `Busy`. Default: 4096.
    pub fn window(mut self, dispatches: usize) -> Self {
        self.config.window = dispatches;
        self
    }

    /// Sets the time after which an unresolved dispatch resolves as `OutcomeUnknown`. Default: 30
    /// s. A large action gets more time: a second for each 64 KiB. [`Duration::MAX`] means no
    /// limit.
    pub fn dispatch_deadline(mut self, after: Duration) -> Self {
        self.config.dispatch_deadline = Some(after);
        self
    }

    /// Sets the interval of an idle link's heartbeats (1 ms or more), and the silence after which a
    /// link is cut (at least twice the interval). [`Duration::MAX`] means never. Default: 500 ms
    /// and 5 s.
    pub fn liveness(mut self, heartbeat: Duration, dead_after: Duration) -> Self {
        self.config.heartbeat = heartbeat;
        self.config.dead_after = dead_after;
        self
    }

    /// Adds a middleware around every dispatch of this process's handles of the store. Actions from
    /// other processes pass the middleware there. Several middlewares are called in the order in
    /// which they are added.
    ///
    /// A middleware gets the action and the [`Next`] step, and returns the dispatch. It may pass
    /// the action on, change it, refuse it, observe its outcome, or dispatch other actions as well.
    /// It is called inside [`Store::dispatch`], and must not wait. If a caller dispatches inside
    /// [`Store::read`], it is called there too.
    ///
    /// A dispatch panics inside 128 others: a middleware that dispatches to its own store has to
    /// pass on its own actions at some point.
    ///
    /// The actions of one caller are applied in the order in which it dispatched them. There is one
    /// exception: if a middleware passes an action on and then dispatches another one itself, its
    /// own may be applied first, while the other waits for room in [`Store::dispatch_many`].
    ///
    /// ```
    /// use samestate::{DispatchError, create_store};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> anyhow::Result<()> {
    /// let sum = create_store("sum", |sum: &mut i64, by: &i64| *sum += by)
    ///     .middleware(|by, next| match by {
    ///         0 => next.refuse("nothing to add"),
    ///         _ => next.run(by),
    ///     })
    ///     .middleware(|by, next| next.run_then(by, move |outcome| println!("{by}: {outcome:?}")))
    ///     .open()
    ///     .await?;
    /// sum.dispatch(5).await?;
    /// let refused = sum.dispatch(0).await;
    /// assert_eq!(refused, Err(DispatchError::Refused("nothing to add".into())));
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "applyMiddleware")]
    pub fn middleware(
        mut self,
        middleware: impl Fn(A, Next<'_, S, A>) -> DispatchFuture + Send + Sync + 'static,
    ) -> Self {
        self.middleware.push(Box::new(middleware));
        self
    }

    /// Sets how long [`StoreBuilder::open`] waits for the store to be in sync. [`Duration::MAX`]
    /// means no limit. Default: 30 s.
    pub fn open_timeout(mut self, timeout: Duration) -> Self {
        self.open_timeout = timeout;
        self
    }

    /// Changes any setting of the protocol. The name of the store stays.
    #[doc(hidden)]
    pub fn configure(mut self, configure: impl FnOnce(&mut Config)) -> Self {
        configure(&mut self.config);
        self
    }

    /// Sets an observer of every event of the state from the beginning. It is called under the
    /// store's lock, and is meant for instruments.
    #[doc(hidden)]
    pub fn observer(mut self, observer: Box<dyn Observer>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Opens the store and waits until it is in sync.
    ///
    /// `open` waits for a server that it cannot reach. It also waits for a server that was made by
    /// [`Cluster::create_server`](crate::Cluster::create_server) and does not have the store yet,
    /// because such a server serves every store that opens later.
    ///
    /// `open` does not wait for a server that refuses the store, because a retry fails until
    /// something is changed: a wrong password, a locked-out address, another schema version. A
    /// server of a single store that does not serve this one refuses it too, after one second in
    /// which the process may begin to serve it. A store that `open` returns an error for is closed:
    /// it tries no longer. To have it try again until somebody mends the cause, open it with
    /// [`StoreBuilder::start`], which goes on after a refusal.
    ///
    /// # Errors
    ///
    /// The errors of [`StoreBuilder::start`], [`Error::Refused`] if the upstream refuses the store,
    /// and [`Error::NotInSync`], with the reason, if the store is not in sync in time (30 s, or
    /// [`StoreBuilder::open_timeout`]).
    pub async fn open(self) -> Result<Store<S, A>> {
        let timeout = self.open_timeout;
        let mut begun = self.begin()?;
        begun.ask_standbys(timeout).await;
        let store = begun.launch()?;
        store.opened(timeout).await?;
        Ok(store)
    }

    /// Opens the store without waiting. If it follows a master or a server, `connected` is false
    /// until it is in sync.
    ///
    /// # Errors
    ///
    /// [`Error::Options`] if an option or the name has a value that cannot work (a name has at most
    /// 255 bytes, is not blank and has no control characters), [`Error::Backup`] if the backup
    /// cannot be read or written, [`Error::DurableWithoutBackup`], [`Error::Unrestorable`] if the
    /// state does not survive the codec, and [`Error::Link`] if the name is taken in this process,
    /// or if the server's address or options are invalid.
    pub fn start(self) -> Result<Store<S, A>> {
        self.begin()?.launch()
    }

    /// Restores the store, and puts it on no link yet.
    fn begin(self) -> Result<Begun<S, A>> {
        let StoreBuilder {
            home, config, reducer, preloaded, undo_panics, patching, client, ..
        } = self;
        let standbys = Standbys::of(self.standbys, &config.store)?;
        let (backup, durable) = (self.backup, self.durable);
        let client = opening::first_upstream(client, &home, &config, &backup, &standbys)?;
        bounds::of_store(&config, patching.is_some())?;
        backup.as_ref().map_or(Ok(()), bounds::of_backup)?;
        let began = Instant::now();
        let machine = match reducer {
            Some(reducer) => {
                let machine = ReducerMachine::new(preloaded, reducer, config.codec);
                machine.undo_panics(undo_panics).patching(patching)
            }
            None => ReducerMachine::without_reducer(preloaded, config.codec),
        };
        let restorable = encoded(&machine.freeze()).map(drop);
        restorable.map_err(|why| Error::Unrestorable { store: config.store.clone(), why })?;
        let config = Config { standby: config.standby && !home.is_worker(), ..config };
        let (now, node) = (Duration::ZERO, NodeId(random::id()?));
        let follows = client.is_some() || home.is_worker();
        if durable && backup.is_none() {
            return Err(Error::DurableWithoutBackup(config.store));
        }
        let mut backing = None;
        let mut replica = match (&backup, follows) {
            (_, true) => Replica::follower(config, node, machine, now),
            (Some(backup), false) => {
                let (replica, opened) = backing::open(backup, durable, config, node, machine)?;
                backing = Some(opened);
                replica
            }
            (None, false) => {
                let epoch = Epoch { number: 1, id: random::id()? };
                Replica::sequencer(config, node, machine, epoch, random::token_key()?, now)
            }
        };
        if let Some(observer) = self.observer {
            replica.set_observer(observer);
        }
        let inbox = backing.as_ref().map(|backing| Arc::clone(&backing.inbox));
        let later = backup.map(|backup| Later { backup, durable });
        let shared = Shared::new(replica, self.on_error, began, inbox, later);
        if let Some(backing) = backing {
            backing.keep(&shared)?;
        }
        trace::opened(shared.name(), shared.version(), !follows);
        task::spawn("timers", shared.on_panic(), shared.drive_time());
        task::spawn("notifier", shared.on_panic(), Shared::notify(Arc::downgrade(&shared)));
        let middleware = Chain::new(self.middleware);
        Ok(Begun { shared, home, client, standbys, middleware })
    }
}

//! A store seen from a program that knows neither its types nor its reducer: what a console needs.
//!
//! Such a copy follows the actions and reports them, but cannot apply them. Its state is that of
//! the newest snapshot, and [`UntypedStore::fetch`] requests another. So a state of any size
//! crosses the link when it is requested, and not with every action. The copy cannot serve other
//! nodes.

mod value;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

pub use value::{Untyped, UntypedError};

use samestate_proto::Version;
use samestate_proto::replication::Change;
use samestate_proto::wire::Codec;

use crate::event::Event;
use crate::link::{ClientConfig, RefusalReason, Setback};
use crate::store::{
    DispatchError, DispatchFuture, Result, Role, Store, StoreBuilder, Subscription, Watch,
};

/// A client's copy of a store whose actions and states are [`Untyped`]. A handle: clones are the
/// same copy.
///
/// ```no_run
/// use samestate::{ClientConfig, UntypedStore};
/// use serde_json::json;
///
/// # async fn example() -> anyhow::Result<()> {
/// let client = ClientConfig::tcp("localhost:10001").login("admin", "secret");
/// let tasks = UntypedStore::attach("tasks", client).open().await?;
/// tasks.dispatch(json!({ "Push": "from afar" })).await?;
/// let (version, state) = tasks.fetch().await?;
/// println!("at {version}: {state}");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct UntypedStore {
    store: Store<Untyped, Untyped>,
}

/// A copy that is not attached yet.
#[must_use = "it begins with `open()` or `start()`"]
pub struct UntypedBuilder {
    builder: StoreBuilder<Untyped, Untyped>,
}

impl UntypedBuilder {
    /// Sets the encoding of the store. A server refuses another codec than its own. Default:
    /// MessagePack.
    pub fn codec(self, codec: Codec) -> Self {
        UntypedBuilder { builder: self.builder.codec(codec) }
    }

    /// The store's `schema_version`; a server refuses another than its own. Default: 1.
    pub fn schema_version(self, version: u32) -> Self {
        UntypedBuilder { builder: self.builder.schema_version(version) }
    }

    /// As [`StoreBuilder::dispatch_deadline`]. Default: 30 s.
    pub fn dispatch_deadline(self, after: Duration) -> Self {
        UntypedBuilder { builder: self.builder.dispatch_deadline(after) }
    }

    /// Sets the receiver of non-critical errors, such as a lost connection or a divergence. It must
    /// not block. Default: standard error.
    pub fn on_error(self, on_error: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        UntypedBuilder { builder: self.builder.on_error(on_error) }
    }

    /// Sets how long [`UntypedBuilder::open`] waits for the copy to be in sync. Default: 30 s.
    pub fn open_timeout(self, timeout: Duration) -> Self {
        UntypedBuilder { builder: self.builder.open_timeout(timeout) }
    }

    /// Attaches, and waits until in sync.
    ///
    /// # Errors
    ///
    /// As [`StoreBuilder::open`].
    pub async fn open(self) -> Result<UntypedStore> {
        Ok(UntypedStore { store: self.builder.open().await? })
    }

    /// Attaches without waiting.
    ///
    /// # Errors
    ///
    /// As [`StoreBuilder::start`].
    pub fn start(self) -> Result<UntypedStore> {
        Ok(UntypedStore { store: self.builder.start()? })
    }
}

impl UntypedStore {
    /// The store of this name at a server.
    pub fn attach(name: &str, client: ClientConfig) -> UntypedBuilder {
        let state = Untyped::default();
        UntypedBuilder { builder: StoreBuilder::without_reducer(name, client, state) }
    }

    /// As [`Store::dispatch`]: an action that the sequencer cannot decode resolves as
    /// [`DispatchError::Rejected`], with the decoder's words.
    pub fn dispatch(&self, action: impl Into<Untyped>) -> DispatchFuture {
        self.store.dispatch(action.into())
    }

    /// The state at the version that this copy has reached now, or at a later one. Crosses the
    /// link only if there were actions since the newest snapshot; calls that overlap share one.
    ///
    /// # Errors
    ///
    /// [`DispatchError::NotConnected`] if this copy is not in sync, or loses the link meanwhile.
    pub async fn fetch(&self) -> Result<(Version, Arc<Untyped>), DispatchError> {
        let asked_at = self.store.version().seq;
        let mut connected = self.store.shared.connected();
        loop {
            let installed = self.store.shared.installed.notified();
            if !self.store.is_connected() {
                return Err(DispatchError::NotConnected);
            }
            // A sequencer that lost its newest actions goes on from before.
            let wanted = asked_at.min(self.store.version().seq);
            match self.newest() {
                Some((version, state)) if version.seq >= wanted => {
                    return Ok((version, state));
                }
                _ => self.store.shared.with(|inner, now| inner.replica.fetch(now)),
            }
            tokio::select! {
                () = installed => {}
                () = gone(&mut connected) => {}
            }
        }
    }

    /// The newest state that came, and its version; `None` before the first.
    pub fn newest(&self) -> Option<(Version, Arc<Untyped>)> {
        let shared = &self.store.shared;
        shared.with(|inner, _| {
            inner.replica.fetched().map(|version| (version, Arc::clone(&shared.cell.read(true))))
        })
    }

    /// As [`Store::subscribe`]. A store in mode snapshot tells of jumps, not of actions.
    pub fn subscribe(
        &self,
        subscriber: impl Fn(&Change<Arc<Untyped>>) + Send + Sync + 'static,
    ) -> Subscription {
        self.store.subscribe(subscriber)
    }

    /// The newest version of the actions that came, as a stream.
    pub fn watch(&self) -> Watch {
        self.store.watch()
    }

    /// The newest version of the actions that came; the state may be of an older one.
    pub fn version(&self) -> Version {
        self.store.version()
    }

    /// As [`Store::is_connected`].
    pub fn is_connected(&self) -> bool {
        self.store.is_connected()
    }

    /// Waits until [`UntypedStore::is_connected`] is `wanted`.
    pub async fn until_connected(&self, wanted: bool) {
        self.store.until_connected(wanted).await;
    }

    /// Waits until the server has refused the login or the store, and returns its words. The copy
    /// tries again in half a minute: to insist would lock this address out.
    pub async fn refused(&self) -> String {
        let mut setback = self.store.shared.setback.subscribe();
        let refused = |setback: &Option<Setback>| {
            let reason = setback.as_ref().and_then(Setback::refusal);
            reason.is_some_and(|reason| reason != RefusalReason::Store)
        };
        // The sender lives in the store, which outlives this borrow.
        let setback = setback.wait_for(refused).await;
        match setback.as_deref() {
            Ok(Some(Setback::Refused { text, .. })) => text.clone(),
            _ => String::new(),
        }
    }

    /// As [`Store::roles`]: a client.
    pub fn roles(&self) -> Vec<Role> {
        self.store.roles()
    }

    /// As [`Store::name`].
    pub fn name(&self) -> &str {
        self.store.name()
    }

    /// As [`Store::close`].
    ///
    /// # Errors
    ///
    /// As [`Store::close`].
    pub async fn close(&self, within: Duration) -> Result<()> {
        self.store.close(within).await
    }
}

/// Until the link is lost.
async fn gone(connected: &mut watch::Receiver<bool>) {
    // The sender lives in the store, which outlives this borrow.
    let _ = connected.wait_for(|connected| !connected).await;
}

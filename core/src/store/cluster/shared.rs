//! The state that the stores of one cluster share in this process: its links to the other
//! processes, and its servers.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::link::{ServerConfig, StoreRegistry};
use crate::store::serve::servers::{ServerHandle, Shared};
use crate::store::{Error, Result};
use crate::task::{BoxFuture, guarded};

pub(crate) struct ClusterShared {
    /// The stores that are on the links between master and workers.
    pub(crate) linked: Arc<StoreRegistry>,
    /// All stores, as the servers find them: a worker's that became a client, too.
    pub(crate) served: Arc<StoreRegistry>,
    servers: Mutex<Vec<Arc<Shared>>>,
    /// The stores that are open, by channel.
    members: Mutex<BTreeMap<u32, Arc<dyn Member>>>,
}

/// A store of the cluster, as the cluster's end sees it.
pub(crate) trait Member: Send + Sync {
    /// Waits until those dispatches are resolved that are under way now.
    fn drained(self: Arc<Self>) -> BoxFuture<()>;

    /// Closes the store, as [`Store::close`](crate::Store::close) does.
    fn close(self: Arc<Self>, within: Duration) -> BoxFuture<Result<()>>;
}

impl ClusterShared {
    pub(crate) fn new() -> Arc<Self> {
        let (linked, served) = (StoreRegistry::all(), StoreRegistry::all());
        let (servers, members) = (Mutex::default(), Mutex::default());
        Arc::new(ClusterShared { linked, served, servers, members })
    }

    pub(crate) async fn create_server(&self, server: ServerConfig) -> Result<ServerHandle> {
        let server = Shared::of_cluster(server, Arc::clone(&self.served)).await?;
        let serving = ServerHandle::new(&server);
        self.servers.lock().push(server);
        Ok(serving)
    }

    /// Returns whether its stores are served.
    pub(crate) fn is_served(&self) -> bool {
        self.servers.lock().iter().any(|server| server.is_open())
    }

    /// The servers that are not closed.
    pub(crate) fn servers(&self) -> Vec<ServerHandle> {
        let mut servers = self.servers.lock();
        servers.retain(|server| server.is_open());
        servers.iter().map(ServerHandle::new).collect()
    }

    pub(crate) fn join(&self, channel: u32, member: Arc<dyn Member>) {
        self.members.lock().insert(channel, member);
    }

    pub(crate) fn leave(&self, channel: u32) {
        self.members.lock().remove(&channel);
    }

    fn members(&self) -> Vec<Arc<dyn Member>> {
        self.members.lock().values().cloned().collect()
    }

    /// Waits until the dispatches of all stores are resolved that are under way now.
    pub(crate) async fn drained(&self) {
        for member in self.members() {
            member.drained().await;
        }
    }

    /// Closes all stores at once. The first error counts.
    pub(crate) async fn close_stores(&self, within: Duration) -> Result<()> {
        let closing: Vec<_> = self
            .members()
            .into_iter()
            .map(|member| tokio::spawn(guarded("close", member.close(within))))
            .collect();
        let mut closed = Ok(());
        for store in closing {
            // It is not aborted, and does not panic.
            if let Ok(ended) = store.await {
                let ended = ended.unwrap_or_else(|panic| Err(Error::Panicked(panic)));
                closed = closed.and(ended);
            }
        }
        closed
    }

    pub(crate) async fn close_servers(&self) {
        let servers = std::mem::take(&mut *self.servers.lock());
        for server in servers {
            server.close().await;
        }
    }
}

impl fmt::Debug for ClusterShared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterShared")
            .field("linked", &self.linked)
            .field("served", &self.served)
            .finish_non_exhaustive()
    }
}

//! The parts of a store that it keeps running: its servers, its client, its place on the links of
//! its cluster.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use samestate_proto::Version;

use crate::link::{ClientConfig, LinkEndpoint, ServerConfig};
use crate::store::cluster::shared::{ClusterShared, Member};
use crate::store::driver::shared::Shared;
use crate::store::reducer::machine::{Action, State};
use crate::store::serve::clients::SharedClient;
use crate::store::serve::servers::{Served, ServerHandle};
use crate::store::{Error, Result, Role};
use crate::task::{self, BoxFuture};

/// The place in which a store was created.
#[derive(Clone, Debug)]
pub(crate) enum Placement {
    /// In a process by itself.
    Alone,
    /// In the master of a cluster, which serves its workers over its links.
    Master(Arc<ClusterShared>),
    /// In a worker, which follows its master over its link.
    Worker(Arc<ClusterShared>),
}

impl Placement {
    pub(crate) fn is_worker(&self) -> bool {
        matches!(self, Placement::Worker(_))
    }

    fn house(&self) -> Option<&ClusterShared> {
        match self {
            Placement::Alone => None,
            Placement::Master(house) | Placement::Worker(house) => Some(house),
        }
    }
}

pub(crate) struct Attachments {
    home: Placement,
    running: Mutex<Running>,
}

#[derive(Default)]
struct Running {
    servers: Vec<Served>,
    client: Option<SharedClient>,
    /// The store is on the links of its cluster.
    at_home: Option<u32>,
    /// The servers of its cluster have it.
    moved_in: Option<u32>,
}

impl Attachments {
    pub(crate) fn new(home: Placement) -> Self {
        Attachments { home, running: Mutex::default() }
    }

    /// Shows the store to the servers of its cluster, whatever it is itself.
    pub(crate) fn move_in(&self, port: &Arc<dyn LinkEndpoint>) -> Result<()> {
        if let Some(house) = self.home.house() {
            house.served.register(Arc::clone(port))?;
            self.running.lock().moved_in = Some(port.channel());
        }
        Ok(())
    }

    /// Puts the store on the links of its cluster: in the master to serve its workers, in a worker
    /// to follow its master.
    pub(crate) fn settle_in(&self, port: &Arc<dyn LinkEndpoint>) -> Result<()> {
        if let Some(house) = self.home.house() {
            house.linked.register(Arc::clone(port))?;
            self.running.lock().at_home = Some(port.channel());
        }
        Ok(())
    }

    /// Takes the store off the links of its cluster.
    fn leave_home(&self) {
        let channel = self.running.lock().at_home.take();
        if let (Some(channel), Some(house)) = (channel, self.home.house()) {
            house.linked.unregister(channel);
        }
    }

    /// Takes the store off the links and the servers of its cluster.
    fn move_out(&self) {
        self.leave_home();
        let channel = self.running.lock().moved_in.take();
        if let (Some(channel), Some(house)) = (channel, self.home.house()) {
            house.leave(channel);
            house.served.unregister(channel);
        }
    }

    /// Lets the cluster close the store with the others.
    pub(crate) fn join<S: State, A: Action>(self: &Arc<Self>, shared: &Arc<Shared<S, A>>) {
        if let Some(house) = self.home.house() {
            let (shared, upkeep) = (Arc::downgrade(shared), Arc::downgrade(self));
            let channel = self.running.lock().moved_in;
            let Some(channel) = channel else { return };
            house.join(channel, Arc::new(Tenant { shared, upkeep }));
        }
    }

    pub(crate) async fn listen(
        &self,
        server: ServerConfig,
        port: Arc<dyn LinkEndpoint>,
    ) -> Result<ServerHandle> {
        let served = Served::begin(server, port).await?;
        let serving = served.serving();
        let mut running = self.running.lock();
        let (open, closed) =
            std::mem::take(&mut running.servers).into_iter().partition(Served::is_open);
        running.servers = open;
        running.servers.push(served);
        drop(running);
        // Taken off their connections without a lock of this store.
        drop::<Vec<Served>>(closed);
        Ok(serving)
    }

    /// The store's own servers that are not closed.
    pub(crate) fn servers(&self) -> Vec<ServerHandle> {
        let running = self.running.lock();
        running.servers.iter().filter(|served| served.is_open()).map(Served::serving).collect()
    }

    /// A store that follows a server from its beginning: a worker's never follows its master.
    pub(crate) fn start_as_client(
        &self,
        client: ClientConfig,
        port: Arc<dyn LinkEndpoint>,
    ) -> Result<()> {
        if !self.home.is_worker() {
            self.settle_in(&port)?;
        }
        self.dial(client, port, || {})
    }

    /// Starts following a server. `follow` is called once it is certain that the store will.
    pub(crate) fn dial(
        &self,
        client: ClientConfig,
        port: Arc<dyn LinkEndpoint>,
        follow: impl FnOnce(),
    ) -> Result<()> {
        let prepared = client.prepare()?;
        if self.running.lock().client.is_some() {
            return Err(Error::AlreadyClient(port.name().to_owned()));
        }
        if self.home.is_worker() {
            self.leave_home();
        }
        follow();
        let dialled = SharedClient::begin(prepared, port);
        self.running.lock().client = Some(dialled);
        Ok(())
    }

    /// Stops following the server. `follow` is called once the link to it has ended. In a worker
    /// the store follows its master again.
    pub(crate) async fn detach(
        &self,
        port: Arc<dyn LinkEndpoint>,
        follow: impl FnOnce(),
    ) -> Result<()> {
        let client = self.running.lock().client.take();
        let client = client.ok_or_else(|| Error::NotAClient(port.name().to_owned()))?;
        client.end().await;
        follow();
        match self.home.is_worker() {
            true => self.settle_in(&port),
            false => Ok(()),
        }
    }

    /// Leaves the server for good. `promote` begins once the link to it has ended. If it fails, the
    /// store follows the server again, if it `may_follow`.
    async fn leave_to<V>(
        &self,
        port: Arc<dyn LinkEndpoint>,
        promote: impl Future<Output = Result<V>>,
        may_follow: impl FnOnce() -> bool,
    ) -> Result<V> {
        let client = self.running.lock().client.take();
        let client = client.ok_or_else(|| Error::NotAClient(port.name().to_owned()))?;
        let config = client.config();
        client.end().await;
        let promoted = promote.await;
        if promoted.is_err() && may_follow() {
            // The first error is the one to be told. This one would be of options that were good.
            let _ = self.dial(config, port, || {});
        }
        promoted
    }

    /// Returns the roles of the store in this process, in the order of [`Role`].
    pub(crate) fn roles(&self) -> Vec<Role> {
        let served_by_house = self.home.house().is_some_and(ClusterShared::is_served);
        let running = self.running.lock();
        let at_home = running.at_home.is_some();
        let roles = [
            (Role::Master, at_home && matches!(self.home, Placement::Master(_))),
            (Role::Worker, at_home && self.home.is_worker()),
            (
                Role::Server,
                running.servers.iter().any(Served::is_open)
                    || (served_by_house && running.moved_in.is_some()),
            ),
            (Role::Client, running.client.is_some()),
        ];
        roles.into_iter().filter(|(_, holds)| *holds).map(|(role, _)| role).collect()
    }

    pub(crate) async fn close(&self) {
        self.move_out();
        let Running { servers, client, .. } = std::mem::take(&mut *self.running.lock());
        for server in servers {
            server.end().await;
        }
        if let Some(client) = client {
            client.end().await;
        }
    }
}

/// Makes a client the sequencer: see [`Store::promote`](crate::Store::promote).
pub(crate) async fn promote<S: State, A: Action>(
    shared: &Arc<Shared<S, A>>,
    upkeep: &Arc<Attachments>,
) -> Result<Version> {
    shared.outranked().await?;
    shared.caught_up().await?;
    let (shared, upkeep) = (Arc::clone(shared), Arc::clone(upkeep));
    // In a task of its own: once the link is given up, it goes on even if nobody waits.
    let promotion = task::awaited("promotion", async move {
        let port: Arc<dyn LinkEndpoint> = Arc::clone(&shared) as Arc<dyn LinkEndpoint>;
        let promoting = Arc::clone(&shared);
        // It writes the state to disk.
        let promote = task::blocking("promotion", move || promoting.promote());
        let promote = async { promote.await.unwrap_or_else(|why| Err(Error::Panicked(why))) };
        upkeep.leave_to(port, promote, || !shared.is_closed()).await
    });
    promotion.await.unwrap_or_else(|why| Err(Error::Panicked(why)))
}

/// Closes a store: see [`Store::close`](crate::Store::close).
pub(crate) async fn close<S: State, A: Action>(
    shared: &Shared<S, A>,
    upkeep: &Attachments,
    within: Duration,
) -> Result<()> {
    let until = Instant::now().checked_add(within);
    let drained = tokio::time::timeout(within, shared.drained()).await;
    upkeep.close().await;
    let under_way = shared.with(|inner, _| inner.replica.under_way());
    shared.close();
    shared.end_backup(until).await?;
    drained.map_err(|_| Error::Undrained(under_way))
}

/// A store, as its cluster knows it.
struct Tenant<S: State, A: Action> {
    shared: Weak<Shared<S, A>>,
    upkeep: Weak<Attachments>,
}

impl<S: State, A: Action> Member for Tenant<S, A> {
    fn drained(self: Arc<Self>) -> BoxFuture<()> {
        Box::pin(async move {
            if let Some(shared) = self.shared.upgrade() {
                shared.drained().await;
            }
        })
    }

    fn close(self: Arc<Self>, within: Duration) -> BoxFuture<Result<()>> {
        Box::pin(async move {
            match (self.shared.upgrade(), self.upkeep.upgrade()) {
                (Some(shared), Some(upkeep)) => close(&shared, &upkeep, within).await,
                _ => Ok(()),
            }
        })
    }
}

impl Drop for Attachments {
    fn drop(&mut self) {
        self.move_out();
    }
}

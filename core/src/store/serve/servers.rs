//! The servers of this process, by address. Stores that are served at the same one share it; a
//! cluster's server has all of its stores.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use tokio::sync::Mutex;
use zeroize::Zeroizing;

use crate::auth::{LockedOut, PeerAddress};
#[cfg(feature = "tls")]
use crate::link::ServerTls;
use crate::link::{Address, LinkEndpoint, Listener, ServerConfig, StoreRegistry};
use crate::store::{Error, Result};

/// A login and its password.
type Login = (String, Zeroizing<String>);

static SERVERS: Mutex<BTreeMap<Address, Weak<Shared>>> = Mutex::const_new(BTreeMap::new());

/// A listener and the stores that it serves.
pub(crate) struct Shared {
    listener: Listener,
    ports: Arc<StoreRegistry>,
    logins: Vec<Login>,
    operators: BTreeSet<String>,
    #[cfg(feature = "tls")]
    tls: Option<ServerTls>,
    /// It serves all stores of a cluster, and takes no other.
    of_cluster: bool,
    closed: AtomicBool,
}

impl Shared {
    async fn start(
        server: ServerConfig,
        ports: Arc<StoreRegistry>,
        of_cluster: bool,
    ) -> Result<Arc<Self>> {
        server.check()?;
        let address = server.address()?;
        let listener = Listener::start(address, server.clone(), Arc::clone(&ports)).await?;
        Ok(Arc::new(Shared {
            listener,
            ports,
            logins: server.logins,
            operators: server.operators,
            #[cfg(feature = "tls")]
            tls: server.tls,
            of_cluster,
            closed: AtomicBool::new(false),
        }))
    }

    /// A server of all stores of a cluster, those to come included.
    pub(crate) async fn of_cluster(
        server: ServerConfig,
        ports: Arc<StoreRegistry>,
    ) -> Result<Arc<Self>> {
        let address = server.address()?;
        let mut servers = SERVERS.lock().await;
        if running(&mut servers, &address).is_some() {
            return Err(Error::AlreadyServed(address.to_string()));
        }
        let shared = Shared::start(server, ports, true).await?;
        remember(&mut servers, address, &shared);
        Ok(shared)
    }

    /// Checks that this server may also serve for `server`.
    fn may_share(&self, server: &ServerConfig, address: &Address) -> Result<()> {
        let differ = || operators_differ(&self.operators, &server.operators);
        if let Some(conflict) = conflict(&self.logins, &server.logins).or_else(differ) {
            let (address, stores) = (address.to_string(), self.ports.names());
            return Err(Error::OtherLogins { address, stores, conflict });
        }
        #[cfg(feature = "tls")]
        if self.tls != server.tls {
            return Err(Error::OtherTls(address.to_string()));
        }
        Ok(())
    }

    pub(crate) async fn close(&self) {
        let _servers = SERVERS.lock().await;
        self.closed.store(true, Ordering::Relaxed);
        self.listener.close().await;
    }

    pub(crate) fn is_open(&self) -> bool {
        !self.closed.load(Ordering::Relaxed)
    }
}

/// Describes how the logins of the existing server differ from those that are asked for.
fn conflict(there: &[Login], here: &[Login]) -> Option<String> {
    let sets = [there, here].map(|logins| {
        let pairs = logins.iter().map(|(login, password)| (login.as_str(), password.as_str()));
        pairs.collect::<BTreeSet<_>>()
    });
    if sets[0] == sets[1] {
        return None;
    }
    let names = [there, here].map(|logins| logins.iter().map(|login| &login.0).collect());
    let [there, here]: [BTreeSet<&String>; 2] = names;
    let conflict = match (here.difference(&there).next(), there.difference(&here).next()) {
        _ if there.is_empty() => "without logins".to_owned(),
        _ if here.is_empty() => "which requires a login".to_owned(),
        (Some(login), _) => format!("which has no login {login:?}"),
        (None, Some(login)) => format!("which has one more login, {login:?}"),
        (None, None) => {
            let changed = sets[1].difference(&sets[0]).chain(sets[0].difference(&sets[1])).next();
            let login = changed.map_or("", |login| login.0);
            format!("which has another password for login {login:?}")
        }
    };
    Some(conflict)
}

/// Describes how the operators of the existing server differ from those that are asked for.
fn operators_differ(there: &BTreeSet<String>, here: &BTreeSet<String>) -> Option<String> {
    let login = there.symmetric_difference(here).next()?;
    Some(match there.contains(login) {
        true => format!("where login {login:?} is that of an operator"),
        false => format!("where login {login:?} is not that of an operator"),
    })
}

type Servers = BTreeMap<Address, Weak<Shared>>;

fn running(servers: &mut Servers, address: &Address) -> Option<Arc<Shared>> {
    servers.retain(|_, server| server.strong_count() > 0);
    servers.get(address).and_then(Weak::upgrade).filter(|server| server.is_open())
}

fn remember(servers: &mut Servers, address: Address, shared: &Arc<Shared>) {
    if !matches!(address, Address::Tcp { port: 0, .. }) {
        servers.insert(address, Arc::downgrade(shared));
    }
}

/// One store's part in a server.
pub(crate) struct Served {
    server: Arc<Shared>,
    channel: u32,
}

impl Served {
    /// Serves a store at an address: with the server that this process has there, or a new one.
    pub(crate) async fn begin(server: ServerConfig, port: Arc<dyn LinkEndpoint>) -> Result<Self> {
        let address = server.address()?;
        let channel = port.channel();
        let mut servers = SERVERS.lock().await;
        if let Some(shared) = running(&mut servers, &address) {
            if shared.of_cluster {
                return Err(Error::AlreadyServed(address.to_string()));
            }
            shared.may_share(&server, &address)?;
            if shared.ports.has(port.name()) {
                let (store, address) = (port.name().to_owned(), address.to_string());
                return Err(Error::ServedTwice { store, address });
            }
            shared.ports.register(port)?;
            return Ok(Served { server: shared, channel });
        }
        let shared = Shared::start(server, StoreRegistry::only(port), false).await?;
        remember(&mut servers, address, &shared);
        Ok(Served { server: shared, channel })
    }

    /// Returns the handle for the server's user.
    pub(crate) fn serving(&self) -> ServerHandle {
        ServerHandle::new(&self.server)
    }

    pub(crate) fn is_open(&self) -> bool {
        self.server.is_open()
    }

    /// Ends it for this store, and the server with its last store.
    pub(crate) async fn end(self) {
        let _servers = SERVERS.lock().await;
        self.server.ports.unregister(self.channel);
        if Arc::strong_count(&self.server) == 1 {
            self.server.listener.close().await;
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.server.ports.unregister(self.channel);
    }
}

/// A running server, as returned by [`Store::create_server`](crate::Store::create_server) or
/// [`Cluster::create_server`](crate::Cluster::create_server). This is a handle: its clones refer to
/// the same server, and dropping them does not close it.
#[derive(Clone)]
pub struct ServerHandle {
    address: Address,
    server: Weak<Shared>,
}

impl ServerHandle {
    pub(crate) fn new(server: &Arc<Shared>) -> Self {
        let address = server.listener.address().clone();
        ServerHandle { address, server: Arc::downgrade(server) }
    }

    /// Returns the address that the server listens at. Port 0 is replaced by the one that the
    /// system chose.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Closes the server, for all stores that it serves. The server stops listening, sends queued
    /// bytes to its clients, for half a second at most, and closes their connections. The stores
    /// stay open, and the clients keep trying to reconnect. The address is free when this returns.
    pub async fn close(&self) {
        if let Some(server) = self.server.upgrade() {
            server.close().await;
        }
    }

    /// Returns whether the server is not closed.
    pub fn is_open(&self) -> bool {
        self.server.upgrade().is_some_and(|server| server.is_open())
    }

    /// Lists the addresses that are locked out after too many failed logins, ordered by the
    /// end of their lock-out. The list of a closed server is empty.
    pub fn locked(&self) -> Vec<LockedOut> {
        self.server.upgrade().map_or_else(Vec::new, |server| server.listener.locked())
    }

    /// Lifts a lock-out, and forgets the failed logins of this address. Returns whether there were
    /// any. The address may then fail five times again.
    pub fn unlock(&self, address: PeerAddress) -> bool {
        self.server.upgrade().is_some_and(|server| server.listener.unlock(address))
    }
}

impl fmt::Debug for ServerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerHandle").field("address", &self.address).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logins(logins: &[(&str, &str)]) -> Vec<Login> {
        logins
            .iter()
            .map(|(login, password)| ((*login).into(), Zeroizing::new((*password).into())))
            .collect()
    }

    #[test]
    fn servers_that_ask_for_other_logins_are_told_apart_by_what_differs() {
        let there = logins(&[("app", "secret"), ("admin", "other")]);
        let same = logins(&[("admin", "other"), ("app", "secret")]);
        assert_eq!(conflict(&there, &same), None);
        for (here, words) in [
            (logins(&[]), "which requires a login"),
            (logins(&[("app", "secret"), ("guest", "x")]), "which has no login \"guest\""),
            (logins(&[("app", "secret")]), "which has one more login, \"admin\""),
            (logins(&[("app", "guess"), ("admin", "other")]), "another password for login \"app\""),
        ] {
            let conflict = conflict(&there, &here).expect(words);
            assert!(conflict.contains(words), "{conflict}");
        }
        assert_eq!(conflict(&[], &there).as_deref(), Some("without logins"));
    }
}

//! What a store keeps running: its servers, its client, its place on the links of its cluster.

use std::sync::Arc;

use parking_lot::Mutex;

use super::servers::Served;
use super::{Client, Error, Result, Role, Server};
use crate::link::{Address, ClientOptions, Dialer, Port, Ports};

/// Where a store was created.
#[derive(Clone, Debug)]
pub(super) enum Home {
    /// In a process by itself.
    Alone,
    /// In the master of a cluster, which serves its workers over these links.
    Master(Arc<Ports>),
    /// In a worker, which follows its master over this link.
    Worker(Arc<Ports>),
}

impl Home {
    pub(super) fn is_worker(&self) -> bool {
        matches!(self, Home::Worker(_))
    }
}

pub(super) struct Upkeep {
    home: Home,
    running: Mutex<Running>,
}

#[derive(Default)]
struct Running {
    servers: Vec<Served>,
    client: Option<Dialer>,
    /// The store is on the links of its cluster.
    at_home: Option<u32>,
}

impl Upkeep {
    pub(super) fn new(home: Home) -> Self {
        Upkeep { home, running: Mutex::default() }
    }

    /// Puts the store on the links of its cluster: in the master to serve its workers, in a worker
    /// to follow its master.
    pub(super) fn settle_in(&self, port: &Arc<dyn Port>) -> Result<()> {
        if let Home::Master(ports) | Home::Worker(ports) = &self.home {
            ports.register(Arc::clone(port))?;
            self.running.lock().at_home = Some(port.channel());
        }
        Ok(())
    }

    /// Takes the store off the links of its cluster.
    fn leave_home(&self) {
        let channel = self.running.lock().at_home.take();
        if let (Some(channel), Home::Master(ports) | Home::Worker(ports)) = (channel, &self.home) {
            ports.unregister(channel);
        }
    }

    pub(super) async fn listen(&self, server: Server, port: Arc<dyn Port>) -> Result<()> {
        let served = Served::begin(server, port).await?;
        self.running.lock().servers.push(served);
        Ok(())
    }

    /// A store that follows a server from its beginning: a worker's never follows its master.
    pub(super) fn start_as_client(&self, client: Client, port: Arc<dyn Port>) -> Result<()> {
        if !self.home.is_worker() {
            self.settle_in(&port)?;
        }
        self.dial(client, port, || {})
    }

    /// Starts following a server. `follow` is called once it is certain that the store will.
    pub(super) fn dial(
        &self,
        client: Client,
        port: Arc<dyn Port>,
        follow: impl FnOnce(),
    ) -> Result<()> {
        let address: Address = client.address.parse()?;
        let mut options = ClientOptions { backoff_max: client.backoff_max, ..Default::default() };
        if let Some((login, password)) = &client.login {
            options = options.login(login, password)?;
        }
        #[cfg(feature = "tls")]
        if let Some(tls) = client.tls {
            options.tls = Some(tls);
        }
        if self.running.lock().client.is_some() {
            return Err(Error::AlreadyClient(port.name().to_owned()));
        }
        let prepared = Dialer::prepare(address, options, port)?;
        if self.home.is_worker() {
            self.leave_home();
        }
        follow();
        self.running.lock().client = Some(prepared.start());
        Ok(())
    }

    /// What the store is in this process, in the order of [`Role`].
    pub(super) fn roles(&self) -> Vec<Role> {
        let running = self.running.lock();
        let at_home = running.at_home.is_some();
        let roles = [
            (Role::Master, at_home && matches!(self.home, Home::Master(_))),
            (Role::Worker, at_home && self.home.is_worker()),
            (Role::Server, !running.servers.is_empty()),
            (Role::Client, running.client.is_some()),
        ];
        roles.into_iter().filter(|(_, holds)| *holds).map(|(role, _)| role).collect()
    }

    pub(super) async fn close(&self) {
        self.leave_home();
        let Running { servers, client, .. } = std::mem::take(&mut *self.running.lock());
        for server in servers {
            server.end().await;
        }
        if let Some(client) = client {
            client.close().await;
        }
    }
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        self.leave_home();
    }
}

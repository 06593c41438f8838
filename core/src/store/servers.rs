//! The servers of this process, by address: stores that are served at the same one share it.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use tokio::sync::Mutex;

use super::{Error, Result, Server};
#[cfg(feature = "tls")]
use crate::link::ServerTls;
use crate::link::{Address, Listener, Port, Ports, ServerOptions};

static SERVERS: Mutex<BTreeMap<Address, Weak<Shared>>> = Mutex::const_new(BTreeMap::new());

/// A listener and the stores behind it.
struct Shared {
    listener: Listener,
    ports: Arc<Ports>,
    logins: Vec<(String, String)>,
    #[cfg(feature = "tls")]
    tls: Option<ServerTls>,
}

/// One store's part in a server.
pub(super) struct Served {
    server: Arc<Shared>,
    channel: u32,
}

impl Served {
    /// Serves a store at an address: with the server that this process has there, or a new one.
    pub(super) async fn begin(server: Server, port: Arc<dyn Port>) -> Result<Self> {
        let address: Address = server.address.parse()?;
        let channel = port.channel();
        let mut servers = SERVERS.lock().await;
        servers.retain(|_, server| server.strong_count() > 0);
        if let Some(shared) = servers.get(&address).and_then(Weak::upgrade) {
            if shared.logins != server.logins {
                return Err(Error::OtherLogins(address.to_string()));
            }
            #[cfg(feature = "tls")]
            if shared.tls != server.tls {
                return Err(Error::OtherTls(address.to_string()));
            }
            shared.ports.register(port)?;
            return Ok(Served { server: shared, channel });
        }
        let options = server
            .logins
            .iter()
            .fold(ServerOptions::default(), |options, login| options.login(&login.0, &login.1));
        let options = ServerOptions {
            hello_within: server.login_within,
            #[cfg(feature = "tls")]
            tls: server.tls.clone(),
            ..options
        };
        let ports = Ports::only(port);
        let listener = Listener::start(address.clone(), options, Arc::clone(&ports)).await?;
        let shared = Arc::new(Shared {
            listener,
            ports,
            logins: server.logins,
            #[cfg(feature = "tls")]
            tls: server.tls,
        });
        if !matches!(address, Address::Tcp { port: 0, .. }) {
            servers.insert(address, Arc::downgrade(&shared));
        }
        Ok(Served { server: shared, channel })
    }

    /// Ends it for this store, and the server with its last store.
    pub(super) async fn end(self) {
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

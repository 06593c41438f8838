//! The clients of this process: stores that follow servers at one address, with one login, share a
//! connection.
//!
//! Two copies of one store cannot, so the second dials by itself.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::runtime::{Handle, Id};

use crate::link::{self, ClientConfig, Connector, LinkEndpoint, StoreRegistry};
use crate::store::Result;

static CLIENTS: Mutex<Vec<Weak<Shared>>> = Mutex::new(Vec::new());

/// A connection, and the stores on it.
struct Shared {
    client: ClientConfig,
    /// Its task lives there, and ends with it.
    runtime: Id,
    dialer: Connector,
    ports: Arc<StoreRegistry>,
}

/// A client, with all that can fail done.
pub(crate) struct Prepared {
    client: ClientConfig,
    dialer: link::Prepared,
}

impl ClientConfig {
    /// Reads what the user gave.
    pub(crate) fn prepare(self) -> Result<Prepared> {
        self.check()?;
        let dialer = Connector::prepare(self.addresses()?, self.clone())?;
        Ok(Prepared { client: self, dialer })
    }
}

impl Prepared {
    /// Returns the part that connects.
    pub(crate) fn into_dialer(self) -> link::Prepared {
        self.dialer
    }
}

/// One store's part in a connection.
pub(crate) struct SharedClient {
    shared: Arc<Shared>,
    channel: u32,
}

impl SharedClient {
    /// Connects a store: over a connection that this process has there, or makes, or a new one.
    pub(crate) fn begin(prepared: Prepared, port: Arc<dyn LinkEndpoint>) -> Self {
        let Prepared { client, dialer } = prepared;
        let (channel, runtime) = (port.channel(), Handle::current().id());
        let mut clients = CLIENTS.lock();
        clients.retain(|shared| shared.strong_count() > 0);
        for shared in clients.iter().filter_map(Weak::upgrade) {
            let same = shared.client == client && shared.runtime == runtime;
            if same && shared.ports.register(Arc::clone(&port)).is_ok() {
                shared.dialer.hurry();
                return SharedClient { shared, channel };
            }
        }
        let ports = StoreRegistry::only(port);
        let dialer = dialer.start(Arc::clone(&ports));
        let shared = Arc::new(Shared { client, runtime, dialer, ports });
        clients.push(Arc::downgrade(&shared));
        SharedClient { shared, channel }
    }

    /// The options of the connection.
    pub(crate) fn config(&self) -> ClientConfig {
        self.shared.client.clone()
    }

    /// Ends it for this store, and the connection with its last store.
    pub(crate) async fn end(self) {
        // No store may join a client whose last store leaves.
        let is_last = {
            let mut clients = CLIENTS.lock();
            let is_last = Arc::strong_count(&self.shared) == 1;
            if is_last {
                clients.retain(|shared| !std::ptr::eq(shared.as_ptr(), &*self.shared));
            }
            is_last
        };
        if is_last {
            self.shared.dialer.close().await;
        }
    }
}

impl Drop for SharedClient {
    fn drop(&mut self) {
        self.shared.ports.unregister(self.channel);
    }
}

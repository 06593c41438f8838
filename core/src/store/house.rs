//! What the stores of one cluster share in this process: its links to the other processes, and its
//! servers.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

use super::servers::{Serving, Shared};
use super::{Result, Server};
use crate::link::Ports;

pub(super) struct House {
    /// The stores that are on the links between master and workers.
    pub(super) linked: Arc<Ports>,
    /// All stores, as the servers find them: a worker's that became a client, too.
    pub(super) served: Arc<Ports>,
    servers: Mutex<Vec<Arc<Shared>>>,
}

impl House {
    pub(super) fn new() -> Arc<Self> {
        let (linked, served) = (Ports::all(), Ports::all());
        Arc::new(House { linked, served, servers: Mutex::default() })
    }

    pub(super) async fn create_server(&self, server: Server) -> Result<Serving> {
        let server = Shared::of_cluster(server, Arc::clone(&self.served)).await?;
        let serving = Serving::new(&server);
        self.servers.lock().push(server);
        Ok(serving)
    }

    /// Whether its stores are served.
    pub(super) fn is_served(&self) -> bool {
        !self.servers.lock().is_empty()
    }

    pub(super) async fn close_servers(&self) {
        let servers = std::mem::take(&mut *self.servers.lock());
        for server in servers {
            server.close().await;
        }
    }
}

impl fmt::Debug for House {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("House")
            .field("linked", &self.linked)
            .field("served", &self.served)
            .finish_non_exhaustive()
    }
}

//! The stores of a process, as its connections find them.
//!
//! Stores come and go while connections are up, and connections while stores are: this is the one
//! place where both meet, and its one lock orders them. That lock is held while a store is told of
//! a link ([`LinkEndpoint::up`], [`LinkEndpoint::down`]) or handed the first message of one: a
//! store never calls in here under a lock of its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use super::channels::Shared;
use super::{LinkEndpoint, LinkError};
use crate::event::EventKind;
use crate::task::Panicked;

/// So many stores are named to a peer that asks for another.
const NAMED_MAX: usize = 8;

/// A registry of stores, shared by any number of connections and servers.
pub(crate) struct StoreRegistry {
    registry: Mutex<Registry>,
    closed_set: bool,
}

/// The data behind the lock.
#[derive(Default)]
pub(super) struct Registry {
    pub(super) ports: BTreeMap<u32, Arc<dyn LinkEndpoint>>,
    connections: Vec<Arc<Shared>>,
    /// The link to the upstream has ended, and is never made again.
    lost: bool,
}

impl StoreRegistry {
    /// All stores of a process, those to come included. A peer that asks for one which is not open
    /// yet waits for it.
    pub(crate) fn all() -> Arc<Self> {
        Arc::new(StoreRegistry { registry: Mutex::default(), closed_set: false })
    }

    /// This store and no other. A peer that asks for another is refused.
    pub(crate) fn only(port: Arc<dyn LinkEndpoint>) -> Arc<Self> {
        let mut registry = Registry::default();
        registry.ports.insert(port.channel(), port);
        Arc::new(StoreRegistry { registry: Mutex::new(registry), closed_set: true })
    }

    /// Adds a store. Connections towards an upstream carry it from now on; peers downstream that
    /// waited for it are served.
    ///
    /// # Errors
    ///
    /// If another store has the channel that its name hashes to.
    pub(crate) fn register(&self, port: Arc<dyn LinkEndpoint>) -> Result<(), LinkError> {
        let mut registry = self.registry.lock();
        if let Some(other) = registry.ports.get(&port.channel()) {
            let (name, other) = (port.name().to_owned(), other.name().to_owned());
            return Err(LinkError::ChannelTaken { name, other });
        }
        registry.ports.insert(port.channel(), port.clone());
        for connection in &registry.connections {
            connection.opened(&registry, &port);
        }
        let lost = registry.lost;
        drop(registry);
        if lost {
            port.lost();
        }
        Ok(())
    }

    /// Tells the stores, those to come included, that the link to their upstream has ended and is
    /// never made again.
    pub(crate) fn lose_upstream(&self) {
        let stores: Vec<_> = {
            let mut registry = self.registry.lock();
            registry.lost = true;
            registry.ports.values().cloned().collect()
        };
        stores.iter().for_each(|port| port.lost());
    }

    /// Returns whether a store of this name is here.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.registry.lock().ports.values().any(|port| port.name() == name)
    }

    /// Takes a store off all connections, which go on with the others. Its peers are told.
    /// Says whether it was there.
    pub(crate) fn unregister(&self, channel: u32) -> bool {
        let mut registry = self.registry.lock();
        let was_there = registry.ports.remove(&channel).is_some();
        for connection in &registry.connections {
            connection.leave(&registry, channel);
        }
        was_there
    }

    /// Tells the operator, by way of every store here.
    pub(crate) fn report(&self, kind: &EventKind, text: &str) {
        for port in self.stores() {
            port.report(kind.clone(), text);
        }
    }

    /// Reports the panic of a task that serves these stores.
    pub(crate) fn report_panic(&self, panic: &Panicked) {
        self.report(&EventKind::TaskPanicked, &format!("a bug: {panic}"));
    }

    /// The stores that are here now.
    pub(super) fn stores(&self) -> Vec<Arc<dyn LinkEndpoint>> {
        self.registry.lock().ports.values().cloned().collect()
    }

    /// Their names.
    pub(crate) fn names(&self) -> String {
        let stores = self.stores();
        let names: Vec<_> = stores.iter().map(|port| port.name()).collect();
        names.join(", ")
    }

    /// Lists the stores that are served, for a peer that asks for another one.
    pub(super) fn served(&self) -> String {
        let stores = self.stores();
        let names: Vec<_> =
            stores.iter().take(NAMED_MAX).map(|port| format!("`{}`", port.name())).collect();
        match (names.is_empty(), stores.len().saturating_sub(NAMED_MAX)) {
            (true, _) => "nor is any other now".to_owned(),
            (false, 0) => format!("only {}", names.join(", ")),
            (false, more) => format!("only {} and {more} more", names.join(", ")),
        }
    }

    /// Returns whether no further store can ever be added.
    pub(super) fn is_closed_set(&self) -> bool {
        self.closed_set
    }

    /// The lock under which stores and connections are told of each other.
    pub(super) fn lock(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock()
    }

    pub(super) fn joined(&self, connection: &Arc<Shared>) {
        let mut registry = self.registry.lock();
        registry.connections.push(connection.clone());
        for port in registry.ports.values() {
            connection.opened(&registry, port);
        }
    }

    pub(super) fn left(&self, connection: &Arc<Shared>) {
        let mut registry = self.registry.lock();
        registry.connections.retain(|other| !Arc::ptr_eq(other, connection));
        connection.take_down(&registry);
    }
}

impl std::fmt::Debug for StoreRegistry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let registry = self.registry.lock();
        let names: Vec<_> = registry.ports.values().map(|port| port.name()).collect();
        f.debug_struct("StoreRegistry")
            .field("stores", &names)
            .field("connections", &registry.connections.len())
            .finish_non_exhaustive()
    }
}

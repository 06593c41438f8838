//! Opens the stores that the plan gives a node, and connects them.

use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Arc;

use samestate::{
    Backup, ClientConfig, Cluster, Resync, ServerConfig, StoreBuilder, Version, create_store,
};

use super::meter::Meter;
use super::null::NullStore;
use super::store::{AnyStore, OpenStore};
use super::{NodeError, OPENERS};
use crate::control::certificates;
use crate::control::{Briefing, now_ns};
use crate::invariants::Witness;
use crate::load::{Params, Reducer, Registry, UnknownReducer, Visitor};
use crate::scenario::{self, Address, Arrival, LinkPlan, LoadPlan, NodePlan, StorePlan, Upstream};

/// The passwords of a scenario lie in its file: there is nothing to guess.
const LOGIN_ROUNDS: u32 = 4096;

/// The end of the password that a server asks for while the fault `wrong_password` lasts.
const OTHER_PASSWORD: &str = ", changed";

/// The receiver of the errors of stores.
pub(super) type Tell = Arc<dyn Fn(&str) + Send + Sync>;

/// The settings with which a node opens its stores.
pub(super) struct Opener<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) briefing: &'a Briefing,
    pub(super) node: &'a NodePlan,
    pub(super) folder: &'a Path,
    pub(super) tell: Tell,
    pub(super) meter: &'a Arc<Meter>,
}

impl Opener<'_> {
    /// Opens all stores of the node, and serves those that have clients. Does not wait until they
    /// are in sync.
    pub(super) async fn open_all(&self) -> Result<Vec<Arc<dyn AnyStore>>, NodeError> {
        let mut stores = Vec::new();
        for name in self.node.stores.keys() {
            stores.push(self.open(name)?);
        }
        if self.briefing.plan.null {
            return Ok(stores);
        }
        for link in self.briefing.plan.links.iter().filter(|link| link.server == self.node.id) {
            for store in stores.iter().filter(|store| link.stores.iter().any(|l| l == store.name()))
            {
                store.serve(self.server(link, &link.address, "")).await?;
                if let Some(address) = self.briefing.other_passwords.get(&link.index) {
                    store.serve(self.server(link, address, OTHER_PASSWORD)).await?;
                }
            }
        }
        Ok(stores)
    }

    fn open(&self, name: &str) -> Result<Arc<dyn AnyStore>, NodeError> {
        let plan = &self.briefing.plan;
        let unplanned = || NodeError::Unplanned(format!("store `{name}`"));
        let store = plan.stores.get(name).ok_or_else(unplanned)?;
        let (tree, member) = plan.topology.replica(name, self.node.id).ok_or_else(unplanned)?;
        let client = match member.upstream {
            Some(Upstream::Server { link, .. }) => Some(self.client(link)?),
            Some(Upstream::Master(_)) | None => None,
        };
        let is_root = tree.root == self.node.id;
        let open = Open { opener: self, store, client, is_root };
        (OPENERS.of(&store.reducer).own)(&store.reducer, open)?
    }

    /// Returns the options with which this node serves a link. Something may be appended to the
    /// password that the clients of the link know.
    fn server(&self, link: &LinkPlan, address: &Address, appended: &str) -> ServerConfig {
        let server = match address {
            Address::Tcp(port) => ServerConfig::tcp(format!("127.0.0.1:{port}")),
            Address::Unix(path) => ServerConfig::unix(self.folder.join(path)),
        };
        let mut server = server.login_rounds(LOGIN_ROUNDS);
        if link.tls {
            server = server.tls(certificates::of_server(self.folder, &self.node.name));
        }
        if let Some(login) = &link.login {
            server = server.login(&login.name, format!("{}{appended}", login.password));
        }
        server
    }

    /// Returns the options with which this node follows the server of a link.
    pub(super) fn client(&self, link: usize) -> Result<ClientConfig, NodeError> {
        let unplanned = || NodeError::Unplanned(format!("link {link}"));
        let plan = self.briefing.plan.links.get(link).ok_or_else(unplanned)?;
        let mut client = match self.briefing.dialled(link).ok_or_else(unplanned)? {
            Address::Tcp(port) => ClientConfig::tcp(format!("127.0.0.1:{port}")),
            Address::Unix(path) => ClientConfig::unix(self.folder.join(path)),
        };
        if plan.tls {
            client = client.tls(certificates::of_client(self.folder, &self.node.name));
        }
        if let Some(login) = &plan.login {
            client = client.login(&login.name, &login.password);
        }
        if let Some(longest) = plan.backoff_max {
            // A refusal is a reason to wait like any other: a fault may end it.
            client = client.backoff_max(longest).retry_refused_after(longest);
        }
        Ok(client)
    }

    /// The loads that this node dispatches into a store.
    fn loads(&self, store: &str) -> impl Iterator<Item = &LoadPlan> {
        let loads = self.briefing.plan.phases.iter().flat_map(|phase| &phase.load);
        loads.filter(move |load| load.at == self.node.id && load.store == store)
    }
}

/// Opens one of Samestate's own stores by the name of its reducer.
pub(super) type OpenOwn = fn(&str, Open<'_>) -> Result<Opened, UnknownReducer>;

pub(super) fn open<R: Registry>(reducer: &str, open: Open<'_>) -> Result<Opened, UnknownReducer> {
    R::visit(reducer, open)
}

pub(super) type Opened = Result<Arc<dyn AnyStore>, NodeError>;

/// Opens a store with the types of its reducer.
pub(super) struct Open<'a> {
    opener: &'a Opener<'a>,
    store: &'a StorePlan,
    client: Option<ClientConfig>,
    is_root: bool,
}

impl Visitor for Open<'_> {
    type Output = Opened;

    fn visit<R: Reducer>(self) -> Self::Output {
        let Opener { cluster, node, tell, meter, .. } = self.opener;
        let plan = &self.opener.briefing.plan;
        let name = &*self.store.name;
        if self.opener.briefing.plan.null {
            let params = Params { state_bytes: self.store.size_bytes, ..Params::default() };
            let store = NullStore::<R>::open(name, &node.name, &params, self.is_root);
            return Ok(Arc::new(store));
        }
        // A process without workers is a store's own master: it has no role until it has a peer.
        let builder: StoreBuilder<R::State, R::Action> = match plan.workers(&node.cluster).next() {
            Some(_) => cluster.create_store(name, R::reduce),
            None => create_store(name, R::reduce),
        };
        let builder = builder.patching(R::patching());
        let on_error = Arc::clone(tell);
        let builder = self.configured(builder).on_error(move |event| on_error(&event.to_string()));
        let clock = Arc::new(now_ns);
        let (store, witness) = if self.is_root {
            let builder = self.backed_up(builder);
            // Nothing happens to it before it has a peer or is dispatched to.
            let store = builder.start()?;
            let (start, epoch) = store.stands_at();
            let kept = crate::invariants::KEPT_BYTES_MAX;
            let witness = Witness::of_root(name, &*node.name, clock, start, epoch, kept);
            store.set_observer(meter.around(witness.observer()));
            (store, witness)
        } else {
            let witness = Witness::of_replica(&*node.name, clock, Version::default(), 0);
            (builder.observer(meter.around(witness.observer())).start()?, witness)
        };
        let params = Params { state_bytes: self.store.size_bytes, ..Params::default() };
        let told = (Arc::clone(tell), Arc::clone(meter));
        Ok(Arc::new(OpenStore::<R>::watched(store, &node.name, params, witness, told)))
    }
}

impl Open<'_> {
    /// Adds the store's backup, if it has one. The backup is in the run's folder, and is removed
    /// with it.
    fn backed_up<S, A>(&self, builder: StoreBuilder<S, A>) -> StoreBuilder<S, A>
    where
        S: samestate::State,
        A: samestate::Action,
    {
        let Opener { node, folder, .. } = self.opener;
        let backup = Backup::at(folder.join(format!("{}-{}.backup", node.name, self.store.name)));
        match self.store.backup_every {
            Some(every) => builder.backup(backup.every_actions(every.get())),
            None if self.store.durable => builder.backup(backup).durable(),
            None => builder,
        }
    }

    fn configured<S, A>(&self, builder: StoreBuilder<S, A>) -> StoreBuilder<S, A>
    where
        S: samestate::State,
        A: samestate::Action,
    {
        let mode =
            self.opener.node.stores.get(&self.store.name).copied().unwrap_or_default().into();
        let resync = match self.store.resync {
            scenario::Resync::Snapshot(every) => Resync::Snapshot(NonZeroU64::get(every)),
            scenario::Resync::Verify(every) => Resync::Verify(NonZeroU64::get(every)),
            scenario::Resync::Off => Resync::Off,
        };
        let in_flight = self.opener.loads(&self.store.name).filter_map(|load| match load.arrival {
            Arrival::Closed(closed) => Some(closed.in_flight.get() as usize),
            _ => None,
        });
        let window = in_flight.max();
        let mut builder = builder.mode(mode).resync(resync);
        if let Some(bytes) = self.store.log_bytes {
            builder = builder.log_bytes_max(usize::try_from(bytes).unwrap_or(usize::MAX));
        }
        if let Some(window) = window.filter(|window| *window > WINDOW_USUAL) {
            builder = builder.window(window);
        }
        if let Some(client) = &self.client {
            builder = builder.client(client.clone());
        }
        builder
    }
}

/// The default number of dispatches that a store has under way at most.
const WINDOW_USUAL: usize = 4096;

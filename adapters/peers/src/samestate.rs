//! Samestate's library as a program: it pays for the lines to and from the runner as the others do.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context;
use parking_lot::{Condvar, Mutex};
use samestate::{
    Change, ClientConfig, DispatchError, DispatchFuture, Mode, ServerConfig, Store, create_store,
};
use samestate_sim::load::{Reducer, Registry, Shipped, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::protocol::{Adapter, Endpoint, Init, Login, Node, Numbered, Spec};

/// The passwords of a scenario are in its file: there is nothing to guess.
const LOGIN_ROUNDS: u32 = 4096;

/// The number of dispatches that a store has under way at most.
const WINDOW: usize = 1 << 16;

/// A state, and the id of the last action in it.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Tagged<S> {
    last: String,
    state: S,
}

/// An action under its id.
#[derive(Clone, Serialize, Deserialize)]
struct Action<A> {
    id: String,
    action: A,
}

/// A store, its types hidden.
trait AnyStore: Send + Sync {
    fn dispatch(&self, actions: Vec<Numbered>) -> anyhow::Result<()>;
    /// Tells the state while no change can be reported.
    fn with_state(&self, tell: Tell<'_>) -> anyhow::Result<()>;
    fn serve(&self, server: ServerConfig) -> Serving<'_>;
    /// Reports whether the store is in sync, for ever. The node is ready once none is missing.
    fn watch(&self, missing: Arc<AtomicUsize>);
}

type Tell<'a> = Box<dyn FnOnce(&Value) + 'a>;

type Serving<'a> = std::pin::Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send + 'a>>;

struct Typed<R: Reducer> {
    name: Arc<str>,
    node: Node,
    store: Store<Tagged<R::State>, Action<R::Action>>,
    told: Arc<Told>,
    dispatched: mpsc::UnboundedSender<(String, DispatchFuture)>,
}

/// The position that was reported last.
#[derive(Default)]
struct Told {
    position: Mutex<u64>,
    changed: Condvar,
}

struct Open<'a> {
    spec: &'a Spec,
    node: &'a Node,
    client: Option<ClientConfig>,
}

impl Visitor for Open<'_> {
    type Output = anyhow::Result<Box<dyn AnyStore>>;

    fn visit<R: Reducer>(self) -> Self::Output {
        let Open { spec, node, client } = self;
        let name = spec.name.clone();
        let reduce = |tagged: &mut Tagged<R::State>, action: &Action<R::Action>| {
            R::reduce(&mut tagged.state, &action.action)?;
            tagged.last.clone_from(&action.id);
            Ok::<(), samestate::Reject>(())
        };
        let mode = match &*spec.mode {
            "snapshot" => Mode::Snapshot,
            "action" => Mode::Action,
            other => anyhow::bail!("the adapter of Samestate has no mode {other}"),
        };
        let mut builder = create_store(&name, reduce).mode(mode).window(WINDOW);
        if let Some(client) = client {
            builder = builder.client(client);
        }
        let store = builder.start()?;
        let told = Arc::new(Told::default());
        let (teller, reader, node) = (Arc::clone(&told), store.clone(), node.clone());
        let (tell, to) = (node.clone(), name.clone());
        let jump = move |position: &mut u64| {
            let (version, tagged) = reader.state_at();
            *position = version.seq;
            let last = (version.seq > 0).then_some(&*tagged.last);
            tell.jumped(&to, version.seq, last);
        };
        let (jumped, to, tell) = (jump.clone(), Arc::clone(&name), node.clone());
        let subscription = store.subscribe(move |change| {
            let mut position = teller.position.lock();
            match change {
                // The state may be newer than a jump: then it is told by the jump.
                Change::Applied { version, .. } if version.seq <= *position => return,
                Change::Applied { version, action } if version.seq == *position + 1 => {
                    *position = version.seq;
                    tell.applied(&to, vec![action.id.clone()]);
                }
                Change::Applied { .. } | Change::Jumped { .. } => jumped(&mut position),
            }
            teller.changed.notify_all();
        });
        {
            // What came before there was a subscriber.
            let mut position = told.position.lock();
            if store.version().seq > *position {
                jump(&mut position);
            }
        }
        subscription.forever();
        let (dispatched, waiting) = mpsc::unbounded_channel();
        tokio::spawn(answer(node.clone(), Arc::clone(&name), waiting));
        Ok(Box::new(Typed::<R> { name, node, store, told, dispatched }))
    }
}

/// Answers dispatches, oldest first.
async fn answer(
    node: Node,
    store: Arc<str>,
    mut waiting: mpsc::UnboundedReceiver<(String, DispatchFuture)>,
) {
    while let Some((id, dispatched)) = waiting.recv().await {
        let error = match dispatched.await {
            Ok(_) => {
                node.ok(&store, vec![id]);
                continue;
            }
            Err(error) => error,
        };
        let kind = match error {
            DispatchError::NotConnected => "not_connected",
            DispatchError::Busy(_) => "busy",
            DispatchError::OutcomeUnknown => "unknown",
            _ => "rejected",
        };
        node.error(&store, &id, kind, &error.to_string());
    }
}

impl<R: Reducer> AnyStore for Typed<R> {
    fn dispatch(&self, actions: Vec<Numbered>) -> anyhow::Result<()> {
        for Numbered { id, action } in actions {
            let action = serde_json::from_str(action.get())?;
            let dispatched = self.store.dispatch(Action { id: id.clone(), action });
            self.dispatched.send((id, dispatched)).ok().context("no task answers")?;
        }
        Ok(())
    }

    fn with_state(&self, tell: Tell<'_>) -> anyhow::Result<()> {
        // Nothing newer than what was reported is told, and nothing is reported meanwhile.
        let mut position = self.told.position.lock();
        loop {
            let (version, tagged) = self.store.state_at();
            if version.seq <= *position {
                tell(&serde_json::to_value(&tagged.state)?);
                return Ok(());
            }
            self.told.changed.wait_for(&mut position, Duration::from_millis(5));
        }
    }

    fn serve(&self, server: ServerConfig) -> Serving<'_> {
        Box::pin(async move {
            self.store.create_server(server).await?;
            Ok(())
        })
    }

    fn watch(&self, missing: Arc<AtomicUsize>) {
        let (store, node, name) = (self.store.clone(), self.node.clone(), self.name.clone());
        tokio::spawn(async move {
            store.until_connected(true).await;
            node.connected(&name, true);
            if missing.fetch_sub(1, Ordering::AcqRel) == 1 {
                node.ready();
            }
            for connected in [false, true].into_iter().cycle() {
                store.until_connected(connected).await;
                node.connected(&name, connected);
            }
        });
    }
}

/// A node of Samestate.
pub struct Samestate(BTreeMap<String, Box<dyn AnyStore>>);

impl Samestate {
    /// Opens the stores, serves them, and reports once all are in sync.
    pub async fn open(init: Init, node: Node) -> anyhow::Result<Self> {
        let mut stores = BTreeMap::new();
        for spec in &init.stores {
            let upstream =
                init.connect.iter().find(|at| at.stores.iter().any(|name| **name == *spec.name));
            let client = upstream.filter(|_| !spec.root).map(client).transpose()?;
            let open = Open { spec, node: &node, client };
            let opened = Shipped::visit(&spec.reducer, open).ok().context("no such reducer")??;
            stores.insert(spec.name.to_string(), opened);
        }
        for endpoint in &init.listen {
            for name in &endpoint.stores {
                let store = stores.get(name).context("no such store")?;
                store.serve(server(endpoint)?).await?;
            }
        }
        let missing = Arc::new(AtomicUsize::new(stores.len()));
        for store in stores.values() {
            store.watch(Arc::clone(&missing));
        }
        Ok(Samestate(stores))
    }
}

fn server(endpoint: &Endpoint) -> anyhow::Result<ServerConfig> {
    let server = match (&endpoint.unix, endpoint.tcp) {
        (Some(path), _) => ServerConfig::unix(path),
        (None, port) => ServerConfig::tcp(format!("127.0.0.1:{}", port.context("no address")?)),
    };
    let server = server.login_rounds(LOGIN_ROUNDS);
    Ok(match &endpoint.login {
        Some(Login { name, password }) => server.login(name, password),
        None => server,
    })
}

fn client(endpoint: &Endpoint) -> anyhow::Result<ClientConfig> {
    let client = match (&endpoint.unix, endpoint.tcp) {
        (Some(path), _) => ClientConfig::unix(path),
        (None, port) => ClientConfig::tcp(format!("127.0.0.1:{}", port.context("no address")?)),
    };
    Ok(match &endpoint.login {
        Some(Login { name, password }) => client.login(name, password),
        None => client,
    })
}

impl Adapter for Samestate {
    fn dispatch(&mut self, store: &str, actions: Vec<Numbered>) -> anyhow::Result<()> {
        self.0.get(store).context("no such store")?.dispatch(actions)
    }

    fn with_state(&self, store: &str, tell: impl FnOnce(&Value)) -> anyhow::Result<()> {
        self.0.get(store).context("no such store")?.with_state(Box::new(tell))
    }

    async fn stop(self) {}
}

//! Nodes that are programs in any language: see `docs/adapters.md`.
//!
//! A node process starts its program as a child and speaks JSON lines with it. To everything else
//! in this crate its stores look like those of any node: only this module knows of the program.
//!
//! | file | holds |
//! |---|---|
//! | `messages` | the lines of the protocol |
//! | `process` | the process of a program, and the lines to and from it |
//! | `store` | one store of a program, as its lines tell of it; in `store/node` as the node sees it |
//! | `ids` | the ids of dispatches, and the actions behind them |
//! | `canonical` | canonical JSON, and its digest |

mod canonical;
mod ids;
pub(crate) mod messages;
mod process;
mod store;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

pub(super) use process::Program;

use self::messages::{Endpoint, Init, InitLogin, InitStore, PROTOCOL, ToProgram};
use self::process::{Listener, Listeners};
use self::store::ProgramStore;
use super::log::Log;
use super::store::AnyStore;
use super::{NodeError, OPENERS};
use crate::control::{Briefing, now_ns};
use crate::load::{Reducer, Registry, UnknownReducer, Visitor};
use crate::scenario::{Address, Mode, NodePlan, Resync};

/// The folder of a node's own files in the run's folder.
const FILES: &str = "files";

/// A program that was started, and its stores.
pub(super) struct Started {
    pub(super) program: Program,
    pub(super) stores: Vec<Arc<dyn AnyStore>>,
    /// The pipes, whose lines are read once the runner knows of the node.
    pipes: process::Pipes,
    listeners: Listeners,
    init: Init,
    command: String,
}

impl Started {
    /// Begins the conversation.
    pub(super) fn converse(self, log: &Arc<Log>) -> (Program, Vec<Arc<dyn AnyStore>>) {
        self.program.tell(ToProgram::Init(self.init));
        self.pipes.run(&self.program, self.command, self.listeners, Arc::clone(log));
        (self.program, self.stores)
    }
}

/// Starts the program of a node.
pub(super) fn start(
    command: &[String],
    folder: &Path,
    briefing: &Briefing,
    node: &NodePlan,
) -> Result<Started, NodeError> {
    let init = init(folder, briefing, node).map_err(NodeError::Program)?;
    let started = process::Program::start(command, folder, &node.name);
    let (program, pipes) = started.map_err(NodeError::Program)?;
    let incarnation = now_ns();
    let mut stores = Vec::new();
    let mut listeners: BTreeMap<String, Arc<dyn Listener>> = BTreeMap::new();
    for store in &init.stores {
        let open = Open { briefing, node, store, incarnation, program: &program };
        let (any, listener) = (OPENERS.of(&store.reducer).of_program)(&store.reducer, open)?;
        stores.push(any);
        listeners.insert(store.name.clone(), listener);
    }
    let (listeners, command) = (Arc::new(listeners), command.join(" "));
    Ok(Started { program, stores, pipes, listeners, init, command })
}

/// The place of the node in the scenario.
fn init(folder: &Path, briefing: &Briefing, node: &NodePlan) -> Result<Init, String> {
    let plan = &briefing.plan;
    let files = folder.join(FILES).join(&node.name);
    std::fs::create_dir_all(&files)
        .map_err(|error| format!("its folder {} cannot be made: {error}", files.display()))?;
    let stores = node.stores.iter().filter_map(|(name, mode)| {
        let tree = plan.topology.replica(name, node.id)?.0;
        Some(InitStore {
            name: name.clone(),
            reducer: plan.stores.get(name)?.reducer.clone(),
            mode: mode_name(*mode).to_owned(),
            snapshot_every: match plan.stores.get(name)?.resync {
                Resync::Snapshot(every) => Some(every.get()),
                Resync::Verify(_) | Resync::Off => None,
            },
            root: tree.root == node.id,
        })
    });
    let mut init = Init {
        protocol: PROTOCOL,
        node: node.name.clone(),
        seed: plan.seed,
        folder: files.to_string_lossy().into_owned(),
        stores: stores.collect(),
        listen: Vec::new(),
        connect: Vec::new(),
    };
    for (index, link) in plan.links.iter().enumerate() {
        let endpoint = |address: &Address| {
            let login = link.login.as_ref();
            let login = login.map(|login| InitLogin {
                name: login.name.clone(),
                password: login.password.clone(),
            });
            Endpoint { login, ..endpoint(folder, address, link.stores.clone()) }
        };
        if link.server == node.id {
            init.listen.push(endpoint(&link.address));
        }
        if link.clients.contains(&node.id) {
            init.connect.push(endpoint(briefing.dialled(index).unwrap_or(&link.address)));
        }
    }
    let inside = Address::Unix(format!("{}.sock", node.cluster).into());
    let inside = endpoint(folder, &inside, node.stores.keys().cloned().collect());
    if !node.is_master() {
        init.connect.push(inside);
    } else if plan.workers(&node.cluster).next().is_some() {
        init.listen.push(inside);
    }
    Ok(init)
}

fn endpoint(folder: &Path, address: &Address, stores: Vec<String>) -> Endpoint {
    let (tcp, unix) = match address {
        Address::Tcp(port) => (Some(*port), None),
        Address::Unix(path) => (None, Some(folder.join(path).to_string_lossy().into_owned())),
    };
    Endpoint { stores, tcp, unix, login: None }
}

fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Snapshot => "snapshot",
        Mode::Action => "action",
        Mode::Delta => "delta",
    }
}

/// Opens a store with the types of its reducer.
pub(super) struct Open<'a> {
    briefing: &'a Briefing,
    node: &'a NodePlan,
    store: &'a InitStore,
    incarnation: u64,
    program: &'a Program,
}

pub(super) type Opened = (Arc<dyn AnyStore>, Arc<dyn Listener>);

/// Opens a store of a program by the name of its reducer.
pub(super) type OpenOfProgram = fn(&str, Open<'_>) -> Result<Opened, UnknownReducer>;

pub(super) fn open<R: Registry>(reducer: &str, open: Open<'_>) -> Result<Opened, UnknownReducer> {
    R::visit(reducer, open)
}

impl Visitor for Open<'_> {
    type Output = Opened;

    fn visit<R: Reducer>(self) -> Opened {
        let Open { briefing, node, store, incarnation, program } = self;
        let plan = &briefing.plan;
        let store =
            ProgramStore::<R>::new(plan, &store.name, (node.id, incarnation), program, store.root);
        (Arc::new(Arc::clone(&store)), store)
    }
}

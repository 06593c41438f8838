//! A scenario that has been checked: every name resolved, every instant known.
//!
//! The input has passed validation. The promise is that the parts fit: a [`NodeId`] is a position
//! in [`Plan::nodes`], a link's number one in [`Plan::links`], every store named is in
//! [`Plan::stores`], and no store's links form a loop, unless an event closes one for a while. A
//! plan holds nothing that needs a file or a clock, so that it can be sent to another process as it
//! is.

mod virtual_time;

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::model::{Arrival, Mode, PoisonSpec, Resync, Role};
use super::topology::Topology;
use crate::faults::TimedFault;
pub use virtual_time::VirtualTimePlan;

/// A node: its position in [`Plan::nodes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(pub u32);

impl NodeId {
    /// The node's position in [`Plan::nodes`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {}", self.0)
    }
}

/// A whole run of one scenario with one set of values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The scenario's name: its file's, without the ending.
    pub name: String,
    /// The seed of every random choice.
    pub seed: u64,
    /// True if the nodes replicate nothing, to measure what the instruments cost.
    #[serde(default)]
    pub null: bool,
    /// The processes, cluster by cluster, each master before its workers.
    pub nodes: Vec<NodePlan>,
    /// The stores, by name.
    pub stores: BTreeMap<String, StorePlan>,
    /// The servers and their clients, in the file's order.
    pub links: Vec<LinkPlan>,
    /// The topology when the run starts.
    pub topology: Topology,
    /// The mirrors, each of which dispatches one store's state into another.
    pub mirrors: Vec<MirrorPlan>,
    /// The phases, one after the other.
    pub phases: Vec<PhasePlan>,
    /// The faults, in the order of their instants.
    pub faults: Vec<TimedFault>,
    /// The events, in the order of their instants.
    pub events: Vec<TimedEvent>,
    /// The observations to sample.
    pub observe: Vec<Observation>,
    /// The expectations to check.
    pub expect: Vec<Expected>,
    /// The parameters of a run in virtual time.
    pub virtual_time: VirtualTimePlan,
}

/// A process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodePlan {
    /// Its position in [`Plan::nodes`].
    pub id: NodeId,
    /// Its name: `alpha.master`, `alpha.worker[1]`.
    pub name: String,
    /// Its cluster's name.
    pub cluster: String,
    /// The number of the worker, from 1; `None` for the master.
    pub worker: Option<u32>,
    /// The stores it opens, in order of their names, with the mode in which it feeds others.
    pub stores: BTreeMap<String, Mode>,
    /// The program that the node is, and its arguments; `None` for Samestate's own.
    pub program: Option<Vec<String>>,
}

impl NodePlan {
    /// Returns whether it is its cluster's master.
    pub fn is_master(&self) -> bool {
        self.worker.is_none()
    }
}

/// A store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorePlan {
    /// Its name.
    pub name: String,
    /// Its reducer's name.
    pub reducer: String,
    /// The size of its state, in bytes, for reducers that are told.
    pub size_bytes: Option<u64>,
    /// The way in which links in mode `action` check the copies.
    pub resync: Resync,
    /// The number of bytes of recent actions that a node keeps; `None` for the library's default.
    pub log_bytes: Option<u64>,
    /// The number of actions between backups of its sequencer: state, version and sessions, from
    /// which it continues when it is started again. `None`: no backups.
    pub backup_every: Option<NonZeroU64>,
    /// True if its sequencer acknowledges only actions that are on disk, and so keeps all of them.
    pub durable: bool,
}

/// The address of a server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Address {
    /// A TCP port of the loopback address.
    Tcp(u16),
    /// A Unix socket; a relative path starts in the run's own folder.
    Unix(PathBuf),
}

impl Address {
    /// Returns the transport to the address: `tcp`, `tcp+tls` or `unix`.
    pub(in crate::scenario) fn transport(&self, tls: bool) -> &'static str {
        match (self, tls) {
            (Self::Tcp(_), false) => "tcp",
            (Self::Tcp(_), true) => "tcp+tls",
            (Self::Unix(_), _) => "unix",
        }
    }

    /// The address with its transport: `tcp+tls:8888`.
    pub(in crate::scenario) fn over(&self, tls: bool) -> String {
        let transport = self.transport(tls);
        match self {
            Self::Tcp(port) => format!("{transport}:{port}"),
            Self::Unix(path) => format!("{transport}:{}", path.display()),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.over(false))
    }
}

/// A login and its password.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// The login.
    pub name: String,
    /// Its password.
    pub password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Login({}, …)", self.name)
    }
}

/// A server and the clients that attach to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LinkPlan {
    /// Its position in [`Plan::links`].
    pub index: usize,
    /// The name it was given, or one made of its stores, server and address.
    pub name: String,
    /// The stores it carries.
    pub stores: Vec<String>,
    /// The node that serves.
    pub server: NodeId,
    /// The address of the server.
    pub address: Address,
    /// True if server and clients use TLS; over TCP alone.
    pub tls: bool,
    /// The nodes that attach from the start.
    pub clients: Vec<NodeId>,
    /// The login of clients; `None` if the server asks for none.
    pub login: Option<Login>,
    /// The longest wait between two attempts to reconnect; `None` for the library's default.
    pub backoff_max: Option<Duration>,
}

impl LinkPlan {
    /// Returns the transport of the link: `tcp`, `tcp+tls` or `unix`.
    pub fn transport(&self) -> &'static str {
        self.address.transport(self.tls)
    }

    /// Returns the address of the link with its transport and its login: `tcp:8888 as app`.
    pub(crate) fn over(&self) -> String {
        let login = self.login.as_ref().map(|login| format!(" as {}", login.name));
        self.address.over(self.tls) + &login.unwrap_or_default()
    }
}

/// A node that dispatches one store's state into another at each change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MirrorPlan {
    /// The node.
    pub at: NodeId,
    /// The store it subscribes to.
    pub from: String,
    /// The store it dispatches into.
    pub to: String,
}

/// A stretch of the run with one load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PhasePlan {
    /// Its name.
    pub name: String,
    /// The time of its begin, from the run's start.
    pub start: Duration,
    /// The length of the phase.
    pub duration: Duration,
    /// The loads of the phase.
    pub load: Vec<LoadPlan>,
}

impl PhasePlan {
    /// Returns the time of its end, from the run's start.
    pub fn end(&self) -> Duration {
        self.start + self.duration
    }
}

/// A node that dispatches into a store for the length of a phase.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoadPlan {
    /// Its number among all loads of the plan: the stream of random numbers that it draws from.
    pub stream: u64,
    /// The node.
    pub at: NodeId,
    /// The store.
    pub store: String,
    /// The times of its dispatches.
    pub arrival: Arrival,
    /// The number of bytes that each action carries; `None` for the reducer's own choice.
    pub payload_bytes: Option<u64>,
    /// The actions that go wrong on purpose.
    pub poison: PoisonSpec,
}

/// An event at its instant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimedEvent {
    /// The time, from the run's start.
    pub at: Duration,
    /// The event.
    pub event: Event,
    /// The topology after the event. Nodes of a loop, which a later event opens, are in no tree
    /// meanwhile.
    pub topology: Topology,
}

/// An event in the middle of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A node becomes the client of a link's server, for the stores that the link carries. It
    /// was a root, a worker, or the client of another server until then.
    CreateClient {
        /// The node.
        client: NodeId,
        /// The link's position in [`Plan::links`].
        link: usize,
    },
}

/// An observation to sample. Two trees of one store (see [`Topology`]) are never compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Observation {
    /// Two stores at one node.
    Pair {
        /// The node.
        at: NodeId,
        /// The stores.
        stores: [String; 2],
        /// The interval between samples.
        every: Duration,
    },
    /// All replicas of a store, tree by tree.
    Replicas {
        /// The store.
        store: String,
        /// The interval between samples.
        every: Duration,
    },
}

/// An expectation, and where the file says it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Expected {
    /// The expectation.
    pub what: Expectation,
    /// True if the run may pass without a sample of it.
    pub optional: bool,
    /// The line of the file on which it stands, from 1, if it stands in one.
    pub line: Option<u32>,
}

/// An expectation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Expectation {
    /// A metric lies within bounds.
    Metric(MetricBound),
    /// The status of a store at a node at the end of the run.
    Node {
        /// The node.
        at: NodeId,
        /// The store.
        store: String,
        /// True if the store has to be in sync there, false if it must not be, `None` if either
        /// will do.
        connected: Option<bool>,
        /// Its roles there, sorted, if they are asked.
        roles: Option<Vec<Role>>,
    },
    /// These invariants are violated.
    Violates(Vec<String>),
}

/// A metric and its bounds, both included.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricBound {
    /// The metric's name, that of a [`Metric`](samestate_report::Metric).
    pub metric: String,
    /// The least it may be.
    pub min: Option<f64>,
    /// The most it may be.
    pub max: Option<f64>,
    /// The value that it has to be.
    pub equals: Option<f64>,
    /// The store it is narrowed to.
    pub store: Option<String>,
    /// The node it is narrowed to.
    pub node: Option<NodeId>,
    /// The phase it is narrowed to, as a position in [`Plan::phases`].
    pub phase: Option<usize>,
}

impl Plan {
    /// The node of that name.
    pub fn node_named(&self, name: &str) -> Option<&NodePlan> {
        self.nodes.iter().find(|node| node.name == name)
    }

    /// The node of that id.
    ///
    /// # Panics
    ///
    /// If the id is of another plan.
    pub fn node(&self, id: NodeId) -> &NodePlan {
        &self.nodes[id.index()]
    }

    /// Returns the length of all phases together.
    pub fn duration(&self) -> Duration {
        self.phases.last().map_or(Duration::ZERO, PhasePlan::end)
    }

    /// Returns the topology at an instant of the run.
    pub fn topology_at(&self, at: Duration) -> &Topology {
        self.events
            .iter()
            .rev()
            .find(|event| event.at <= at)
            .map_or(&self.topology, |event| &event.topology)
    }

    /// The workers of a cluster, in order.
    pub fn workers<'a>(&'a self, cluster: &'a str) -> impl Iterator<Item = &'a NodePlan> {
        self.nodes.iter().filter(move |node| node.cluster == cluster && !node.is_master())
    }
}

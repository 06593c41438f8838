//! The whole file, and the sections that have no file of their own: stores, clusters, links,
//! mirrors, events, what is watched and what is expected.

use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroU64};
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{PhaseSpec, VirtualTimeSpec, is_false};
use crate::faults::FaultSpec;
use crate::load::catalog::in_words;
use crate::scenario::quantity::{Size, Span};
use crate::scenario::spellings::{LinkRef, OneOrMany};

/// A whole scenario file: clusters, the stores they share, the load on them, what breaks, what
/// is watched and what has to hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// The version of the file format: 1.
    pub version: u32,
    /// A description of the scenario, in a sentence or two. `samestate list` prints it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub about: String,
    /// The seed of every random choice; `--seed` replaces it.
    #[serde(default)]
    pub seed: u64,
    /// The number of times that each case is run; `--repeat` replaces it. The cases of a matrix
    /// take turns. Figures are then medians with 95 % intervals. In virtual time, each repeat has a
    /// seed of its own: the first is `seed`, the next one more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat: Option<NonZeroU32>,
    /// Logins and their passwords, for the links that name one. The file that is kept with a run
    /// does not show the passwords.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub logins: BTreeMap<String, String>,
    /// The stores, by name.
    pub stores: BTreeMap<String, StoreSpec>,
    /// The clusters, by name: a master and its workers each.
    pub clusters: BTreeMap<String, ClusterSpec>,
    /// Programs and their arguments, by names of their own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub programs: BTreeMap<String, Vec<String>>,
    /// The program of each cluster that has no `program` of its own: a key of `programs`, or
    /// `samestate`, the default, for Samestate's own nodes. A `matrix` may range over it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// Servers and the clients that attach to them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<LinkSpec>,
    /// Nodes that dispatch the state of one store into another at each change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mirrors: Vec<MirrorSpec>,
    /// The run, one phase after the other.
    pub phases: Vec<PhaseSpec>,
    /// The faults, with their times.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<FaultSpec>,
    /// The events in the middle of the run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<EventSpec>,
    /// The network, the clocks and the protocol's settings of a run in virtual time. Only
    /// `samestate simulate` reads it; `run` has a real network and the library's own settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub virtual_time: Option<VirtualTimeSpec>,
    /// The samples that are taken while the scenario runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub observe: Vec<ObserveSpec>,
    /// The expectations that have to hold for the run to pass.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expect: Vec<ExpectSpec>,
    /// Values to run the file with, once each: a path (as for `--set`) and its values. Several
    /// paths give every combination.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub matrix: BTreeMap<String, Vec<serde_json::Value>>,
}

/// A store: its reducer and how it is kept in sync.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StoreSpec {
    /// The reducer's name.
    #[schemars(extend("description" = reducer_text()))]
    pub reducer: String,
    /// The size of the state, for reducers that take one.
    #[schemars(extend("description" = size_text()))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<Size>,
    /// The mode in which its nodes feed others, unless their cluster sets another; `action` by
    /// default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// The way in which a link in mode `action` checks the copies; `verify: 100` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resync: Option<Resync>,
    /// The number of bytes of recent actions that each node with nodes below it keeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_bytes: Option<Size>,
    /// The backup of its sequencer, from which it continues once it is started again. Without it, a
    /// sequencer that is killed begins with an empty store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<BackupSpec>,
}

fn reducer_text() -> String {
    format!("The reducer's name: {}.", in_words(|_| true, "or"))
}

fn size_text() -> String {
    format!("The size of the state (reducers {}).", in_words(|reducer| reducer.sized, "and"))
}

/// A sequencer's backup: its state, its version and the sessions of those who dispatch (A15).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BackupSpec {
    /// It is made every so many actions. Needed unless the store is durable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every_actions: Option<NonZeroU64>,
    /// `Ok` means: on disk. A sequencer that is killed takes nothing with it that was acknowledged.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub durable: bool,
}

/// The content of a link (A12).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The whole state at each change; the newest state wins.
    Snapshot,
    /// The actions, and a check of the state at intervals.
    #[default]
    Action,
    /// The actions and what they changed, as patches of the state: only the sender runs the
    /// reducer.
    Delta,
}

impl From<Mode> for samestate::Mode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Snapshot => samestate::Mode::Snapshot,
            Mode::Action => samestate::Mode::Action,
            Mode::Delta => samestate::Mode::Delta,
        }
    }
}

/// The way in which the copies of a store in mode `action` are checked (A13).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Resync {
    /// A whole snapshot every so many actions, as the article does it.
    Snapshot(NonZeroU64),
    /// A comparison of digests every so many actions.
    Verify(NonZeroU64),
    /// Never.
    Off,
}

impl Default for Resync {
    fn default() -> Self {
        Self::Verify(const { NonZeroU64::new(100).unwrap() })
    }
}

/// A cluster: one master process and the workers it forks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClusterSpec {
    /// The number of workers that the master forks; 0 makes it a stand-alone process.
    #[serde(default)]
    pub workers: u32,
    /// The program that each node of this cluster is, and its arguments, in place of Samestate's
    /// own: `[python3, adapter.py]`. A relative path starts in the folder in which `samestate` is
    /// run. It speaks the protocol of `docs/adapters.md`; `simulate` runs no programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<Vec<String>>,
    /// The mode in which this cluster's nodes feed others, for each store that differs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub modes: BTreeMap<String, Mode>,
    /// The stores that this cluster's nodes open; all of them by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stores: Option<Vec<String>>,
}

/// A server, where it listens, and the nodes that are its clients.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkSpec {
    /// The name of the link in faults and events; its position in the list, from 0, works too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The store it carries, or a list of stores.
    pub store: OneOrMany,
    /// The node that serves.
    pub server: String,
    /// The TCP port it listens on, on the loopback address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<u16>,
    /// The Unix socket it listens on, in place of `tcp`; relative to the run's own folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unix: Option<PathBuf>,
    /// Server and clients speak TLS over `tcp`, each with a certificate of a CA that is made for
    /// the run. `simulate` has no TLS.
    #[serde(default, skip_serializing_if = "is_false")]
    pub tls: bool,
    /// The node that attaches, or a list of nodes; `[]` for a server without clients.
    pub client: OneOrMany,
    /// The login of the clients: a key of `logins`. Without it, no login is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<String>,
    /// The longest a client waits between two attempts to reconnect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff_max: Option<Span>,
}

/// A node that dispatches the state of store `from` into store `to` at each change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MirrorSpec {
    /// The node.
    pub at: String,
    /// The store it subscribes to.
    pub from: String,
    /// The store it dispatches into; its reducer has to be `replace`.
    pub to: String,
}

/// Something made to happen at an instant: exactly one kind of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventSpec {
    /// The time, from the run's start.
    pub at: Span,
    /// A node becomes the client of a link's server: it joins late, leaves its master, or moves
    /// from another server (the last only in virtual time).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub create_client: Option<CreateClientSpec>,
}

/// A node becomes the client of a link's server, for the stores that the link carries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateClientSpec {
    /// The node that attaches.
    pub client: String,
    /// The link: its name, or its position in the list, from 0.
    pub link: LinkRef,
}

/// The sampled replicas: either two stores at one node (`at`, `compare`), or all replicas of one
/// store (`store`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ObserveSpec {
    /// The node whose two stores are compared; `alpha.worker[*]` for each worker of a cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// The two stores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compare: Option<Vec<String>>,
    /// The store whose replicas are compared with each other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
    /// The interval between samples; the instants are jittered from the seed.
    pub every: Span,
}

/// The expectation: a bound on a metric (`metric`), the status of a store at a node at the end of
/// the run (`at`), or an invariant that has to be violated (`violates`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExpectSpec {
    /// The metric, as `samestate explain --metrics` lists them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<String>,
    /// The least it may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The most it may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// The value that it has to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub equals: Option<f64>,
    /// The store that is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
    /// The node that a metric is narrowed to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The phase that a metric is narrowed to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// The node that is asked about itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// True if the store at that node has to be in sync, false if it must not be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connected: Option<bool>,
    /// The roles of the store at that node, in any order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<Role>>,
    /// True if the run may pass without a sample of the metric; otherwise it is inconclusive. With
    /// `violates`: true if the run may pass without the violations too.
    #[serde(default, skip_serializing_if = "is_false")]
    pub optional: bool,
    /// Invariants that have to be violated, where that is the point: `[I2]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub violates: Option<Vec<String>>,
}

/// The role of a node in a store (A10).
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It gets dispatches from workers and sends them actions.
    Master,
    /// It gets actions from its master and sends it dispatches.
    Worker,
    /// It gets dispatches from clients and sends them actions.
    Server,
    /// It gets actions from its server and sends it dispatches.
    Client,
}

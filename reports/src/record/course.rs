//! The plan of a case, as far as a report shows it: phases, and who feeds whom.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A stretch of the case with one load.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Phase {
    /// Its name.
    pub name: String,
    /// Its planned begin, in seconds since the case began.
    pub begin_seconds: f64,
    /// Its planned end.
    pub end_seconds: f64,
    /// User and system CPU of all processes from its begin to its end, in seconds: without the
    /// start and the end of the processes. Null if it was not measured.
    pub cpu_seconds: Option<f64>,
    /// That, over the dispatches of its loads that were answered Ok, in microseconds.
    pub cpu_us_per_action: Option<f64>,
    /// Its loads, a line of text each; empty if the cluster rests.
    pub loads: Vec<String>,
}

/// The nodes of each store, and who feeds whom, from an instant on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Topology {
    /// The instant from which it holds, in seconds since the case began.
    pub since_seconds: f64,
    /// The event that led to it; null for the first.
    pub because: Option<String>,
    /// The trees of each store: one entry for each node, after the node that feeds it.
    pub stores: BTreeMap<String, Vec<TopologyNode>>,
}

/// One node of a store's tree.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TopologyNode {
    /// The node, such as `alpha.worker[1]`.
    pub name: String,
    /// The cluster of the node.
    pub cluster: String,
    /// The node that feeds it; null for a sequencer.
    pub fed_by: Option<String>,
    /// The content of that link: `actions`, `patches` or `snapshots`.
    pub gets: Option<String>,
    /// The transport of that link, such as `ipc` or `tcp:8888 as app`.
    pub over: Option<String>,
    /// The roles of the node in the store.
    pub roles: Vec<String>,
}

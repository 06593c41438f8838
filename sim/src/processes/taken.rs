//! What a case leaves behind once its processes are gone: all that the record is made of.

use samestate_report::FaultDone;

use super::control::NodeDelta;
use crate::measure::Cost;
use crate::scenario::NodeId;

/// What was taken down of a case.
#[derive(Debug)]
pub struct Taken {
    /// Every process that was a node, in the order in which they came.
    pub lives: Vec<LifeSeen>,
    /// What the processes measured, in the order in which they told it, each with the
    /// [`connection`](LifeSeen::connection) of its life.
    pub deltas: Vec<(u64, NodeDelta)>,
    /// When the load began; `None` if it never did.
    pub start_ns: Option<u64>,
    /// When the load ended, or was interrupted.
    pub stop_ns: u64,
    /// When the last node had sent its last word.
    pub end_ns: u64,
    /// Each planned fault, and what came of it.
    pub faults: Vec<FaultDone>,
    /// The user stopped the run.
    pub interrupted: bool,
    /// What went so wrong that the case was not done as planned: nodes that crashed, for one.
    pub trouble: Vec<String>,
    /// What stores told their `on_error`, a line each.
    pub errors: Vec<String>,
}

/// One process of a node.
#[derive(Debug)]
pub struct LifeSeen {
    /// Its connection to the runner: later lives have higher numbers.
    pub connection: u64,
    /// The node.
    pub node: NodeId,
    /// The process.
    pub pid: u32,
    /// What it used from the load's begin on until all had settled.
    pub cost: Option<Cost>,
    /// How it ended, if nobody wanted it to.
    pub ended: Option<String>,
}

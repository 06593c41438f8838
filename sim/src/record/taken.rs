//! What a case leaves behind once its processes are gone: all that the record is made of.

use std::time::Duration;

use samestate_report::FaultDone;

use super::gather::Gathered;
use crate::invariants::Violations;
use crate::measure::Cost;
use crate::scenario::NodeId;

/// What was taken down of a case.
#[derive(Debug)]
pub(crate) struct Taken {
    /// Every process that was a node, in the order in which they came.
    pub(crate) lives: Vec<LifeSeen>,
    /// What the processes measured.
    pub(crate) gathered: Gathered,
    /// When the load began; `None` if it never did.
    pub(crate) start_ns: Option<u64>,
    /// When the load ended, or was interrupted.
    pub(crate) stop_ns: u64,
    /// When the last node had sent its last word.
    pub(crate) end_ns: u64,
    /// Each planned fault, and what came of it.
    pub(crate) faults: Vec<FaultDone>,
    /// What was seen not to hold while it went on.
    pub(crate) violations: Violations,
    /// How long the bytes take that were to be carried when the load ended; zero where that is not
    /// known.
    pub(crate) carrying: Duration,
    /// The user stopped the run.
    pub(crate) interrupted: bool,
    /// Why the case was ended early: it could not pass any more.
    pub(crate) lost_cause: Option<String>,
    /// What went so wrong that the case was not done as planned: nodes that crashed, for one.
    pub(crate) trouble: Vec<String>,
    /// What stores told their `on_error`, a line each.
    pub(crate) errors: Vec<String>,
}

/// One process of a node.
#[derive(Debug)]
pub(crate) struct LifeSeen {
    /// Its connection to the runner: later lives have higher numbers.
    pub(crate) connection: u64,
    /// The node.
    pub(crate) node: NodeId,
    /// The process.
    pub(crate) pid: u32,
    /// What it used from the load's begin on until all had settled.
    pub(crate) cost: Option<Cost>,
    /// How it ended, if nobody wanted it to.
    pub(crate) ended: Option<String>,
}

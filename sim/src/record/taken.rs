//! The data that a case leaves once its processes are gone: all that the record is made of.

use std::time::Duration;

use samestate_report::FaultDone;

use super::gather::Gathered;
use crate::invariants::Violations;
use crate::measure::Cost;
use crate::measure::cost::Usage;
use crate::scenario::NodeId;

/// The data of a case.
#[derive(Debug)]
pub(crate) struct Taken {
    /// Every process that was a node, in the order in which they came.
    pub(crate) incarnations: Vec<IncarnationSeen>,
    /// The measurements of the processes.
    pub(crate) gathered: Gathered,
    /// The time at which the load began; `None` if it never did.
    pub(crate) start_ns: Option<u64>,
    /// The time at which the load ended, or was interrupted.
    pub(crate) stop_ns: u64,
    /// The CPU of all processes at the begin of each phase and at the end of the last one; empty if
    /// it is not known.
    pub(crate) phase_cpu_ns: Vec<u64>,
    /// The time at which the last node had sent its last message.
    pub(crate) end_ns: u64,
    /// Each planned fault, and what came of it.
    pub(crate) faults: Vec<FaultDone>,
    /// The violations that were seen while it went on.
    pub(crate) violations: Violations,
    /// The time that the bytes take which were to be carried when the load ended; zero if that is
    /// not known.
    pub(crate) carrying: Duration,
    /// The user stopped the run.
    pub(crate) interrupted: bool,
    /// The reason why the case was ended early: it could not pass any more.
    pub(crate) lost_cause: Option<String>,
    /// The reasons why the case was not done as planned, such as nodes that crashed.
    pub(crate) trouble: Vec<String>,
    /// The errors that stores reported to `on_error`, a line each.
    pub(crate) errors: Vec<String>,
}

impl Taken {
    /// The end of the case, in seconds since its load began; `None` if it never did.
    pub(crate) fn ended_at_seconds(&self) -> Option<f64> {
        let ns = self.end_ns.saturating_sub(self.start_ns?);
        Some((ns / 1_000_000) as f64 / 1e3)
    }
}

/// One process of a node.
#[derive(Debug)]
pub(crate) struct IncarnationSeen {
    /// Its connection to the runner: later incarnations have higher numbers.
    pub(crate) connection: u64,
    /// The node.
    pub(crate) node: NodeId,
    /// The process.
    pub(crate) pid: u32,
    /// The resources that it used from the load's begin on until all had settled.
    pub(crate) cost: Option<Cost>,
    /// Readings of them over time.
    pub(crate) course: Vec<Usage>,
    /// The unplanned end of the process, if there was one.
    pub(crate) ended: Option<String>,
}

//! Faults, each at its instant.

use std::ops::Range;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{NodeId, Plan};
use crate::scenario::KillMoment;

/// A fault at its instant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimedFault {
    /// The time, from the run's start.
    pub at: Duration,
    /// The fault.
    pub fault: Fault,
}

/// A fault. What strikes a link strikes all of its connections.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// All connections of a link are cut, and refused for a while.
    Cut {
        /// The link's position in [`Plan::links`](super::Plan::links).
        link: usize,
        /// The time for which it stays down.
        lasts: Duration,
    },
    /// A process is killed.
    Kill {
        /// The node.
        node: NodeId,
        /// The time until it is started again; never, if `None`.
        restart_after: Option<Duration>,
        /// Its peers are not told.
        silent: bool,
        /// At the first of these moments.
        moment: Option<KillMoment>,
    },
    /// A process stands still for a while.
    Pause {
        /// The node.
        node: NodeId,
        /// The time for which it lasts.
        lasts: Duration,
    },
    /// Nothing arrives over a link for a while, and all of it later.
    Blackhole {
        /// The link's position in [`Plan::links`](super::Plan::links).
        link: usize,
        /// Nothing arrives at the server.
        up: bool,
        /// Nothing arrives at the clients.
        down: bool,
        /// The time for which it lasts.
        lasts: Duration,
    },
    /// Nothing arrives any more over a link's connections, and neither end is told.
    HalfOpen {
        /// The link's position in [`Plan::links`](super::Plan::links).
        link: usize,
    },
    /// A bit of what arrives next over a link is flipped.
    Corrupt {
        /// The link's position in [`Plan::links`](super::Plan::links).
        link: usize,
        /// Of what arrives at the server; otherwise, at the clients.
        up: bool,
    },
    /// A replica that is no root applies the next action twice, and nobody notices.
    Slip {
        /// The node.
        node: NodeId,
        /// The store.
        store: String,
    },
    /// The reducer panics at the next action, at one replica only.
    Fail {
        /// The node.
        node: NodeId,
        /// The store.
        store: String,
    },
    /// The disk of a process fails for a while.
    Disk {
        /// The node.
        node: NodeId,
        /// The time for which it lasts.
        lasts: Duration,
        /// Its calls do not return meanwhile; otherwise they fail.
        hangs: bool,
    },
}

/// The time that a load has to make up for the dispatches that it could not make while its process
/// stood still.
const CATCHING_UP: Duration = Duration::from_secs(1);

impl Plan {
    /// Returns the times at which the faults of the plan have a process down or standing still,
    /// from the run's start: in order, apart from each other, and each with the time that its loads
    /// have to catch up. A load that is late then says nothing of the machine that it runs on.
    pub fn standstills(&self, node: NodeId) -> Vec<Range<Duration>> {
        let mine = self.node(node);
        let mut spans: Vec<Range<Duration>> = Vec::new();
        // Faults are in the order of their instants.
        for timed in &self.faults {
            let (struck, lasts) = match timed.fault {
                Fault::Kill { node, restart_after, .. } => (node, restart_after),
                Fault::Pause { node, lasts } => (node, Some(lasts)),
                _ => continue,
            };
            let theirs = self.node(struck);
            let killed = matches!(timed.fault, Fault::Kill { .. });
            let with_master = killed && theirs.is_master() && theirs.cluster == mine.cluster;
            if struck != node && !with_master {
                continue;
            }
            let end = lasts.map_or(self.duration(), |lasts| timed.at + lasts) + CATCHING_UP;
            match spans.last_mut() {
                Some(last) if timed.at <= last.end => last.end = last.end.max(end),
                _ => spans.push(timed.at..end),
            }
        }
        spans
    }
}

impl Fault {
    /// Its key in a scenario file.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Cut { .. } => "cut",
            Self::Kill { .. } => "kill",
            Self::Pause { .. } => "pause",
            Self::Blackhole { .. } => "blackhole",
            Self::HalfOpen { .. } => "half_open",
            Self::Corrupt { .. } => "corrupt",
            Self::Slip { .. } => "slip",
            Self::Fail { .. } => "fail",
            Self::Disk { .. } => "disk",
        }
    }
}

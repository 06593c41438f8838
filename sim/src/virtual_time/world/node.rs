//! A place where processes live, one after another.

use std::time::Duration;

use samestate::replication::{Config, Image, Replica};

use super::Event;
use crate::virtual_time::check::Tap;
use crate::virtual_time::machine::{Mishap, State, Subject};

/// What a node is like, whatever process lives there.
#[derive(Clone, Debug)]
pub struct NodeSpec {
    /// What people call it.
    pub name: String,
    /// The settings of its replica.
    pub config: Config,
    /// Whom it follows; nobody: it is a sequencer.
    pub upstream: Option<usize>,
    /// How much longer its state's encoding is than it need be, where it begins empty.
    pub state_padding_bytes: u32,
    /// Its subscriber takes what it is told only at a tick.
    pub slow_subscriber: bool,
}

/// A process.
pub(super) struct Process {
    pub(super) replica: Replica<Subject>,
    pub(super) tap: Tap,
    pub(super) mishap: Mishap,
    /// The connection to its upstream.
    pub(super) upstream: Option<u64>,
    /// An attempt to connect is scheduled.
    pub(super) connecting: bool,
    pub(super) backoff: Duration,
    dispatched: u32,
}

impl std::fmt::Debug for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a process at {:?}", self.replica.version())
    }
}

/// The wait before the second attempt to connect.
pub(super) const BACKOFF_MIN: Duration = Duration::from_millis(4);

/// The longest wait between two attempts to connect.
pub(super) const BACKOFF_MAX: Duration = Duration::from_millis(150);

impl Process {
    pub(super) fn new(replica: Replica<Subject>, tap: Tap, mishap: Mishap) -> Self {
        Process {
            replica,
            tap,
            mishap,
            upstream: None,
            connecting: false,
            backoff: BACKOFF_MIN,
            dispatched: 0,
        }
    }
}

/// A place.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) spec: NodeSpec,
    pub(super) life: u32,
    pub(super) process: Option<Process>,
    pub(super) paused: bool,
    /// What happened while it stood still.
    pub(super) backlog: Vec<Event>,
    pub(super) backup: Option<(Image, State)>,
    /// It cannot connect before then.
    pub(super) partitioned_until: Duration,
}

impl Node {
    pub(super) fn new(spec: NodeSpec) -> Self {
        Node {
            spec,
            life: 0,
            process: None,
            paused: false,
            backlog: Vec::new(),
            backup: None,
            partitioned_until: Duration::ZERO,
        }
    }

    /// What the ids of the present process's actions begin with.
    pub(super) fn origin(&self, node: usize) -> u64 {
        (node as u64 + 1) << 16 | u64::from(self.life)
    }

    /// The id of the next action.
    pub(super) fn next_id(&mut self, node: usize) -> Option<u64> {
        let origin = self.origin(node);
        let process = self.process.as_mut()?;
        process.dispatched += 1;
        Some(origin << 32 | u64::from(process.dispatched))
    }
}

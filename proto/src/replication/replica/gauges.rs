//! Gauges of a replica, for monitoring.

use super::{Place, Replica};
use crate::Mode;
use crate::Version;
use crate::mutant::mutant;
use crate::replication::Sessions;
use crate::replication::{LinkId, StateMachine};

/// The status of a replica at one moment. Sizes in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gauges {
    /// The version of the state.
    pub version: Version,
    /// In sync with the sequencer.
    pub connected: bool,
    /// This node is the sequencer.
    pub sequencer: bool,
    /// The log's entries, in bytes.
    pub log_bytes: usize,
    /// The most that they may be.
    pub log_bytes_max: usize,
    /// The number of dispatches of this node that are under way.
    pub under_way: usize,
    /// The most that may be.
    pub window: usize,
    /// The link to the upstream.
    pub upstream: Option<LinkGauge>,
    /// The links from downstream.
    pub downstream: Vec<LinkGauge>,
}

/// The status of one link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkGauge {
    /// The link.
    pub link: LinkId,
    /// It asked for the store, and was taken.
    pub attached: bool,
    /// The mode of the link; `None` until it is known.
    pub mode: Option<Mode>,
    /// The number of versions that its follower is behind, as far as this node knows: see
    /// [`Replica::gauges`].
    pub lag: Option<u64>,
}

/// The memory of a replica, besides its state. Settings bound each part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    /// The entries of the log, in bytes.
    pub log_bytes: usize,
    /// The bytes that the log keeps beyond its length, behind snapshots on their way.
    pub log_held: usize,
    /// The dispatches of this node that are under way.
    pub under_way: usize,
    /// The sessions that a sequencer remembers.
    pub sessions: usize,
    /// The changes that subscribers were not told of yet.
    pub changes: usize,
    /// The snapshots that are kept or on their way, each counted once.
    pub snapshots: usize,
}

/// The status of a replica that is not in sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It orders the store's actions.
    Sequencer,
    /// It has no link to an upstream.
    Detached,
    /// It asked its upstream for the store, and has no answer yet.
    Unanswered,
    /// Its upstream is not in sync itself.
    UpstreamNotInSync,
    /// A snapshot is on its way.
    Receiving {
        /// The number of bytes received so far.
        received: u64,
        /// The length of the snapshot, in bytes.
        total: u64,
    },
    /// It has not reached the version of its upstream.
    Behind {
        /// Its newest action.
        seq: u64,
        /// The upstream's.
        newest: u64,
    },
}

impl<M: StateMachine> Replica<M> {
    /// Returns the status of this replica, for a caller that waits until it is in sync.
    pub fn standing(&self) -> Standing {
        if self.is_sequencer() {
            return Standing::Sequencer;
        }
        let Some(upstream) = &self.upstream else { return Standing::Detached };
        let Some(status) = &upstream.status else { return Standing::Unanswered };
        match &upstream.incoming {
            Some(incoming) => Standing::Receiving {
                received: incoming.bytes.len() as u64,
                total: incoming.head.len,
            },
            None if !status.connected => Standing::UpstreamNotInSync,
            None => Standing::Behind {
                seq: self.position.version.seq,
                newest: upstream.newest.unwrap_or(self.position.version.seq),
            },
        }
    }

    /// Returns what this replica holds in memory.
    pub fn holdings(&self) -> Holdings {
        let sessions = match &self.place {
            Place::Sequencer { sessions, .. } => sessions.len(),
            Place::Follower { sessions } => sessions.as_ref().map_or(0, Sessions::len),
        };
        Holdings {
            log_bytes: self.log.bytes(),
            log_held: self.log.held_bytes(),
            under_way: self.under_way(),
            sessions,
            changes: (self.changes.pushed() - self.changes.taken()) as usize,
            snapshots: self.snapshots_held(),
        }
    }

    /// Returns the gauges of this replica.
    ///
    /// The lag of a downstream link is what has not gone over it yet; what is in the sockets on the
    /// way counts as gone. The lag behind the upstream is by the version that it named last, in a
    /// heartbeat or a snapshot's head; `None` until it has.
    pub fn gauges(&self) -> Gauges {
        let shown = if mutant!(LagOfState) { self.position.version.seq } else { self.shown() };
        let upstream = self.upstream.as_ref().map(|upstream| LinkGauge {
            link: upstream.link,
            attached: upstream.status.is_some(),
            mode: upstream.status.as_ref().map(|status| status.mode),
            lag: upstream.newest.map(|newest| newest.saturating_sub(self.position.version.seq)),
        });
        let downstream = self.downstreams.iter().map(|(link, downstream)| LinkGauge {
            link: *link,
            attached: downstream.attached(),
            mode: downstream.attached().then_some(downstream.mode),
            lag: downstream.attached().then(|| shown.saturating_sub(downstream.cursor)),
        });
        Gauges {
            version: self.position.version,
            connected: self.condition.is_connected(),
            sequencer: self.is_sequencer(),
            log_bytes: self.log.bytes(),
            log_bytes_max: self.config.log_bytes_max,
            under_way: self.under_way(),
            window: self.config.window,
            upstream,
            downstream: downstream.collect(),
        }
    }
}

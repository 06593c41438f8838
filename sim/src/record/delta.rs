//! Measurements of a node, in the parts in which they are handed over.

use std::collections::BTreeMap;

use samestate_proto::Version;
use samestate_proto::replication::Counters;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::invariants::{Continuity, OriginLog, Testimony};
use crate::measure::{CpuSlices, DispatchLog, Samples};
use crate::scenario::Role;

/// The measurements of a node since its last delta.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct NodeDelta {
    /// The time at which it was cut.
    pub at_ns: u64,
    /// The number of times that the node had become a client by then, as events of the plan told
    /// it.
    pub era: u32,
    /// Store by store.
    pub stores: BTreeMap<String, StoreDelta>,
    /// Comparisons of two stores, by the observation's position in
    /// [`Plan::observe`](crate::scenario::Plan::observe).
    pub samples: BTreeMap<usize, Samples>,
    /// The traffic of the process's links since it began; `None` if it is not known.
    pub links: Option<LinkFigures>,
    /// The processor time of the process in short slices; none in virtual time, and none of a
    /// program in another language.
    pub cpu: CpuSlices,
    /// It is the last one: it has the final states.
    pub last: bool,
}

/// The traffic of a process's links since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkFigures {
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Bytes received.
    pub received_bytes: u64,
    /// System calls made to send and receive; `None` in virtual time, which makes none.
    pub syscalls: Option<u64>,
}

/// The measurements of one store at a node since the last delta.
#[derive(Debug, Serialize, Deserialize)]
pub struct StoreDelta {
    /// The version of the store now.
    pub version: Version,
    /// True if the store is in sync now.
    pub connected: bool,
    /// The roles of the store here now, sorted.
    pub roles: Vec<Role>,
    /// The observations of its replica; at the sequencer, the ordered actions too.
    pub seen: Testimony,
    /// The changes that a subscriber was told, if there is one.
    pub subscriber: Option<Continuity>,
    /// Digests of its state.
    pub digests: Vec<(Version, u64)>,
    /// The dispatches of each load, by its [`stream`](crate::scenario::LoadPlan::stream).
    pub loads: BTreeMap<u64, LoadDelta>,
    /// The dispatches of mirrors into it.
    pub mirrors: LoadDelta,
    /// The dispatches before the measuring began, which bring it into its first state.
    pub opening: LoadDelta,
    /// The answers to all of these.
    pub origin: OriginLog,
    /// Its counters since the process began; `None` if it has none.
    pub counters: Option<Figures>,
    /// Its state at the end; in the last delta alone.
    pub state: Option<FinalState>,
}

/// The dispatches of one load, or of the mirrors, since the last delta.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct LoadDelta {
    /// The dispatches that have an outcome.
    pub log: DispatchLog,
    /// The number of dispatches without an outcome now.
    pub outstanding: u64,
    /// The number of dispatches that should have been made since the process began, up to now; 0 in
    /// a closed loop.
    pub due: u64,
    /// The number of dispatches that were made since the process began.
    pub issued: u64,
}

/// The counters of a store since its process began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// Snapshots sent because a consumer fell off the log.
    pub snapshots_forced: u64,
    /// Entries that such a consumer did not get.
    pub entries_skipped: u64,
    /// Snapshots sent, for whatever reason.
    pub snapshots_sent: u64,
    /// Digests that differed from the sequencer's.
    pub divergences: u64,
}

impl Figures {
    /// Adds those of another process.
    pub(super) fn add(&mut self, other: Figures) {
        self.combine(other, |ours, theirs| ours + theirs);
    }

    /// Those counted since `base`.
    pub(super) fn since(mut self, base: Figures) -> Self {
        self.combine(base, |now, before| now - before);
        self
    }

    fn combine(&mut self, other: Figures, with: fn(u64, u64) -> u64) {
        let Figures { snapshots_forced, entries_skipped, snapshots_sent, divergences } = self;
        for (ours, theirs) in [
            (snapshots_forced, other.snapshots_forced),
            (entries_skipped, other.entries_skipped),
            (snapshots_sent, other.snapshots_sent),
            (divergences, other.divergences),
        ] {
            *ours = with(*ours, theirs);
        }
    }
}

impl From<Counters> for Figures {
    fn from(counters: Counters) -> Self {
        Figures {
            snapshots_forced: counters.snapshots_forced,
            entries_skipped: counters.entries_skipped,
            snapshots_sent: counters.snapshots_sent,
            divergences: counters.divergences,
        }
    }
}

/// A state at the end of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinalState {
    /// Its version.
    pub version: Version,
    /// Its digest.
    pub digest: u64,
    /// Encoded by [`encode`](crate::load::encode).
    pub bytes: ByteBuf,
}

//! What is measured at a node, in the parts in which it is handed over.

use std::collections::BTreeMap;

use samestate_proto::Version;
use samestate_proto::replication::Counters;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::invariants::{Continuity, OriginLog, Testimony};
use crate::measure::{DispatchLog, Samples};
use crate::scenario::Role;

/// What a node measured since its last delta.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct NodeDelta {
    /// When it was cut.
    pub at_ns: u64,
    /// How often the node had become a client by then, as events of the plan told it.
    pub era: u32,
    /// Store by store.
    pub stores: BTreeMap<String, StoreDelta>,
    /// Comparisons of two stores, by the observation's position in [`Plan::observe`](crate::scenario::Plan::observe).
    pub samples: BTreeMap<usize, Samples>,
    /// What the process's links carried since it began.
    pub links: LinkFigures,
    /// It is the last one: it has the final states.
    pub last: bool,
}

/// What a process's links carried since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkFigures {
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Bytes received.
    pub received_bytes: u64,
    /// System calls made to send and receive.
    pub syscalls: u64,
}

/// What a node measured of one store since its last delta.
#[derive(Debug, Serialize, Deserialize)]
pub struct StoreDelta {
    /// Where it stands now.
    pub version: Version,
    /// Whether it is in sync now.
    pub connected: bool,
    /// What it is here now, sorted.
    pub roles: Vec<Role>,
    /// What was seen of its replica; at the sequencer, what was ordered too.
    pub seen: Testimony,
    /// What a subscriber was told, where one listens.
    pub subscriber: Option<Continuity>,
    /// Digests of its state.
    pub digests: Vec<(Version, u64)>,
    /// What each load dispatched, by its [`stream`](crate::scenario::LoadPlan::stream).
    pub loads: BTreeMap<u64, LoadDelta>,
    /// What mirrors here dispatched into it.
    pub mirrors: LoadDelta,
    /// What was dispatched before the measuring began, to bring it into its first state.
    pub opening: LoadDelta,
    /// What all of these were answered.
    pub origin: OriginLog,
    /// What it counted since the process began.
    pub counters: Figures,
    /// Its state at the end; in the last delta alone.
    pub state: Option<FinalState>,
}

/// What one load, or the mirrors, dispatched since the last delta.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct LoadDelta {
    /// The dispatches that have an outcome.
    pub log: DispatchLog,
    /// How many are without one now.
    pub outstanding: u64,
    /// How many should have been made since the process began, up to now; 0 in a closed loop.
    pub due: u64,
    /// How many were made since the process began.
    pub issued: u64,
}

/// What a store counted since its process began.
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

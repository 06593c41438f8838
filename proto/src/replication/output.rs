//! The requests of a replica to its driver.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::replica::Job;
use super::sessions::Sessions;
use super::{Note, Resolution, StateMachine};
use crate::wire::{Refusal, WireError};
use crate::{Lineage, NodeId, Version};

/// A link of this process, numbered by the driver.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct LinkId(pub u64);

impl fmt::Display for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "link {}", self.0)
    }
}

/// Something to be done.
pub enum Output<M: StateMachine> {
    /// Call `fill` for this link.
    Wake(LinkId),
    /// End this link; an upstream link is to be remade later.
    Cut(LinkId, LinkFault),
    /// Run this away from the lock, and hand in what it comes to.
    Run(Job<M::StateView>),
    /// The dispatch with this ticket is resolved.
    Resolved {
        /// As handed in with the dispatch.
        ticket: u64,
        /// The result of the dispatch.
        resolution: Resolution,
    },
    /// `connected` changed.
    Connected(bool),
    /// Something for the operator.
    Report(Report),
    /// Something for a log.
    Note(Note),
}

/// A report for the operator.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Report {
    /// This node's copy differed from the sequencer's; it heals.
    #[error("the state at version {0} differs from the sequencer's; healing by a snapshot")]
    Diverged(Version),
    /// The copy differs again right after healing.
    #[error(
        "the reducer is not deterministic: the state at version {0} differs again right after a \
         heal; it is left as it is. Look in the reducer for clocks, random numbers and the order \
         of a `HashMap`, and in the state for sets without `samestate::state::as_set`"
    )]
    NonDeterministic(Version),
    /// The reducer did something to this copy only.
    #[error(
        "action {seq} failed here though the sequencer applied it ({why}); healing by a snapshot"
    )]
    FailedHere {
        /// The number of the action.
        seq: u64,
        /// The message of the failure.
        why: String,
    },
    /// The reducer panicked at the sequencer, and the panic was undone.
    #[error("an action is rejected, and the state is as it was before it: {0}")]
    PanicUndone(String),
    /// The reducer panicked at the sequencer.
    #[error("the store is poisoned and refuses every dispatch: {0}")]
    Poisoned(String),
    /// A sequencer died with actions that this node had applied.
    #[error("the sequencer lost its newest actions: rolled back {}", .from.from_to(*.to))]
    HistoryLost {
        /// The version before.
        from: Version,
        /// The version after.
        to: Version,
    },
    /// A relay cannot pass on what it does not get.
    #[error("this node is in mode action but its upstream sends snapshots, so it sends snapshots")]
    FedBySnapshots,
    /// A node downstream asked for what is not here.
    #[error("a client is refused: {}", .0.text)]
    Refuses(Refusal),
    /// A node downstream claims a session that was issued to another.
    #[error(
        "dispatches in another's session came by way of node {}; they are refused, and do not \
         disturb it. Somebody with a login means ill, or a process went on with a copy of \
         another's memory",
        .0.map_or_else(|| "unknown".to_owned(), |node| node.to_string())
    )]
    Unproved(Option<NodeId>),
    /// A link was slower than the store is written to, for longer than its writers wait.
    #[error(
        "{} is slower than the store is written to: it fell off the log, after all dispatches had \
         waited {waited:?} for it. It gets snapshots now and then; raise log_bytes_max, which is \
         {log_bytes_max} bytes, if it is slow only for a while",
        follower(.node)
    )]
    FellBehind {
        /// The follower.
        node: Option<NodeId>,
        /// `pressure_grace`.
        waited: std::time::Duration,
        /// The limit.
        log_bytes_max: usize,
    },
    /// The log keeps less than is written while a snapshot is on its way.
    #[error(
        "{} fell off the log again right after a snapshot: raise log_bytes_max, which is \
         {log_bytes_max} bytes",
        follower(.node)
    )]
    FellOffAgain {
        /// The follower.
        node: Option<NodeId>,
        /// The limit.
        log_bytes_max: usize,
    },
    /// A state does not survive its codec.
    #[error(
        "the state at version {version} cannot be restored from its encoding: {why}. No copy of it \
         is sent or written, and a sequencer takes no dispatch any more. See \"What survives a \
         codec\" in docs/states.md"
    )]
    Unrestorable {
        /// The version of the state.
        version: Version,
        /// The part that does not survive the codec, with the message of the encoder or decoder.
        why: String,
    },
}

/// A follower as a report names it.
fn follower(node: &Option<NodeId>) -> String {
    node.map_or_else(|| "a follower".to_owned(), |node| format!("the follower {node}"))
}

/// The reason to cut a link.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LinkFault {
    /// Its bytes make no sense.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// A message that has no place there.
    #[error("the peer broke the protocol: it sent {0}")]
    Unexpected(&'static str),
    /// Entries that do not follow what this node has.
    #[error("the entries begin at {got}; expected {expected}")]
    Disorder {
        /// The seq that should have come.
        expected: u64,
        /// The seq that came.
        got: u64,
    },
    /// Entries of another epoch.
    #[error("the entries belong to another epoch than the one announced")]
    Epoch,
    /// A lineage that this node's version does not lie on, without a snapshot.
    #[error("the lineage of the peer does not contain version {0:#}")]
    Lineage(Version),
    /// Nothing came for too long.
    #[error("nothing was heard for {0:?}")]
    Silent(std::time::Duration),
    /// The upstream does not say whether it serves.
    #[error("the request for the store was not answered for {0:?}")]
    Unanswered(std::time::Duration),
    /// A snapshot beyond the limit.
    #[error("a snapshot of {len} bytes exceeds the limit of {limit} bytes")]
    SnapshotTooLong {
        /// Claimed, in bytes.
        len: u64,
        /// Accepted, in bytes.
        limit: usize,
    },
    /// A snapshot whose bytes are not those that were sent.
    #[error("the checksum of a snapshot does not match its bytes")]
    SnapshotChecksum,
    /// A snapshot that is no state of this store.
    #[error("the snapshot cannot be decoded: {0}")]
    Undecodable(String),
    /// The path to the sequencer leads through this node.
    #[error("the links form a loop: the path to the sequencer leads through this node ({0})")]
    Loop(NodeId),
    /// The upstream will not serve.
    #[error("the upstream refused: {}", .0.text)]
    Refused(Refusal),
    /// The driver named a link that the replica does not have.
    #[error("{0} is not attached to this store")]
    UnknownLink(LinkId),
}

/// The data that one epoch of a sequencer leaves to the next, without the state.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Image {
    /// The earlier epochs, and this one.
    pub lineage: Lineage,
    /// The version at which the epoch ended.
    pub version: Version,
    /// The rolling hash up to there.
    pub history: u64,
    /// The sessions, with their dispatches and outcomes.
    pub sessions: Sessions,
}

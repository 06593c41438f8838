//! The parts of messages.

use serde::{Deserialize, Serialize};

use crate::Mode;
use crate::{Lineage, NodeId, Version};

/// The encoding of actions and states. A store has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Codec {
    /// MessagePack with field names.
    #[default]
    MessagePack,
    /// JSON.
    Json,
}

/// A node asks its upstream for a store. Begins alike in every version of the protocol, so that it
/// can be refused in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attach {
    /// The version of the protocol that the sender uses: the one agreed on, or its newest if there
    /// was no agreement, as between a master and its workers.
    pub protocol: u16,
    /// The sender.
    pub node: NodeId,
    /// The store's declared name.
    pub store: String,
    /// The version of the state's and action's shape, as the user declared it.
    pub schema_version: u32,
    /// The encoding of payloads.
    pub codec: Codec,
    /// The sender's version, unless it has never heard from a sequencer.
    pub resume: Option<Version>,
    /// A snapshot that it has a part of. From version 2 of the protocol.
    pub partial: Option<PartialSnapshot>,
    /// The sender can apply patches of the state. From version 3 of the protocol.
    pub takes_patches: bool,
}

/// The part of a snapshot that arrived before its link ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartialSnapshot {
    /// The version of the snapshot.
    pub version: Version,
    /// The rolling hash of the history up to there.
    pub history: u64,
    /// The length of the whole snapshot, in bytes.
    pub len: u64,
    /// CRC-32 of the whole snapshot.
    pub crc: u32,
    /// The number of bytes that the sender has, from the beginning.
    pub have: u64,
}

impl PartialSnapshot {
    /// The first `have` bytes of the snapshot with this head.
    pub fn new(head: &SnapshotHead, have: u64) -> Self {
        let SnapshotHead { version, history, len, crc, .. } = *head;
        PartialSnapshot { version, history, len, crc, have }
    }

    /// Returns whether it is a part of the snapshot with this head.
    pub fn is_of(&self, head: &SnapshotHead) -> bool {
        *self == PartialSnapshot::new(head, self.have) && self.have <= head.len
    }
}

/// The reason of an upstream to refuse its service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// Another version of the protocol.
    Protocol,
    /// Another name on the same channel.
    Store,
    /// Another schema version.
    Schema,
    /// Another codec.
    Codec,
    /// The node asks itself, by way of others.
    Loop,
    /// The state cannot be restored from its encoding.
    State,
}

/// An upstream's refusal, in words for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The reason for the refusal.
    pub kind: RefusalKind,
    /// The difference, in words.
    pub text: String,
}

/// The status of the sender of a downstream link. The first one answers `Attach`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The number of the sender's own upstream attachment. Dispatches bear it; on a change they
    /// are sent again from the oldest.
    pub hop: u32,
    /// The sender is in sync with its sequencer.
    pub connected: bool,
    /// The mode of this link.
    pub mode: Mode,
    /// The sender's own version, unless it has none yet.
    pub version: Option<Version>,
    /// From the sender to the sequencer, as far as known.
    pub path: Vec<NodeId>,
}

/// The head of a snapshot, before its chunks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotHead {
    /// The version of the snapshot.
    pub version: Version,
    /// The rolling hash of the history up to there.
    pub history: u64,
    /// The length of the encoded state, in bytes.
    pub len: u64,
    /// CRC-32 of the encoded state.
    pub crc: u32,
    /// The lineage that `version` lies on.
    pub lineage: Lineage,
}

/// The outcome of a dispatch at the sequencer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Ordered, at this version.
    Applied(Version),
    /// The reducer refused it, with these words.
    Rejected(String),
    /// The sequencer no longer knows.
    Unknown,
    /// The session is not in the sequencer's table.
    Expired,
}

/// The outcome of one dispatch of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The number of the dispatch in its session.
    pub counter: u64,
    /// The outcome of the dispatch.
    pub outcome: Outcome,
}

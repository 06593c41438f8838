//! The link to the node nearer to the sequencer.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use super::LinkId;
use crate::mutant::mutant;
use crate::wire::{PartialSnapshot, SnapshotHead, Status};
use crate::{Claim, Version};

/// A snapshot on its way in, or whole and being decoded.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) head: SnapshotHead,
    pub(super) bytes: Vec<u8>,
}

impl Incoming {
    /// Returns the identity of the snapshot, and the length of the part that is here.
    pub(super) fn partial(&self) -> PartialSnapshot {
        PartialSnapshot::new(&self.head, self.bytes.len() as u64)
    }
}

/// A dispatch of a node further down, on its way up.
#[derive(Debug)]
pub(super) struct Forward {
    /// The link that it came over.
    pub(super) via: LinkId,
    pub(super) claim: Claim,
    pub(super) oldest: u64,
    pub(super) entries: Bytes,
}

/// The upstream link of a store.
#[derive(Debug)]
pub(super) struct Upstream {
    pub(super) link: LinkId,
    /// The version of the protocol that was agreed on.
    pub(super) protocol: u16,
    /// True if this node asked to resume from its own version.
    pub(super) resumes: bool,
    /// The last status that the peer sent; `None` until it has answered `Attach`.
    pub(super) status: Option<Status>,
    /// The newest seq of the peer, as the peer last named it.
    pub(super) newest: Option<u64>,
    /// True if a note since the attach says how the link continues.
    pub(super) noted: bool,
    /// The version at which this node is in sync.
    pub(super) target: Option<Version>,
    pub(super) incoming: Option<Incoming>,
    /// A snapshot is whole and being decoded; nothing else may be received until it is in place.
    pub(super) decoding: bool,
    pub(super) control: Vec<u8>,
    pub(super) forwards: VecDeque<Forward>,
    pub(super) forwards_bytes: usize,
    pub(super) credit: u64,
    pub(super) spent: u64,
    pub(super) sent_at: Duration,
    pub(super) heard_at: Duration,
    pub(super) awake: bool,
}

impl Upstream {
    pub(super) fn new(link: LinkId, protocol: u16, resumes: bool, now: Duration) -> Self {
        Upstream {
            link,
            protocol,
            resumes,
            status: None,
            newest: None,
            noted: false,
            target: None,
            incoming: None,
            decoding: false,
            control: Vec::new(),
            forwards: VecDeque::new(),
            forwards_bytes: 0,
            credit: 0,
            spent: 0,
            sent_at: now,
            heard_at: now,
            awake: false,
        }
    }

    /// Returns whether the peer said how this node continues, and that is from the state it has.
    pub(super) fn continues(&self) -> bool {
        self.noted && self.incoming.is_none() && !self.decoding
    }

    /// Drops the dispatches that came over a link below and have not left yet, because the link is
    /// gone. So no node can leave more here than one link may. The origins send them again, by
    /// another path.
    pub(super) fn forget(&mut self, via: LinkId) {
        self.forwards.retain(|forward| forward.via != via);
        if mutant!(ForgottenStillCounted) {
            return;
        }
        self.forwards_bytes = self.forwards.iter().map(|forward| forward.entries.len()).sum();
    }

    /// Returns how many bytes of dispatches may be sent now.
    pub(super) fn room(&self) -> usize {
        let spent = if mutant!(RoomOverdrawn) { self.spent / 2 } else { self.spent };
        usize::try_from(self.credit.saturating_sub(spent)).unwrap_or(usize::MAX)
    }
}

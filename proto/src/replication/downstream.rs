//! A link to a node further from the sequencer: a cursor over the log.

use std::sync::Arc;
use std::time::Duration;

use super::patience::Patience;
use crate::Mode;
use crate::mutant::mutant;
use crate::wire::{Message, PROTOCOL_VERSION, PartialSnapshot, SnapshotHead};
use crate::{NodeId, Version};

/// A state cut at one version, encoded once for all links that need it.
#[derive(Debug)]
pub struct Snapshot {
    /// The head of the snapshot, with its version.
    pub head: SnapshotHead,
    /// The encoded state.
    pub bytes: Vec<u8>,
}

/// The content that goes over the link next.
#[derive(Clone, Debug)]
pub(super) enum Feed {
    /// The peer has not asked yet, or was refused.
    Silent,
    /// The peer asked before this node had a lineage.
    Undecided { resume: Option<Version>, partial: Option<PartialSnapshot> },
    /// Entries after the cursor; in mode `snapshot`, the next state after it.
    Cursor,
    /// A snapshot at `min` or later, as soon as there is one.
    Wanting { min: u64 },
    /// A snapshot, from byte `offset` on, after its head.
    Sending { snapshot: Arc<Snapshot>, offset: usize, begun: bool },
}

/// A snapshot that went over a link, from which its peer has not caught up with the log yet.
#[derive(Debug)]
pub(super) struct Copied {
    /// The number of the action at which it was cut.
    pub(super) seq: u64,
    /// Its length in bytes.
    pub(super) bytes: usize,
    /// The snapshot, for as long as there is room for it: the peer may not have all of it yet.
    pub(super) snapshot: Option<Arc<Snapshot>>,
}

/// The allowance of sessions that may still be requested over a link, through this node.
#[derive(Debug)]
pub(super) struct Asking {
    spent: usize,
    at: Duration,
}

impl Asking {
    /// Takes one, if there is one left: so many at once, and after that a sixteenth of them a
    /// second.
    pub(super) fn may(&mut self, now: Duration, at_once: usize) -> bool {
        let each = Duration::from_secs(16) / u32::try_from(at_once.max(1)).unwrap_or(u32::MAX);
        let each = each.as_nanos().max(1);
        let waited = now.saturating_sub(self.at).as_nanos();
        let earned = usize::try_from(waited / each).unwrap_or(usize::MAX);
        self.spent = self.spent.saturating_sub(earned);
        self.at = now - Duration::from_nanos((waited % each) as u64);
        let may = self.spent < at_once;
        self.spent += usize::from(may);
        may
    }
}

/// One downstream link of a store.
#[derive(Debug)]
pub(super) struct Downstream {
    pub(super) node: Option<NodeId>,
    /// The version of the protocol that the peer uses.
    pub(super) protocol: u16,
    /// The peer can apply patches.
    pub(super) takes_patches: bool,
    pub(super) mode: Mode,
    pub(super) feed: Feed,
    /// The last seq that went over the link.
    pub(super) cursor: u64,
    /// Whole frames that go before anything else.
    pub(super) control: Vec<u8>,
    pub(super) moved_at: Duration,
    pub(super) sent_at: Duration,
    pub(super) heard_at: Duration,
    /// The operator was told that a session was claimed over it without its token.
    pub(super) said_unproved: bool,
    /// The last resync that went over the link.
    pub(super) resynced: u64,
    pub(super) asking: Asking,
    /// Bytes of dispatches that came, and up to where they may.
    pub(super) received: u64,
    pub(super) granted: u64,
    /// The peer asked for a state among the entries.
    pub(super) fetching: bool,
    /// The snapshot that it was sent last, until it has caught up from there.
    pub(super) copy: Option<Copied>,
    pub(super) patience: Patience,
    /// The number of bytes that went over it.
    pub(super) carried: u64,
    /// The driver was told to fill, and has not come back empty.
    pub(super) awake: bool,
}

impl Downstream {
    pub(super) fn new(mode: Mode, now: Duration) -> Self {
        Downstream {
            node: None,
            protocol: PROTOCOL_VERSION,
            takes_patches: false,
            mode: mode.towards(false),
            feed: Feed::Silent,
            cursor: 0,
            control: Vec::new(),
            moved_at: now,
            sent_at: now,
            heard_at: now,
            said_unproved: false,
            resynced: 0,
            asking: Asking { spent: 0, at: now },
            received: 0,
            granted: 0,
            fetching: false,
            copy: None,
            patience: Patience::default(),
            carried: 0,
            awake: false,
        }
    }

    /// The snapshot that is on its way.
    pub(super) fn sending(&self) -> Option<&Arc<Snapshot>> {
        match &self.feed {
            Feed::Sending { snapshot, .. } => Some(snapshot),
            _ => None,
        }
    }

    pub(super) fn attached(&self) -> bool {
        !matches!(self.feed, Feed::Silent)
    }

    /// Returns whether nothing that is said goes over the link, so that a heartbeat has to.
    pub(super) fn is_idle(&self) -> bool {
        self.attached() && self.control.is_empty()
    }

    /// Returns whether the peer's version, or that of the snapshot it is getting, lies on a lineage
    /// that it was told.
    pub(super) fn knows_lineage(&self) -> bool {
        let begun = matches!(self.feed, Feed::Sending { begun: true, .. });
        self.fetching
            || matches!(self.feed, Feed::Cursor)
            || (begun && !mutant!(LineageUntoldAmidSnapshot))
            || (self.sending().is_some() && mutant!(LineageBeforeSnapshot))
    }

    pub(super) fn say(&mut self, channel: u32, message: &Message) {
        message.write(&mut self.control, channel);
    }

    /// The entries before this seq are of no use to the link any more; `None` if it needs none.
    pub(super) fn needs_after(&self) -> Option<u64> {
        match &self.feed {
            Feed::Cursor if self.mode.reads_log() => Some(self.cursor),
            Feed::Wanting { .. } if self.fetching => Some(self.cursor),
            Feed::Sending { snapshot, .. } if self.mode.reads_log() => {
                Some(snapshot.head.version.seq)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_for_sessions_without_end_gets_a_bounded_number_of_them() {
        let mut asking = Asking { spent: 0, at: Duration::ZERO };
        let asked_at = |asking: &mut Asking, ms| {
            (0..1000).filter(|_| asking.may(Duration::from_millis(ms), 160)).count()
        };
        assert_eq!(asked_at(&mut asking, 0), 160);
        assert_eq!(asked_at(&mut asking, 50), 0);
        assert_eq!(asked_at(&mut asking, 1050), 10, "ten a second");
        let slowly = (1051..=2050).filter(|ms| asking.may(Duration::from_millis(*ms), 160));
        assert_eq!(slowly.count(), 10, "however they are spread");
        assert_eq!(asked_at(&mut asking, 100_000), 160);
    }
}

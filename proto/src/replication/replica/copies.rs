//! Full copies on their way: those that were interrupted, and the log behind them.
//!
//! A snapshot whose link ended is kept until its receiver attaches again and names the part that it
//! has. While a snapshot moves, and until its receiver has caught up from there, the log keeps the
//! entries after it beyond its own length: otherwise a slow link would get one snapshot after the
//! other.

use std::sync::Arc;

use super::Replica;
use crate::Mode;
use crate::NodeId;
use crate::mutant::mutant;
use crate::replication::downstream::{Copied, Downstream, Feed, Snapshot};
use crate::replication::snapshots::SNAPSHOTS_MAX;
use crate::replication::{Config, Held, Report, StateMachine};
use crate::wire::PartialSnapshot;

impl Copied {
    pub(super) fn new(snapshot: &Arc<Snapshot>) -> Self {
        let seq = snapshot.head.version.seq;
        Copied { seq, bytes: snapshot.bytes.len(), snapshot: Some(Arc::clone(snapshot)) }
    }

    fn held(&self, config: &Config) -> Held {
        Held { after: self.seq, bytes: self.bytes.min(config.catch_up_bytes_max) }
    }
}

impl Snapshot {
    /// Returns the entries that the log keeps while this snapshot is on its way.
    fn held(&self, config: &Config) -> Held {
        let bytes = self.bytes.len().min(config.catch_up_bytes_max);
        Held { after: self.head.version.seq, bytes }
    }
}

impl Downstream {
    /// Returns the entries that the log keeps for this link beyond its length.
    fn held(&self, current: Option<&Arc<Snapshot>>, config: &Config) -> Option<Held> {
        let is_new = |snapshot: &&Arc<Snapshot>, min| snapshot.head.version.seq >= min;
        match &self.feed {
            Feed::Sending { snapshot, .. } => Some(snapshot.held(config)),
            Feed::Wanting { min } => {
                let snapshot = current.filter(|snapshot| is_new(snapshot, *min))?;
                Some(snapshot.held(config))
            }
            Feed::Cursor => self.copy.as_ref().map(|copied| copied.held(config)),
            Feed::Silent | Feed::Undecided { .. } => None,
        }
    }

    /// Returns how many bytes of entries may follow the position of this link before it falls off
    /// the log.
    pub(super) fn log_room(&self, config: &Config) -> usize {
        let more = self.held(None, config).map_or(0, |held| held.bytes);
        config.log_bytes_max.saturating_add(more)
    }
}

impl<M: StateMachine> Replica<M> {
    /// A link ended: keeps the snapshot that was on its way there.
    pub(super) fn keep_interrupted(&mut self, downstream: Downstream) {
        let copied = match &downstream.feed {
            Feed::Sending { snapshot, begun: true, .. } => Some(Copied::new(snapshot)),
            _ => downstream.copy,
        };
        let Some(copied) = copied else { return };
        self.snapshots.keep_interrupted(copied, self.now);
    }

    /// The snapshot that a peer has a part of, if it is here and will still do.
    pub(super) fn resumable(&self, partial: &PartialSnapshot, mode: Mode) -> Option<Arc<Snapshot>> {
        let kept = self.snapshots.interrupted().filter_map(|kept| kept.snapshot.as_ref());
        let all = kept.chain(self.snapshots_under_way()).chain(self.snapshots.newest());
        let mut all = all.filter(|snapshot| snapshot.head.version.seq <= self.shown());
        let found = all.find(|snapshot| partial.is_of(&snapshot.head))?;
        self.will_do(found, mode).then(|| Arc::clone(found))
    }

    /// Returns whether a link can go on from a snapshot.
    pub(super) fn will_do(&self, snapshot: &Snapshot, mode: Mode) -> bool {
        let ours = snapshot.head.lineage.head() == self.position.lineage.head();
        let ours = (ours || mutant!(SnapshotOfAnyLife)) && !self.integrity.healing.is_active();
        ours && mode.goes_on_from_snapshot(self.log.serves(snapshot.head.version.seq))
    }

    /// The snapshots that links send, or have sent and may have to send again.
    fn snapshots_under_way(&self) -> impl Iterator<Item = &Arc<Snapshot>> {
        self.downstreams.values().flat_map(|downstream| {
            let copied = downstream.copy.as_ref().and_then(|copied| copied.snapshot.as_ref());
            downstream.sending().into_iter().chain(copied)
        })
    }

    /// Returns whether as many snapshots are on their way over links as may be.
    pub(super) fn sends_most_snapshots(&self) -> bool {
        self.snapshots_sending() >= SNAPSHOTS_MAX && !mutant!(SnapshotsUnbounded)
    }

    /// Returns the number of snapshots that are on their way over links.
    pub(super) fn snapshots_sending(&self) -> usize {
        count(self.downstreams.values().filter_map(Downstream::sending))
    }

    /// Makes room for one more snapshot: those that are kept give way to it, and those that are on
    /// their way do not. Whether there is room.
    pub(super) fn has_room_for_snapshot(&mut self) -> bool {
        if self.sends_most_snapshots() {
            return false;
        }
        if self.snapshots_kept() >= SNAPSHOTS_MAX && !mutant!(CopiesKept) {
            let copies = self.downstreams.values_mut().filter_map(|link| link.copy.as_mut());
            copies.for_each(|copied| copied.snapshot = None);
        }
        while self.snapshots_kept() >= SNAPSHOTS_MAX && self.snapshots.drop_interrupted() {}
        true
    }

    fn snapshots_kept(&self) -> usize {
        let kept = self.snapshots.interrupted().filter_map(|kept| kept.snapshot.as_ref());
        count(kept.chain(self.snapshots_under_way()))
    }

    /// Returns the number of snapshots in memory, for whatever reason.
    pub(super) fn snapshots_held(&self) -> usize {
        let kept = self.snapshots.interrupted().filter_map(|kept| kept.snapshot.as_ref());
        let ours = self.snapshots.newest().into_iter().chain(self.snapshots.resync());
        count(kept.chain(self.snapshots_under_way()).chain(ours))
    }

    /// Keeps the log behind snapshots that move, and drops the entries that no link needs any more.
    pub(super) fn hold_log(&mut self) {
        let held = self.held_log();
        self.log.hold(held);
    }

    /// Returns what the log has to keep beyond its length.
    pub(super) fn held_log(&self) -> Option<Held> {
        if !self.link_mode().reads_log() {
            return None;
        }
        let config = &self.config;
        let bytes = config.catch_up_bytes_max;
        let cutting = self.snapshots.cutting().map(|version| Held { after: version.seq, bytes });
        let current = self.snapshots.newest();
        let current = current.filter(|snapshot| self.log.serves(snapshot.head.version.seq));
        // One that does not move is cut by its driver.
        let links = self.downstreams.values().filter_map(|link| link.held(current, config));
        let interrupted = self.snapshots.interrupted().map(|kept| kept.held(config));
        cutting.into_iter().chain(links).chain(interrupted).reduce(|one, other| Held {
            after: one.after.min(other.after),
            bytes: one.bytes.max(other.bytes),
        })
    }

    /// A link fell off the log. Tells the operator, once for each follower, if a longer log would
    /// have helped.
    pub(super) fn note_fell_off(&mut self, downstream: &Downstream) {
        let (node, log_bytes_max) = (downstream.node, self.config.log_bytes_max);
        let again = downstream.copy.is_some();
        let waited = downstream.patience.is_exhausted() || self.pressure.is_exhausted();
        if !again && !waited {
            return;
        }
        if self.pressure.tell(node.unwrap_or(NodeId(0)), again) {
            let waited = self.config.pressure_grace;
            self.report(match again {
                true => Report::FellOffAgain { node, log_bytes_max },
                false => Report::FellBehind { node, waited, log_bytes_max },
            });
        }
    }
}

/// Returns the number of different snapshots among these.
fn count<'a>(snapshots: impl Iterator<Item = &'a Arc<Snapshot>>) -> usize {
    let mut all: Vec<_> = snapshots.map(Arc::as_ptr).collect();
    all.sort_unstable();
    all.dedup();
    all.len()
}

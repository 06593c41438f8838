//! The snapshots of a node's state that it holds in memory, each encoded once for all links.

use std::sync::Arc;
use std::time::Duration;

use super::downstream::{Copied, Snapshot};
use crate::Version;
use crate::mutant::mutant;

/// At most this many snapshots are on their way or kept, beside the newest and the one being cut.
pub(super) const SNAPSHOTS_MAX: usize = 2;

/// A snapshot whose link ended before its receiver had caught up.
#[derive(Debug)]
struct Interrupted {
    copied: Copied,
    since: Duration,
}

/// The snapshots that a node holds, apart from the ones that links are sending.
#[derive(Debug, Default)]
pub(super) struct Snapshots {
    newest: Option<Arc<Snapshot>>,
    /// The version at which a snapshot is being cut.
    cutting: Option<Version>,
    /// The snapshot being cut is for a resync.
    resync_due: bool,
    /// The newest one that was cut for a resync. Links that come to stand just there get it.
    resync: Option<Arc<Snapshot>>,
    /// Those that did not arrive, the newest last.
    interrupted: Vec<Interrupted>,
    /// The number of times that the state was replaced.
    replaced: u64,
}

impl Snapshots {
    /// Returns the newest snapshot that is still good.
    pub(super) fn newest(&self) -> Option<&Arc<Snapshot>> {
        self.newest.as_ref()
    }

    /// Returns the newest snapshot that was cut for a resync.
    pub(super) fn resync(&self) -> Option<&Arc<Snapshot>> {
        self.resync.as_ref()
    }

    /// Returns where a snapshot is being cut.
    pub(super) fn cutting(&self) -> Option<Version> {
        self.cutting
    }

    /// Returns the stamp of a job on the present state. It changes when the state is replaced.
    pub(super) fn stamp(&self) -> u64 {
        self.replaced
    }

    /// Returns whether a job with this stamp is about a state that was not replaced since.
    pub(super) fn is_fresh(&self, stamp: u64) -> bool {
        stamp == self.replaced || mutant!(StaleJobTaken)
    }

    /// Notes that a snapshot is being cut at `version`.
    pub(super) fn begin(&mut self, version: Version) {
        self.cutting = Some(version);
    }

    /// Notes that no snapshot is being cut any more.
    pub(super) fn end(&mut self) {
        self.cutting = None;
    }

    /// Uses the next snapshot for a resync.
    pub(super) fn want_resync(&mut self) {
        self.resync_due = true;
    }

    /// Takes a snapshot that was cut.
    pub(super) fn take(&mut self, snapshot: Arc<Snapshot>) {
        if std::mem::take(&mut self.resync_due) {
            self.resync = Some(Arc::clone(&snapshot));
        }
        self.newest = Some(snapshot);
    }

    /// Drops the newest snapshot: the state is known to be wrong.
    pub(super) fn drop_newest(&mut self) {
        self.newest = None;
    }

    /// The state was replaced by the one in `newest`: no other snapshot is of use.
    pub(super) fn replaced(&mut self, newest: Option<Arc<Snapshot>>) {
        let replaced = self.replaced + u64::from(!mutant!(InstallKeepsJobs));
        *self = Snapshots { newest, replaced, ..Snapshots::default() };
    }

    /// Keeps a snapshot whose link ended.
    pub(super) fn keep_interrupted(&mut self, copied: Copied, now: Duration) {
        self.interrupted.retain(|other| other.copied.seq != copied.seq);
        self.interrupted.push(Interrupted { copied, since: now });
        let most = if mutant!(InterruptedUnbounded) { usize::MAX } else { SNAPSHOTS_MAX };
        if mutant!(NewestInterruptedGivesWay) {
            self.interrupted.truncate(most);
        }
        let more = self.interrupted.len().saturating_sub(most);
        self.interrupted.drain(..more);
    }

    /// Drops interrupted snapshots whose receivers have not come back after so long.
    pub(super) fn expire_interrupted(&mut self, now: Duration, after: Duration) {
        self.interrupted.retain(|kept| now.saturating_sub(kept.since) < after);
    }

    /// Returns when the first interrupted snapshot has waited for so long.
    pub(super) fn expires_at(&self, after: Duration) -> Option<Duration> {
        self.interrupted.iter().map(|kept| kept.since.saturating_add(after)).min()
    }

    /// Drops the oldest interrupted snapshot. Returns false if there is none.
    pub(super) fn drop_interrupted(&mut self) -> bool {
        let any = !self.interrupted.is_empty();
        self.interrupted.drain(..usize::from(any));
        any
    }

    /// Returns the interrupted snapshots, the oldest first.
    pub(super) fn interrupted(&self) -> impl Iterator<Item = &Copied> {
        self.interrupted.iter().map(|kept| &kept.copied)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn copied(seq: u64) -> Copied {
        Copied { seq, bytes: 10, snapshot: None }
    }

    fn kept(snapshots: &Snapshots) -> Vec<u64> {
        snapshots.interrupted().map(|copied| copied.seq).collect()
    }

    fn cut(seq: u64) -> Arc<Snapshot> {
        let version = Version { seq, ..Version::default() };
        let lineage = crate::Lineage::default();
        let head = crate::wire::SnapshotHead { version, history: 0, len: 0, crc: 0, lineage };
        Arc::new(Snapshot { head, bytes: Vec::new() })
    }

    #[test]
    fn of_a_state_that_was_replaced_nothing_is_left() {
        let mut snapshots = Snapshots::default();
        snapshots.begin(Version::default());
        snapshots.want_resync();
        snapshots.take(cut(1));
        snapshots.want_resync();
        snapshots.keep_interrupted(copied(1), Duration::ZERO);
        let stamp = snapshots.stamp();
        snapshots.replaced(Some(cut(2)));
        assert!(!snapshots.is_fresh(stamp) && snapshots.is_fresh(snapshots.stamp()));
        assert_eq!((snapshots.cutting(), kept(&snapshots)), (None, vec![]));
        assert!(snapshots.resync().is_none());
        snapshots.take(cut(3));
        assert!(snapshots.resync().is_none(), "it was cut for no resync");
        assert_eq!(snapshots.newest().map(|newest| newest.head.version.seq), Some(3));
    }

    #[test]
    pub(in super::super) fn of_the_interrupted_snapshots_the_newest_few_are_kept_each_once() {
        let (mut snapshots, second) = (Snapshots::default(), Duration::from_secs(1));
        for seq in 1..=5 {
            snapshots.keep_interrupted(copied(seq), second);
        }
        assert_eq!((SNAPSHOTS_MAX, kept(&snapshots)), (2, vec![4, 5]));
        snapshots.keep_interrupted(copied(4), second * 2);
        assert_eq!(kept(&snapshots), [5, 4]);
        snapshots.expire_interrupted(second * 3, second * 2);
        assert_eq!(kept(&snapshots), [4], "the other has waited for as long as it may");
        snapshots.keep_interrupted(copied(6), second * 3);
        assert!(snapshots.drop_interrupted());
        assert_eq!(kept(&snapshots), [6], "the oldest gives way");
        assert!(snapshots.drop_interrupted() && !snapshots.drop_interrupted());
    }
}

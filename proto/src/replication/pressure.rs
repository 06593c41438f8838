//! The pressure on dispatches, and the slow followers that were reported to the operator.

use std::collections::BTreeSet;
use std::time::Duration;

use super::patience::{Patience, SharedPatience};
use crate::NodeId;

/// The followers that the operator was told of, at most.
const TOLD_MAX: usize = 1024;

/// The pressure of slow links, of a snapshot that is being cut, and of a slow disk on dispatches.
#[derive(Debug, Default)]
pub(super) struct Pressure {
    on: bool,
    /// The bytes that had been appended to the log at the last look.
    looked_at: u64,
    /// The wait for all links together.
    links: SharedPatience,
    /// The wait for a snapshot that is being cut.
    cut: Patience,
    /// The slow followers that the operator was told of, and whether right after a snapshot.
    told: BTreeSet<(NodeId, bool)>,
}

impl Pressure {
    /// Returns whether dispatches wait.
    pub(super) fn is_on(&self) -> bool {
        self.on
    }

    /// Notes whether dispatches wait.
    pub(super) fn set(&mut self, on: bool) {
        self.on = on;
    }

    /// Returns whether the log has grown by `step` bytes since this last returned true. `written`:
    /// the bytes ever appended to it.
    pub(super) fn is_due(&mut self, written: u64, step: u64) -> bool {
        let due = written - self.looked_at >= step;
        if due {
            self.looked_at = written;
        }
        due
    }

    /// Returns whether dispatches have to wait now, by the last look at each link. `cut_is_near`: a
    /// snapshot that is being cut is about to be too old for the log.
    pub(super) fn waits<'a>(
        &mut self,
        links: impl Iterator<Item = &'a Patience>,
        cut_is_near: bool,
        now: Duration,
        grace: Duration,
    ) -> bool {
        let links = self.links.waits(links, now, grace);
        self.cut.waits(cut_is_near, 0, now, grace) || links
    }

    /// Returns whether they have waited for links as long as they do.
    pub(super) fn is_exhausted(&self) -> bool {
        self.links.is_exhausted()
    }

    /// Returns whether the operator is to be told that this follower is slow: once for each, and
    /// once more if it is right after a snapshot (`again`).
    pub(super) fn tell(&mut self, node: NodeId, again: bool) -> bool {
        if self.told.len() >= TOLD_MAX {
            self.told.clear();
        }
        self.told.insert((node, again))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operator_is_told_of_each_slow_follower_once_and_once_more_after_a_snapshot() {
        let mut pressure = Pressure::default();
        let mut tell = |node, again| pressure.tell(NodeId(node), again);
        assert!(tell(1, false) && tell(2, false) && tell(1, true));
        assert!(!tell(1, false) && !tell(2, false) && !tell(1, true) && tell(2, true));
    }
}

//! A copy that is known to differ from the sequencer's, and the nodes below that say so of theirs.

use std::collections::BTreeMap;
use std::time::Duration;

use super::LinkId;
use crate::mutant::mutant;

/// The state of a node's own healing, and what nodes below ask to be healed of.
#[derive(Debug, Default)]
pub(super) struct Healing {
    /// The state is known to be wrong, and a snapshot was asked for.
    active: bool,
    /// Links whose peers doubt the state of a version of which the own digest is being made.
    waiting: BTreeMap<LinkId, u64>,
    /// The time at which this copy was last renewed because a node below doubted it.
    heeded_at: Option<Duration>,
}

impl Healing {
    /// Returns whether the state is known to be wrong.
    pub(super) fn is_active(&self) -> bool {
        self.active
    }

    /// The state was found to be wrong.
    pub(super) fn begin(&mut self) {
        self.active = true;
    }

    /// The state was replaced. Returns whether it was known to be wrong.
    pub(super) fn end(&mut self) -> bool {
        std::mem::take(&mut self.active)
    }

    /// Has the peer of `link` wait until the digest of `seq` has been made.
    pub(super) fn wait(&mut self, link: LinkId, seq: u64) {
        self.waiting.insert(link, seq);
    }

    /// Takes the links whose peers wait for a digest, and the version that each of them doubts.
    pub(super) fn take_waiting(&mut self) -> BTreeMap<LinkId, u64> {
        std::mem::take(&mut self.waiting)
    }

    /// The link is gone.
    pub(super) fn forget(&mut self, link: LinkId) {
        self.waiting.remove(&link);
    }

    /// Returns whether to renew this copy because a node below doubts it: once in `every` at most.
    pub(super) fn heeds(&mut self, now: Duration, every: Duration) -> bool {
        let lately = self.heeded_at.is_some_and(|at| now.saturating_sub(at) < every);
        if lately && !mutant!(DoubtsHeededAlways) {
            return false;
        }
        self.heeded_at = Some(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubts_from_below_are_heeded_once_in_a_while() {
        let (mut healing, every) = (Healing::default(), Duration::from_secs(3));
        let heeded = (0..10).filter(|at| healing.heeds(Duration::from_secs(*at), every));
        assert_eq!(heeded.collect::<Vec<_>>(), [0, 3, 6, 9]);
    }
}

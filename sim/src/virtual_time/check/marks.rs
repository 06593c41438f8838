//! Times at which a sequencer marks an action to be verified: as soon as enough actions have
//! passed, and its budget of time allows for another digest.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use samestate_proto::replication::Resync;
use samestate_proto::wire::{Entries, FLAG_DIGEST};

use super::canon::Broken;
use super::commit::View;
use crate::invariants::Invariant;

/// The marks of one epoch of one sequencer.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// All actions up to here were looked at.
    seen: u64,
    /// The last one that was marked.
    last: u64,
    digesting: bool,
    not_before: Duration,
    /// The versions at which marks are due that were not seen yet.
    due: VecDeque<u64>,
    /// All that were marked.
    marked: BTreeSet<u64>,
}

impl Marks {
    /// Of an epoch that begins at `seq`.
    pub(super) fn new(seq: u64) -> Self {
        Marks { seen: seq, ..Marks::default() }
    }

    /// Looks at what a sequencer ordered in a step. `followed`: a node below is connected.
    pub(super) fn ordered(&mut self, view: &View<'_>, followed: bool) {
        let last = view.replica.version().seq;
        let first = std::mem::replace(&mut self.seen, last) + 1;
        let Resync::Verify(every) = view.replica.config().resync else { return };
        for seq in first..=last {
            let may = followed && !self.digesting && view.now >= self.not_before;
            if may && seq >= self.last + every.max(1) {
                (self.digesting, self.last) = (true, seq);
                self.due.push_back(seq);
            }
        }
    }

    /// The sequencer begins the digest of its state at `seq`.
    pub(super) fn digests(&mut self, seq: u64) -> Result<(), Broken> {
        match self.due.pop_front() {
            Some(due) if due == seq => {
                self.marked.insert(seq);
                Ok(())
            }
            due => Err((Invariant::I2, format!("marks {seq}, and {due:?} was due"))),
        }
    }

    /// Entries go to a node below, the first of them `first`: those that were marked bear the mark.
    pub(super) fn sent(&self, first: u64, entries: &[u8]) -> Result<(), Broken> {
        for (seq, entry) in (first..).zip(Entries::new(entries).map_while(Result::ok)) {
            let bears = entry.flags & FLAG_DIGEST != 0;
            if bears != self.marked.contains(&seq) {
                let detail = format!("sends {seq}, which bears a mark or is marked, not both");
                return Err((Invariant::I2, detail));
            }
        }
        Ok(())
    }

    /// The digest is ready, and took this long.
    pub(super) fn digested(&mut self, cost: Duration, budget: f64, now: Duration) {
        self.digesting = false;
        self.not_before = now + cost.div_f64(budget.clamp(1e-6, 1.0));
    }

    /// Checks after a step that no mark is missing.
    pub(super) fn stepped(&self) -> Result<(), Broken> {
        match self.due.front() {
            Some(seq) => Err((Invariant::I2, format!("{seq} was to be marked, and is not"))),
            None => Ok(()),
        }
    }
}

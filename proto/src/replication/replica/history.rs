//! The history of a replica: versions on its lineage, and actions taken into it.

use super::{Place, Replica};
use crate::mutant::mutant;
use crate::replication::log::rolled;
use crate::replication::{Change, StateMachine};
use crate::wire::Entry;
use crate::{Epoch, Lineage, Version};

impl<M: StateMachine> Replica<M> {
    /// A version on this lineage.
    pub(super) fn version_at(&self, seq: u64) -> Version {
        match self.lineage.lives().last() {
            Some((epoch, began)) if seq > *began => Version { epoch: *epoch, seq },
            _ => Version { epoch: self.lineage.epoch_of(seq).unwrap_or_default(), seq },
        }
    }

    /// Takes an applied action into the history.
    pub(super) fn commit(&mut self, entry: &Entry<'_>, flags: u8, action: M::Action) {
        let seq = self.version.seq + 1;
        self.version = self.version_at(seq);
        self.history = rolled(self.history, entry);
        if !self.log.is_wanted() {
            self.log.pass();
        } else if flags == entry.flags || mutant!(MarkNotPassedOn) {
            self.log.append(|out| out.extend_from_slice(entry.bytes()));
        } else {
            self.log.append(|out| entry.write_flagged(out, flags));
        }
        self.observed.entry(entry);
        if let (Some(keeping), Place::Sequencer { session, .. }) = (&mut self.keeping, &self.place)
        {
            keeping.entry(entry, entry.session == *session);
        }
        let change = Change::Applied { version: self.version, action };
        self.changes.push(change, entry.payload.len());
        if flags & crate::wire::FLAG_DIGEST != 0 {
            self.start_digest();
        }
        self.resync_by_snapshot(seq);
    }

    /// Returns whether `version` lies on `lineage`.
    pub(super) fn lies_on(&self, lineage: &Lineage, version: Version) -> bool {
        #[cfg(samestate_mutants)]
        if mutant!(LineageByNumber) {
            return lineage.contains_number(version);
        }
        lineage.contains(version)
    }

    /// Counts a change of the lineage under dispatches of this node.
    pub(super) fn count_lives(&mut self, before: &Lineage) {
        if self.origin.is_empty() || before.is_empty() || before.head() == self.lineage.head() {
            return;
        }
        let known = |life: &(Epoch, u64)| before.lives().contains(life);
        self.counters.epochs_changed_in_flight += 1;
        self.counters.rebased_in_flight += u64::from(!self.lineage.lives().iter().any(known));
    }
}

//! The history of a replica: versions on its lineage, and actions taken into it.

use super::{Place, Replica};
use crate::mutant::mutant;
use crate::replication::log::rolled;
use crate::replication::{Change, Fault, StateMachine};
use crate::wire::{ENTRY_HEADER_BYTES, Entry, Outcome, PATCH_HEADER_BYTES, finish_patch};
use crate::{Epoch, Lineage, Version};

/// The bytes of a frame of entries with patches, before the first entry.
const FRAME_ROOM_BYTES: usize = 20;

/// The buffer of a patch keeps this many bytes for the next one.
const PATCH_KEPT_BYTES: usize = 64 << 10;

impl<M: StateMachine> Replica<M> {
    /// A version on this lineage.
    pub(super) fn version_at(&self, seq: u64) -> Version {
        match self.position.lineage.epochs().last() {
            Some((epoch, began)) if seq > *began => Version { epoch: *epoch, seq },
            _ => Version { epoch: self.position.lineage.epoch_of(seq).unwrap_or_default(), seq },
        }
    }

    /// Runs the reducer, and makes the patch of what it changed if links want patches.
    #[inline]
    pub(super) fn reduce(&mut self, payload: &[u8]) -> Result<M::Action, Fault> {
        if self.log.is_wanted() && self.link_mode().sends_patches() {
            return self.reduce_with_patch(payload);
        }
        self.machine.apply(payload)
    }

    fn reduce_with_patch(&mut self, payload: &[u8]) -> Result<M::Action, Fault> {
        self.buffers.patch.resize(PATCH_HEADER_BYTES, 0);
        // An entry and its patch go in one frame.
        let around = FRAME_ROOM_BYTES + ENTRY_HEADER_BYTES + payload.len() + PATCH_HEADER_BYTES;
        let bytes_max = self.config.frame_bytes_max().saturating_sub(around);
        let reduced = self.machine.apply_and_diff(payload, &mut self.buffers.patch, bytes_max);
        if !matches!(reduced, Ok((_, true))) {
            self.clear_patch();
        }
        reduced.map(|(action, _)| action)
    }

    /// Takes an action that the reducer ran here into the history, with the patch of it.
    #[inline]
    pub(super) fn commit_reduced(&mut self, entry: &Entry<'_>, flags: u8, action: M::Action) {
        if self.buffers.patch.is_empty() {
            self.commit(entry, flags, action, None);
            return;
        }
        let mut patch = std::mem::take(&mut self.buffers.patch);
        finish_patch(&mut patch, entry.crc);
        self.commit(entry, flags, action, Some(&patch));
        self.buffers.patch = patch;
        self.clear_patch();
    }

    fn clear_patch(&mut self) {
        self.buffers.patch.clear();
        self.buffers.patch.shrink_to(PATCH_KEPT_BYTES);
    }

    /// Takes an applied action into the history.
    pub(super) fn commit(
        &mut self,
        entry: &Entry<'_>,
        flags: u8,
        action: M::Action,
        patch: Option<&[u8]>,
    ) {
        let seq = self.position.version.seq + 1;
        self.position.version = self.version_at(seq);
        self.position.history = rolled(self.position.history, entry);
        if !self.log.is_wanted() {
            self.log.pass();
        } else if flags == entry.flags || mutant!(MarkNotPassedOn) {
            self.log.append(patch, |out| out.extend_from_slice(entry.bytes()));
        } else {
            self.log.append(patch, |out| entry.write_flagged(out, flags));
        }
        self.observed.entry(entry);
        match (&mut self.keeping, &mut self.place) {
            (Some(keeping), Place::Sequencer { session, .. }) => {
                keeping.entry(entry, entry.session == *session);
            }
            (_, Place::Follower { sessions: Some(sessions) }) => {
                let outcome = Outcome::Applied(self.position.version);
                sessions.replayed(entry.session, entry.counter, outcome);
            }
            _ => {}
        }
        let change = Change::Applied { version: self.position.version, action };
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
        if self.origin.is_empty()
            || before.is_empty()
            || before.head() == self.position.lineage.head()
        {
            return;
        }
        let known = |begun: &(Epoch, u64)| before.epochs().contains(begun);
        self.counters.epochs_changed_in_flight += 1;
        self.counters.rebased_in_flight +=
            u64::from(!self.position.lineage.epochs().iter().any(known));
    }
}

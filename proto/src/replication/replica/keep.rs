//! The records for the disk, and the outputs that wait for them.
//!
//! With [`Replica::keep`] a sequencer makes records of what it orders: the driver takes them,
//! writes them, and says how far with [`Replica::committed`]. If the store is durable, no entry,
//! snapshot, answer, resolution or change passes that: only the sequencer's own state is ahead.
//! Without, what is ordered is committed.

use std::time::Duration;

use super::Dispatched;
use super::Replica;
use super::order::cut_to_reason;
use crate::mutant::mutant;
use crate::replication::keeping::{DEFERRED_MAX, Deferred, Gate, Keeping, Span, UNSAVED_BYTES_MAX};
use crate::replication::{Image, LinkId, Machine, Output, Resolution};
use crate::wire::{Answer, Message, Outcome};
use crate::{Claim, Version};

impl<M: Machine> Replica<M> {
    /// Makes records from here on; what was before is on disk. Only at a sequencer. `durable`:
    /// nothing leaves this node before [`Replica::committed`] says so.
    pub fn keep(&mut self, durable: bool) {
        self.keeping = self.is_sequencer().then(|| Keeping::new(self.version.seq, durable));
    }

    /// Moves the records since this was last called to the end of `out`, and says which actions
    /// they are about; `None` if there are none.
    pub fn take_records(&mut self, out: &mut Vec<u8>) -> Option<Span> {
        let seq = self.version.seq;
        let keeping = self.keeping.as_mut().filter(|keeping| !keeping.is_empty())?;
        Some(keeping.hand_over(seq, out))
    }

    /// Returns whether there are records to take.
    pub fn has_records(&self) -> bool {
        self.keeping.as_ref().is_some_and(|keeping| !keeping.is_empty())
    }

    /// Freezes the content of a backup. Returns `None` if the state is not this node's to keep, or
    /// may be half changed.
    pub fn hold(&self) -> Option<(Image, M::Frozen)> {
        let whole =
            self.is_sequencer() && !self.condition.is_poisoned() && self.stopped().is_none();
        whole.then(|| (self.image(), self.machine.freeze()))
    }

    /// All actions up to `seq` are on disk, and `bytes` more bytes of records.
    pub fn committed(&mut self, seq: u64, bytes: usize, now: Duration) {
        self.now = now;
        let Some(keeping) = &mut self.keeping else { return };
        keeping.unsaved = keeping.unsaved.saturating_sub(bytes);
        if let Some(gate) = &mut keeping.gate {
            gate.committed = if mutant!(CommitGoesBack) { seq } else { gate.committed.max(seq) };
            self.release(seq);
            self.wake_all();
        }
        if self.pressure.is_on() {
            self.relieve();
        }
        self.settle();
    }

    /// Sets whether the disk is stalled. While it does not, a durable store is not connected; what
    /// waits for the disk resolves as `OutcomeUnknown`, since it may yet get there.
    pub fn set_stalled(&mut self, stalled: bool, now: Duration) {
        self.now = now;
        let Some(gate) = self.gate_mut() else { return };
        gate.stalled = stalled;
        if stalled {
            self.abandon_deferred(None);
        }
        self.settle();
    }

    /// The seq up to which all is committed, and others may see: behind the state only in a durable
    /// store.
    pub fn shown(&self) -> u64 {
        let gate = self.keeping.as_ref().and_then(|keeping| keeping.gate.as_ref());
        gate.map_or(self.version.seq, |gate| gate.committed)
    }

    /// The seq up to which subscribers are told.
    pub(super) fn told_until(&self) -> u64 {
        let gate = self.keeping.as_ref().and_then(|keeping| keeping.gate.as_ref());
        gate.map_or(u64::MAX, |gate| gate.committed)
    }

    /// The version up to which others may see.
    pub(super) fn shown_version(&self) -> Version {
        self.version_at(self.shown())
    }

    pub(super) fn is_stalled(&self) -> bool {
        let gate = self.keeping.as_ref().and_then(|keeping| keeping.gate.as_ref());
        gate.is_some_and(|gate| gate.stalled)
    }

    /// The dispatches of this node that wait for the disk.
    pub(super) fn locals_deferred(&self) -> usize {
        let gate = self.keeping.as_ref().and_then(|keeping| keeping.gate.as_ref());
        gate.map_or(0, |gate| gate.locals)
    }

    /// Returns whether the disk is too far behind to take more.
    pub(super) fn disk_is_behind(&self) -> bool {
        self.keeping.as_ref().is_some_and(|keeping| {
            let deferred = keeping.gate.as_ref().map_or(0, |gate| gate.deferred.len());
            keeping.unsaved > UNSAVED_BYTES_MAX || deferred > DEFERRED_MAX
        })
    }

    fn gate_mut(&mut self) -> Option<&mut Gate> {
        self.keeping.as_mut().and_then(|keeping| keeping.gate.as_mut())
    }

    /// The gate, if it holds anything back now.
    fn gate_behind(&mut self) -> Option<&mut Gate> {
        let seq = self.version.seq;
        self.gate_mut().filter(|gate| gate.committed < seq || !gate.deferred.is_empty())
    }

    /// Answers a dispatch of this node: now, or once what it rests on is on disk.
    pub(super) fn answer_here(&mut self, ticket: u64, resolution: Resolution) -> Dispatched {
        let (seq, now) = (self.version.seq, self.now);
        let deadline = self.config.deadline(now);
        let Some(gate) = self.gate_behind() else { return Dispatched::Now(resolution) };
        gate.locals += 1;
        gate.deferred.push_back((seq, Deferred::Local { ticket, resolution, deadline }));
        Dispatched::Later
    }

    /// Answers dispatches that came over `link`: now, or once what they rest on is on disk.
    pub(super) fn answer(&mut self, link: LinkId, claim: Claim, answers: Vec<Answer>) {
        let seq = self.version.seq;
        match self.gate_behind().filter(|_| !mutant!(AnswerBeforeDisk)) {
            Some(gate) => {
                gate.deferred.push_back((seq, Deferred::Answers { link, claim, answers }));
            }
            None => self.say(link, &Message::Answers { claim, answers }),
        }
    }

    /// Tells of the digest of a state, now or once that is on disk. False: it is told later.
    pub(super) fn defer_digest(&mut self, seq: u64, digest: u64) -> bool {
        let at = self.version.seq;
        let behind = |gate: &&mut Gate| gate.committed < seq && !mutant!(DigestBeforeDisk);
        let Some(gate) = self.gate_mut().filter(behind) else { return false };
        gate.deferred.push_back((at, Deferred::Digest { seq, digest }));
        true
    }

    fn release(&mut self, seq: u64) {
        loop {
            let Some(gate) = self.gate_mut() else { return };
            let seq = seq + u64::from(mutant!(ReleasedOneEarly));
            if gate.deferred.front().is_none_or(|front| front.0 > seq) {
                return;
            }
            let Some((_, deferred)) = gate.deferred.pop_front() else { return };
            match deferred {
                Deferred::Local { ticket, resolution, .. } => {
                    gate.locals -= 1;
                    self.outputs.push(Output::Resolved { ticket, resolution });
                }
                Deferred::Answers { link, claim, answers } => {
                    self.say(link, &Message::Answers { claim, answers });
                }
                Deferred::Digest { seq, digest } => self.say_digest(seq, digest),
            }
        }
    }

    /// Answers all that waits for the disk, without having it there. `rejected`: it never gets
    /// there, for this reason.
    pub(super) fn abandon_deferred(&mut self, rejected: Option<&str>) {
        let Some(gate) = self.gate_mut() else { return };
        let (resolution, outcome) = match rejected {
            Some(why) => {
                let why = cut_to_reason(why);
                (Resolution::Rejected(why.clone()), Outcome::Rejected(why))
            }
            None => (Resolution::OutcomeUnknown, Outcome::Unknown),
        };
        gate.locals = 0;
        for (_, deferred) in std::mem::take(&mut gate.deferred) {
            match deferred {
                Deferred::Local { ticket, .. } => {
                    let resolution = resolution.clone();
                    self.outputs.push(Output::Resolved { ticket, resolution });
                }
                Deferred::Answers { link, claim, mut answers } => {
                    for answer in &mut answers {
                        if matches!(answer.outcome, Outcome::Applied(_)) {
                            answer.outcome = outcome.clone();
                        }
                    }
                    self.say(link, &Message::Answers { claim, answers });
                }
                Deferred::Digest { .. } => {}
            }
        }
    }

    /// Resolves dispatches of this node that waited for the disk past their deadline.
    pub(super) fn expire_deferred(&mut self) {
        let now = self.now;
        let Some(gate) = self.gate_mut().filter(|gate| gate.locals > 0) else { return };
        let late = |deferred: &Deferred| match deferred {
            Deferred::Local { ticket, deadline, .. }
                if deadline.is_some_and(|at| at <= now) && !mutant!(DeadlineOnDiskIgnored) =>
            {
                Some(*ticket)
            }
            _ => None,
        };
        let expired: Vec<u64> = gate.deferred.iter().filter_map(|(_, item)| late(item)).collect();
        if !expired.is_empty() {
            gate.locals -= expired.len();
            gate.deferred.retain(|(_, item)| late(item).is_none());
        }
        for ticket in expired {
            let resolution = Resolution::OutcomeUnknown;
            self.outputs.push(Output::Resolved { ticket, resolution });
        }
    }
}

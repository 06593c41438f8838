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
use crate::replication::keeping::{CommitGate, DEFERRED_MAX, Deferred, UNSAVED_BYTES_MAX};
use crate::replication::{LinkId, Output, Resolution, StateMachine};
use crate::wire::{Answer, Message, Outcome};
use crate::{Claim, Version};

impl<M: StateMachine> Replica<M> {
    /// Lets out what waited for these actions to be on disk.
    pub(super) fn commit_on_disk(&mut self, seq: u64, bytes: usize) {
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
    }

    /// Notes whether the disk takes anything.
    pub(super) fn stall(&mut self, stalled: bool) {
        let Some(gate) = self.gate_mut() else { return };
        gate.stalled = stalled;
        if stalled {
            self.abandon_deferred(None);
        }
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

    fn gate_mut(&mut self) -> Option<&mut CommitGate> {
        self.keeping.as_mut().and_then(|keeping| keeping.gate.as_mut())
    }

    /// The gate, if it holds anything back now.
    fn gate_behind(&mut self) -> Option<&mut CommitGate> {
        let seq = self.position.version.seq;
        self.gate_mut().filter(|gate| gate.committed < seq || !gate.deferred.is_empty())
    }

    /// Answers a dispatch of this node: now, or once what it rests on is on disk.
    pub(super) fn answer_here(&mut self, ticket: u64, resolution: Resolution) -> Dispatched {
        let (seq, now) = (self.position.version.seq, self.now);
        let deadline = self.config.deadline(now);
        let Some(gate) = self.gate_behind() else { return Dispatched::Now(resolution) };
        gate.locals += 1;
        gate.deferred.push_back((seq, Deferred::Local { ticket, resolution, deadline }));
        self.due_by(deadline.unwrap_or(Duration::MAX));
        Dispatched::Later
    }

    /// Answers dispatches that came over `link`: now, or once what they rest on is on disk.
    pub(super) fn answer(&mut self, link: LinkId, claim: Claim, answers: Vec<Answer>) {
        let seq = self.position.version.seq;
        match self.gate_behind().filter(|_| !mutant!(AnswerBeforeDisk)) {
            Some(gate) => {
                gate.deferred.push_back((seq, Deferred::Answers { link, claim, answers }));
            }
            None => self.say(link, &Message::Answers { claim, answers }),
        }
    }

    /// Tells of the digest of a state, now or once that is on disk. False: it is told later.
    pub(super) fn defer_digest(&mut self, seq: u64, digest: u64) -> bool {
        let at = self.position.version.seq;
        let behind = |gate: &&mut CommitGate| gate.committed < seq && !mutant!(DigestBeforeDisk);
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

    /// Returns when the first dispatch of this node that waits for the disk has its deadline.
    pub(super) fn deferred_expires_at(&self) -> Option<Duration> {
        let gate = self.keeping.as_ref()?.gate.as_ref().filter(|gate| gate.locals > 0)?;
        let deadline = |item: &(u64, Deferred)| match item.1 {
            Deferred::Local { deadline, .. } => deadline,
            Deferred::Answers { .. } | Deferred::Digest { .. } => None,
        };
        gate.deferred.iter().filter_map(deadline).min()
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

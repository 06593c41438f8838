//! The sequencer: judging dispatches, and putting them in order.

use bytes::Bytes;

use super::{Place, Replica};
use crate::Claim;
use crate::mutant::mutant;
use crate::replication::probes::PROBE;
use crate::replication::sessions::{REASON_BYTES_MAX, Verdict};
use crate::replication::{Fault, LinkFault, LinkId, Report, Resync, StateMachine};
use crate::wire::{Answer, Entries, Entry, FLAG_DIGEST, FLAG_VOID, Outcome};

/// A frame holds at most this many answers.
const ANSWERS_MAX: usize = 512;

/// The fault of a peer that sends an entry of another session.
pub(super) const OF_ANOTHER_SESSION: &str = "an entry of another session";

/// As much of a reason as an answer carries.
pub(super) fn cut_to_reason(why: &str) -> String {
    why[..why.floor_char_boundary(REASON_BYTES_MAX)].to_owned()
}

impl<M: StateMachine> Replica<M> {
    /// Orders the dispatches of one session that came over `link`, and answers there.
    pub(super) fn order_batch(
        &mut self,
        link: LinkId,
        claim: Claim,
        oldest: u64,
        entries: &Bytes,
    ) -> Result<(), LinkFault> {
        let first = self.position.version.seq + 1;
        let (known, unproved) = match &mut self.place {
            Place::Sequencer { sessions, .. } => {
                let known = sessions.begin(claim, oldest);
                (known, !known && sessions.knows(claim.session))
            }
            Place::Follower { .. } => return Ok(()),
        };
        if unproved {
            self.note_unproved(link);
        }
        let mut answers = Vec::new();
        let mut outcome = Ok(());
        for entry in Entries::new(entries) {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    outcome = Err(error.into());
                    break;
                }
            };
            if entry.session != claim.session {
                outcome = Err(LinkFault::Unexpected(OF_ANOTHER_SESSION));
                break;
            }
            if !known {
                answers.push(Answer { counter: entry.counter, outcome: Outcome::Expired });
                break;
            }
            let Some(outcome) = self.order_one(&entry) else { break };
            answers.push(Answer { counter: entry.counter, outcome });
        }
        for answers in answers.chunks(ANSWERS_MAX) {
            self.answer(link, claim, answers.to_vec());
        }
        self.ordered(first);
        outcome
    }

    /// Notes that a node behind `link` dispatches in a session that is not its own. It may be one
    /// of many behind a relay, so the link stays; the operator is told once.
    fn note_unproved(&mut self, link: LinkId) {
        self.counters.claims_unproved += 1;
        let Some(downstream) = self.downstreams.get_mut(&link) else { return };
        if !std::mem::replace(&mut downstream.said_unproved, true) {
            let node = downstream.node;
            self.report(Report::Unproved(node));
        }
    }

    /// Orders one dispatch and returns its outcome; `None` if one before it is missing.
    fn order_one(&mut self, entry: &Entry<'_>) -> Option<Outcome> {
        if entry.counter == PROBE {
            return Some(Outcome::Unknown);
        }
        let Place::Sequencer { sessions, .. } = &self.place else { return None };
        let verdict = sessions.judge(entry.session, entry.counter);
        let again = matches!(verdict, Verdict::Known(Outcome::Applied(_)));
        if again && mutant!(NoDeduplication) {
            return Some(self.apply(entry));
        }
        if again && mutant!(OutcomeForgotten) {
            return Some(Outcome::Rejected("it came too late".into()));
        }
        let verdict = match verdict {
            Verdict::Gap | Verdict::Known(Outcome::Unknown) if mutant!(SessionGap) => {
                Verdict::Accept
            }
            verdict => verdict,
        };
        match verdict {
            Verdict::Gap => {
                self.counters.gaps += 1;
                None
            }
            Verdict::Known(outcome) => {
                self.counters.deduplicated += 1;
                Some(outcome)
            }
            Verdict::Accept => {
                let void = entry.flags & FLAG_VOID != 0;
                let outcome = if void { Outcome::Unknown } else { self.apply(entry) };
                if let (Outcome::Rejected(why), Some(keeping)) = (&outcome, &mut self.keeping)
                    && !mutant!(RejectionNotKept)
                {
                    keeping.rejected(entry.session, entry.counter, why);
                }
                if let Place::Sequencer { sessions, .. } = &mut self.place {
                    sessions.settle(entry.session, entry.counter, outcome.clone());
                }
                Some(outcome)
            }
        }
    }

    fn apply(&mut self, entry: &Entry<'_>) -> Outcome {
        if let Some(why) = self.taking_none() {
            return Outcome::Rejected(why);
        }
        match self.reduce(entry.payload) {
            Ok(action) => {
                let flags = if mutant!(OthersUnmarked) { 0 } else { self.flags_of_next() };
                self.commit_reduced(entry, flags, action);
                Outcome::Applied(self.position.version)
            }
            Err(fault) => Outcome::Rejected(self.refuse(fault)),
        }
    }

    /// Returns the reason why the sequencer accepts no action any more, if there is one.
    pub(super) fn taking_none(&self) -> Option<String> {
        let poisoned = self.condition.is_poisoned().then_some("the store is poisoned");
        poisoned.or_else(|| self.stopped()).map(cut_to_reason)
    }

    /// The words of a refusal; a panic that could not be undone poisons the store.
    pub(super) fn refuse(&mut self, fault: Fault) -> String {
        let text = cut_to_reason(&fault.to_string());
        match fault {
            Fault::Poisoned(_) => {
                self.condition.poison();
                self.report(Report::Poisoned(text.clone()));
            }
            Fault::RolledBack(_) => self.report(Report::PanicUndone(text.clone())),
            Fault::Rejected(_) | Fault::Undecodable(_) | Fault::Misfit(_) => {}
        }
        text
    }

    /// The sequencer's flags for the next entry: marked for verification if it is time.
    pub(super) fn flags_of_next(&mut self) -> u8 {
        let Resync::Verify(every) = self.config.resync else { return 0 };
        let seq = self.position.version.seq + 1;
        if self.downstreams.is_empty() || !self.integrity.digests.marks(every, seq, self.now) {
            return 0;
        }
        self.integrity.digests.marked(seq);
        FLAG_DIGEST
    }

    /// Ends a batch of actions applied here, the first of which was `first`.
    pub(super) fn ordered(&mut self, first: u64) {
        if self.position.version.seq < first {
            return;
        }
        self.counters.applied += self.position.version.seq + 1 - first;
        self.observed.applied(first, self.position.version, self.position.history);
        self.check_pressure();
        if self.shown() >= self.position.version.seq && !mutant!(WakeForgotten) {
            self.wake_all();
        }
    }

    /// In the article's form of resync: cuts a snapshot at each multiple of N, unless one is being
    /// cut.
    pub(super) fn resync_by_snapshot(&mut self, seq: u64) {
        let Resync::Snapshot(every) = self.config.resync else { return };
        let due = seq.is_multiple_of(every.max(1)) && self.snapshots.cutting().is_none();
        if due && self.downstreams.values().any(|link| link.needs_after().is_some()) {
            self.snapshots.want_resync();
            self.cut();
        }
    }
}

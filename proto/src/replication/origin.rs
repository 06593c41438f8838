//! The dispatches of this node that are under way.
//!
//! A dispatch is in one of three places: not yet sent over the present attachment, sent, or
//! answered with a version that this node has not reached. It leaves when it is resolved, in any
//! order; its number is only given up when all before it have left.

use std::collections::VecDeque;
use std::time::Duration;

use super::probes::{PROBE, Probes};
use crate::mutant::mutant;
use crate::wire::{Answer, Entry, FLAG_VOID, Outcome};
use crate::{Claim, Lineage, Version};

/// The result of a dispatch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// Ordered by the sequencer, and applied here.
    Ok(Version),
    /// The reducer refused it.
    Rejected(String),
    /// The dispatch may have been applied or not; the node cannot find out.
    OutcomeUnknown,
}

#[derive(Debug, PartialEq, Eq)]
enum Progress {
    Waiting,
    Answered(Version),
    /// Given up, but it keeps its number.
    Void,
    /// Resolved while one before it is not.
    Done,
}

#[derive(Debug)]
struct Pending {
    ticket: u64,
    payload: Vec<u8>,
    /// It has left this node at least once, so it may have been applied.
    sent_ever: bool,
    progress: Progress,
    deadline: Option<Duration>,
}

/// Returns whether the sequencer's answer to a dispatch is still to come.
fn is_unanswered(progress: &Progress) -> bool {
    matches!(progress, Progress::Waiting | Progress::Void)
}

/// The session of this node, and where it was issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Session {
    claim: Claim,
    at: Version,
}

/// The dispatches under way, numbered from `first` in the present session.
#[derive(Debug)]
pub struct Origin {
    session: Option<Session>,
    /// The request under which a session was asked for.
    request: Option<u64>,
    /// It was asked for long ago, and is to be asked for again.
    asks_again: bool,
    first: u64,
    pending: VecDeque<Pending>,
    bytes: usize,
    /// The number of dispatches, from the front, that were sent over the present attachment.
    sent: usize,
    /// The number of dispatches that were sent again since the last query.
    resent: u64,
    resolved: Vec<(u64, Resolution)>,
    /// Session and number of the oldest dispatch without an answer, and since when it is that.
    oldest_since: ((Option<u64>, u64), Duration),
    /// The oldest may be another than `oldest_since` says.
    unnoted: bool,
    probes: Probes,
}

impl Default for Origin {
    fn default() -> Self {
        Origin {
            session: None,
            request: None,
            asks_again: false,
            first: 1,
            pending: VecDeque::new(),
            bytes: 0,
            sent: 0,
            resent: 0,
            resolved: Vec::new(),
            oldest_since: ((None, PROBE), Duration::ZERO),
            unnoted: false,
            probes: Probes::default(),
        }
    }
}

impl Origin {
    /// Takes a dispatch on its way.
    pub fn push(&mut self, ticket: u64, payload: Vec<u8>, deadline: Option<Duration>) {
        self.bytes += payload.len();
        let progress = Progress::Waiting;
        self.pending.push_back(Pending { ticket, payload, sent_ever: false, progress, deadline });
        self.unnoted |= self.session.is_none();
    }

    /// Returns how many numbers are taken.
    pub fn len(&self) -> usize {
        self.pending.len()
    }

    /// Returns whether no dispatch is under way.
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// The bytes of what is under way.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes the dispatches that were resolved since the last call: their tickets and results.
    pub fn take_resolved(&mut self) -> Vec<(u64, Resolution)> {
        std::mem::take(&mut self.resolved)
    }

    /// Returns whether a dispatch was resolved since [`Origin::take_resolved`].
    pub fn has_resolved(&self) -> bool {
        !self.resolved.is_empty()
    }

    /// The attachment was remade somewhere on the way up: all is to be sent again, in order.
    pub fn resend(&mut self) {
        (self.sent, self.unnoted) = (0, true);
        (self.request, self.asks_again) = (None, false);
        self.probes = Probes::default();
    }

    /// Asks upwards what became of the oldest dispatch, or again for a session, if that has waited
    /// for `after` without an answer. A relay's tables are bounded, so an answer can be lost there.
    /// Time alone is no reason to send anything again: the way up may be slow.
    pub fn inquire(&mut self, now: Duration, after: Duration) {
        self.note_oldest(now);
        if self.waits_since().is_some_and(|since| now.saturating_sub(since) >= after) {
            self.oldest_since.1 = now;
            self.probes.due = self.session.is_some();
            self.asks_again = self.session.is_none();
        }
    }

    /// Notes since when the oldest dispatch without an answer is the oldest.
    pub fn note_oldest(&mut self, now: Duration) {
        self.unnoted = false;
        let oldest = self.oldest_unanswered().unwrap_or(PROBE);
        let key = (self.session.map(|session| session.claim.session), oldest);
        if self.oldest_since.0 != key {
            self.oldest_since = (key, now);
        }
    }

    /// Returns whether [`Origin::note_oldest`] may have something to note.
    pub fn is_unnoted(&self) -> bool {
        self.unnoted
    }

    /// Returns since when the oldest dispatch waits for its answer, as it was noted last.
    pub fn waits_since(&self) -> Option<Duration> {
        let ((_, oldest), since) = self.oldest_since;
        (oldest != PROBE).then_some(since)
    }

    /// Returns the first instant at which [`Origin::expire`] has something to do.
    pub fn expires_at(&self) -> Option<Duration> {
        let open =
            |pending: &&Pending| !matches!(pending.progress, Progress::Void | Progress::Done);
        self.pending.iter().filter(open).filter_map(|pending| pending.deadline).min()
    }

    /// The number of the first dispatch that was sent and has no answer; without a session, of the
    /// first of all.
    fn oldest_unanswered(&self) -> Option<u64> {
        let waits = |pending: &Pending| is_unanswered(&pending.progress);
        match self.session {
            None => (!self.pending.is_empty()).then_some(self.first),
            Some(_) => {
                let at = self.pending.iter().take(self.sent).position(waits)?;
                Some(self.first + at as u64)
            }
        }
    }

    /// All that was sent before the probe has passed: what has no answer by now was lost.
    fn probed(&mut self) {
        let Some(until) = self.probes.answered() else { return };
        if self.oldest_unanswered().is_some_and(|oldest| oldest < until) {
            self.start_over();
        }
    }

    /// Sends all again, over the same attachment.
    fn start_over(&mut self) {
        (self.sent, self.unnoted) = (0, true);
        self.probes.end();
    }

    /// Returns whether there is a dispatch to send that needs a session first.
    pub fn wants_session(&self) -> bool {
        let asks = self.request.is_none() || self.asks_again;
        self.session.is_none() && asks && !self.pending.is_empty()
    }

    /// The request under which a session was asked for already: whichever of its answers comes
    /// first counts.
    pub fn request(&self) -> Option<u64> {
        self.request
    }

    /// Notes under which request a session was asked for.
    pub fn session_requested(&mut self, request: u64) {
        (self.request, self.asks_again) = (Some(request), false);
    }

    /// A session was issued; taken only if it is the one asked for.
    pub fn session_opened(&mut self, request: u64, claim: Claim, at: Version) -> bool {
        let ours = self.request == Some(request) && self.session.is_none();
        if ours {
            self.session = Some(Session { claim, at });
            (self.request, self.asks_again) = (None, false);
            self.first = 1;
            (self.sent, self.unnoted) = (0, true);
            self.probes = Probes::default();
        }
        ours
    }

    /// The session is gone. What was sent may have been applied; the rest goes into the next one.
    pub fn session_lost(&mut self) {
        self.session = None;
        (self.request, self.asks_again) = (None, false);
        (self.sent, self.unnoted) = (0, true);
        self.probes = Probes::default();
        for pending in std::mem::take(&mut self.pending) {
            if pending.sent_ever
                || matches!(pending.progress, Progress::Void | Progress::Done)
                || mutant!(UnsentLostToo)
            {
                self.bytes -= pending.payload.len();
                if matches!(pending.progress, Progress::Waiting | Progress::Answered(_)) {
                    self.resolved.push((pending.ticket, Resolution::OutcomeUnknown));
                }
            } else {
                self.pending.push_back(pending);
            }
        }
        self.first = 1;
    }

    /// Gives up everything under way.
    pub fn abandon(&mut self) {
        for pending in self.pending.drain(..) {
            if matches!(pending.progress, Progress::Waiting | Progress::Answered(_)) {
                self.resolved.push((pending.ticket, Resolution::OutcomeUnknown));
            }
        }
        let resolved = std::mem::take(&mut self.resolved);
        *self = Origin { resolved, unnoted: true, ..Origin::default() };
    }

    /// The session and the lowest number still awaited, once there is a session.
    pub fn awaits(&self) -> Option<(Claim, u64)> {
        let ahead = u64::from(mutant!(AwaitsOneAhead) && self.pending.len() > 1);
        self.session.map(|session| (session.claim, self.first + ahead))
    }

    /// Writes entries not yet sent over this attachment, and a probe after them if one is due, up
    /// to `budget` bytes and one at least, to `out`. Returns how many bytes of entries that was.
    pub fn write_unsent(&mut self, out: &mut Vec<u8>, budget: usize) -> usize {
        let Some(Session { claim: Claim { session, .. }, .. }) = self.session else { return 0 };
        let start = out.len();
        self.unnoted |= self.waits_since().is_none();
        while self.sent < self.pending.len() && out.len() - start < budget {
            let counter = self.first + self.sent as u64;
            let pending = &mut self.pending[self.sent];
            match pending.progress {
                Progress::Void | Progress::Done => {
                    Entry::write(out, session, counter, FLAG_VOID, &[]);
                }
                _ => {
                    Entry::write(out, session, counter, 0, &pending.payload);
                }
            }
            self.resent += u64::from(std::mem::replace(&mut pending.sent_ever, true));
            self.sent += 1;
        }
        if self.probes.due && self.sent == self.pending.len() && out.len() - start < budget {
            Entry::write(out, session, PROBE, FLAG_VOID, &[]);
            self.probes.sent(self.first + self.sent as u64);
        }
        out.len() - start
    }

    /// Takes the number of dispatches that were sent again since the last call.
    pub fn take_resent(&mut self) -> u64 {
        std::mem::take(&mut self.resent)
    }

    /// Returns whether [`Origin::write_unsent`] would write a dispatch.
    pub fn has_unsent(&self) -> bool {
        self.session.is_some() && (self.sent < self.pending.len() || self.probes.due)
    }

    /// Takes the sequencer's answers. True if the session turned out to have expired.
    ///
    /// An answer may be ahead of the lineage that its version lies on. It counts once that is
    /// here: see [`Origin::reached`] and [`Origin::lineage_changed`].
    pub fn answered(&mut self, claim: Claim, answers: Vec<Answer>) -> bool {
        if self.session.is_none_or(|ours| ours.claim != claim) {
            return false;
        }
        self.unnoted = true;
        for Answer { counter, outcome } in answers {
            if outcome == Outcome::Expired {
                self.session_lost();
                return true;
            }
            if counter == PROBE {
                self.probed();
                continue;
            }
            let at = counter.checked_sub(self.first).and_then(|at| usize::try_from(at).ok());
            let Some(pending) = at.and_then(|at| self.pending.get_mut(at)) else { continue };
            if !matches!(pending.progress, Progress::Waiting | Progress::Answered(_)) {
                pending.progress = Progress::Done;
                continue;
            }
            let resolution = match outcome {
                Outcome::Applied(version) => {
                    pending.progress = Progress::Answered(version);
                    continue;
                }
                Outcome::Rejected(reason) => Resolution::Rejected(reason),
                Outcome::Unknown | Outcome::Expired => Resolution::OutcomeUnknown,
            };
            self.bytes -= std::mem::take(&mut pending.payload).len();
            pending.progress = Progress::Done;
            self.resolved.push((pending.ticket, resolution));
        }
        false
    }

    /// Resolves what was answered with a version on `lineage` that this node, now at `seq`, has
    /// reached.
    pub fn reached(&mut self, seq: u64, lineage: &Lineage) {
        for pending in &mut self.pending {
            match pending.progress {
                Progress::Answered(version) if version.seq <= seq && lineage.contains(version) => {
                    self.bytes -= std::mem::take(&mut pending.payload).len();
                    pending.progress = Progress::Done;
                    self.resolved.push((pending.ticket, Resolution::Ok(version)));
                }
                Progress::Done | Progress::Void => {}
                _ => break,
            }
        }
        self.retire();
    }

    /// Resolves all that was answered, applied here or not.
    #[cfg(samestate_mutants)]
    pub(super) fn reached_early(&mut self, lineage: &Lineage) {
        self.reached(u64::MAX, lineage);
    }

    /// Gives up the numbers of what has left at the front. A void keeps its own until the
    /// sequencer has seen it.
    fn retire(&mut self) {
        while self.pending.front().is_some_and(|front| front.progress == Progress::Done) {
            self.pending.pop_front();
            self.first += 1;
            self.sent = self.sent.saturating_sub(1);
        }
    }

    /// Another lineage: an answer that lies off it counts for nothing, and a session that was
    /// issued off it is gone. True if something is to be sent again.
    pub fn lineage_changed(&mut self, lineage: &Lineage) -> bool {
        let mut again = false;
        for pending in &mut self.pending {
            if let Progress::Answered(version) = pending.progress
                && !lineage.contains(version)
                && !mutant!(LostAnswerKept)
            {
                pending.progress = Progress::Waiting;
                again = true;
            }
        }
        if self.session.is_some_and(|session| !lineage.contains(session.at)) {
            self.session_lost();
            again = true;
        }
        if again {
            self.start_over();
        }
        again
    }

    /// Resolves what has passed its deadline. It keeps its number, as a void, until the sequencer's
    /// answer has come.
    pub fn expire(&mut self, now: Duration) {
        for pending in &mut self.pending {
            let late = pending.deadline.is_some_and(|deadline| deadline <= now);
            let expired = match pending.progress {
                Progress::Waiting => Progress::Void,
                Progress::Answered(_) => Progress::Done,
                Progress::Void | Progress::Done => continue,
            };
            if late {
                let freed = std::mem::take(&mut pending.payload).len();
                self.bytes -= if mutant!(ExpiredBytesHeld) { 0 } else { freed };
                pending.progress = expired;
                self.resolved.push((pending.ticket, Resolution::OutcomeUnknown));
            }
        }
    }

    /// The next dispatches for a sequencer in this very node: ticket and payload.
    pub fn pop_local(&mut self) -> Option<(u64, Vec<u8>)> {
        loop {
            let pending = self.pending.pop_front()?;
            self.bytes -= pending.payload.len();
            if pending.progress == Progress::Waiting {
                return Some((pending.ticket, pending.payload));
            }
        }
    }
}

#[cfg(test)]
mod tests;

//! Checks of a replica's messages and requests, step by step.

use std::time::Duration;

use samestate_proto::Version;
use samestate_proto::replication::{Job, LinkFault, Note, Output, Refused, Report};
use samestate_proto::wire::{Message, RefusalKind};

use super::canon::Broken;
use super::causes::Facts;
use super::checker::{Checker, Standing, Verdict};
use super::commit::{self, View};
use super::counts;
use crate::invariants::Invariant;
use crate::virtual_time::machine::ErasedMachine;
use crate::virtual_time::network::{EndId, Side};

impl Checker {
    /// Returns the facts about a store.
    pub(crate) fn facts(&mut self, store: &str) -> &mut Facts {
        self.stores.entry(store.to_owned()).or_default()
    }

    fn standing(&mut self, slot: usize) -> Option<&mut Standing> {
        self.standings.get_mut(slot).and_then(Option::as_mut)
    }

    fn verdict(&self, view: &View<'_>, found: Result<(), Broken>) -> Verdict {
        found.map_err(|broken| self.violation(view.slot, broken))
    }

    /// A replica is told of a connection.
    pub(crate) fn link_up(&mut self, end: EndId, view: &View<'_>) {
        match end.side {
            Side::Client => {
                if let Some(standing) = self.standing(view.slot) {
                    standing.sync.up(end, view.now);
                }
            }
            Side::Server => self.links.up(end, view.slot, view.now),
        }
    }

    /// A connection of a replica has ended.
    pub(crate) fn link_down(&mut self, end: EndId, slot: usize) {
        self.links.down(end);
        if let Some(standing) = self.standing(slot) {
            standing.sync.down(end);
        }
    }

    /// The disk of a sequencer fails, at this time, or takes records again.
    pub(crate) fn stalls(&mut self, slot: usize, store: &str, failed: Option<Duration>) {
        if let Some(now) = failed {
            self.facts(store).fails(now);
        }
        if let Some(standing) = self.standing(slot) {
            standing.sync.stalled = failed.is_some();
        }
    }

    /// A message is about to be handed to a replica.
    pub(crate) fn heard(&mut self, end: EndId, message: &Message, view: &View<'_>) {
        self.links.heard(end, message, view);
        let sequencer = view.replica.is_sequencer();
        let Some(Some(standing)) = self.standings.get_mut(view.slot) else { return };
        match (end.side, message) {
            (Side::Client, message) => standing.sync.heard(message, view.replica.node()),
            (Side::Server, Message::SessionOpen { .. }) if sequencer => {
                self.stores.entry(standing.store.clone()).or_default().asks();
            }
            (Side::Server, _) => {}
        }
    }

    /// A replica sends a message. `now`: in the simulation.
    pub(crate) fn sent(
        &mut self,
        end: EndId,
        message: &Message,
        view: &View<'_>,
        now: Duration,
    ) -> Verdict {
        let found = self.judge_sent(end, message, view, now);
        self.verdict(view, found)
    }

    fn judge_sent(
        &mut self,
        end: EndId,
        message: &Message,
        view: &View<'_>,
        now: Duration,
    ) -> Result<(), Broken> {
        commit::sent(view, message)?;
        let Some(Some(standing)) = self.standings.get_mut(view.slot) else { return Ok(()) };
        match message {
            Message::SessionOpened { claim, .. } if view.replica.is_sequencer() => {
                let facts = self.stores.entry(standing.store.clone()).or_default();
                facts.issues(claim.session, now);
            }
            Message::Entries { first, entries, .. } if view.replica.is_sequencer() => {
                standing.marks.sent(*first, entries)?;
            }
            _ => {}
        }
        match end.side {
            Side::Client => {
                let (origin, sync) = (standing.origin, &mut standing.sync);
                sync.sent(message, origin, view.now, &mut self.origins)
            }
            Side::Server => self.links.sent(end, message, view.now),
        }
    }

    /// A connection carries nothing now. `rests`: nor is anything about to be written.
    pub(crate) fn idle(&mut self, end: EndId, view: &View<'_>, rests: bool) -> Verdict {
        let Some(Some(standing)) = self.standings.get(view.slot) else { return Ok(()) };
        let found = match end.side {
            Side::Client => standing.sync.idle(end, standing.origin, &self.origins),
            Side::Server => self.links.idle(end, view, &standing.sync),
        };
        let found = found.and_then(|()| {
            let sent_at = match end.side {
                Side::Client => standing.sync.sent_at(end),
                Side::Server => self.links.sent_at(end),
            };
            let silence = sent_at.map_or(Duration::ZERO, |at| view.now.saturating_sub(at));
            match silence >= view.replica.config().heartbeat && rests {
                true => Err((Invariant::I7, format!("no heartbeat for {silence:?}"))),
                false if rests && end.side == Side::Server => {
                    let may_wait = standing.sync.healing || standing.sync.poisoned;
                    self.links.lags(end, view, may_wait)
                }
                false => Ok(()),
            }
        });
        self.verdict(view, found)
    }

    /// A replica asks for this at the end of a step.
    pub(crate) fn asked(&mut self, view: &View<'_>, outputs: &[Output<ErasedMachine>]) -> Verdict {
        let found = outputs.iter().try_for_each(|output| match output {
            Output::Report(report) => self.reported(view, report),
            Output::Note(note) => self.noted(view, note),
            Output::Run(Job::Digest { version, .. }) => self.digests(view, *version),
            _ => Ok(()),
        });
        let found = found.and_then(|()| self.lost(view, outputs));
        self.verdict(view, found)
    }

    fn digests(&mut self, view: &View<'_>, version: Version) -> Result<(), Broken> {
        let followed = self.links.any_at(view.slot);
        let Some(standing) = self.standing(view.slot) else { return Ok(()) };
        if !view.replica.is_sequencer() {
            return Ok(());
        }
        standing.marks.ordered(view, followed);
        standing.marks.digests(version.seq)
    }

    /// Returns the number of times that the state of a replica was replaced.
    pub(crate) fn replaced(&self, slot: usize) -> u64 {
        let standing = self.standings.get(slot).and_then(Option::as_ref);
        standing.map_or(0, |standing| standing.seen.replaced)
    }

    /// The digest of a state is ready, or a snapshot is cut.
    pub(crate) fn done(&mut self, view: &View<'_>, digest: bool, cost: Duration, replaced: u64) {
        let budget = view.replica.config().verify_budget;
        let Some(standing) = self.standing(view.slot) else { return };
        if digest {
            standing.marks.digested(cost, budget, view.now);
        } else {
            standing.seen.cut(replaced, standing.sync.healing);
        }
    }

    fn reported(&mut self, view: &View<'_>, report: &Report) -> Result<(), Broken> {
        let Some(Some(standing)) = self.standings.get_mut(view.slot) else { return Ok(()) };
        standing.seen.reported(report);
        let facts = self.stores.entry(standing.store.clone()).or_default();
        let broken = |invariant| Err((invariant, format!("reports: {report}")));
        match report {
            Report::Poisoned(_) => {
                standing.sync.poisoned = true;
                Ok(())
            }
            Report::Diverged(_) | Report::FailedHere { .. } if !facts.mishap => {
                broken(Invariant::I2)
            }
            Report::NonDeterministic(_) if !facts.never_deterministic => broken(Invariant::I2),
            Report::Unproved(_) | Report::Unrestorable { .. } => broken(Invariant::I4),
            Report::Refuses(refusal) if refusal.kind != RefusalKind::Loop || !facts.moved() => {
                broken(Invariant::I7)
            }
            _ => Ok(()),
        }
    }

    fn noted(&mut self, view: &View<'_>, note: &Note) -> Result<(), Broken> {
        let Some(Some(standing)) = self.standings.get_mut(view.slot) else { return Ok(()) };
        let below = note.link().is_some_and(|link| EndId::of(link).side == Side::Server);
        standing.seen.noted(note, below);
        if let Note::Healing(version) = note {
            standing.sync.healing = true;
            if !self.stores.get(&standing.store).is_some_and(|facts| facts.mishap) {
                return Err((
                    Invariant::I2,
                    format!("heals at {version:?}, and nothing went wrong"),
                ));
            }
        }
        Ok(())
    }

    /// A history that is lost is reported, and nothing else is; nothing that a durable sequencer
    /// ordered is ever rolled back.
    fn lost(&mut self, view: &View<'_>, outputs: &[Output<ErasedMachine>]) -> Result<(), Broken> {
        let Some(Some(standing)) = self.standings.get_mut(view.slot) else { return Ok(()) };
        let (from, to) = (standing.replaced.take(), view.replica.version());
        let from = from.filter(|from| *from != Version::default());
        let gone = from.filter(|from| !view.replica.lineage().contains(*from));
        let lost = gone.filter(|_| !standing.rebasing);
        standing.rebasing &= from.is_none() && !standing.sync.adopted(view);
        let told = outputs.iter().any(|output| {
            matches!(output, Output::Report(Report::HistoryLost { from: told, .. })
                if lost == Some(*told))
        });
        let any = outputs
            .iter()
            .any(|output| matches!(output, Output::Report(Report::HistoryLost { .. })));
        if told != lost.is_some() || any != told {
            return Err((Invariant::I3, format!("lost {lost:?} at {to:?}, reported: {any}")));
        }
        let facts = self.stores.get(&standing.store);
        match lost.filter(|_| facts.is_some_and(|facts| facts.durable && !facts.moved())) {
            Some(from) => {
                Err((Invariant::I3, format!("rolled back from {from:?} to {to:?}: it is durable")))
            }
            None => Ok(()),
        }
    }

    /// A step is over.
    pub(crate) fn stepped(&mut self, view: &View<'_>) -> Verdict {
        let followed = self.links.any_at(view.slot);
        let Some(standing) = self.standing(view.slot) else { return Ok(()) };
        if view.replica.is_sequencer() {
            standing.marks.ordered(view, followed);
        }
        let found = standing.marks.stepped().and_then(|()| standing.sync.stepped(view));
        self.verdict(view, found)
    }

    /// A replica was told the time.
    pub(crate) fn ticked(&mut self, view: &View<'_>) -> Verdict {
        let Some(Some(standing)) = self.standings.get(view.slot) else { return Ok(()) };
        let config = view.replica.config();
        let overdue = config
            .dispatch_deadline
            .and_then(|deadline| self.origins.overdue(standing.origin, view.now, deadline));
        let found = match overdue {
            Some(id) => Err((Invariant::I4, format!("{id:x} is past its deadline, and open"))),
            None => counts::held(view, self.entry_bytes_max),
        };
        let found = found.and_then(|()| standing.seen.counted(view));
        self.verdict(view, found)
    }

    /// A replica took a dispatch, or did not, when it was in sync, or not.
    pub(crate) fn answered(
        &mut self,
        view: &View<'_>,
        connected: bool,
        refused: Option<&Refused>,
    ) -> Verdict {
        let Some(Some(standing)) = self.standings.get(view.slot) else { return Ok(()) };
        let config = view.replica.config();
        let (open, bytes) = self.origins.open_count(standing.origin);
        let taken = self.origins.taken(standing.origin);
        let window = if view.replica.is_sequencer() { config.window * 2 } else { config.window };
        let right = match refused {
            Some(Refused::NotConnected) => !connected,
            Some(Refused::Busy(under_way)) => {
                let voids = config.dispatch_deadline.is_some();
                let full = *under_way >= config.window || bytes >= config.window_bytes;
                connected && full && (voids || *under_way < taken)
            }
            Some(_) => true,
            None => connected && open <= window,
        };
        let found = match right {
            true => Ok(()),
            false => {
                let word = if connected { "in sync" } else { "not in sync" };
                let detail = format!("{refused:?} while {word}, {open} open of {bytes} bytes");
                Err((Invariant::I4, detail))
            }
        };
        self.verdict(view, found)
    }

    /// A sequencer has become a client: nothing is under way any more.
    pub(crate) fn abandoned(&self, view: &View<'_>) -> Verdict {
        let Some(Some(standing)) = self.standings.get(view.slot) else { return Ok(()) };
        let open = self.origins.open_outside(standing.origin, None);
        let found = match open {
            Some(id) => Err((Invariant::I4, format!("{id:x} is under way in a tree that it left"))),
            None => Ok(()),
        };
        self.verdict(view, found)
    }

    /// A replica cuts a connection. `garbled`: bits were flipped there; `silence`: since when
    /// nothing was heard over it.
    pub(crate) fn faulted(
        &self,
        view: &View<'_>,
        fault: &LinkFault,
        garbled: bool,
        silence: Duration,
    ) -> Verdict {
        let Some(Some(standing)) = self.standings.get(view.slot) else { return Ok(()) };
        let moved = self.stores.get(&standing.store).is_some_and(Facts::moved);
        let right = match fault {
            LinkFault::Wire(_) | LinkFault::SnapshotChecksum => garbled,
            // Clocks drift.
            LinkFault::Silent(_) | LinkFault::Unanswered(_) => {
                silence >= view.replica.config().dead_after * 9 / 10
            }
            LinkFault::Loop(_) => moved,
            LinkFault::Refused(refusal) => refusal.kind == RefusalKind::Loop && moved,
            _ => false,
        };
        let found = if right {
            Ok(())
        } else {
            Err((Invariant::I7, format!("cuts a link after {silence:?}: {fault}")))
        };
        self.verdict(view, found)
    }
}

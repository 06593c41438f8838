//! Observations of each replica, in the order in which they happened.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use samestate_proto::replication::{Change, Resolution};
use samestate_proto::wire::ENTRY_HEADER_BYTES;
use samestate_proto::{Epoch, Version};

use super::canon::{Broken, Canon, with};
use super::causes::{Facts, Unknown};
use super::commit::View;
use super::counts;
use super::links::Links;
use super::marks::Marks;
use super::origins::{Fate, Origins, Tally};
use super::subscribers::Subscriber;
use super::sync::Sync;
use super::tap::{Seen, Told};
use crate::invariants::{Invariant, Violation};
use crate::virtual_time::machine::{Action, Kind, Still};

/// The status of one replica.
#[derive(Debug)]
pub(super) struct Standing {
    pub(super) name: String,
    pub(super) store: String,
    /// The beginning of the ids of its actions.
    pub(super) origin: u64,
    at: Version,
    /// All actions that led there, as one number.
    ids: u64,
    /// Its state may be wrong, for a reason that the simulation knows.
    excused: bool,
    subscriber: Subscriber,
    pub(super) sync: Sync,
    pub(super) marks: Marks,
    pub(super) seen: counts::Seen,
    /// The time at which it left the root of its tree.
    pub(super) rebased: Option<Duration>,
    /// It has left the root, and nothing of its new tree yet.
    pub(super) rebasing: bool,
    /// Its state was replaced in this step, and was at this version before.
    pub(super) replaced: Option<Version>,
}

/// The checker of a simulation: the first violation ends it.
#[derive(Debug, Default)]
pub(crate) struct Checker {
    canon: Canon,
    pub(super) origins: Origins,
    pub(super) standings: Vec<Option<Standing>>,
    /// The facts about each store.
    pub(super) stores: BTreeMap<String, Facts>,
    pub(super) links: Links,
    /// The longest entry that was seen, in bytes.
    pub(super) entry_bytes_max: usize,
}

/// The result of a check: nothing, or the violation.
pub(crate) type Verdict = Result<(), Box<Violation>>;

impl Checker {
    /// An epoch of a sequencer begins with an empty history.
    pub(crate) fn founded(&mut self, epoch: Epoch, kind: Kind) {
        self.canon.founded(epoch, kind);
    }

    /// Continues an epoch of a sequencer from `at`, with this state.
    pub(crate) fn continued(
        &mut self,
        slot: usize,
        epoch: Epoch,
        at: Version,
        state: &Still,
    ) -> Verdict {
        let found = self.canon.continued(epoch, at, state);
        found.map_err(|broken| self.violation(slot, broken))
    }

    /// A replica begins an epoch. `origin`: what the ids of its actions begin with.
    pub(crate) fn started(&mut self, view: &View<'_>, name: &str, origin: u64) {
        let slot = view.slot;
        if self.standings.len() <= slot {
            self.standings.resize_with(slot + 1, || None);
        }
        let at = view.replica.version();
        let ids = self.canon.record(at).map_or(0, |record| record.ids);
        self.standings[slot] = Some(Standing {
            name: name.to_owned(),
            store: view.replica.config().store.clone(),
            origin,
            at,
            ids,
            excused: false,
            subscriber: Subscriber::new(at),
            sync: Sync::default(),
            marks: Marks::new(at.seq),
            seen: counts::Seen::default(),
            rebased: None,
            rebasing: false,
            replaced: None,
        });
    }

    /// A replica ends. `origin`: what the ids of its actions begin with.
    pub(crate) fn died(&mut self, slot: usize, origin: u64) {
        self.standings[slot] = None;
        self.origins.died(origin);
    }

    /// The state of a replica may be wrong from here on.
    pub(crate) fn excuse(&mut self, slot: usize) {
        if let Some(standing) = &mut self.standings[slot] {
            standing.excused = true;
        }
    }

    /// A sequencer becomes the client of another.
    pub(crate) fn rebased(&mut self, slot: usize, now: Duration) {
        if let Some(standing) = &mut self.standings[slot] {
            standing.subscriber.replica_rebased();
            (standing.rebased, standing.rebasing) = (Some(now), true);
            standing.sync.attachments += 1;
        }
    }

    /// Something happened to the state of a replica.
    pub(crate) fn seen(&mut self, slot: usize, told: &Told, sequencer: bool) -> Verdict {
        let mut start = 0;
        for seen in &told.seen {
            let found = match *seen {
                Seen::Applied { first, last, history, count } => {
                    let batch = Batch { first, last, count, start };
                    start += count;
                    self.applied(slot, &batch, told, sequencer)
                        .and_then(|()| self.canon.history_at(last, history))
                }
                Seen::Jumped { from, to, history } => self.jumped(slot, from, to, history),
            };
            found.map_err(|broken| self.violation(slot, broken))?;
        }
        Ok(())
    }

    fn jumped(
        &mut self,
        slot: usize,
        from: Version,
        to: Version,
        history: u64,
    ) -> Result<(), Broken> {
        let Some(Some(standing)) = self.standings.get_mut(slot) else { return Ok(()) };
        standing.subscriber.replica_jumped(from, to, &self.canon);
        if from != standing.at {
            let at = standing.at;
            return Err((Invariant::I1, format!("a jump from {from:?} to {to:?} at {at:?}")));
        }
        (standing.at, standing.ids) = (to, self.canon.record(to)?.ids);
        (standing.replaced, standing.sync.healing) = (Some(from), false);
        standing.seen.replaced += 1;
        self.canon.history_at(to, history)
    }

    fn applied(
        &mut self,
        slot: usize,
        batch: &Batch,
        told: &Told,
        sequencer: bool,
    ) -> Result<(), Broken> {
        let Some(Some(standing)) = self.standings.get_mut(slot) else { return Ok(()) };
        let (before, last) = (standing.at, batch.last);
        standing.seen.applied += batch.count as u64;
        let broken = |detail: String| Err((Invariant::I1, detail));
        let due = (last.seq + 1).saturating_sub(batch.first);
        if batch.first != before.seq + 1 || batch.count as u64 != due {
            let (first, count) = (batch.first, batch.count);
            return broken(format!("{count} actions from {first} to {last:?} after {before:?}"));
        }
        let mut at = before;
        for (seq, action) in (batch.first..).zip(told.actions(batch.start, batch.count)) {
            standing.ids = with(standing.ids, action.id);
            if sequencer {
                let version = Version { seq, ..last };
                self.origins.ordered(action.id)?;
                self.canon.ordered(at, version, action)?;
                at = version;
            }
        }
        standing.at = last;
        if self.canon.record(last)?.ids != standing.ids {
            return broken(format!("other actions lead from {before:?} to {last:?} here"));
        }
        if !self.canon.leads_to(before, last) {
            return broken(format!("{last:?} does not follow from {before:?}"));
        }
        Ok(())
    }

    /// A replica has done a step, and says that it is here, with a state of this digest.
    pub(crate) fn stands(
        &self,
        slot: usize,
        version: Version,
        digest: impl FnOnce() -> u64,
    ) -> Verdict {
        match self.stands_at(slot, version)? {
            Some(standing) if !standing.excused && self.canon.knows_digest(version) => {
                let found = self.canon.digest_at(version, digest());
                found.map_err(|broken| self.violation(slot, broken))
            }
            _ => Ok(()),
        }
    }

    fn stands_at(
        &self,
        slot: usize,
        version: Version,
    ) -> Result<Option<&Standing>, Box<Violation>> {
        let Some(Some(standing)) = self.standings.get(slot) else { return Ok(None) };
        if standing.at != version {
            let detail = format!("at {version:?}, and was seen to go to {:?}", standing.at);
            return Err(self.violation(slot, (Invariant::I1, detail)));
        }
        Ok(Some(standing))
    }

    /// A replica has done a step in which nothing was seen to happen to its state.
    pub(crate) fn stays(&self, slot: usize, version: Version) -> Verdict {
        self.stands_at(slot, version).map(|_| ())
    }

    /// Records that an action is handed over.
    pub(crate) fn dispatched(&mut self, id: u64, bytes: usize, now: Duration, clock: Duration) {
        self.origins.dispatched(id, bytes, now, clock);
        self.entry_bytes_max = self.entry_bytes_max.max(ENTRY_HEADER_BYTES + bytes);
    }

    /// Records that an action was refused.
    pub(crate) fn refused(&mut self, id: u64) {
        self.origins.refused(id);
    }

    /// Checks the result of a dispatch against the present status of its replica.
    pub(crate) fn resolved(&mut self, view: &View<'_>, id: u64, to: &Resolution) -> Verdict {
        let found = match to {
            Resolution::OutcomeUnknown => self.unknown(view, id),
            Resolution::Ok(version) if version.seq > view.committed() => {
                let detail = format!("{id:x} is ok as {version:?}, not committed");
                Err((Invariant::I3, detail))
            }
            Resolution::Ok(_) | Resolution::Rejected(_) => Ok(()),
        };
        let local = view.replica.version();
        let found = found.and_then(|()| self.origins.resolved(id, to, local, &self.canon));
        found.map_err(|broken| self.violation(view.slot, broken))
    }

    /// An outcome is unknown: the simulation knows why.
    fn unknown(&self, view: &View<'_>, id: u64) -> Result<(), Broken> {
        let Some(Some(standing)) = self.standings.get(view.slot) else { return Ok(()) };
        let Some(one) = self.origins.dispatch(id) else { return Ok(()) };
        let deadline = view.replica.config().dispatch_deadline;
        let late = deadline.is_some_and(|deadline| view.now >= one.clock + deadline);
        let (at, session, rebased) = (one.at, one.session, standing.rebased);
        let window = view.replica.config().window;
        let unknown = Unknown { at, session, late, rebased, window };
        let cause = self.stores.get(&standing.store).and_then(|facts| facts.cause(&unknown));
        match cause {
            Some(_) => Ok(()),
            None => {
                Err((Invariant::I4, format!("the outcome of {id:x} is unknown without a cause")))
            }
        }
    }

    /// The subscriber of a replica takes what it is told, which may be nothing.
    pub(crate) fn told(
        &mut self,
        slot: usize,
        changes: impl IntoIterator<Item = Change<Action>>,
        on_disk: Option<u64>,
        events_max: usize,
    ) -> Verdict {
        let Some(Some(standing)) = self.standings.get_mut(slot) else { return Ok(()) };
        let told = changes
            .into_iter()
            .try_for_each(|change| standing.subscriber.told(&change, &self.canon))
            .and_then(|()| standing.subscriber.caught_up(standing.at, on_disk, events_max));
        told.map_err(|broken| self.violation(slot, broken))
    }

    /// Returns the fate of a dispatch.
    pub(crate) fn fate(&self, id: u64) -> Option<Fate> {
        self.origins.fate(id)
    }

    /// A dispatch that has no answer yet.
    pub(crate) fn open(&self) -> Option<u64> {
        self.origins.open()
    }

    /// A tree of a store has settled: all of its replicas are at this version, with these digests.
    pub(crate) fn settled(
        &self,
        version: Version,
        digests: impl IntoIterator<Item = (usize, u64)>,
    ) -> Verdict {
        for (slot, digest) in digests {
            let found = self.canon.digest_at(version, digest);
            found.map_err(|broken| self.violation(slot, broken))?;
        }
        Ok(())
    }

    /// All trees have settled, each at its version: what the dispatches came to.
    /// `promised`: the slots that nothing accepted may be lost of.
    pub(crate) fn tally(
        &self,
        versions: &[Version],
        promised: &BTreeSet<usize>,
    ) -> Result<Tally, Box<Violation>> {
        let tally = self.origins.settled(versions, &self.canon, promised);
        tally.map_err(|broken| self.violation(usize::MAX, broken))
    }

    pub(super) fn violation(&self, slot: usize, (invariant, detail): Broken) -> Box<Violation> {
        let standing = self.standings.get(slot).and_then(Option::as_ref);
        let at = standing.map_or("the store", |standing| &standing.name);
        Box::new(Violation { invariant, at: at.to_owned(), detail })
    }
}

/// Actions applied at one go.
struct Batch {
    first: u64,
    last: Version,
    count: usize,
    /// The index of the first action among all that were told.
    start: usize,
}

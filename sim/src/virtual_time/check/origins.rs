//! Fates of dispatches.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use samestate_proto::Version;
use samestate_proto::replication::Resolution;

use super::canon::{Broken, Canon, origin_of};
use crate::invariants::Invariant;

/// A deadline is longer by the time that the bytes take over a line that carries this many a
/// second.
const SLOW_LINE_BYTES: f64 = 65_536.0;

/// The fate of a dispatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Nothing yet.
    Open,
    /// Ordered, and applied at its origin.
    Ok(Version),
    /// Refused by the reducer.
    Rejected,
    /// `OutcomeUnknown`.
    Unknown,
    /// Refused by its own node.
    Refused,
    /// Its node was killed before it had an answer.
    Died,
}

/// The numbers of dispatches by fate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Ordered, and applied at their origin.
    pub ok: u64,
    /// Refused by the reducer.
    pub rejected: u64,
    /// `OutcomeUnknown`.
    pub unknown: u64,
    /// Refused by their own node: `NotConnected`, `Busy`.
    pub refused: u64,
    /// Their node was killed.
    pub died: u64,
    /// `Ok`, and lost with a sequencer later.
    pub rolled_back: u64,
}

impl Tally {
    /// Adds what other dispatches came to.
    pub fn add(&mut self, other: &Tally) {
        self.ok += other.ok;
        self.rejected += other.rejected;
        self.unknown += other.unknown;
        self.refused += other.refused;
        self.died += other.died;
        self.rolled_back += other.rolled_back;
    }
}

/// One dispatch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dispatch {
    pub(super) fate: Fate,
    /// The time at which the dispatch was made.
    pub(super) at: Duration,
    /// The same time by the clock of its host.
    pub(super) clock: Duration,
    /// The session in which it left its node last.
    pub(super) session: Option<u64>,
    /// The length of its action, in bytes.
    bytes: usize,
}

/// The dispatches of one origin, which numbers them from 1.
#[derive(Debug, Default)]
struct Made {
    dispatches: Vec<Dispatch>,
    /// All before this one are resolved.
    resolved: usize,
}

impl Made {
    /// The dispatches that may be open, with their numbers.
    fn tail(&self) -> impl Iterator<Item = (usize, &Dispatch)> {
        self.dispatches.iter().enumerate().skip(self.resolved)
    }

    fn resolve(&mut self) {
        let open = self.tail().find(|(_, one)| one.fate == Fate::Open).map(|(number, _)| number);
        self.resolved = open.unwrap_or(self.dispatches.len());
    }
}

/// All dispatches, by the id of their action.
#[derive(Debug, Default)]
pub(super) struct Origins {
    made: BTreeMap<u64, Made>,
    open: u64,
}

/// The id of the dispatch with this number, counted from 0.
fn id_of(origin: u64, number: usize) -> u64 {
    origin << 32 | (number as u64 + 1)
}

/// The dispatch of this id, as its origin numbers them from 0.
pub(super) fn number_of(id: u64) -> usize {
    (id as u32).saturating_sub(1) as usize
}

/// The slot of an origin, whose number is the slot's and its incarnation's: see `world::slot`.
fn slot_of(origin: u64) -> usize {
    ((origin >> 16) as usize).saturating_sub(1)
}

impl Origins {
    pub(super) fn dispatched(&mut self, id: u64, bytes: usize, at: Duration, clock: Duration) {
        let made = self.made.entry(origin_of(id)).or_default();
        made.dispatches.push(Dispatch { fate: Fate::Open, at, clock, session: None, bytes });
        self.open += 1;
    }

    pub(super) fn refused(&mut self, id: u64) {
        self.resolve(id, Fate::Refused);
    }

    /// It leaves its node, in this session.
    pub(super) fn sent(&mut self, id: u64, session: u64) {
        if let Some(found) = self.dispatch_mut(id) {
            found.session = Some(session);
        }
    }

    /// The process that made these was killed.
    pub(super) fn died(&mut self, origin: u64) {
        let made = self.made.entry(origin).or_default();
        for one in made.dispatches.iter_mut().filter(|one| one.fate == Fate::Open) {
            one.fate = Fate::Died;
            self.open -= 1;
        }
        made.resolve();
    }

    fn resolve(&mut self, id: u64, fate: Fate) {
        let Some(made) = self.made.get_mut(&origin_of(id)) else { return };
        if let Some(one) = made.dispatches.get_mut(number_of(id)) {
            one.fate = fate;
            self.open -= 1;
        }
        made.resolve();
    }

    fn dispatch_mut(&mut self, id: u64) -> Option<&mut Dispatch> {
        self.made.get_mut(&origin_of(id))?.dispatches.get_mut(number_of(id))
    }

    /// A dispatch.
    pub(super) fn dispatch(&self, id: u64) -> Option<&Dispatch> {
        self.made.get(&origin_of(id))?.dispatches.get(number_of(id))
    }

    fn open_of(&self, origin: u64) -> impl Iterator<Item = (usize, &Dispatch)> {
        let tail = self.made.get(&origin).into_iter().flat_map(Made::tail);
        tail.filter(|(_, one)| one.fate == Fate::Open)
    }

    /// A dispatch of an origin that has no answer, and none of these numbers.
    pub(super) fn open_outside(&self, origin: u64, range: Option<(usize, usize)>) -> Option<u64> {
        let outside =
            |number: usize| range.is_none_or(|(first, last)| !(first..=last).contains(&number));
        let found = self.open_of(origin).find(|(number, _)| outside(*number));
        found.map(|(number, _)| id_of(origin, number))
    }

    /// A dispatch of an origin that has no answer, though its deadline has passed: this long after
    /// it was made, and as long as its bytes take over a slow line.
    pub(super) fn overdue(&self, origin: u64, now: Duration, deadline: Duration) -> Option<u64> {
        let late = |one: &Dispatch| {
            let carrying = Duration::from_secs_f64(one.bytes as f64 / SLOW_LINE_BYTES);
            now > one.clock.saturating_add(deadline).saturating_add(carrying)
        };
        let (number, _) = self.open_of(origin).find(|(_, one)| late(one))?;
        Some(id_of(origin, number))
    }

    /// Returns the number of dispatches of an origin without an answer, and the bytes of their
    /// actions.
    pub(super) fn open_count(&self, origin: u64) -> (usize, usize) {
        let open = self.open_of(origin);
        open.fold((0, 0), |(count, bytes), (_, one)| (count + 1, bytes + one.bytes))
    }

    /// Returns the number of numbers that an origin has taken since its oldest dispatch without an
    /// answer.
    pub(super) fn taken(&self, origin: u64) -> usize {
        self.made.get(&origin).map_or(0, |made| made.dispatches.len() - made.resolved)
    }

    /// A sequencer has ordered it: it must not have been refused.
    pub(super) fn ordered(&self, id: u64) -> Result<(), Broken> {
        match self.fate(id) {
            Some(Fate::Refused) => Err((Invariant::I4, format!("{id:x} was refused, and applied"))),
            Some(Fate::Rejected) => {
                Err((Invariant::I4, format!("{id:x} was rejected, and applied later")))
            }
            Some(_) => Ok(()),
            None => Err((Invariant::I3, format!("nobody ever dispatched {id:x}"))),
        }
    }

    /// It is resolved at a node whose replica is at `local`.
    pub(super) fn resolved(
        &mut self,
        id: u64,
        resolution: &Resolution,
        local: Version,
        canon: &Canon,
    ) -> Result<(), Broken> {
        let Some(Dispatch { fate, .. }) = self.dispatch(id).copied() else {
            return Err((Invariant::I3, format!("{id:x} is resolved, and nobody dispatched it")));
        };
        if fate != Fate::Open {
            let detail = format!("{id:x} was resolved twice: {fate:?}, then {resolution:?}");
            return Err((Invariant::I3, detail));
        }
        self.resolve(
            id,
            match resolution {
                Resolution::Ok(version) => Fate::Ok(*version),
                Resolution::Rejected(_) => Fate::Rejected,
                Resolution::OutcomeUnknown => Fate::Unknown,
            },
        );
        let Resolution::Ok(version) = resolution else { return Ok(()) };
        let found = canon.record(*version).map(|record| record.id);
        if found != Ok(id) {
            let detail = format!("{id:x} is ok as {version:?}, where {found:x?} is");
            return Err((Invariant::I3, detail));
        }
        if !canon.leads_to(*version, local) {
            let detail = format!("{id:x} is ok as {version:?} at {local:?}");
            return Err((Invariant::I6, detail));
        }
        Ok(())
    }

    /// All trees have settled, each at its version: everybody has an answer, and no `Ok` was lost
    /// but with the epoch that gave it.
    /// `promised`: the slots whose stores are durable.
    pub(super) fn settled(
        &self,
        versions: &[Version],
        canon: &Canon,
        promised: &BTreeSet<usize>,
    ) -> Result<Tally, Broken> {
        let mut tally = Tally::default();
        for (origin, made) in &self.made {
            for (number, one) in made.dispatches.iter().enumerate() {
                let id = id_of(*origin, number);
                match &one.fate {
                    Fate::Open => {
                        return Err((Invariant::I7, format!("{id:x} has no answer")));
                    }
                    Fate::Ok(at) => {
                        let stays = versions.iter().any(|version| canon.leads_to(*at, *version));
                        if !stays && promised.contains(&slot_of(*origin)) {
                            let detail = format!("{id:x} is ok as {at:?}, and lost: it is durable");
                            return Err((Invariant::I3, detail));
                        }
                        tally.ok += 1;
                        tally.rolled_back += u64::from(!stays);
                    }
                    Fate::Rejected => tally.rejected += 1,
                    Fate::Unknown => tally.unknown += 1,
                    Fate::Refused => tally.refused += 1,
                    Fate::Died => tally.died += 1,
                }
            }
        }
        // An epoch that was lost since may have applied what was rejected later: only the histories
        // that go on count.
        for id in versions.iter().flat_map(|version| canon.ids_to(*version)) {
            if matches!(self.fate(id), Some(Fate::Rejected | Fate::Refused)) {
                return Err((Invariant::I4, format!("{id:x} was refused, and is applied")));
            }
        }
        Ok(tally)
    }

    pub(super) fn fate(&self, id: u64) -> Option<Fate> {
        self.dispatch(id).map(|one| one.fate)
    }

    pub(super) fn open(&self) -> Option<u64> {
        if self.open == 0 {
            return None;
        }
        self.made.keys().find_map(|origin| {
            let (number, _) = self.open_of(*origin).next()?;
            Some(id_of(*origin, number))
        })
    }
}

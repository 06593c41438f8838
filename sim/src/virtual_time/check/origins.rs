//! What each dispatch came to.

use std::collections::{BTreeMap, BTreeSet};

use samestate::replication::{Resolution, Version};

use super::canon::{Broken, Canon, origin_of};
use crate::invariants::Invariant;

/// What a dispatch came to.
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

/// How many dispatches came to what.
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

/// All dispatches, by the id of their action.
#[derive(Debug, Default)]
pub(super) struct Origins {
    /// By the origin; an origin numbers its dispatches from 1.
    fates: BTreeMap<u64, Vec<Fate>>,
    open: u64,
}

/// The dispatch of this id, as its origin numbers them from 0.
fn number_of(id: u64) -> usize {
    (id as u32).saturating_sub(1) as usize
}

/// The seat of an origin, whose number is the seat's and its life's: see `world::seat`.
fn seat_of(origin: u64) -> usize {
    ((origin >> 16) as usize).saturating_sub(1)
}

impl Origins {
    pub(super) fn dispatched(&mut self, id: u64) {
        self.fates.entry(origin_of(id)).or_default().push(Fate::Open);
        self.open += 1;
    }

    pub(super) fn refused(&mut self, id: u64) {
        if let Some(fate) = self.fate_mut(id) {
            *fate = Fate::Refused;
            self.open -= 1;
        }
    }

    /// The process that made these was killed.
    pub(super) fn died(&mut self, origin: u64) {
        for fate in self.fates.entry(origin).or_default() {
            if *fate == Fate::Open {
                *fate = Fate::Died;
                self.open -= 1;
            }
        }
    }

    fn fate_mut(&mut self, id: u64) -> Option<&mut Fate> {
        self.fates.get_mut(&origin_of(id))?.get_mut(number_of(id))
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
        let Some(fate) = self.fate_mut(id) else {
            return Err((Invariant::I3, format!("{id:x} is resolved, and nobody dispatched it")));
        };
        if *fate != Fate::Open {
            let detail = format!("{id:x} was resolved twice: {fate:?}, then {resolution:?}");
            return Err((Invariant::I3, detail));
        }
        *fate = match resolution {
            Resolution::Ok(version) => Fate::Ok(*version),
            Resolution::Rejected(_) => Fate::Rejected,
            Resolution::OutcomeUnknown => Fate::Unknown,
        };
        self.open -= 1;
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
    /// but with the life that gave it.
    /// `promised`: the seats whose stores are durable.
    pub(super) fn settled(
        &self,
        versions: &[Version],
        canon: &Canon,
        promised: &BTreeSet<usize>,
    ) -> Result<Tally, Broken> {
        let mut tally = Tally::default();
        for (origin, fates) in &self.fates {
            for (number, fate) in fates.iter().enumerate() {
                match fate {
                    Fate::Open => {
                        let id = origin << 32 | (number as u64 + 1);
                        return Err((Invariant::I7, format!("{id:x} has no answer")));
                    }
                    Fate::Ok(at) => {
                        let stays = versions.iter().any(|version| canon.leads_to(*at, *version));
                        if !stays && promised.contains(&seat_of(*origin)) {
                            let id = origin << 32 | (number as u64 + 1);
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
        // A life that was lost since may have applied what was rejected later: only the histories
        // that go on count.
        for id in versions.iter().flat_map(|version| canon.ids_to(*version)) {
            if matches!(self.fate(id), Some(Fate::Rejected | Fate::Refused)) {
                return Err((Invariant::I4, format!("{id:x} was refused, and is applied")));
            }
        }
        Ok(tally)
    }

    pub(super) fn fate(&self, id: u64) -> Option<Fate> {
        self.fates.get(&origin_of(id))?.get(number_of(id)).copied()
    }

    pub(super) fn open(&self) -> Option<u64> {
        if self.open == 0 {
            return None;
        }
        self.fates.iter().find_map(|(origin, fates)| {
            let number = fates.iter().position(|fate| *fate == Fate::Open)?;
            Some(origin << 32 | (number as u64 + 1))
        })
    }
}

//! What each dispatch came to.

use std::collections::BTreeMap;

use samestate::replication::{Resolution, Version};

use super::canon::{Broken, Canon};
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

/// All dispatches, by the id of their action.
#[derive(Debug, Default)]
pub(super) struct Origins {
    fates: BTreeMap<u64, Fate>,
}

impl Origins {
    pub(super) fn dispatched(&mut self, id: u64) {
        self.fates.insert(id, Fate::Open);
    }

    pub(super) fn refused(&mut self, id: u64) {
        self.fates.insert(id, Fate::Refused);
    }

    /// The node that made these was killed.
    pub(super) fn died(&mut self, origin: u64) {
        for fate in self.fates.range_mut(origin << 32..(origin + 1) << 32).map(|entry| entry.1) {
            if *fate == Fate::Open {
                *fate = Fate::Died;
            }
        }
    }

    /// A sequencer has ordered it: it must not have been refused.
    pub(super) fn ordered(&self, id: u64) -> Result<(), Broken> {
        match self.fates.get(&id) {
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
        let Some(fate) = self.fates.get_mut(&id) else {
            return Err((Invariant::I3, format!("{id:x} is resolved, and nobody dispatched it")));
        };
        if *fate != Fate::Open {
            let detail = format!("{id:x} was resolved twice: {fate:?}, then {resolution:?}");
            return Err((Invariant::I3, detail));
        }
        match resolution {
            Resolution::Ok(version) => {
                *fate = Fate::Ok(*version);
                let found = canon.record(*version).map(|record| record.id);
                if found != Ok(Some(id)) {
                    let detail = format!("{id:x} is ok as {version:?}, where {found:x?} is");
                    return Err((Invariant::I3, detail));
                }
                if !canon.leads_to(*version, local) {
                    let detail = format!("{id:x} is ok as {version:?} at {local:?}");
                    return Err((Invariant::I6, detail));
                }
            }
            Resolution::Rejected(_) => *fate = Fate::Rejected,
            Resolution::OutcomeUnknown => *fate = Fate::Unknown,
        }
        Ok(())
    }

    /// All has settled at `version`: everybody has an answer, and no `Ok` was lost but with the
    /// life that gave it.
    pub(super) fn settled(&self, version: Version, canon: &Canon) -> Result<Tally, Broken> {
        let mut tally = Tally::default();
        let ids = canon.ids_to(version);
        for (id, fate) in &self.fates {
            match fate {
                Fate::Open => return Err((Invariant::I7, format!("{id:x} has no answer"))),
                Fate::Ok(at) if canon.leads_to(*at, version) => {
                    tally.ok += 1;
                    if !ids.contains(id) {
                        return Err((
                            Invariant::I3,
                            format!("{id:x} was ok as {at:?}, and is lost"),
                        ));
                    }
                }
                Fate::Ok(_) => {
                    (tally.ok, tally.rolled_back) = (tally.ok + 1, tally.rolled_back + 1)
                }
                // A life that was lost since may have applied it: only the history that goes on
                // counts.
                Fate::Rejected if ids.contains(id) => {
                    return Err((Invariant::I4, format!("{id:x} was rejected, and is applied")));
                }
                Fate::Rejected => tally.rejected += 1,
                Fate::Unknown => tally.unknown += 1,
                Fate::Refused => tally.refused += 1,
                Fate::Died => tally.died += 1,
            }
        }
        Ok(tally)
    }

    pub(super) fn fate(&self, id: u64) -> Option<Fate> {
        self.fates.get(&id).copied()
    }

    pub(super) fn open(&self) -> Option<u64> {
        self.fates.iter().find(|entry| *entry.1 == Fate::Open).map(|entry| *entry.0)
    }
}

//! The tree of all that was ever ordered: each life of a sequencer is a branch.

use std::collections::{BTreeMap, BTreeSet};

use samestate::replication::{Epoch, Version};

use crate::invariants::Invariant;
use crate::virtual_time::machine::{Action, State};

/// A place in the tree, as versions name it.
pub(super) type Place = (Epoch, u64);

/// What did not hold, in words.
pub(super) type Broken = (Invariant, String);

/// What is known of one version.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) parent: Option<Place>,
    /// The action that led here.
    pub(super) id: Option<u64>,
    /// The state, by the reducer alone.
    pub(super) state: State,
    digest: u64,
    /// The rolling hash of the first replica that said one.
    history: Option<u64>,
}

/// One life of a sequencer.
#[derive(Clone, Debug, Default)]
struct Life {
    /// Where it began: on the life before.
    began: Option<Place>,
    /// All actions on the way to its end, and the newest of each origin.
    ids: BTreeSet<u64>,
    newest: BTreeMap<u64, u64>,
}

/// All lives.
#[derive(Debug, Default)]
pub(super) struct Canon {
    records: BTreeMap<Place, Record>,
    lives: BTreeMap<Epoch, Life>,
}

/// The place that a version names.
pub(super) fn place(version: Version) -> Place {
    (version.epoch, version.seq)
}

impl Canon {
    /// A life begins with an empty history.
    pub(super) fn founded(&mut self, epoch: Epoch, state: State) {
        let digest = state.digest();
        let record = Record { parent: None, id: None, state, digest, history: None };
        self.records.insert((epoch, 0), record);
        self.lives.insert(epoch, Life::default());
    }

    /// A life goes on from `at`.
    pub(super) fn continued(&mut self, epoch: Epoch, at: Version) {
        let began = place(at);
        let mut life = Life { began: Some(began), ..Life::default() };
        let mut next = Some(began);
        while let Some(record) = next.and_then(|place| self.records.get(&place)) {
            if let Some(id) = record.id {
                life.ids.insert(id);
                life.newest.entry(origin_of(id)).or_insert(id);
            }
            next = record.parent;
        }
        self.lives.insert(epoch, life);
    }

    /// A sequencer at `before` has ordered `action` as `version`.
    pub(super) fn ordered(
        &mut self,
        before: Version,
        version: Version,
        action: &Action,
    ) -> Result<(), Broken> {
        let Some(life) = self.lives.get_mut(&version.epoch) else {
            return Err((Invariant::I1, format!("{version:?} is of a life that never began")));
        };
        let id = action.id;
        if !life.ids.insert(id) {
            return Err((Invariant::I3, format!("action {id:x} applied again, as {version:?}")));
        }
        let newest = life.newest.insert(origin_of(id), id);
        if newest.is_some_and(|newest| newest > id) {
            let detail = format!("action {id:x} came after {newest:x?}, as {version:?}");
            return Err((Invariant::I5, detail));
        }
        let parent = place(before);
        let Some(mut state) = self.records.get(&parent).map(|record| record.state.clone()) else {
            return Err((Invariant::I1, format!("{version:?} follows an unknown {before:?}")));
        };
        if let Err(fault) = state.reduce(action) {
            let detail = format!("action {id:x} is {version:?}, and the reducer says: {fault}");
            return Err((Invariant::I4, detail));
        }
        let digest = state.digest();
        let record = Record { parent: Some(parent), id: Some(id), state, digest, history: None };
        if self.records.insert(place(version), record).is_some() {
            return Err((Invariant::I1, format!("{version:?} was ordered twice")));
        }
        Ok(())
    }

    /// What is known of a version.
    pub(super) fn record(&self, version: Version) -> Result<&Record, Broken> {
        self.records
            .get(&place(version))
            .ok_or_else(|| (Invariant::I1, format!("nobody ever ordered {version:?}")))
    }

    /// A replica at `version` has this rolling hash.
    pub(super) fn history_at(&mut self, version: Version, history: u64) -> Result<(), Broken> {
        self.record(version)?;
        let Some(record) = self.records.get_mut(&place(version)) else { return Ok(()) };
        match record.history.replace(history) {
            Some(before) if before != history => {
                Err((Invariant::I1, format!("another history leads to {version:?} elsewhere")))
            }
            _ => Ok(()),
        }
    }

    /// A replica at `version` has this digest.
    pub(super) fn digest_at(&self, version: Version, digest: u64) -> Result<(), Broken> {
        if self.record(version)?.digest == digest {
            return Ok(());
        }
        Err((Invariant::I2, format!("not the state that the history gives for {version:?}")))
    }

    /// Whether the history up to `version` is the beginning of that up to `later`, or the same.
    pub(super) fn leads_to(&self, version: Version, later: Version) -> bool {
        let mut at = place(later);
        while at.0 != version.epoch {
            match self.lives.get(&at.0).and_then(|life| life.began) {
                Some(began) => at = began,
                None => return false,
            }
        }
        version.seq <= at.1
    }

    /// The actions of the history that leads to `version`.
    pub(super) fn ids_to(&self, version: Version) -> BTreeSet<u64> {
        let mut ids = BTreeSet::new();
        let mut next = Some(place(version));
        while let Some(record) = next.and_then(|place| self.records.get(&place)) {
            ids.extend(record.id);
            next = record.parent;
        }
        ids
    }
}

/// The origin of an action: one life of one node. Its ids rise in the order of its calls.
pub(super) fn origin_of(id: u64) -> u64 {
    id >> 32
}

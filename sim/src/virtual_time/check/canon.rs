//! The tree of all that was ever ordered: each epoch of a sequencer is a branch.
//!
//! An epoch keeps a record of a few words for each version, and one state at its end, by the
//! reducer alone. States are known by their digests: at every version of a small state, and at
//! every so many of a big one, so that checking costs about what applying does.

use std::collections::BTreeMap;

use samestate_proto::{Epoch, Version};

use super::tap::Ordered;
use crate::invariants::Invariant;
use crate::virtual_time::machine::{ErasedMachine, Kind, Mishap, Still};

/// A violated invariant, with a description.
pub(super) type Broken = (Invariant, String);

/// A digest is taken once for about so many bytes of state and action.
const BYTES_A_DIGEST: usize = 512;

/// The record of one version.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Record {
    /// The action that led here; 0 at the beginning of all.
    pub(super) id: u64,
    /// All actions that led here, in their order, as one number.
    pub(super) ids: u64,
    /// The digest of the state, by the reducer alone, where it was taken.
    digest: Option<u64>,
    /// The rolling hash of the first replica that said one.
    history: Option<u64>,
}

/// One epoch of a sequencer.
#[derive(Debug)]
struct EpochHistory {
    /// The version at which the epoch began: in the epoch before, or at an empty history.
    began: Version,
    founded: bool,
    /// The record of its beginning, if that is the beginning of all.
    empty: Record,
    /// Each version of its own, from the first after its beginning.
    records: Vec<Record>,
    /// The state at its end.
    tip: ErasedMachine,
    /// Digests are taken at the multiples of this.
    stride: u64,
    /// The newest action of each origin.
    newest: BTreeMap<u64, u64>,
}

/// All epochs.
#[derive(Debug, Default)]
pub(super) struct Canon {
    epochs: BTreeMap<Epoch, EpochHistory>,
}

/// One more action after those that `ids` stands for.
pub(super) fn with(ids: u64, id: u64) -> u64 {
    (ids.rotate_left(25) ^ id).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// The origin of an action: one epoch of one replica. Its ids rise in the order of its calls.
pub(super) fn origin_of(id: u64) -> u64 {
    id >> 32
}

impl Canon {
    /// An epoch begins with an empty history.
    pub(super) fn founded(&mut self, epoch: Epoch, kind: Kind) {
        let tip = ErasedMachine::new(kind, Mishap::default());
        let began = Version { epoch, seq: 0 };
        let digest = Some(tip.still().digest_or_zero());
        let epoch_history = EpochHistory {
            began,
            founded: true,
            empty: Record { digest, ..Record::default() },
            records: Vec::new(),
            tip,
            stride: 1,
            newest: BTreeMap::new(),
        };
        self.epochs.insert(epoch, epoch_history);
    }

    /// Continues an epoch from `at`, with this state.
    pub(super) fn continued(
        &mut self,
        epoch: Epoch,
        at: Version,
        state: &Still,
    ) -> Result<(), Broken> {
        self.digest_at(at, state.digest_or_zero())?;
        let mut newest = BTreeMap::new();
        let mut next = Some(at);
        while let Some(version) = next {
            let id = self.record(version)?.id;
            if id != 0 {
                newest.entry(origin_of(id)).or_insert(id);
            }
            next = self.parent(version);
        }
        let epoch_history = EpochHistory {
            began: at,
            founded: false,
            empty: Record::default(),
            records: Vec::new(),
            tip: ErasedMachine::from_still(state, Mishap::default()),
            stride: 1,
            newest,
        };
        self.epochs.insert(epoch, epoch_history);
        Ok(())
    }

    /// A sequencer at `before` has ordered an action as `version`.
    pub(super) fn ordered(
        &mut self,
        before: Version,
        version: Version,
        action: Ordered<'_>,
    ) -> Result<(), Broken> {
        let Some(epoch_history) = self.epochs.get(&version.epoch) else {
            return Err((Invariant::I1, format!("{version:?} is of an epoch that never began")));
        };
        let id = action.id;
        if let Some(newest) =
            epoch_history.newest.get(&origin_of(id)).filter(|newest| **newest >= id)
        {
            return Err(if self.ids_to(version).any(|other| other == id) {
                (Invariant::I3, format!("action {id:x} applied again, as {version:?}"))
            } else {
                (Invariant::I5, format!("{id:x} came after {newest:x}, as {version:?}"))
            });
        }
        let end = epoch_history.began.seq + epoch_history.records.len() as u64;
        let follows = if epoch_history.records.is_empty() {
            before == epoch_history.began || before == Version { seq: end, ..version }
        } else {
            before == Version { seq: end, ..version }
        };
        if !follows || version.seq != end + 1 {
            return Err((Invariant::I1, format!("{version:?} is ordered after {before:?}")));
        }
        let ids = with(self.record(before)?.ids, id);
        let Some(epoch_history) = self.epochs.get_mut(&version.epoch) else { return Ok(()) };
        if let Err(fault) = epoch_history.tip.reduce(action.encoded) {
            let detail = format!("action {id:x} is {version:?}, and the reducer says: {fault}");
            return Err((Invariant::I4, detail));
        }
        epoch_history.newest.insert(origin_of(id), id);
        if (epoch_history.records.len() + 1).is_power_of_two() {
            let bytes = epoch_history.tip.still().bytes().len();
            epoch_history.stride = (bytes / BYTES_A_DIGEST).next_power_of_two() as u64;
        }
        let due = version.seq.is_multiple_of(epoch_history.stride);
        let digest = due.then(|| epoch_history.tip.still().digest_or_zero());
        epoch_history.records.push(Record { id, ids, digest, history: None });
        Ok(())
    }

    fn place(&self, version: Version) -> Option<&Record> {
        let epoch_history = self.epochs.get(&version.epoch)?;
        match version.seq.checked_sub(epoch_history.began.seq + 1) {
            Some(at) => epoch_history.records.get(usize::try_from(at).ok()?),
            None => (epoch_history.founded && version.seq == 0).then_some(&epoch_history.empty),
        }
    }

    /// Returns the record of a version.
    pub(super) fn record(&self, version: Version) -> Result<&Record, Broken> {
        let unknown = || (Invariant::I1, format!("nobody ever ordered {version:?}"));
        self.place(version).ok_or_else(unknown)
    }

    /// The version before this one.
    pub(super) fn parent(&self, version: Version) -> Option<Version> {
        let epoch_history = self.epochs.get(&version.epoch)?;
        match version.seq.checked_sub(epoch_history.began.seq + 1)? {
            0 => Some(epoch_history.began),
            _ => Some(Version { seq: version.seq - 1, ..version }),
        }
    }

    /// A replica at `version` has this rolling hash.
    pub(super) fn history_at(&mut self, version: Version, history: u64) -> Result<(), Broken> {
        self.record(version)?;
        let Some(epoch_history) = self.epochs.get_mut(&version.epoch) else { return Ok(()) };
        let record = match version.seq.checked_sub(epoch_history.began.seq + 1) {
            Some(at) => epoch_history.records.get_mut(at as usize),
            None => Some(&mut epoch_history.empty),
        };
        match record.and_then(|record| record.history.replace(history)) {
            Some(before) if before != history => {
                Err((Invariant::I1, format!("another history leads to {version:?} elsewhere")))
            }
            _ => Ok(()),
        }
    }

    /// Returns whether the digest of the state at `version` is known.
    pub(super) fn knows_digest(&self, version: Version) -> bool {
        self.place(version).is_some_and(|record| record.digest.is_some())
    }

    /// A replica at `version` has this digest. Where it is not known, or not yet, all is well.
    pub(super) fn digest_at(&self, version: Version, digest: u64) -> Result<(), Broken> {
        let record = self.record(version)?;
        let epoch_history = self.epochs.get(&version.epoch);
        let is_end = epoch_history.filter(|epoch_history| {
            epoch_history.began.seq + epoch_history.records.len() as u64 == version.seq
        });
        let known = record.digest.or_else(|| Some(is_end?.tip.still().digest_or_zero()));
        match known {
            Some(known) if known != digest => {
                let detail = format!("not the state that the history gives for {version:?}");
                Err((Invariant::I2, detail))
            }
            _ => Ok(()),
        }
    }

    /// Returns whether the history up to `version` is the beginning of that up to `later`, or the
    /// same.
    pub(super) fn leads_to(&self, version: Version, later: Version) -> bool {
        let mut at = later;
        while at.epoch != version.epoch {
            match self.epochs.get(&at.epoch).filter(|epoch_history| !epoch_history.founded) {
                Some(epoch_history) => at = epoch_history.began,
                None => return false,
            }
        }
        version.seq <= at.seq
    }

    /// The actions of the history that leads to `version`, the newest first.
    pub(super) fn ids_to(&self, version: Version) -> impl Iterator<Item = u64> {
        let known = |version: &Version| self.place(*version).is_some();
        let at = Some(version).filter(known).or_else(|| self.parent(version));
        std::iter::successors(at, |at| self.parent(*at))
            .filter_map(|at| Some(self.place(at)?.id).filter(|id| *id != 0))
    }
}

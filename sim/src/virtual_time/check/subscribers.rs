//! Checks of subscriptions: every action in order, or notice of a jump (I10).

use samestate_proto::Version;
use samestate_proto::replication::{Change, Jump};

use super::canon::{Broken, Canon};
use crate::invariants::Invariant;
use crate::virtual_time::machine::Action;

/// One subscriber, from the beginning of its node's incarnation.
#[derive(Debug)]
pub(super) struct Subscriber {
    at: Version,
    /// Its replica lost history that this one may not have been told of yet.
    history_lost: bool,
    rebased: bool,
}

impl Subscriber {
    pub(super) fn new(at: Version) -> Self {
        Subscriber { at, history_lost: false, rebased: false }
    }

    /// The replica went from one version to another without what lies between.
    pub(super) fn replica_jumped(&mut self, from: Version, to: Version, canon: &Canon) {
        self.history_lost |= !related(from, to, canon) || canon.leads_to(to, from) && from != to;
    }

    /// The node became the client of another.
    pub(super) fn replica_rebased(&mut self) {
        self.rebased = true;
    }

    /// It is told of a change.
    pub(super) fn told(&mut self, change: &Change<Action>, canon: &Canon) -> Result<(), Broken> {
        let broken = |detail: String| Err((Invariant::I10, detail));
        match change {
            Change::Applied { version, action } => {
                let record = canon.record(*version)?;
                if record.id != action.id {
                    return broken(format!("told {:x} as {version:?}", action.id));
                }
                if canon.parent(*version) != Some(self.at) {
                    return broken(format!("told {version:?} after {:?}", self.at));
                }
                self.at = *version;
            }
            Change::Jumped { why, from, to } => {
                if *from != self.at {
                    return broken(format!("told a jump from {from:?} at {:?}", self.at));
                }
                let truthful = match why {
                    Jump::Jumped => related(*from, *to, canon),
                    Jump::HistoryLost => self.history_lost,
                    Jump::Rebased => std::mem::take(&mut self.rebased),
                };
                if !truthful {
                    return broken(format!("told {why:?} from {from:?} to {to:?}"));
                }
                self.at = *to;
            }
        }
        Ok(())
    }

    /// It has been told of all that happened: its replica is at `version`. `on_disk`: nothing past
    /// that was to be told, and all up to there, unless that gave way already and is to be told
    /// as one jump together with what is not on disk.
    pub(super) fn caught_up(
        &mut self,
        version: Version,
        on_disk: Option<u64>,
        events_max: usize,
    ) -> Result<(), Broken> {
        let gave_way_until = version.seq.saturating_sub(events_max.max(1) as u64);
        let right = match on_disk.filter(|seq| *seq < version.seq) {
            Some(seq) if self.at.seq < gave_way_until && seq < gave_way_until => true,
            Some(seq) => self.at.seq == seq,
            None => self.at == version,
        };
        if right {
            self.history_lost = false;
            return Ok(());
        }
        let disk = on_disk.map(|seq| format!(", {seq} on disk")).unwrap_or_default();
        Err((Invariant::I10, format!("told up to {:?}, at {version:?}{disk}", self.at)))
    }
}

/// Returns whether one of the two histories is the beginning of the other.
fn related(one: Version, other: Version, canon: &Canon) -> bool {
    one == Version::default() || canon.leads_to(one, other) || canon.leads_to(other, one)
}

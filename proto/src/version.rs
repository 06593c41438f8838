//! Versions: an epoch of the sequencer, and the number of actions so far.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::mutant::mutant;

/// The identity of a store's replica in one process, drawn at random when the store opens there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeId(pub u64);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// One term of a sequencer, from its start to its end. Two epochs are the same only if both parts
/// are: two terms that began from one backup may have the same number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, PartialOrd, Ord, Default)]
pub struct Epoch {
    /// Rises with each epoch that continues a lineage: by one, or by [`PROMOTION_SKIPS`] if another
    /// node than before begins it. Compared where one node was promoted in place of another.
    pub number: u32,
    /// Drawn at random when the epoch begins.
    pub id: u64,
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "e{}#{:08x}", self.number, self.id as u32)
    }
}

/// A position in a store's history: an epoch, and the number of actions up to there.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
pub struct Version {
    /// The epoch that ordered the last of these actions.
    pub epoch: Epoch,
    /// The number of actions that have been applied since the store was empty.
    pub seq: u64,
}

/// `e2:7`; with `{:#}` as `e2#5f3a09c4:7`, which tells epochs of the same number apart.
impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match f.alternate() {
            true => write!(f, "{:?}:{}", self.epoch, self.seq),
            false => write!(f, "e{}:{}", self.epoch.number, self.seq),
        }
    }
}

impl Version {
    /// Writes two versions so that a reader sees how they differ: with the ids of their epochs if
    /// those have the same number and are not the same.
    pub fn from_to(self, to: Version) -> impl fmt::Display {
        let look_alike = self.epoch != to.epoch && self.epoch.number == to.epoch.number;
        fmt::from_fn(move |f| match look_alike {
            true => write!(f, "from version {self:#} to {to:#}, which is of another lineage"),
            false => write!(f, "from version {self} to {to}"),
        })
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}:{}", self.epoch, self.seq)
    }
}

/// The epochs that a state descends from, oldest first, each with the seq at which it began.
///
/// An epoch that began at seq `b` ordered the actions `b + 1` and up, until the next one began.
/// Empty at a replica that has not heard from a sequencer yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Lineage {
    /// Backups hold this field by its first name.
    #[serde(rename = "lives")]
    epochs: Vec<(Epoch, u64)>,
}

/// The maximum number of epochs in a lineage. The oldest are forgotten first, and a replica that
/// stopped in one of those gets a snapshot.
pub const EPOCHS_MAX: usize = 64;

/// The numbers that the epoch of a promoted node skips: more than a sequencer is restarted before
/// it finds that another one has its place.
pub const PROMOTION_SKIPS: u32 = 1 << 16;

impl Lineage {
    /// A lineage that begins with `epoch`, at seq 0.
    pub fn founded(epoch: Epoch) -> Self {
        Lineage { epochs: vec![(epoch, 0)] }
    }

    /// From its parts, as they came over the wire: `None` unless they rise and fit.
    pub fn from_epochs(epochs: Vec<(Epoch, u64)>) -> Option<Self> {
        let rising = epochs.windows(2).all(|pair| pair[0].1 <= pair[1].1);
        (rising && epochs.len() <= EPOCHS_MAX).then_some(Lineage { epochs })
    }

    /// Returns this lineage, continued by one more epoch, which begins after `seq`.
    ///
    /// Epochs that began after `seq` are removed: their actions were lost.
    pub fn continued(&self, epoch: Epoch, seq: u64) -> Self {
        let kept = |begun: &(Epoch, u64)| begun.1 <= seq || mutant!(LostLivesKept);
        let mut epochs: Vec<_> = self.epochs.iter().copied().filter(kept).collect();
        epochs.push((epoch, seq));
        let surplus = epochs.len().saturating_sub(EPOCHS_MAX);
        epochs.drain(..surplus);
        Lineage { epochs }
    }

    /// Returns whether no epoch is known yet.
    pub fn is_empty(&self) -> bool {
        self.epochs.is_empty()
    }

    /// The epoch that orders actions now.
    pub fn head(&self) -> Option<Epoch> {
        self.epochs.last().map(|begun| begun.0)
    }

    /// The epochs, each with the seq at which it began.
    pub fn epochs(&self) -> &[(Epoch, u64)] {
        &self.epochs
    }

    /// The epoch that ordered action `seq`, for a seq above that of the oldest epoch kept.
    pub fn epoch_of(&self, seq: u64) -> Option<Epoch> {
        self.epochs
            .iter()
            .rev()
            .find(|begun| begun.1 < seq)
            .or(self.epochs.first().filter(|begun| begun.1 == seq))
            .map(|begun| begun.0)
    }

    /// Returns whether a node was promoted in place of the sequencer of this lineage, as `other`
    /// shows: the sequencer has to follow it.
    ///
    /// A promotion skips [`PROMOTION_SKIPS`] numbers, and a restart none, so `other` was promoted
    /// if its epoch is so far above the last that both have. Where both were, the higher number
    /// counts, and the id if these are the same: one of the two has to give way. A lineage that
    /// has just been founded has nothing in common with any other, since its node lost what it
    /// had. It gives way to any that was promoted.
    pub fn is_superseded_by(&self, other: &Lineage) -> bool {
        let (Some(ours), Some(theirs)) = (self.head(), other.head()) else { return false };
        let is_here = self.epochs.iter().any(|begun| begun.0 == theirs);
        let above = match self.last_in_common(other) {
            Some(common) => common.number,
            None if self.epochs.len() == 1 && ours.number == 1 => 0,
            None => return false,
        };
        let promoted = theirs.number >= above.saturating_add(PROMOTION_SKIPS);
        promoted && !is_here && (theirs.number, theirs.id) > (ours.number, ours.id)
    }

    /// Returns the last epoch that both descend from.
    pub fn last_in_common(&self, other: &Lineage) -> Option<Epoch> {
        let theirs = |epoch: &Epoch| other.epochs.iter().any(|begun| begun.0 == *epoch);
        self.epochs.iter().rev().map(|begun| begun.0).find(theirs)
    }

    /// Returns whether `version` lies on this lineage: its epoch is one of these, and had ordered
    /// that many actions before the next one began.
    pub fn contains(&self, version: Version) -> bool {
        let Some(at) = self.epochs.iter().position(|begun| begun.0 == version.epoch) else {
            return false;
        };
        let ended = self.epochs.get(at + 1).map_or(u64::MAX, |next| next.1);
        let ended = ended.saturating_add(u64::from(mutant!(LivesEndOneLate)));
        (self.epochs[at].1..=ended).contains(&version.seq)
    }
}

/// The comparison of epochs by a mutant.
#[cfg(samestate_mutants)]
impl Lineage {
    /// Like [`Lineage::contains`], by the numbers of the epochs alone.
    pub(super) fn contains_number(&self, version: Version) -> bool {
        let begun = self.epochs.iter().find(|begun| begun.0.number == version.epoch.number);
        begun.is_some_and(|begun| self.contains(Version { epoch: begun.0, ..version }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(number: u32) -> Epoch {
        Epoch { number, id: u64::from(number) * 7919 }
    }

    fn at(number: u32, seq: u64) -> Version {
        Version { epoch: epoch(number), seq }
    }

    #[test]
    fn a_version_past_the_end_of_its_life_is_not_on_the_lineage() {
        let lineage = Lineage::founded(epoch(1)).continued(epoch(2), 40);
        assert!(lineage.contains(at(1, 40)));
        assert!(!lineage.contains(at(1, 41)), "lost with the first epoch");
        assert!(lineage.contains(at(2, 41)));
        assert!(!lineage.contains(at(3, 41)));
    }

    #[test]
    fn epochs_are_compared_by_lineage_and_never_by_number() {
        let ours = Lineage::founded(epoch(1)).continued(epoch(2), 10);
        let twin = Version { epoch: Epoch { number: 2, id: 1 }, seq: 12 };
        assert!(!ours.contains(twin));
    }

    #[test]
    fn a_promoted_sequencer_takes_precedence_over_a_restarted_one() {
        let before = Lineage::founded(epoch(1)).continued(epoch(2), 10);
        let mut restarted = before.clone();
        for number in 3..40 {
            restarted = restarted.continued(epoch(number), 12);
        }
        let promoted = before.continued(epoch(2 + PROMOTION_SKIPS), 11);
        for old in [&before, &restarted] {
            assert!(old.is_superseded_by(&promoted));
            assert!(!promoted.is_superseded_by(old));
        }
        assert!(!promoted.is_superseded_by(&promoted));
        // A follower's lineage that is not as long, or longer than a backup that was put back.
        assert!(!restarted.is_superseded_by(&before));
        let put_back = Lineage::founded(epoch(1)).continued(Epoch { number: 2, id: 1 }, 5);
        assert!(!put_back.is_superseded_by(&restarted));
        assert!(!put_back.is_superseded_by(&before) && put_back.is_superseded_by(&promoted));
        // One that lost its disk gives way to any that was promoted, and to no other.
        let founded = Lineage::founded(Epoch { number: 1, id: 4 });
        assert!(founded.is_superseded_by(&promoted) && !founded.is_superseded_by(&restarted));
        let unrelated = founded.continued(Epoch { number: 2, id: 5 }, 3);
        assert!(!unrelated.is_superseded_by(&promoted));
        assert!(!before.is_superseded_by(&Lineage::founded(Epoch { number: 99, id: 1 })));
        assert!(!before.is_superseded_by(&Lineage::default()));
        // Two that were promoted: exactly one of them stays.
        let other = before.continued(Epoch { number: 2 + PROMOTION_SKIPS, id: 5 }, 11);
        assert_ne!(promoted.is_superseded_by(&other), other.is_superseded_by(&promoted));
    }

    #[test]
    fn versions_of_two_epochs_of_one_number_are_written_with_their_ids() {
        let (lost, restored) = (at(1, 13), at(2, 1));
        assert_eq!(lost.from_to(restored).to_string(), "from version e1:13 to e2:1");
        let unrelated = Version { epoch: Epoch { number: 1, id: 0xabc }, seq: 1 };
        assert_eq!(
            lost.from_to(unrelated).to_string(),
            "from version e1#00001eef:13 to e1#00000abc:1, which is of another lineage"
        );
    }

    #[test]
    fn a_life_that_began_after_the_restored_seq_is_cut_off() {
        let lineage = Lineage::founded(epoch(1)).continued(epoch(2), 40).continued(epoch(3), 20);
        assert!(!lineage.contains(at(2, 41)));
        assert!(lineage.contains(at(1, 20)));
        assert!(!lineage.contains(at(1, 21)));
        assert_eq!(lineage.epoch_of(20), Some(epoch(1)));
        assert_eq!(lineage.epoch_of(21), Some(epoch(3)));
    }
}

//! The replicas of a tree over the last few seconds.

use std::collections::{BTreeMap, HashMap, VecDeque};

use samestate_proto::Version;

use crate::measure::Timeline;

/// The last changes of one replica: `None` where it was gone.
#[derive(Debug, Default)]
pub(super) struct Replica {
    changes: VecDeque<(u64, Option<Version>)>,
}

/// The state of a tree's replicas in a stretch of time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Stretch {
    /// The time in which all replicas that existed were at one version.
    pub(super) same_ns: u64,
    /// The time in which a replica existed.
    pub(super) total_ns: u64,
    /// The most versions by which a replica was behind the sequencer.
    pub(super) behind: Option<u64>,
    /// The number of actions that the slowest replica had applied at the end.
    pub(super) slowest: Option<u64>,
    /// The number of actions that the newest replica had applied at the end.
    pub(super) newest: Option<u64>,
}

impl Replica {
    /// Continues by what a process saw, keeping `changes_max` changes.
    pub(super) fn absorb(&mut self, part: &Timeline, changes_max: usize) {
        for point in part.points() {
            self.push(point.t_ns, Some(point.place()));
        }
        if let Some(t_ns) = part.ended_ns() {
            self.push(t_ns, None);
        }
        let beyond = self.changes.len().saturating_sub(changes_max);
        self.changes.drain(..beyond);
    }

    /// The replica is gone, if a point says that it is there.
    pub(super) fn end(&mut self, t_ns: u64) {
        if self.changes.back().is_some_and(|last| last.1.is_some()) {
            self.push(t_ns, None);
        }
    }

    fn push(&mut self, t_ns: u64, place: Option<Version>) {
        let last_ns = self.changes.back().map_or(0, |last| last.0);
        self.changes.push_back((t_ns.max(last_ns), place));
    }

    /// Forgets the changes before an instant, but for the last of them.
    pub(super) fn forget_before(&mut self, t_ns: u64) {
        let before = self.changes.partition_point(|change| change.0 <= t_ns);
        self.changes.drain(..before.saturating_sub(1));
    }

    fn at(&self, t_ns: u64) -> Option<Version> {
        let after = self.changes.partition_point(|change| change.0 <= t_ns);
        self.changes.get(after.checked_sub(1)?)?.1
    }

    fn between(&self, from_ns: u64, to_ns: u64) -> impl Iterator<Item = (u64, Option<Version>)> {
        let first = self.changes.partition_point(|change| change.0 <= from_ns);
        self.changes.range(first..).copied().take_while(move |change| change.0 < to_ns)
    }

    /// Returns the first time, not before `since_ns`, at which it had applied a version.
    pub(super) fn reached(&self, version: Version, since_ns: u64) -> Option<u64> {
        let first = self.changes.partition_point(|change| change.0 < since_ns);
        let has = |place: &Version| place.epoch == version.epoch && place.seq >= version.seq;
        let mut after = self.changes.range(first..);
        after.find(|change| change.1.as_ref().is_some_and(has)).map(|change| change.0)
    }
}

/// The number of replicas at each version.
#[derive(Default)]
struct Census {
    versions: HashMap<Version, usize>,
    seqs: BTreeMap<u64, usize>,
}

impl Census {
    fn enter(&mut self, version: Version) {
        *self.versions.entry(version).or_default() += 1;
        *self.seqs.entry(version.seq).or_default() += 1;
    }

    fn leave(&mut self, version: Version) {
        if let Some(count) = self.versions.get_mut(&version) {
            *count -= 1;
            if *count == 0 {
                self.versions.remove(&version);
            }
        }
        if let Some(count) = self.seqs.get_mut(&version.seq) {
            *count -= 1;
            if *count == 0 {
                self.seqs.remove(&version.seq);
            }
        }
    }
}

/// Watches the replicas of a tree from one instant to another; the first is the sequencer's.
pub(super) fn sweep(replicas: &[&Replica], from_ns: u64, to_ns: u64) -> Stretch {
    let mut places: Vec<_> = replicas.iter().map(|replica| replica.at(from_ns)).collect();
    let changes = replicas.iter().enumerate().flat_map(|(at, replica)| {
        replica.between(from_ns, to_ns).map(move |(t_ns, place)| (t_ns, at, place))
    });
    let mut changes: Vec<_> = changes.collect();
    changes.sort_by_key(|change| change.0);
    let mut census = Census::default();
    places.iter().flatten().for_each(|version| census.enter(*version));
    let mut stretch = Stretch::default();
    let mut root_seq = places.first().copied().flatten().map_or(0, |version| version.seq);
    let mut since_ns = from_ns;
    let mut pass = |census: &Census, root_seq: u64, until_ns: u64| {
        let ns = until_ns.saturating_sub(since_ns);
        since_ns = since_ns.max(until_ns);
        if let Some((oldest, _)) = census.seqs.first_key_value().filter(|_| ns > 0) {
            stretch.total_ns += ns;
            stretch.same_ns += if census.versions.len() == 1 { ns } else { 0 };
            stretch.behind = stretch.behind.max(Some(root_seq.saturating_sub(*oldest)));
        }
    };
    for (t_ns, at, place) in changes {
        pass(&census, root_seq, t_ns);
        if let Some(before) = std::mem::replace(&mut places[at], place) {
            census.leave(before);
        }
        if let Some(version) = place {
            census.enter(version);
            // A root that is gone stays where it was.
            root_seq = if at == 0 { version.seq } else { root_seq };
        }
    }
    pass(&census, root_seq, to_ns);
    stretch.slowest = census.seqs.first_key_value().map(|(seq, _)| *seq);
    stretch.newest = census.seqs.last_key_value().map(|(seq, _)| *seq);
    stretch
}

#[cfg(test)]
mod tests {
    use samestate_proto::Epoch;

    use super::*;

    fn v(seq: u64) -> Version {
        Version { epoch: Epoch { number: 1, id: 7 }, seq }
    }

    fn replica(steps: &[(u64, u64)]) -> Replica {
        let mut timeline = Timeline::default();
        steps.iter().for_each(|(t_ns, seq)| timeline.applied(*t_ns, v(*seq), 0));
        let mut replica = Replica::default();
        replica.absorb(&timeline, 1_000);
        replica
    }

    #[test]
    fn a_stretch_knows_how_long_all_were_the_same_and_how_far_behind_one_was() {
        let root = replica(&[(0, 0), (100, 1), (200, 5), (400, 6)]);
        let other = replica(&[(0, 0), (150, 1), (230, 5)]);
        let stretch = sweep(&[&root, &other], 100, 300);
        assert_eq!((stretch.same_ns, stretch.total_ns), (120, 200));
        assert_eq!(stretch.behind, Some(4));
        assert_eq!((stretch.slowest, stretch.newest), (Some(5), Some(5)));
        let later = sweep(&[&root, &other], 300, 500);
        assert_eq!((later.same_ns, later.behind, later.slowest), (100, Some(1), Some(5)));
        assert_eq!(sweep(&[], 0, 10), Stretch::default());
    }

    #[test]
    fn a_replica_that_is_gone_differs_from_none() {
        let root = replica(&[(0, 3)]);
        let mut other = replica(&[(0, 1)]);
        other.end(40);
        let stretch = sweep(&[&root, &other], 0, 100);
        assert_eq!((stretch.same_ns, stretch.total_ns, stretch.behind), (60, 100, Some(2)));
    }

    #[test]
    fn what_is_forgotten_leaves_the_last_place() {
        let mut one = replica(&[(0, 0), (10, 1), (20, 2), (30, 3)]);
        one.forget_before(25);
        assert_eq!((one.at(25), one.at(30)), (Some(v(2)), Some(v(3))));
        assert_eq!(one.changes.len(), 2);
        assert_eq!((one.reached(v(3), 5), one.reached(v(4), 5)), (Some(30), None));
        one.absorb(&Timeline::default(), 1);
        assert_eq!(one.changes.len(), 1);
    }
}

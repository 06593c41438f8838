//! The distance of each replica from the root, in versions and in time.
//!
//! Both are functions of time and are weighted by it: p99 is what was not exceeded during 99 %
//! of the time. A replica at seq s is behind by `root - s` versions, since the root went past s.
//! A replica ahead of the root (the root lost its newest actions and has not said so yet) is
//! not behind. Times in which the replica does not exist are left out, and one that begins again
//! with nothing is behind since then at most; a root that is gone stays where it was.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::timeline::Trace;

/// The distance of replicas from the root, weighted by time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Staleness {
    /// The time for which a replica was behind, by the number of versions.
    versions: BTreeMap<u64, u64>,
    /// Stretches in which a replica fell behind, from so many nanoseconds, for so many.
    ramps: Vec<(u64, u64)>,
    total_ns: u64,
}

impl Staleness {
    /// Computes how far `replica` was behind `root` during `[start_ns, end_ns)`.
    pub fn of(root: &Trace, replica: &Trace, start_ns: u64, end_ns: u64) -> Self {
        let path = RootPath::new(root);
        let mut staleness = Staleness::default();
        let mut changes = replica.changes().peekable();
        let mut born_ns = None;
        while let Some((from_ns, version)) = changes.next() {
            born_ns = version.and(born_ns.or(Some(from_ns)));
            let to_ns = changes.peek().map_or(end_ns, |next| next.0).min(end_ns);
            let from_ns = from_ns.max(start_ns);
            if let Some(version) = version
                && from_ns < to_ns
            {
                let incarnation = Life { born_ns: born_ns.unwrap_or(from_ns), seq: version.seq };
                staleness.stay(&path, incarnation, from_ns, to_ns);
            }
        }
        staleness
    }

    /// That of another replica too.
    pub fn merge(&mut self, other: &Staleness) {
        for (versions, ns) in &other.versions {
            *self.versions.entry(*versions).or_default() += ns;
        }
        self.ramps.extend_from_slice(&other.ramps);
        self.total_ns += other.total_ns;
    }

    /// The replica stayed at its seq during `[from_ns, to_ns)` while the root moved on.
    fn stay(&mut self, path: &RootPath, incarnation: Life, from_ns: u64, to_ns: u64) {
        let Life { born_ns, seq } = incarnation;
        let mut at = path.index_at(from_ns);
        let mut now_ns = from_ns;
        while now_ns < to_ns {
            // Several steps at one instant are one.
            while path.moves_after(at).is_some_and(|t_ns| t_ns <= now_ns) {
                at = Some(at.map_or(0, |at| at + 1));
            }
            let until_ns = path.moves_after(at).unwrap_or(to_ns).min(to_ns);
            let root_seq = at.map_or(0, |at| path.steps[at].1);
            let behind = root_seq.saturating_sub(seq);
            *self.versions.entry(behind).or_default() += until_ns - now_ns;
            if let Some(at) = at.filter(|_| behind > 0) {
                let since_ns = path.went_past(at, seq).max(born_ns);
                self.ramp(now_ns.saturating_sub(since_ns), until_ns - now_ns);
            }
            now_ns = until_ns;
        }
        self.total_ns += to_ns - from_ns;
    }

    fn ramp(&mut self, from_ns: u64, length_ns: u64) {
        match self.ramps.last_mut() {
            Some(last) if last.0 + last.1 == from_ns && from_ns > 0 => last.1 += length_ns,
            _ => self.ramps.push((from_ns, length_ns)),
        }
    }

    /// Returns how many versions behind replicas were at most during the share `q` of the time.
    pub fn versions(&self, q: f64) -> Option<u64> {
        let wanted = self.wanted(q)?;
        let mut passed = 0.0;
        for (versions, ns) in &self.versions {
            passed += *ns as f64;
            if passed >= wanted {
                return Some(*versions);
            }
        }
        self.versions.keys().next_back().copied()
    }

    /// Returns how many nanoseconds behind replicas were at most during the share `q` of the time.
    pub fn ns(&self, q: f64) -> Option<u64> {
        let wanted = self.wanted(q)?;
        let behind: u64 = self.ramps.iter().map(|ramp| ramp.1).sum();
        let fresh_ns = self.total_ns.saturating_sub(behind);
        let within = |limit_ns: u64| {
            let ramps = self.ramps.iter();
            let passed = ramps.map(|ramp| limit_ns.saturating_sub(ramp.0).min(ramp.1)).sum::<u64>();
            (fresh_ns + passed) as f64
        };
        let (mut low, mut high) = (0, self.max_ns());
        while low < high {
            let middle = low + (high - low) / 2;
            if within(middle) >= wanted {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        Some(low)
    }

    /// The furthest behind a replica ever was, in nanoseconds.
    pub fn max_ns(&self) -> u64 {
        self.ramps.iter().map(|ramp| ramp.0 + ramp.1).max().unwrap_or(0)
    }

    /// Returns the time for which replicas were watched, summed over them, in nanoseconds.
    pub fn total_ns(&self) -> u64 {
        self.total_ns
    }

    fn wanted(&self, q: f64) -> Option<f64> {
        (self.total_ns > 0).then(|| self.total_ns as f64 * q.clamp(0.0, 1.0))
    }
}

/// The position of a replica in one of its incarnations.
#[derive(Clone, Copy)]
struct Life {
    /// The time at which the incarnation began.
    born_ns: u64,
    seq: u64,
}

/// The path of the root: its steps, and the beginnings of its runs of rising seqs.
struct RootPath {
    steps: Vec<(u64, u64)>,
    runs: Vec<usize>,
}

impl RootPath {
    fn new(root: &Trace) -> Self {
        let mut path = RootPath { steps: Vec::new(), runs: Vec::new() };
        for (t_ns, version) in root.changes() {
            let Some(version) = version else { continue };
            if path.steps.last().is_none_or(|last| last.1 > version.seq) {
                path.runs.push(path.steps.len());
            }
            path.steps.push((t_ns, version.seq));
        }
        path
    }

    /// The step that holds at `t_ns`: `None` before the first.
    fn index_at(&self, t_ns: u64) -> Option<usize> {
        self.steps.partition_point(|step| step.0 <= t_ns).checked_sub(1)
    }

    /// Returns the time at which the root leaves step `at`.
    fn moves_after(&self, at: Option<usize>) -> Option<u64> {
        self.steps.get(at.map_or(0, |at| at + 1)).map(|step| step.0)
    }

    /// Returns the last time at which the root went past `seq`, seen from step `at`, at which it is
    /// past it.
    fn went_past(&self, at: usize, seq: u64) -> u64 {
        let mut end = at + 1;
        let current = self.runs.partition_point(|run| *run <= at);
        for &run in self.runs[..current].iter().rev() {
            let past = run + self.steps[run..end].partition_point(|step| step.1 <= seq);
            if past > run {
                // With `past == end` the run ended at or under `seq`: the next one went past it.
                return self.steps[past.min(at)].0;
            }
            end = run;
        }
        self.steps[0].0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::timeline::tests::{trace, v};
    use super::*;

    #[test]
    fn staleness_is_weighted_by_time() {
        let root = trace("root", &[(0, 0), (10, 1), (20, 2), (30, 3)]);
        let replica = trace("replica", &[(0, 0), (14, 1), (40, 3)]);
        // Behind by one during [10, 14) and [20, 30), by two during [30, 40).
        let staleness = Staleness::of(&root, &replica, 0, 100);
        assert_eq!(staleness.versions, BTreeMap::from([(0, 76), (1, 14), (2, 10)]));
        assert_eq!(staleness.versions(0.5), Some(0));
        assert_eq!(staleness.versions(0.8), Some(1));
        assert_eq!(staleness.versions(1.0), Some(2));
        // In time: from 0 to 4 ns, then from 0 to 20 ns since the root left version 1.
        assert_eq!(staleness.ramps, [(0, 4), (0, 20)]);
        assert_eq!(staleness.max_ns(), 20);
        assert_eq!(staleness.ns(0.76), Some(0));
        // 84 % of the time: 76 fresh, 4 of each ramp.
        assert_eq!(staleness.ns(0.84), Some(4));
        assert_eq!(staleness.ns(0.99), Some(19));
    }

    #[test]
    fn a_replica_that_begins_again_is_behind_since_then_at_most() {
        let root = trace("root", &[(0, 0), (10, 1), (20, 2)]);
        let mut replica = trace("replica", &[(0, 0), (10, 1), (20, 2)]);
        replica.died(50);
        replica.incarnation().applied(60, v(0), 0);
        replica.incarnation().applied(75, v(2), 0);
        let staleness = Staleness::of(&root, &replica, 0, 100);
        assert_eq!(staleness.max_ns(), 15);
    }

    #[test]
    fn a_replica_ahead_of_a_root_that_lost_actions_is_not_behind() {
        let mut root = trace("root", &[(0, 0), (10, 5)]);
        root.died(20);
        root.incarnation().applied(30, v(3), 0);
        root.incarnation().applied(40, v(6), 0);
        let replica = trace("replica", &[(0, 0), (10, 5), (50, 6)]);
        let staleness = Staleness::of(&root, &replica, 0, 60);
        assert_eq!(staleness.versions, BTreeMap::from([(0, 50), (1, 10)]));
        assert_eq!(staleness.max_ns(), 10);
    }

    fn steps() -> impl Strategy<Value = Vec<(u64, u64)>> {
        // Now and then the root loses its newest actions.
        prop::collection::vec((1u64..25, 0u64..4, 0u8..8), 1..25).prop_map(|moves| {
            let mut at = (0u64, 0u64);
            let mut steps = vec![(0, 0)];
            for (gap, ahead, fate) in moves {
                let seq = if fate == 0 { at.1.saturating_sub(ahead) } else { at.1 + ahead };
                at = (at.0 + gap, seq);
                steps.push(at);
            }
            steps
        })
    }

    proptest! {
        #[test]
        fn staleness_equals_brute_force_sampling(root in steps(), replica in steps()) {
            const END_NS: u64 = 700;
            let (root, replica) = (trace("root", &root), trace("replica", &replica));
            let staleness = Staleness::of(&root, &replica, 0, END_NS);
            let seq = |trace: &Trace, t_ns| trace.at(t_ns).map_or(0, |point| point.version.seq);
            let (mut versions, mut ages) = (Vec::new(), Vec::new());
            for t_ns in 0..END_NS {
                let ours = seq(&replica, t_ns);
                versions.push(seq(&root, t_ns).saturating_sub(ours));
                let past = (0..=t_ns).rev().take_while(|t_ns| seq(&root, *t_ns) > ours).count();
                ages.push(past.saturating_sub(1) as u64);
            }
            versions.sort_unstable();
            ages.sort_unstable();
            for q in [0.1, 0.5, 0.9, 0.99, 1.0] {
                let at = ((END_NS as f64 * q).ceil() as usize).max(1) - 1;
                prop_assert_eq!(staleness.versions(q), Some(versions[at]));
                // Sampling sees an age at the beginning of its nanosecond.
                let ns = staleness.ns(q).expect("watched");
                prop_assert!(ns.abs_diff(ages[at]) <= 1, "{} at {}, not {}", ns, q, ages[at]);
            }
        }
    }

    #[test]
    fn nothing_watched_is_nothing_measured() {
        let root = trace("root", &[(0, 0)]);
        let staleness = Staleness::of(&root, &Trace::named("never started"), 0, 60);
        assert_eq!(staleness.versions(0.99), None);
        assert_eq!(staleness.ns(0.99), None);
    }
}

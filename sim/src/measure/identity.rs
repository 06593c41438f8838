//! The share of the time in which the replicas of a store were the same.
//!
//! Four views, as one number always hides something: sampled at instants, as the article did;
//! weighted by time; at equal versions, where anything under 100 % is a violation; and how
//! long the replicas took to become equal after load or a fault ended.
//!
//! A replica that does not exist (not started yet, or killed) cannot differ: identity is
//! judged over those that exist. Times in which none exists are left out.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use rand::{Rng, RngExt};
use samestate_proto::Version;
use serde::{Deserialize, Serialize};

use super::timeline::Trace;

/// The number of disagreements that are described. The rest are only counted.
pub const DISAGREEMENTS_MAX: usize = 32;

/// A share of a stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// The time for which it held, in nanoseconds.
    pub same_ns: u64,
    /// Out of how long.
    pub total_ns: u64,
    /// 1 where the share is exact; otherwise it was sampled at this interval, since that is how
    /// far a timeline had to be thinned.
    pub resolution_ns: u64,
}

impl Share {
    /// As a percentage: `None` if no time passed.
    pub fn percent(&self) -> Option<f64> {
        (self.total_ns > 0).then(|| self.same_ns as f64 * 100.0 / self.total_ns as f64)
    }
}

/// The share of `[start_ns, end_ns)` during which all replicas of a store were at one version.
pub fn time_weighted(replicas: &[Trace], start_ns: u64, end_ns: u64) -> Share {
    let resolution_ns = replicas.iter().map(Trace::resolution_ns).max().unwrap_or(1);
    let mut share = Share { same_ns: 0, total_ns: 0, resolution_ns };
    sweep(replicas, end_ns, |from_ns, to_ns, same| {
        let (from_ns, to_ns) = (from_ns.max(start_ns), to_ns.min(end_ns));
        if from_ns >= to_ns {
            return;
        }
        // Thinned timelines are exact just before each multiple of their resolution.
        let instants = to_ns / resolution_ns - from_ns / resolution_ns;
        share.total_ns += instants * resolution_ns;
        share.same_ns += if same { instants * resolution_ns } else { 0 };
    });
    share
}

/// The time until the replicas were equal after an instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Convergence {
    /// After how many nanoseconds all were at one version for the first time.
    pub first_ns: Option<u64>,
    /// After how many nanoseconds all were at one version and stayed so: `None` for never.
    pub settled_ns: Option<u64>,
}

/// The times at which the replicas of a store were at one version. They are computed once, and
/// queried often.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sameness {
    /// Stretches, in order: from, to, and whether all were the same. Times in which none existed
    /// are left out.
    stretches: Vec<(u64, u64, bool)>,
}

impl Sameness {
    /// Of these replicas, up to `end_ns`.
    pub fn of(replicas: &[Trace], end_ns: u64) -> Self {
        let mut stretches: Vec<(u64, u64, bool)> = Vec::new();
        sweep(replicas, end_ns, |from_ns, to_ns, same| match stretches.last_mut() {
            Some(last) if last.1 == from_ns && last.2 == same => last.1 = to_ns,
            _ => stretches.push((from_ns, to_ns, same)),
        });
        Sameness { stretches }
    }

    /// Stretches in which at least one replica existed, oldest first: from, to, and whether all
    /// were at one version.
    pub fn stretches(&self) -> &[(u64, u64, bool)] {
        &self.stretches
    }

    /// Returns the time after `since_ns` (the end of the load, or of a fault) until the replicas
    /// were equal, as watched until `until_ns`.
    pub fn convergence(&self, since_ns: u64, until_ns: u64) -> Convergence {
        let begin = self.stretches.partition_point(|stretch| stretch.1 <= since_ns);
        let end = self.stretches.partition_point(|stretch| stretch.0 < until_ns);
        let watched = self.stretches.get(begin..end).unwrap_or_default();
        let after = |stretch: &(u64, u64, bool)| stretch.0.saturating_sub(since_ns);
        let first = watched.iter().find(|stretch| stretch.2);
        let apart = watched.iter().rposition(|stretch| !stretch.2);
        let settled = watched.get(apart.map_or(0, |apart| apart + 1));
        Convergence { first_ns: first.map(after), settled_ns: settled.map(after) }
    }
}

/// Comparisons made at instants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Samples {
    /// The number of samples that found the replicas the same.
    pub ok: u64,
    /// The number of samples.
    pub total: u64,
}

impl Samples {
    /// One more comparison.
    pub fn record(&mut self, same: bool) {
        self.ok += u64::from(same);
        self.total += 1;
    }

    /// Those of `other` too.
    pub fn merge(&mut self, other: &Samples) {
        self.ok += other.ok;
        self.total += other.total;
    }

    /// As a percentage: `None` if none was made.
    pub fn percent(&self) -> Option<f64> {
        (self.total > 0).then(|| self.ok as f64 * 100.0 / self.total as f64)
    }
}

/// Samples whether all replicas were at one version, at each of the instants at which one existed.
pub fn sampled(replicas: &[Trace], instants_ns: &[u64]) -> Samples {
    let mut samples = Samples::default();
    for &instant_ns in instants_ns {
        let mut versions = replicas.iter().filter_map(|replica| replica.at(instant_ns));
        if let Some(first) = versions.next() {
            samples.record(versions.all(|point| point.place() == first.place()));
        }
    }
    samples
}

/// One instant drawn from each period of `every_ns` between `start_ns` and `end_ns`, so that
/// sampling cannot beat against a load of the same period.
pub fn jittered_instants(
    start_ns: u64,
    end_ns: u64,
    every_ns: u64,
    random: &mut dyn Rng,
) -> Vec<u64> {
    let every_ns = every_ns.max(1);
    let periods = end_ns.saturating_sub(start_ns) / every_ns;
    (0..periods)
        .map(|period| start_ns + period * every_ns + random.random_range(0..every_ns))
        .collect()
}

/// The kind of value that is compared if two replicas were at one version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Compared {
    /// The hash over the history that led there (invariant I1).
    History,
    /// The digest of the state (invariant I2).
    Digest,
}

/// Two replicas that were not the same at one version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disagreement {
    /// The version.
    pub version: Version,
    /// The kind of value that differed.
    pub compared: Compared,
    /// One node, and its hash.
    pub one: (String, u64),
    /// Another, and its hash.
    pub other: (String, u64),
}

/// The result of comparing the replicas whenever they were at the same version, at any time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EqualVersion {
    /// The number of pairs that were compared.
    pub compared: u64,
    /// The number of pairs that agreed.
    pub agreed: u64,
    /// The first [`DISAGREEMENTS_MAX`] that did not.
    pub disagreements: Vec<Disagreement>,
}

impl EqualVersion {
    /// Those of another store too.
    pub fn merge(&mut self, other: EqualVersion) {
        self.compared += other.compared;
        self.agreed += other.agreed;
        let room = DISAGREEMENTS_MAX - self.disagreements.len().min(DISAGREEMENTS_MAX);
        self.disagreements.extend(other.disagreements.into_iter().take(room));
    }

    /// As a percentage: `None` if nothing was compared.
    pub fn percent(&self) -> Option<f64> {
        (self.compared > 0).then(|| self.agreed as f64 * 100.0 / self.compared as f64)
    }

    fn compare<'a>(
        &mut self,
        what: Compared,
        seen: &mut HashMap<Version, (&'a str, u64)>,
        name: &'a str,
        observed: impl Iterator<Item = (Version, u64)>,
    ) {
        for (version, hash) in observed {
            let (first, expected) = *seen.entry(version).or_insert((name, hash));
            let same = expected == hash;
            if same && first == name {
                continue;
            }
            self.compared += 1;
            self.agreed += u64::from(same);
            if !same && self.disagreements.len() < DISAGREEMENTS_MAX {
                self.disagreements.push(Disagreement {
                    version,
                    compared: what,
                    one: (first.to_owned(), expected),
                    other: (name.to_owned(), hash),
                });
            }
        }
    }
}

/// Compares histories, and digests where known, at each version that two replicas share.
///
/// Needs memory for every version kept: bound the timelines where there are many replicas.
pub fn at_equal_version(replicas: &[Trace]) -> EqualVersion {
    let mut result = EqualVersion::default();
    let mut seen = HashMap::new();
    for replica in replicas {
        let points = replica.incarnations.iter().flat_map(|incarnation| incarnation.points());
        let histories = points.map(|point| (point.version, point.history));
        result.compare(Compared::History, &mut seen, &replica.name, histories);
    }
    seen.clear();
    for replica in replicas {
        let digests = replica.digests.iter().copied();
        result.compare(Compared::Digest, &mut seen, &replica.name, digests);
    }
    result
}

/// Tells `each` of every stretch `[from, to)` up to `end_ns` in which no replica moved and at
/// least one existed, and whether all were at one version.
fn sweep(replicas: &[Trace], end_ns: u64, mut each: impl FnMut(u64, u64, bool)) {
    let mut changes: Vec<_> = replicas.iter().map(|replica| replica.changes().peekable()).collect();
    let mut next: BinaryHeap<_> = changes
        .iter_mut()
        .enumerate()
        .filter_map(|(at, changes)| changes.peek().map(|change| Reverse((change.0, at))))
        .collect();
    let mut versions: Vec<Option<Version>> = vec![None; replicas.len()];
    let mut counts: HashMap<Version, usize> = HashMap::new();
    let mut now_ns = 0;
    while let Some(Reverse((t_ns, at))) = next.pop() {
        if t_ns >= end_ns {
            break;
        }
        if t_ns > now_ns && !counts.is_empty() {
            each(now_ns, t_ns, counts.len() == 1);
        }
        now_ns = t_ns;
        let Some((_, version)) = changes[at].next() else { continue };
        if let Some(left) = std::mem::replace(&mut versions[at], version)
            && let Some(count) = counts.get_mut(&left)
        {
            *count -= 1;
            if *count == 0 {
                counts.remove(&left);
            }
        }
        if let Some(version) = version {
            *counts.entry(version).or_default() += 1;
        }
        if let Some(change) = changes[at].peek() {
            next.push(Reverse((change.0, at)));
        }
    }
    if end_ns > now_ns && !counts.is_empty() {
        each(now_ns, end_ns, counts.len() == 1);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;

    use super::super::timeline::tests::{trace, v};
    use super::super::timeline::{Timeline, Trace};
    use super::*;

    #[test]
    fn time_weighted_identity_is_the_share_of_time_at_one_version() {
        let a = trace("a", &[(0, 0), (10, 1), (60, 2)]);
        let b = trace("b", &[(0, 0), (15, 1), (70, 2)]);
        // Apart during [10, 15) and [60, 70).
        let share = time_weighted(&[a.clone(), b.clone()], 0, 100);
        assert_eq!((share.same_ns, share.total_ns), (85, 100));
        assert_eq!(share.percent(), Some(85.0));
        let share = time_weighted(&[a, b], 12, 62);
        assert_eq!((share.same_ns, share.total_ns), (45, 50));
    }

    #[test]
    fn an_empty_store_is_the_same_for_a_replica_that_knows_no_sequencer_yet() {
        let root = trace("root", &[(0, 0), (60, 1)]);
        let mut fresh = Trace::named("fresh");
        fresh.incarnation().applied(0, Version::default(), 0);
        let both = [root, fresh];
        assert_eq!(time_weighted(&both, 0, 100).same_ns, 60);
        assert_eq!(sampled(&both, &[59, 60]), Samples { ok: 1, total: 2 });
    }

    #[test]
    fn a_dead_replica_is_not_counted_as_different() {
        let a = trace("a", &[(0, 0), (50, 1)]);
        let mut b = trace("b", &[(0, 0)]);
        b.died(40);
        b.incarnation().applied(80, v(0), 0);
        b.incarnation().applied(90, v(1), 31);
        let share = time_weighted(&[a, b], 0, 100);
        assert_eq!(share.same_ns, 90, "apart during [80, 90) alone");
    }

    #[test]
    fn convergence_is_when_all_are_equal_and_stay_so() {
        let a = trace("a", &[(0, 0), (10, 1), (60, 2)]);
        let b = trace("b", &[(0, 0), (15, 1), (70, 2)]);
        let both = [a, b];
        let convergence = |since, until| Sameness::of(&both, 100).convergence(since, until);
        let found = convergence(12, 100);
        assert_eq!(found, Convergence { first_ns: Some(3), settled_ns: Some(58) });
        let found = convergence(75, 100);
        assert_eq!(found.settled_ns, Some(0));
        assert_eq!(convergence(12, 65).settled_ns, None, "never");
    }

    #[test]
    fn equal_versions_with_other_histories_or_digests_are_found() {
        let mut a = trace("a", &[(0, 1), (10, 2), (20, 3)]);
        let mut b = trace("b", &[(5, 1), (25, 3)]);
        b.incarnation().applied(30, v(4), 1);
        a.incarnation().applied(31, v(4), 2);
        a.digests = vec![(v(3), 77), (v(4), 1)];
        b.digests = vec![(v(3), 78), (v(4), 1)];
        let result = at_equal_version(&[a, b]);
        assert_eq!((result.compared, result.agreed), (5, 3));
        let versions: Vec<_> =
            result.disagreements.iter().map(|d| (d.version.seq, d.compared)).collect();
        assert_eq!(versions, [(4, Compared::History), (3, Compared::Digest)]);
        assert_eq!(at_equal_version(&[trace("a", &[(0, 1)])]).percent(), None);
    }

    #[test]
    fn one_instant_is_drawn_from_each_period() {
        let mut random = rand_pcg::Pcg64::seed_from_u64(1);
        let instants = jittered_instants(1_000, 11_000, 100, &mut random);
        assert_eq!(instants.len(), 100);
        for (at, instant) in instants.iter().enumerate() {
            assert_eq!((instant - 1_000) / 100, at as u64);
        }
    }

    fn steps() -> impl Strategy<Value = Vec<(u64, u64)>> {
        prop::collection::vec((0u64..40, 0u64..3), 1..30).prop_map(|gaps| {
            let mut at = (0, 0);
            let mut steps = Vec::new();
            for (gap, ahead) in gaps {
                at = (at.0 + gap, at.1 + ahead);
                steps.push(at);
            }
            steps
        })
    }

    proptest! {
        #[test]
        fn time_weighted_equals_brute_force_sampling(
            steps in prop::collection::vec(steps(), 1..5),
            start_ns in 0u64..200,
            length_ns in 0u64..1_500,
        ) {
            let replicas: Vec<Trace> = steps.iter().map(|steps| trace("r", steps)).collect();
            let end_ns = start_ns + length_ns;
            let share = time_weighted(&replicas, start_ns, end_ns);
            let brute = sampled(&replicas, &(start_ns..end_ns).collect::<Vec<_>>());
            prop_assert_eq!((share.same_ns, share.total_ns), (brute.ok, brute.total));
        }

        #[test]
        fn time_weighted_over_thinned_timelines_equals_sampling_of_the_full_ones(
            steps in prop::collection::vec(
                prop::collection::vec((1u64..900, 0u64..2), 50..200), 2..4),
        ) {
            let mut full = Vec::new();
            let mut thinned = Vec::new();
            for gaps in &steps {
                let (mut exact, mut small) = (Trace::named("r"), Timeline::bounded(40));
                let (mut t_ns, mut seq) = (0, 0);
                exact.incarnation().applied(0, v(0), 0);
                small.applied(0, v(0), 0);
                for (gap, ahead) in gaps {
                    (t_ns, seq) = (t_ns + gap, seq + ahead);
                    exact.incarnation().applied(t_ns, v(seq), 0);
                    small.applied(t_ns, v(seq), 0);
                }
                full.push(exact);
                thinned.push(Trace { incarnations: vec![small], ..Trace::named("r") });
            }
            let share = time_weighted(&thinned, 0, 40_000);
            let instants: Vec<u64> = (1..=40_000 / share.resolution_ns)
                .map(|multiple| multiple * share.resolution_ns - 1)
                .collect();
            let brute = sampled(&full, &instants);
            prop_assert_eq!(share.same_ns, brute.ok * share.resolution_ns);
            // A thinned timeline may begin a window late.
            prop_assert!(share.total_ns >= (brute.total - 1) * share.resolution_ns);
        }
    }
}

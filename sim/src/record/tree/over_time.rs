//! The measures of a tree over time.

use std::collections::BTreeSet;

use super::TreeSeen;
use crate::measure::Trace;
use crate::measure::over_time::{Dispatches, Merge, Spread, Windows};
use crate::record::axis::Axis;
use crate::record::gather::Dispatching;

/// The measures of one tree, or of all trees of a store, in the buckets of an axis.
#[derive(Clone, Debug, Default)]
pub(in crate::record) struct OverTime {
    /// The time in which all replicas were at one version, and the time watched.
    pub(in crate::record) same: Vec<(u64, u64)>,
    /// The most versions by which a replica was behind; `None` if there was no replica.
    pub(in crate::record) behind: Vec<Option<u64>>,
    /// The number of actions that all replicas had applied for the first time.
    pub(in crate::record) achieved: Vec<f64>,
    /// The dispatches of loads: intended, and issued.
    pub(in crate::record) loads: Vec<(u64, u64)>,
    /// Latency of all dispatches: until answered, and until applied at each replica.
    pub(in crate::record) latency: Vec<(Spread, Spread)>,
    /// True if a load has no intended rate.
    pub(in crate::record) has_closed: bool,
}

impl OverTime {
    pub(in crate::record) fn new(axis: &Axis) -> Self {
        OverTime {
            same: vec![(0, 0); axis.len()],
            behind: vec![None; axis.len()],
            achieved: vec![0.0; axis.len()],
            loads: vec![(0, 0); axis.len()],
            latency: vec![<_>::default(); axis.len()],
            has_closed: false,
        }
    }

    /// Adds another tree of the store. Of identity, the worse of the two counts.
    pub(in crate::record) fn merge(&mut self, other: Self) {
        for (ours, theirs) in self.same.iter_mut().zip(other.same) {
            let share = |(same, total): (u64, u64)| same as f64 / total.max(1) as f64;
            if ours.1 == 0 || (theirs.1 > 0 && share(theirs) < share(*ours)) {
                *ours = theirs;
            }
        }
        for (ours, theirs) in self.behind.iter_mut().zip(other.behind) {
            *ours = (*ours).max(theirs);
        }
        for (ours, theirs) in self.achieved.iter_mut().zip(other.achieved) {
            *ours += theirs;
        }
        for (ours, theirs) in self.loads.iter_mut().zip(other.loads) {
            *ours = (ours.0 + theirs.0, ours.1 + theirs.1);
        }
        for (ours, theirs) in self.latency.iter_mut().zip(other.latency) {
            ours.0.merge(theirs.0);
            ours.1.merge(theirs.1);
        }
        self.has_closed |= other.has_closed;
    }
}

impl TreeSeen<'_> {
    /// The least width of buckets at which the measures of the tree are exact, as a power of two.
    pub(in crate::record) fn bits(&self) -> u32 {
        let traces = self.replicas.iter().map(|trace| trace.resolution_ns().trailing_zeros());
        let courses = self.dispatching().map(|(_, load)| load.log.course().bits());
        traces.chain(courses).max().unwrap_or(0)
    }

    /// The last time at which a replica moved.
    pub(in crate::record) fn moved_last_ns(&self) -> u64 {
        let points = self.replicas.iter().flat_map(|trace| &trace.incarnations);
        points.filter_map(|one| Some(one.points().last()?.t_ns)).max().unwrap_or(0)
    }

    /// The measures of the tree over time.
    pub(in crate::record) fn over_time(&self, axis: &Axis) -> OverTime {
        let mut seen = OverTime::new(axis);
        self.identity(axis, &mut seen);
        for replica in self.replicas.iter().skip(1) {
            behind(&self.replicas[0], replica, self.since_ns, axis, &mut seen.behind);
        }
        let closed = self.closed_streams();
        let (mut made, mut by_mirrors) = (0, 0);
        for (at, load) in self.dispatching() {
            let is_load = load.stream.is_some();
            made += load.log.counts().intended;
            by_mirrors += if is_load { 0 } else { load.log.counts().intended };
            seen.has_closed |= load.stream.is_some_and(|stream| closed.contains(&stream));
            let mut course: Windows<Dispatches> = load.log.course().clone();
            course.widen(axis.bits);
            for (number, window) in course.values() {
                let Some(bucket) = axis.bucket_of_window(number) else { continue };
                if is_load {
                    seen.loads[bucket].0 += window.intended;
                    seen.loads[bucket].1 += window.issued;
                }
                seen.latency[bucket].0.merge(window.local.clone());
            }
            let others = self.replicas.iter().enumerate();
            for (_, replica) in others.filter(|(other, _)| *other != at && self.there[*other]) {
                for (dispatched, reached) in load.log.reached(replica) {
                    let bucket = axis.bucket(dispatched.intended_ns);
                    if let (Some(bucket), Some(t_ns)) = (bucket, reached) {
                        let ns = t_ns.saturating_sub(dispatched.intended_ns);
                        seen.latency[bucket].1.record(ns);
                    }
                }
            }
        }
        // What is applied everywhere includes what mirrors dispatched; a rate is of the load alone.
        let by_load = 1.0 - by_mirrors as f64 / made.max(1) as f64;
        self.achieved(axis, by_load, &mut seen.achieved);
        seen
    }

    fn identity(&self, axis: &Axis, seen: &mut OverTime) {
        let resolution_ns = self.replicas.iter().map(Trace::resolution_ns).max().unwrap_or(1);
        for &(from_ns, to_ns, same) in self.sameness.stretches() {
            axis.split(from_ns.max(self.since_ns), to_ns, |bucket, from_ns, to_ns| {
                // Thinned timelines are exact just before each multiple of their resolution.
                let instants = to_ns / resolution_ns - from_ns / resolution_ns;
                let (equal, total) = &mut seen.same[bucket];
                *total += instants * resolution_ns;
                *equal += if same { instants * resolution_ns } else { 0 };
            });
        }
    }

    /// Counts the actions that the slowest replica applied. One that begins again with nothing
    /// applies for the second time until it is where all had been.
    fn achieved(&self, axis: &Axis, by_load: f64, achieved: &mut [f64]) {
        let slowest = |t_ns: u64| {
            let points = self.replicas.iter().filter_map(|replica| replica.at(t_ns));
            points.map(|point| point.version.seq).min()
        };
        let mut most = slowest(axis.start_ns).unwrap_or(0);
        for (bucket, achieved) in achieved.iter_mut().enumerate() {
            let now = slowest(axis.borders(bucket).1.saturating_sub(1)).unwrap_or(0);
            *achieved = now.saturating_sub(most) as f64 * by_load;
            most = most.max(now);
        }
    }

    /// The dispatches into the tree, each with the position of the member that made them.
    fn dispatching(&self) -> impl Iterator<Item = (usize, Made<'_>)> {
        self.tree.members.iter().enumerate().flat_map(move |(at, member)| {
            self.gathered.stores(member.node, self.store).flat_map(move |(_, store)| {
                let loads = store.loads.iter();
                let loads = loads.map(|(stream, load)| Made { stream: Some(*stream), load });
                let mirrors = Made { stream: None, load: &store.mirrors };
                loads.chain([mirrors]).map(move |made| (at, made))
            })
        })
    }
}

/// The dispatches of a load, or of mirrors.
struct Made<'a> {
    /// `None`: of mirrors.
    stream: Option<u64>,
    load: &'a Dispatching,
}

impl std::ops::Deref for Made<'_> {
    type Target = Dispatching;

    fn deref(&self) -> &Dispatching {
        self.load
    }
}

/// Notes by how many versions a replica was behind the root in each bucket, at most.
fn behind(root: &Trace, replica: &Trace, since_ns: u64, axis: &Axis, most: &mut [Option<u64>]) {
    let mut instants: BTreeSet<u64> = BTreeSet::new();
    instants.extend(root.changes().chain(replica.changes()).map(|change| change.0));
    let mut of_root = root.changes().peekable();
    let mut of_replica = replica.changes().peekable();
    let (mut root_seq, mut seq) = (0, None);
    let mut instants = instants.into_iter().peekable();
    while let Some(from_ns) = instants.next() {
        while let Some((_, version)) = of_root.next_if(|change| change.0 <= from_ns) {
            // A root that is gone stays where it was.
            root_seq = version.map_or(root_seq, |version| version.seq);
        }
        while let Some((_, version)) = of_replica.next_if(|change| change.0 <= from_ns) {
            seq = version.map(|version| version.seq);
        }
        let Some(seq) = seq else { continue };
        let versions = Some(root_seq.saturating_sub(seq));
        let to_ns = instants.peek().copied().unwrap_or(axis.end_ns);
        axis.split(from_ns.max(since_ns), to_ns, |bucket, _, _| {
            most[bucket] = most[bucket].max(versions);
        });
    }
}

//! The versions of a replica over time.
//!
//! A [`Timeline`] is a step function: each point says which version the replica reached, and
//! the replica stays there until the next point. It is bounded: once full, the clock that all
//! processes share is divided into windows of a resolution that doubles, and of each window
//! only the last point is kept. So a timeline of resolution R still tells **exactly** where the
//! replica was just before every multiple of R; timelines of different resolutions are exact
//! together at the multiples of the coarsest, since resolutions are powers of two.

use std::collections::BTreeMap;

use samestate_proto::{Epoch, Version};
use serde::{Deserialize, Serialize};

/// The default number of points that a timeline keeps: some 12 MB.
pub const POINTS_MAX: usize = 1 << 18;

/// The number of jumps that a timeline describes. The rest are only counted.
pub const JUMPS_MAX: usize = 1024;

/// The approximate largest number of points of a part that is sent.
const PART_POINTS_MAX: usize = 1 << 14;

/// The first resolution a timeline is thinned to, in nanoseconds.
const RESOLUTION_FIRST_NS: u64 = 1 << 10;

/// A replica reached a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// The time, on the shared clock.
    pub t_ns: u64,
    /// The version reached.
    pub version: Version,
    /// The replica's rolling hash over its history at this version.
    pub history: u64,
    /// Reached by a jump (a snapshot, a heal, a rollback), here or at a point merged into this.
    pub jumped: bool,
}

impl Point {
    /// The version, but for that of an empty store: a store that nothing was done to is the same
    /// in every incarnation, and replicas that have not heard from a sequencer know of none.
    pub fn place(&self) -> Version {
        if self.version.seq == 0 { Version::default() } else { self.version }
    }
}

/// A replica left its history's order: a snapshot, a heal, a rollback or a fall-off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jump {
    /// The time, on the shared clock.
    pub t_ns: u64,
    /// The version of the replica before.
    pub from: Version,
    /// The version of the replica now.
    pub to: Version,
}

/// One incarnation of one replica of one store, as a step function from time to version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Columns", try_from = "Columns")]
pub struct Timeline {
    points: Vec<Point>,
    points_max: usize,
    resolution_ns: u64,
    merged: u64,
    jumps: Vec<Jump>,
    jumps_total: u64,
    ended_ns: Option<u64>,
}

impl Default for Timeline {
    fn default() -> Self {
        Timeline::bounded(POINTS_MAX)
    }
}

impl Timeline {
    /// A timeline that keeps at most `points_max` points (at least two).
    pub fn bounded(points_max: usize) -> Self {
        Timeline {
            points: Vec::new(),
            points_max: points_max.max(2),
            resolution_ns: 1,
            merged: 0,
            jumps: Vec::new(),
            jumps_total: 0,
            ended_ns: None,
        }
    }

    /// The replica applied a batch that ended at `version`; also its very first version.
    pub fn applied(&mut self, t_ns: u64, version: Version, history: u64) {
        self.push(Point { t_ns, version, history, jumped: false });
    }

    /// The replica jumped.
    pub fn jumped(&mut self, t_ns: u64, from: Version, to: Version, history: u64) {
        self.push(Point { t_ns, version: to, history, jumped: true });
        self.jumps_total += 1;
        if self.jumps.len() < JUMPS_MAX {
            self.jumps.push(Jump { t_ns, from, to });
        }
    }

    /// The replica is gone since `t_ns`: closed, or killed with its process.
    pub fn end(&mut self, t_ns: u64) {
        let last = self.points.last().map_or(0, |point| point.t_ns);
        self.ended_ns = Some(t_ns.max(last));
    }

    /// Takes out what was recorded since the last call, to be handed to [`Timeline::absorb`].
    ///
    /// A part of very many points is thinned, and so is what comes after it.
    pub fn take(&mut self) -> Timeline {
        while self.points.len() > PART_POINTS_MAX {
            self.thin((self.resolution_ns * 2).max(RESOLUTION_FIRST_NS));
        }
        let mut rest = Timeline::bounded(self.points_max);
        rest.resolution_ns = self.resolution_ns;
        std::mem::replace(self, rest)
    }

    /// Continues this timeline by a part that [`Timeline::take`] took out elsewhere.
    pub fn absorb(&mut self, part: Timeline) {
        if part.resolution_ns > self.resolution_ns {
            self.thin(part.resolution_ns);
        }
        self.merged += part.merged;
        self.jumps_total += part.jumps_total;
        let room = JUMPS_MAX - self.jumps.len().min(JUMPS_MAX);
        self.jumps.extend(part.jumps.into_iter().take(room));
        for point in part.points {
            self.push(point);
        }
        if let Some(t_ns) = part.ended_ns {
            self.end(t_ns);
        }
    }

    fn push(&mut self, mut point: Point) {
        if let Some(last) = self.points.last_mut() {
            // One replica's clock never runs back; two threads that read it may have raced here.
            point.t_ns = point.t_ns.max(last.t_ns);
            // A power of two: shifting is how to divide by it in time.
            let window = self.resolution_ns.trailing_zeros();
            let same_window = last.t_ns >> window == point.t_ns >> window;
            if self.resolution_ns > 1 && same_window {
                point.jumped |= last.jumped;
                *last = point;
                self.merged += 1;
                return;
            }
        }
        self.points.push(point);
        while self.points.len() > self.points_max {
            self.thin((self.resolution_ns * 2).max(RESOLUTION_FIRST_NS));
        }
    }

    /// Keeps the last point of each window of `resolution_ns`.
    fn thin(&mut self, resolution_ns: u64) {
        self.resolution_ns = resolution_ns;
        let before = self.points.len();
        // `dedup_by` keeps the first of equals: the later point's content is moved into it.
        self.points.dedup_by(|later, kept| {
            let same_window = later.t_ns / resolution_ns == kept.t_ns / resolution_ns;
            if same_window {
                *kept = Point { jumped: later.jumped || kept.jumped, ..*later };
            }
            same_window
        });
        self.merged += (before - self.points.len()) as u64;
    }

    /// The points, oldest first.
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// The jumps described, oldest first: the first [`JUMPS_MAX`].
    pub fn jumps(&self) -> &[Jump] {
        &self.jumps
    }

    /// Returns the number of jumps.
    pub fn jumps_total(&self) -> u64 {
        self.jumps_total
    }

    /// Returns the number of points that were merged into a later one of the same window.
    pub fn merged(&self) -> u64 {
        self.merged
    }

    /// The width of a window in nanoseconds: 1 while nothing has been merged.
    pub fn resolution_ns(&self) -> u64 {
        self.resolution_ns
    }

    /// Returns the time at which the replica was gone, if it is.
    pub fn ended_ns(&self) -> Option<u64> {
        self.ended_ns
    }

    /// Returns the point of the replica at `t_ns`: `None` before its first point and after its end.
    pub fn at(&self, t_ns: u64) -> Option<&Point> {
        if self.ended_ns.is_some_and(|ended| ended <= t_ns) {
            return None;
        }
        let after = self.points.partition_point(|point| point.t_ns <= t_ns);
        after.checked_sub(1).map(|at| &self.points[at])
    }
}

/// The trace of one node's replica of one store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// The node, as the scenario names it: `alpha.worker[1]`.
    pub name: String,
    /// One timeline for each incarnation of the node, oldest first.
    pub incarnations: Vec<Timeline>,
    /// Digests of the state at some versions.
    pub digests: Vec<(Version, u64)>,
}

impl Trace {
    /// A node of which nothing is known yet.
    pub fn named(name: impl Into<String>) -> Self {
        Trace { name: name.into(), ..Trace::default() }
    }

    /// Returns the current incarnation, or begins a first one.
    pub fn incarnation(&mut self) -> &mut Timeline {
        if self.incarnations.is_empty() {
            self.incarnations.push(Timeline::default());
        }
        let last = self.incarnations.len() - 1;
        &mut self.incarnations[last]
    }

    /// The node died at `t_ns`; what is recorded next belongs to a new incarnation.
    pub fn died(&mut self, t_ns: u64) {
        self.incarnation().end(t_ns);
        self.incarnations.push(Timeline::default());
    }

    /// Returns the point of the replica at `t_ns`, in whichever incarnation that was.
    pub fn at(&self, t_ns: u64) -> Option<&Point> {
        self.incarnations.iter().rev().find_map(|incarnation| incarnation.at(t_ns))
    }

    /// Every change of [`Point::place`], oldest first; `None` where the replica was gone.
    pub fn changes(&self) -> impl Iterator<Item = (u64, Option<Version>)> + '_ {
        self.incarnations.iter().flat_map(|incarnation| {
            let steps = incarnation.points().iter().map(|point| (point.t_ns, Some(point.place())));
            steps.chain(incarnation.ended_ns().map(|t_ns| (t_ns, None)))
        })
    }

    /// The coarsest resolution of the incarnations, in nanoseconds.
    pub fn resolution_ns(&self) -> u64 {
        self.incarnations.iter().map(Timeline::resolution_ns).max().unwrap_or(1)
    }
}

/// The encoding of a timeline: epochs once, points as tuples.
#[derive(Serialize, Deserialize)]
struct Columns {
    points_max: usize,
    resolution_ns: u64,
    merged: u64,
    ended_ns: Option<u64>,
    epochs: Vec<Epoch>,
    points: Vec<(u64, u32, u64, u64, bool)>,
    jumps: Vec<Jump>,
    jumps_total: u64,
}

/// A timeline that came from elsewhere does not add up.
#[derive(Debug, thiserror::Error)]
pub enum BrokenTimeline {
    /// A point names an epoch that the table has not.
    #[error("point {0} names an epoch that the timeline's table has not")]
    UnknownEpoch(usize),
    /// A resolution has to be a power of two.
    #[error("a resolution of {0} ns is not a power of two")]
    Resolution(u64),
}

impl From<Timeline> for Columns {
    fn from(timeline: Timeline) -> Self {
        let mut numbers = BTreeMap::new();
        let mut epochs = Vec::new();
        let points = timeline.points.iter().map(|point| {
            let number = *numbers.entry(point.version.epoch).or_insert_with(|| {
                epochs.push(point.version.epoch);
                (epochs.len() - 1) as u32
            });
            (point.t_ns, number, point.version.seq, point.history, point.jumped)
        });
        let points = points.collect();
        Columns {
            points_max: timeline.points_max,
            resolution_ns: timeline.resolution_ns,
            merged: timeline.merged,
            ended_ns: timeline.ended_ns,
            epochs,
            points,
            jumps: timeline.jumps,
            jumps_total: timeline.jumps_total,
        }
    }
}

impl TryFrom<Columns> for Timeline {
    type Error = BrokenTimeline;

    fn try_from(columns: Columns) -> Result<Self, BrokenTimeline> {
        if !columns.resolution_ns.is_power_of_two() {
            return Err(BrokenTimeline::Resolution(columns.resolution_ns));
        }
        let mut points = Vec::with_capacity(columns.points.len());
        for (at, (t_ns, number, seq, history, jumped)) in columns.points.into_iter().enumerate() {
            let epoch = columns.epochs.get(number as usize);
            let epoch = *epoch.ok_or(BrokenTimeline::UnknownEpoch(at))?;
            points.push(Point { t_ns, version: Version { epoch, seq }, history, jumped });
        }
        Ok(Timeline {
            points,
            points_max: columns.points_max.max(2),
            resolution_ns: columns.resolution_ns,
            merged: columns.merged,
            jumps: columns.jumps,
            jumps_total: columns.jumps_total,
            ended_ns: columns.ended_ns,
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Version `seq` of the first epoch.
    pub(crate) fn v(seq: u64) -> Version {
        Version { epoch: Epoch { number: 1, id: 7 }, seq }
    }

    /// A trace of one incarnation from `(t_ns, seq)`; histories follow from the seq.
    pub(crate) fn trace(name: &str, steps: &[(u64, u64)]) -> Trace {
        let mut trace = Trace::named(name);
        for &(t_ns, seq) in steps {
            trace.incarnation().applied(t_ns, v(seq), seq * 31);
        }
        trace
    }

    #[test]
    fn a_timeline_tells_where_the_replica_was() {
        let trace = trace("a", &[(10, 1), (20, 2)]);
        assert_eq!(trace.at(9), None);
        assert_eq!(trace.at(10).map(|p| p.version), Some(v(1)));
        assert_eq!(trace.at(19).map(|p| p.version), Some(v(1)));
        assert_eq!(trace.at(20).map(|p| p.version), Some(v(2)));
    }

    #[test]
    fn a_dead_replica_is_nowhere_until_its_next_life_speaks() {
        let mut trace = trace("a", &[(10, 1)]);
        trace.died(15);
        trace.incarnation().applied(30, v(0), 0);
        assert_eq!(trace.at(14).map(|p| p.version), Some(v(1)));
        assert_eq!(trace.at(15), None);
        assert_eq!(trace.at(30).map(|p| p.version), Some(v(0)));
    }

    #[test]
    fn a_timeline_survives_its_journey_to_the_runner() {
        let mut timeline = Timeline::bounded(64);
        timeline.applied(5, v(1), 9);
        timeline.jumped(8, v(1), v(4), 11);
        timeline.end(12);
        let text = serde_json::to_string(&timeline).expect("a timeline is plain data");
        let back: Timeline = serde_json::from_str(&text).expect("as it was written");
        assert_eq!(back, timeline);
        let broken = text.replace("[5,0,1,9,false]", "[5,3,1,9,false]");
        assert!(serde_json::from_str::<Timeline>(&broken).is_err());
    }

    proptest! {
        #[test]
        fn a_full_timeline_stays_exact_at_the_multiples_of_its_resolution(
            gaps in prop::collection::vec(1u64..3_000, 1..400),
            parts in 1usize..40,
        ) {
            let mut exact = Timeline::default();
            let mut thinned = Timeline::bounded(16);
            let mut node = Timeline::bounded(16);
            let mut t_ns = 0;
            for (seq, gap) in gaps.iter().enumerate() {
                t_ns += gap;
                exact.applied(t_ns, v(seq as u64), 0);
                node.applied(t_ns, v(seq as u64), 0);
                if seq % parts == 0 {
                    thinned.absorb(node.take());
                }
            }
            thinned.absorb(node.take());
            prop_assert!(thinned.points().len() <= 16);
            let kept = thinned.points().len() as u64 + thinned.merged();
            prop_assert_eq!(kept, gaps.len() as u64);
            let mut instant = thinned.resolution_ns();
            while instant <= t_ns + thinned.resolution_ns() {
                let expected = exact.at(instant - 1).map(|p| p.version);
                prop_assert_eq!(thinned.at(instant - 1).map(|p| p.version), expected);
                instant += thinned.resolution_ns();
            }
        }
    }
}

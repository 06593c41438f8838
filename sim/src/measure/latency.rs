//! From the intended dispatch to its answer, and to its application at each replica.
//!
//! Latency counts from the moment a dispatch was *intended*, not from when the load generator
//! got round to it: a stall of the system then shows in every dispatch it held up. Every
//! dispatch enters the counts and the histograms; of the accepted ones a bounded, evenly thinned
//! sample is kept, from which the replicas' timelines tell when each of them applied it.

use samestate::DispatchError;
use samestate_proto::replication::{Refused, Resolution};
use samestate_proto::{Epoch, Version};
use serde::{Deserialize, Serialize};

use super::histogram::Latencies;
use super::over_time::{Dispatches, Windows};
use super::timeline::{Point, Timeline, Trace};

/// The default number of accepted dispatches that a log keeps.
pub const DISPATCHES_MAX: usize = 1 << 16;

/// The outcome of a dispatch at its origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Ordered as this version, and applied at the origin.
    Ok(Version),
    /// Refused by the origin: it was not in sync. Never applies.
    NotConnected,
    /// Refused by the origin: its window was full. Never applies.
    Busy,
    /// Refused by the origin: the action is too large, or has no encoded form. Never applies.
    Invalid,
    /// Refused by the reducer. Never applies.
    Rejected,
    /// Not known, or not yet.
    Unknown,
}

impl From<&Resolution> for Outcome {
    fn from(resolution: &Resolution) -> Self {
        match resolution {
            Resolution::Ok(version) => Outcome::Ok(*version),
            Resolution::Rejected(_) => Outcome::Rejected,
            Resolution::OutcomeUnknown => Outcome::Unknown,
        }
    }
}

impl From<Refused> for Outcome {
    fn from(refused: Refused) -> Self {
        Outcome::from(&Err(DispatchError::from_refused(refused)))
    }
}

/// Counts a dispatch that never applies, and was not refused for want of a link or of room, as
/// rejected.
impl From<&Result<Version, DispatchError>> for Outcome {
    fn from(resolved: &Result<Version, DispatchError>) -> Self {
        match resolved {
            Ok(version) => Outcome::Ok(*version),
            Err(DispatchError::NotConnected | DispatchError::Stalled) => Outcome::NotConnected,
            Err(DispatchError::Busy(_)) => Outcome::Busy,
            Err(DispatchError::Invalid(_)) => Outcome::Invalid,
            Err(DispatchError::OutcomeUnknown) => Outcome::Unknown,
            Err(_) => Outcome::Rejected,
        }
    }
}

/// One dispatch, as its origin saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dispatched {
    /// The instant at which it should be made, by the arrivals.
    pub intended_ns: u64,
    /// The time at which it was made.
    pub issued_ns: u64,
    /// The time at which its outcome was known.
    pub answered_ns: u64,
    /// The outcome.
    pub outcome: Outcome,
}

/// The numbers of dispatches by outcome. `intended` is the sum of the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// All that were to be made.
    pub intended: u64,
    /// Ordered and applied at the origin.
    pub ok: u64,
    /// Refused since not in sync.
    pub not_connected: u64,
    /// Refused since the window was full.
    pub busy: u64,
    /// Refused since the action is too large, or has no encoded form.
    pub invalid: u64,
    /// Refused by the reducer.
    pub rejected: u64,
    /// Outcome not known.
    pub unknown: u64,
}

impl Counts {
    /// One more dispatch that ended so.
    pub fn add(&mut self, outcome: Outcome) {
        self.intended += 1;
        match outcome {
            Outcome::Ok(_) => self.ok += 1,
            Outcome::NotConnected => self.not_connected += 1,
            Outcome::Busy => self.busy += 1,
            Outcome::Invalid => self.invalid += 1,
            Outcome::Rejected => self.rejected += 1,
            Outcome::Unknown => self.unknown += 1,
        }
    }

    /// Those of `other` too.
    pub fn merge(&mut self, other: &Counts) {
        self.intended += other.intended;
        self.ok += other.ok;
        self.not_connected += other.not_connected;
        self.busy += other.busy;
        self.invalid += other.invalid;
        self.rejected += other.rejected;
        self.unknown += other.unknown;
    }

    /// Refused by the origin before it was sent: not in sync, no room, or an action that cannot be
    /// sent.
    pub fn refused(&self) -> u64 {
        self.not_connected + self.busy + self.invalid
    }
}

/// The dispatches of one origin into one store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DispatchLog {
    counts: Counts,
    local: Latencies,
    lag: Latencies,
    course: Windows<Dispatches>,
    kept: Vec<Dispatched>,
    kept_max: usize,
    stride: u64,
}

impl Default for DispatchLog {
    fn default() -> Self {
        DispatchLog::bounded(DISPATCHES_MAX)
    }
}

impl DispatchLog {
    /// A log that keeps at most `kept_max` accepted dispatches (at least two).
    pub fn bounded(kept_max: usize) -> Self {
        DispatchLog {
            counts: Counts::default(),
            local: Latencies::default(),
            lag: Latencies::default(),
            course: Windows::default(),
            kept: Vec::new(),
            kept_max: kept_max.max(2),
            stride: 1,
        }
    }

    /// One more dispatch, with its outcome.
    pub fn record(&mut self, dispatched: Dispatched) {
        self.lag.record(dispatched.issued_ns.saturating_sub(dispatched.intended_ns));
        self.record_excused(dispatched);
    }

    /// One more dispatch, with its outcome, whose lateness was planned: the load generator is not
    /// to be judged by it.
    pub fn record_excused(&mut self, dispatched: Dispatched) {
        self.course.at(dispatched.issued_ns).issued += 1;
        let window = self.course.at(dispatched.intended_ns);
        window.intended += 1;
        if let Outcome::Ok(_) = dispatched.outcome {
            let local_ns = dispatched.answered_ns.saturating_sub(dispatched.intended_ns);
            window.local.record(local_ns);
            self.local.record(local_ns);
            if self.counts.ok.is_multiple_of(self.stride) {
                self.keep(dispatched);
            }
        }
        self.counts.add(dispatched.outcome);
    }

    /// A dispatch was intended at this instant, and was never made.
    pub fn missed(&mut self, intended_ns: u64) {
        self.course.at(intended_ns).intended += 1;
    }

    /// Takes out what was recorded since the last call, to be handed to [`DispatchLog::absorb`].
    pub fn take(&mut self) -> DispatchLog {
        let rest = DispatchLog { stride: self.stride, ..DispatchLog::bounded(self.kept_max) };
        let mut taken = std::mem::replace(self, rest);
        let course = taken.course.take();
        // Later parts are as coarse as this one.
        self.course = std::mem::replace(&mut taken.course, course);
        taken
    }

    /// Adds a part, or another origin's log.
    ///
    /// If the two were thinned differently, the finer one is thinned to match, so that origins
    /// weigh in the sample by how much they dispatched.
    pub fn absorb(&mut self, mut part: DispatchLog) {
        while self.stride < part.stride {
            self.halve();
        }
        while part.stride < self.stride {
            part.halve();
        }
        self.counts.merge(&part.counts);
        self.local.merge(&part.local);
        self.lag.merge(&part.lag);
        self.course.absorb(part.course);
        self.kept.extend(part.kept);
        while self.kept.len() > self.kept_max {
            self.halve();
        }
    }

    fn keep(&mut self, dispatched: Dispatched) {
        self.kept.push(dispatched);
        if self.kept.len() > self.kept_max {
            self.halve();
        }
    }

    fn halve(&mut self) {
        let mut at = 0;
        self.kept.retain(|_| {
            at += 1;
            at % 2 == 1
        });
        self.stride *= 2;
    }

    /// Returns the numbers of dispatches by outcome.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// From intended to answered, of every accepted dispatch.
    pub fn local(&self) -> &Latencies {
        &self.local
    }

    /// From intended to issued, of every dispatch that is not excused: how late the load generator
    /// was.
    pub fn lag(&self) -> &Latencies {
        &self.lag
    }

    /// The dispatches over time.
    pub fn course(&self) -> &Windows<Dispatches> {
        &self.course
    }

    /// The accepted dispatches kept: one of [`DispatchLog::stride`].
    pub fn kept(&self) -> &[Dispatched] {
        &self.kept
    }

    /// One accepted dispatch of so many was kept.
    pub fn stride(&self) -> u64 {
        self.stride
    }

    /// From intended to applied at `replica`, of the dispatches kept.
    pub fn at_replica(&self, replica: &Trace) -> Arrivals {
        let mut arrivals = Arrivals::default();
        for (dispatched, reached) in self.reached(replica) {
            match reached {
                Some(t_ns) => {
                    arrivals.latencies.record(t_ns.saturating_sub(dispatched.intended_ns))
                }
                None => arrivals.never += 1,
            }
        }
        arrivals
    }

    /// The dispatches kept, each with the time at which `replica` applied it.
    pub fn reached<'a>(
        &'a self,
        replica: &'a Trace,
    ) -> impl Iterator<Item = (&'a Dispatched, Option<u64>)> {
        let finder = replica.finder();
        self.kept.iter().filter_map(move |dispatched| {
            let Outcome::Ok(version) = dispatched.outcome else { return None };
            Some((dispatched, finder.first(version, dispatched.issued_ns)))
        })
    }
}

/// The times at which dispatches were applied at a replica.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Arrivals {
    /// From intended to applied.
    pub latencies: Latencies,
    /// The number of dispatches that were never seen there: rolled back, or the replica died and
    /// did not return.
    pub never: u64,
}

impl Arrivals {
    /// Those of another replica too.
    pub fn merge(&mut self, other: &Arrivals) {
        self.latencies.merge(&other.latencies);
        self.never += other.never;
    }
}

/// Finds when a replica reached a version, in whichever incarnation that was.
pub struct Finder<'a>(Vec<Reach<'a>>);

impl Trace {
    /// Finds the times at which the replica reached versions.
    pub fn finder(&self) -> Finder<'_> {
        Finder(self.incarnations.iter().map(Reach::new).collect())
    }
}

impl Finder<'_> {
    /// Returns the first time, not before `since_ns`, at which the replica was at `version` or past
    /// it.
    pub fn first(&self, version: Version, since_ns: u64) -> Option<u64> {
        self.0.iter().find_map(|incarnation| incarnation.first(version, since_ns))
    }
}

/// Finds when a timeline reached a version.
struct Reach<'a> {
    points: &'a [Point],
    /// The beginnings of runs of rising seqs.
    runs: Vec<usize>,
    /// Each epoch, and the first point in it.
    epochs: Vec<(Epoch, usize)>,
}

impl<'a> Reach<'a> {
    fn new(timeline: &'a Timeline) -> Self {
        let points = timeline.points();
        let mut reach = Reach { points, runs: Vec::new(), epochs: Vec::new() };
        for (at, point) in points.iter().enumerate() {
            if at == 0 || points[at - 1].version.seq > point.version.seq {
                reach.runs.push(at);
            }
            let epoch = point.version.epoch;
            let new = at == 0 || points[at - 1].version.epoch != epoch;
            if new && reach.epochs.iter().all(|known| known.0 != epoch) {
                reach.epochs.push((epoch, at));
            }
        }
        reach
    }

    /// Returns the first time at which the replica was at `version` or past it, not before
    /// `since_ns`.
    ///
    /// Points of incarnations that came before the version's do not count, however high their seq.
    fn first(&self, version: Version, since_ns: u64) -> Option<u64> {
        let known = self.epochs.iter().find(|known| known.0 == version.epoch);
        let begun = known.map_or(0, |known| known.1);
        let from = self.points.partition_point(|point| point.t_ns < since_ns).max(begun);
        let first_run = self.runs.partition_point(|run| *run <= from);
        let mut start = from;
        for end in self.runs[first_run..].iter().copied().chain([self.points.len()]) {
            let run = &self.points[start..end];
            let at = run.partition_point(|point| point.version.seq < version.seq);
            if let Some(point) = run.get(at) {
                return Some(point.t_ns);
            }
            start = end;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::timeline::tests::{trace, v};
    use super::*;

    fn ok(intended_ns: u64, issued_ns: u64, answered_ns: u64, seq: u64) -> Dispatched {
        Dispatched { intended_ns, issued_ns, answered_ns, outcome: Outcome::Ok(v(seq)) }
    }

    #[test]
    fn an_action_that_is_too_large_is_refused_and_not_rejected_by_the_reducer() {
        let mut counts = Counts::default();
        for refused in [
            Refused::TooLong { len: 5_000_000, limit: 4 << 20 },
            Refused::Unencodable("a map's key is no text".into()),
        ] {
            counts.add(Outcome::from(refused));
        }
        assert_eq!((counts.intended, counts.refused(), counts.rejected), (2, 2, 0));
    }

    #[test]
    fn latency_counts_from_the_intended_moment() {
        let mut log = DispatchLog::default();
        log.record(ok(100, 130, 150, 1));
        log.record(ok(200, 200, 260, 2));
        log.record(Dispatched {
            intended_ns: 300,
            issued_ns: 301,
            answered_ns: 301,
            outcome: Outcome::Busy,
        });
        assert_eq!(log.counts().intended, 3);
        assert_eq!((log.counts().ok, log.counts().refused()), (2, 1));
        assert_eq!(log.local().quantile_ns(0.5), Some(50));
        assert_eq!(log.local().quantiles().map(|q| q.max_ns), Some(60));
        assert_eq!(log.lag().quantile_ns(1.0), Some(30));

        // The replica went past version 1 by a batch that ended at 2.
        let arrivals = log.at_replica(&trace("r", &[(0, 0), (290, 2)]));
        assert_eq!(arrivals.latencies.len(), 2);
        assert_eq!(arrivals.latencies.quantile_ns(0.5), Some(90));
        assert_eq!(arrivals.latencies.quantile_ns(1.0), Some(190));
        let arrivals = log.at_replica(&trace("r", &[(0, 0), (290, 1)]));
        assert_eq!(arrivals.never, 1);
    }

    #[test]
    fn a_higher_seq_of_a_lost_life_is_not_an_arrival() {
        let second = |seq| Version { epoch: Epoch { number: 2, id: 9 }, seq };
        let mut log = DispatchLog::default();
        let outcome = Outcome::Ok(second(51));
        log.record(Dispatched { intended_ns: 40, issued_ns: 40, answered_ns: 55, outcome });
        let mut replica = trace("r", &[(0, 0), (10, 100), (45, 101)]);
        replica.incarnation().jumped(50, v(101), v(50), 0);
        replica.incarnation().applied(60, second(51), 0);
        let arrivals = log.at_replica(&replica);
        assert_eq!(arrivals.latencies.quantile_ns(1.0), Some(20));
    }

    #[test]
    fn a_storm_is_counted_whole_and_kept_evenly_thinned() {
        let mut log = DispatchLog::bounded(100);
        for n in 0..10_000 {
            log.record(ok(n * 10, n * 10, n * 10 + 5, n));
        }
        assert_eq!(log.counts().ok, 10_000);
        assert_eq!(log.local().len(), 10_000);
        assert!((50..=100).contains(&log.kept().len()));
        let steps: Vec<u64> =
            log.kept().windows(2).map(|w| (w[1].intended_ns - w[0].intended_ns) / 10).collect();
        assert!(steps.iter().all(|step| *step == log.stride()), "{steps:?}");
    }

    #[test]
    fn parts_add_up_to_the_whole() {
        let mut whole = DispatchLog::bounded(64);
        let mut node = DispatchLog::bounded(64);
        let mut runner = DispatchLog::bounded(64);
        for n in 0..1_000 {
            whole.record(ok(n, n, n + n % 77, n));
            node.record(ok(n, n, n + n % 77, n));
            if n % 300 == 0 {
                let part = serde_json::to_string(&node.take()).expect("plain data");
                runner.absorb(serde_json::from_str(&part).expect("as it was written"));
            }
        }
        runner.absorb(node.take());
        assert_eq!(runner.counts(), whole.counts());
        assert_eq!(runner.local().quantiles(), whole.local().quantiles());
        assert!(runner.kept().len() <= 64);
    }
}

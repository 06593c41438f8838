//! Measures that add up: of trees into stores, of stores into a case.

use samestate_report as report;

use super::delta::Figures;
use crate::measure::identity::EqualVersion;
use crate::measure::summary::in_us;
use crate::measure::{Counts, Latencies, Samples, Staleness};

const NS_PER_MS: f64 = 1e6;

/// The measures of one tree, one store, one phase or one case.
#[derive(Clone, Debug, Default)]
pub(super) struct Sums {
    pub(super) samples: Samples,
    pub(super) equal: EqualVersion,
    /// The worst tree's.
    pub(super) time_weighted_percent: Option<f64>,
    pub(super) converged: Converged,
    pub(super) local: Latencies,
    pub(super) replica: Latencies,
    pub(super) staleness: Staleness,
    pub(super) counts: Counts,
    pub(super) from_mirrors: u64,
    pub(super) judged: Option<Judged>,
    pub(super) pace: Pace,
    pub(super) achieved_per_s: Option<f64>,
    /// Those of the stores that count; `None` if none does.
    pub(super) counters: Option<Figures>,
}

/// The time until the replicas were equal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Converged {
    /// There was nothing to see.
    #[default]
    Unwatched,
    /// At the latest after so many nanoseconds.
    Within(u64),
    /// Some never were.
    Never,
}

/// The fate of dispatches in the history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Judged {
    pub(super) lost: u64,
    pub(super) duplicated: u64,
    pub(super) rolled_back: u64,
    pub(super) ordered: u64,
}

/// The delay of the loads against their own schedule.
#[derive(Clone, Debug, Default)]
pub(super) struct Pace {
    /// The delays of open loops.
    pub(super) lag: Latencies,
    /// The number of dispatches that open loops should have made.
    pub(super) due: u64,
    /// The number of dispatches that open loops made.
    pub(super) issued: u64,
    /// The number of dispatches that closed loops made.
    pub(super) closed: u64,
    /// There is a closed loop among the loads.
    pub(super) has_closed: bool,
    /// The time for which open loops are left out of the lag, as planned.
    pub(super) left_out_ns: u64,
}

impl Converged {
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Never, _) | (_, Self::Never) => Self::Never,
            (Self::Unwatched, known) | (known, Self::Unwatched) => known,
            (Self::Within(one), Self::Within(other)) => Self::Within(one.max(other)),
        }
    }

    fn ms(self) -> Option<f64> {
        match self {
            Self::Within(ns) => Some(ns as f64 / NS_PER_MS),
            Self::Unwatched | Self::Never => None,
        }
    }
}

impl From<Option<u64>> for Converged {
    fn from(within_ns: Option<u64>) -> Self {
        within_ns.map_or(Self::Never, Self::Within)
    }
}

impl Pace {
    fn merge(&mut self, other: &Pace) {
        self.lag.merge(&other.lag);
        self.due += other.due;
        self.issued += other.issued;
        self.closed += other.closed;
        self.has_closed |= other.has_closed;
        self.left_out_ns += other.left_out_ns;
    }
}

impl Sums {
    /// Those of another tree, or of another store.
    pub(super) fn merge(&mut self, other: &Sums) {
        self.samples.merge(&other.samples);
        self.equal.merge(other.equal.clone());
        self.time_weighted_percent = least(self.time_weighted_percent, other.time_weighted_percent);
        self.converged = self.converged.and(other.converged);
        self.local.merge(&other.local);
        self.replica.merge(&other.replica);
        self.staleness.merge(&other.staleness);
        self.counts.merge(&other.counts);
        self.from_mirrors += other.from_mirrors;
        if let Some(theirs) = other.judged {
            let ours = self.judged.get_or_insert_default();
            ours.lost += theirs.lost;
            ours.duplicated += theirs.duplicated;
            ours.rolled_back += theirs.rolled_back;
            ours.ordered += theirs.ordered;
        }
        self.pace.merge(&other.pace);
        self.achieved_per_s = match (self.achieved_per_s, other.achieved_per_s) {
            (Some(one), Some(other)) => Some(one + other),
            (one, other) => one.or(other),
        };
        self.count(other.counters);
    }

    /// Adds the counters of one more store.
    pub(super) fn count(&mut self, counters: Option<Figures>) {
        if let Some(counters) = counters {
            self.counters.get_or_insert_default().add(counters);
        }
    }

    pub(super) fn identical(&self) -> report::Identical {
        report::Identical {
            sampled_percent: self.samples.percent(),
            samples: self.samples.total,
            time_weighted_percent: self.time_weighted_percent,
            at_equal_version_percent: self.equal.percent(),
            compared_at_equal_version: Some(self.equal.compared),
            converged_within_ms: self.converged.ms(),
        }
    }

    /// Returns the dispatches, without a number of lost ones if there was no dispatch: that is no
    /// measurement.
    pub(super) fn dispatches(&self) -> report::Dispatches {
        let made = self.counts.intended > 0;
        let bad = |count: fn(&Judged) -> u64| {
            self.judged.as_ref().map(count).filter(|count| made || *count > 0)
        };
        report::Dispatches {
            intended: self.counts.intended,
            ok: self.counts.ok,
            refused: self.counts.refused(),
            rejected: self.counts.rejected,
            unknown: self.counts.unknown,
            lost: bad(|judged| judged.lost),
            duplicated: bad(|judged| judged.duplicated),
            rolled_back: bad(|judged| judged.rolled_back),
            from_mirrors: self.from_mirrors,
            ordered: self.judged.map(|judged| judged.ordered),
        }
    }

    /// Returns the rate of the loads over so many seconds.
    pub(super) fn rate(&self, seconds: f64) -> report::Rate {
        let per_s = |count: u64| (seconds > 0.0).then(|| count as f64 / seconds);
        let Pace { lag, due, issued, closed, has_closed, left_out_ns } = &self.pace;
        report::Rate {
            // A closed loop has no rate to keep.
            intended_per_s: per_s(*due).filter(|_| !has_closed && *due > 0),
            issued_per_s: per_s(issued + closed),
            achieved_per_s: self.achieved_per_s,
            schedule_lag_ms_p99: lag.quantile_ns(0.99).map(|ns| ns as f64 / NS_PER_MS),
            left_out_seconds: (*due > 0).then_some(*left_out_ns as f64 / 1e9),
        }
    }

    pub(super) fn latency(&self) -> report::Latency {
        report::Latency { local: in_us(&self.local), replica: in_us(&self.replica) }
    }

    pub(super) fn staleness(&self) -> report::Staleness {
        let ms = |ns: u64| ns as f64 / NS_PER_MS;
        report::Staleness {
            versions_p99: self.staleness.versions(0.99),
            versions_max: self.staleness.versions(1.0),
            ms_p99: self.staleness.ns(0.99).map(ms),
            ms_max: self.staleness.ns(1.0).map(ms),
        }
    }

    /// The costs that stores count: those of processes are not in it.
    pub(super) fn cost(&self) -> report::Cost {
        report::Cost {
            snapshots_forced: self.counters.map(|counters| counters.snapshots_forced),
            entries_skipped: self.counters.map(|counters| counters.entries_skipped),
            ..report::Cost::default()
        }
    }
}

fn least(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

//! The table of all measures.
//!
//! A row gives a measure its name, unit, better direction, and text, and reads it from a case or
//! from a store. The function that makes the row says for what else the measure exists: an
//! expectation may name that, to narrow the measure.

use super::{Better, Measures, Metric, Unit};
use Better::{Higher, Lower, Neither};
use Unit::{Bytes, Count, Microseconds, Milliseconds, Passes, PerSecond, Percent, Seconds};

type Read = fn(&Measures<'_>) -> Option<f64>;

/// Every measure, in the order of the record.
pub(super) static METRICS: &[Metric] = &[
    of_stores(
        "identical.sampled_percent",
        Percent,
        Higher,
        "share of samples in which the states were the same",
        |m| m.identical.sampled_percent,
    ),
    of_stores("identical.samples", Count, Neither, "how many samples were taken", |m| {
        Some(m.identical.samples as f64)
    }),
    of_stores(
        "identical.time_weighted_percent",
        Percent,
        Higher,
        "share of time in which all replicas were at one version; the worst store's",
        |m| m.identical.time_weighted_percent,
    ),
    of_stores(
        "identical.at_equal_version_percent",
        Percent,
        Higher,
        "share of comparisons at one version that found one state: 100, or something is wrong",
        |m| m.identical.at_equal_version_percent,
    ),
    of_stores(
        "identical.compared_at_equal_version",
        Count,
        Neither,
        "how many such comparisons were made",
        |m| whole(m.identical.compared_at_equal_version),
    ),
    of_stores(
        "identical.converged_within_ms",
        Milliseconds,
        Lower,
        "longest time until all replicas were the same after load or a fault ended; null: never",
        |m| m.identical.converged_within_ms,
    )
    .null_is_never(),
    of_loads(
        "dispatches.intended",
        Count,
        Neither,
        "dispatches that the load asked for, mirrors included",
        |m| Some(m.dispatches.intended as f64),
    )
    .only_grows(),
    of_loads(
        "dispatches.ok",
        Count,
        Neither,
        "dispatches that were ordered and applied at their origin",
        |m| Some(m.dispatches.ok as f64),
    )
    .only_grows(),
    of_loads(
        "dispatches.refused",
        Count,
        Neither,
        "dispatches refused at once: not connected, busy, or too large",
        |m| Some(m.dispatches.refused as f64),
    )
    .only_grows(),
    of_loads("dispatches.rejected", Count, Neither, "dispatches that the reducer rejected", |m| {
        Some(m.dispatches.rejected as f64)
    })
    .only_grows(),
    of_loads(
        "dispatches.unknown",
        Count,
        Lower,
        "dispatches whose outcome could not be known",
        |m| Some(m.dispatches.unknown as f64),
    )
    .only_grows(),
    of_stores(
        "dispatches.lost",
        Count,
        Lower,
        "dispatches that answered Ok and are not in the history",
        |m| whole(m.dispatches.lost),
    ),
    of_stores(
        "dispatches.duplicated",
        Count,
        Lower,
        "dispatches that are in the history more than once",
        |m| whole(m.dispatches.duplicated),
    )
    .only_grows(),
    of_stores(
        "dispatches.rolled_back",
        Count,
        Lower,
        "dispatches lost with a sequencer that died",
        |m| whole(m.dispatches.rolled_back),
    ),
    of_loads("dispatches.from_mirrors", Count, Neither, "dispatches that mirrors made", |m| {
        Some(m.dispatches.from_mirrors as f64)
    }),
    of_stores(
        "dispatches.ordered",
        Count,
        Neither,
        "actions that the sequencers put in order",
        |m| whole(m.dispatches.ordered),
    ),
    of_loads(
        "rate.intended_per_s",
        PerSecond,
        Neither,
        "dispatches a second that the load asked for",
        |m| m.rate.intended_per_s,
    ),
    of_loads(
        "rate.issued_per_s",
        PerSecond,
        Neither,
        "dispatches a second that were really made",
        |m| m.rate.issued_per_s,
    ),
    of_loads(
        "rate.achieved_per_s",
        PerSecond,
        Higher,
        "actions a second that were applied at every replica",
        |m| m.rate.achieved_per_s,
    ),
    of_loads(
        "rate.schedule_lag_ms_p99",
        Milliseconds,
        Neither,
        "how late the load was behind its own schedule",
        |m| m.rate.schedule_lag_ms_p99,
    ),
    of_loads(
        "rate.left_out_seconds",
        Seconds,
        Neither,
        "how long loads were left out of that, paused or killed",
        |m| m.rate.left_out_seconds,
    ),
    of_loads(
        "latency_us.local.p50",
        Microseconds,
        Lower,
        "intended dispatch to its answer: median",
        |m| m.local(|q| q.p50),
    ),
    of_loads(
        "latency_us.local.p90",
        Microseconds,
        Lower,
        "intended dispatch to its answer: 90th percentile",
        |m| m.local(|q| q.p90),
    ),
    of_loads(
        "latency_us.local.p99",
        Microseconds,
        Lower,
        "intended dispatch to its answer: 99th percentile",
        |m| m.local(|q| q.p99),
    ),
    of_loads(
        "latency_us.local.p999",
        Microseconds,
        Lower,
        "intended dispatch to its answer: 99.9th percentile",
        |m| m.local(|q| q.p999),
    ),
    of_loads(
        "latency_us.local.max",
        Microseconds,
        Lower,
        "intended dispatch to its answer: the longest",
        |m| m.local(|q| q.max),
    ),
    of_loads(
        "latency_us.replica.p50",
        Microseconds,
        Lower,
        "intended dispatch to a replica's application: median",
        |m| m.replica(|q| q.p50),
    ),
    of_loads(
        "latency_us.replica.p90",
        Microseconds,
        Lower,
        "intended dispatch to a replica's application: 90th",
        |m| m.replica(|q| q.p90),
    ),
    of_loads(
        "latency_us.replica.p99",
        Microseconds,
        Lower,
        "intended dispatch to a replica's application: 99th",
        |m| m.replica(|q| q.p99),
    ),
    of_loads(
        "latency_us.replica.p999",
        Microseconds,
        Lower,
        "intended dispatch to a replica's application: 99.9th",
        |m| m.replica(|q| q.p999),
    ),
    of_loads(
        "latency_us.replica.max",
        Microseconds,
        Lower,
        "intended dispatch to a replica's application: longest",
        |m| m.replica(|q| q.max),
    ),
    of_stores(
        "staleness.versions_p99",
        Count,
        Lower,
        "how many versions replicas were behind",
        |m| whole(m.staleness.versions_p99),
    ),
    of_stores(
        "staleness.versions_max",
        Count,
        Lower,
        "how many versions replicas were behind: the most",
        |m| whole(m.staleness.versions_max),
    ),
    of_stores(
        "staleness.ms_p99",
        Milliseconds,
        Lower,
        "how many milliseconds replicas were behind",
        |m| m.staleness.ms_p99,
    ),
    of_stores(
        "staleness.ms_max",
        Milliseconds,
        Lower,
        "how many milliseconds replicas were behind: the most",
        |m| m.staleness.ms_max,
    ),
    of_processes("cost.cpu_seconds", Seconds, Lower, "user and system CPU of all processes", |m| {
        m.cost.cpu_seconds
    }),
    of_runs(
        "cost.cpu_us_per_action",
        Microseconds,
        Lower,
        "CPU of all processes for each action ordered",
        |m| m.cost.cpu_us_per_action,
    ),
    of_runs(
        "cost.relative_cpu_per_action",
        Passes,
        Lower,
        "the same in passes of a reference work, which a busy machine slows as much",
        |m| m.cost.relative_cpu_per_action,
    ),
    of_runs(
        "cost.null_cpu_us_per_action",
        Microseconds,
        Neither,
        "CPU for each action of nodes that do everything but replicate: the instruments",
        |m| m.cost.null_cpu_us_per_action,
    ),
    of_processes(
        "cost.rss_bytes_max",
        Bytes,
        Lower,
        "the largest resident memory of a process",
        |m| whole(m.cost.rss_bytes_max),
    ),
    of_processes("cost.wire_bytes", Bytes, Lower, "bytes sent over all links", |m| {
        whole(m.cost.wire_bytes)
    }),
    of_runs(
        "cost.wire_bytes_per_action",
        Bytes,
        Lower,
        "bytes sent for each action ordered",
        |m| m.cost.wire_bytes_per_action,
    ),
    of_processes("cost.syscalls", Count, Lower, "system calls that moved those bytes", |m| {
        whole(m.cost.syscalls)
    }),
    of_runs(
        "cost.syscalls_per_action",
        Count,
        Lower,
        "system calls for each action ordered",
        |m| m.cost.syscalls_per_action,
    ),
    of_stores(
        "cost.snapshots_forced",
        Count,
        Lower,
        "snapshots sent because a link fell off the log",
        |m| whole(m.cost.snapshots_forced),
    )
    .only_grows(),
    of_stores(
        "cost.entries_skipped",
        Count,
        Lower,
        "actions that replicas skipped by such a snapshot",
        |m| whole(m.cost.entries_skipped),
    )
    .only_grows(),
    of_cases("faults.planned", Count, Neither, "faults that the scenario asked for", |m| {
        m.faults.map(|faults| faults.planned as f64)
    }),
    of_cases(
        "faults.injected",
        Count,
        Neither,
        "faults that were really injected, with evidence",
        |m| m.faults.map(|faults| faults.injected as f64),
    ),
    of_cases("violations", Count, Lower, "how many violations of invariants were found", |m| {
        m.violations.map(|count| count as f64)
    })
    .only_grows(),
];

/// A measure of cases that exists for each store, too.
const fn of_stores(
    name: &'static str,
    unit: Unit,
    better: Better,
    about: &'static str,
    read: Read,
) -> Metric {
    Metric { per_store: true, ..of_runs(name, unit, better, about, read) }
}

/// A measure of cases that exists for each store and for each phase, too.
const fn of_loads(
    name: &'static str,
    unit: Unit,
    better: Better,
    about: &'static str,
    read: Read,
) -> Metric {
    Metric { per_phase: true, ..of_stores(name, unit, better, about, read) }
}

/// A measure of cases that exists for each node, too.
const fn of_processes(
    name: &'static str,
    unit: Unit,
    better: Better,
    about: &'static str,
    read: Read,
) -> Metric {
    Metric { per_node: true, ..of_runs(name, unit, better, about, read) }
}

/// A measure of cases. Stores have a place for it, which is empty.
const fn of_runs(
    name: &'static str,
    unit: Unit,
    better: Better,
    about: &'static str,
    read: Read,
) -> Metric {
    Metric { of_stores: true, ..of_cases(name, unit, better, about, read) }
}

/// A measure of cases alone: stores have no place for it.
const fn of_cases(
    name: &'static str,
    unit: Unit,
    better: Better,
    about: &'static str,
    read: Read,
) -> Metric {
    Metric {
        name,
        unit,
        better,
        about,
        of_stores: false,
        per_store: false,
        per_node: false,
        per_phase: false,
        null_is_never: false,
        only_grows: false,
        read,
    }
}

impl Metric {
    /// Null says that it never happened, and not that it was not measured.
    const fn null_is_never(mut self) -> Self {
        self.null_is_never = true;
        self
    }

    /// Marks a metric that never becomes less while a run continues.
    const fn only_grows(mut self) -> Self {
        self.only_grows = true;
        self
    }
}

fn whole(count: Option<u64>) -> Option<f64> {
    count.map(|count| count as f64)
}

//! The metrics that an expectation can name, and their meaning.
//!
//! The measures themselves, with their units and values, are the record's
//! ([`samestate_report::Metric`]); this table has an entry for each, and a test that none is
//! missing. Validation and `explain --metrics` read it.

/// A metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name: the path in a case of the record.
    pub name: &'static str,
    /// The meaning of the metric, and its unit.
    pub about: &'static str,
    /// True if the metric exists store by store too, so that an expectation may name a store.
    pub per_store: bool,
    /// True if the metric exists process by process too, so that an expectation may name a node.
    pub per_node: bool,
    /// True if the metric exists phase by phase too, so that an expectation may name a phase.
    pub per_phase: bool,
}

const fn of_stores(name: &'static str, about: &'static str) -> Metric {
    Metric { name, about, per_store: true, per_node: false, per_phase: false }
}

const fn of_loads(name: &'static str, about: &'static str) -> Metric {
    Metric { name, about, per_store: true, per_node: false, per_phase: true }
}

const fn of_processes(name: &'static str, about: &'static str) -> Metric {
    Metric { name, about, per_store: false, per_node: true, per_phase: false }
}

const fn of_runs(name: &'static str, about: &'static str) -> Metric {
    Metric { name, about, per_store: false, per_node: false, per_phase: false }
}

/// Every metric, in the record's order.
static METRICS: &[Metric] = &[
    of_stores("identical.sampled_percent", "share of samples in which the states were the same"),
    of_stores("identical.samples", "how many samples were taken"),
    of_stores(
        "identical.time_weighted_percent",
        "share of time in which all replicas were at one version; the worst store's",
    ),
    of_stores(
        "identical.at_equal_version_percent",
        "share of comparisons at one version that found one state: 100, or something is wrong",
    ),
    of_stores("identical.compared_at_equal_version", "how many such comparisons were made"),
    of_stores(
        "identical.converged_within_ms",
        "longest time until all replicas were the same after load or a fault ended; null: never",
    ),
    of_loads("dispatches.intended", "dispatches that the load asked for, mirrors included"),
    of_loads("dispatches.ok", "dispatches that were ordered and applied at their origin"),
    of_loads("dispatches.refused", "dispatches refused at once: not connected, busy, or too large"),
    of_loads("dispatches.rejected", "dispatches that the reducer rejected"),
    of_loads("dispatches.unknown", "dispatches whose outcome could not be known"),
    of_stores("dispatches.lost", "dispatches that answered Ok and are not in the history"),
    of_stores("dispatches.duplicated", "dispatches that are in the history more than once"),
    of_stores("dispatches.rolled_back", "dispatches lost with a sequencer that died"),
    of_loads("dispatches.from_mirrors", "dispatches that mirrors made"),
    of_stores("dispatches.ordered", "actions that the sequencers put in order"),
    of_loads("rate.intended_per_s", "dispatches a second that the load asked for"),
    of_loads("rate.issued_per_s", "dispatches a second that were really made"),
    of_loads("rate.achieved_per_s", "actions a second that were applied at every replica"),
    of_loads("rate.schedule_lag_ms_p99", "how late the load was behind its own schedule"),
    of_loads("rate.left_out_seconds", "how long loads were left out of that, paused or killed"),
    of_loads("latency_us.local.p50", "intended dispatch to its answer: median"),
    of_loads("latency_us.local.p90", "intended dispatch to its answer: 90th percentile"),
    of_loads("latency_us.local.p99", "intended dispatch to its answer: 99th percentile"),
    of_loads("latency_us.local.p999", "intended dispatch to its answer: 99.9th percentile"),
    of_loads("latency_us.local.max", "intended dispatch to its answer: the longest"),
    of_loads("latency_us.replica.p50", "intended dispatch to a replica's application: median"),
    of_loads("latency_us.replica.p90", "intended dispatch to a replica's application: 90th"),
    of_loads("latency_us.replica.p99", "intended dispatch to a replica's application: 99th"),
    of_loads("latency_us.replica.p999", "intended dispatch to a replica's application: 99.9th"),
    of_loads("latency_us.replica.max", "intended dispatch to a replica's application: longest"),
    of_stores("staleness.versions_p99", "how many versions replicas were behind"),
    of_stores("staleness.versions_max", "how many versions replicas were behind: the most"),
    of_stores("staleness.ms_p99", "how many milliseconds replicas were behind"),
    of_stores("staleness.ms_max", "how many milliseconds replicas were behind: the most"),
    of_processes("cost.cpu_seconds", "user and system CPU of all processes"),
    of_runs("cost.cpu_us_per_action", "CPU of all processes for each action ordered"),
    of_processes("cost.rss_bytes_max", "the largest resident memory of a process"),
    of_processes("cost.wire_bytes", "bytes sent over all links"),
    of_runs("cost.wire_bytes_per_action", "bytes sent for each action ordered"),
    of_processes("cost.syscalls", "system calls that moved those bytes"),
    of_runs("cost.syscalls_per_action", "system calls for each action ordered"),
    of_stores("cost.snapshots_forced", "snapshots sent because a link fell off the log"),
    of_stores("cost.entries_skipped", "actions that replicas skipped by such a snapshot"),
    of_runs("faults.planned", "faults that the scenario asked for"),
    of_runs("faults.injected", "faults that were really injected, with evidence"),
    of_runs("violations", "how many violations of invariants were found"),
];

/// Every metric, in the record's order.
pub fn all() -> &'static [Metric] {
    METRICS
}

/// The metric of that name.
pub fn find(name: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|metric| metric.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_measure_of_the_record_is_here_in_its_order() {
        let of_record: Vec<_> =
            samestate_report::Metric::all().iter().map(samestate_report::Metric::name).collect();
        let here: Vec<_> = all().iter().map(|metric| metric.name).collect();
        assert_eq!(here, of_record);
    }

    #[test]
    fn what_the_record_lacks_for_stores_cannot_be_expected_of_one() {
        for metric in samestate_report::Metric::all().iter().filter(|metric| !metric.of_stores()) {
            let here = find(metric.name()).map(|metric| metric.per_store);
            assert_eq!(here, Some(false), "{}", metric.name());
        }
    }
}

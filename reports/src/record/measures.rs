//! The measures: the same for a whole case and for each of its stores.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Identity of the replicas, measured four ways.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Identical {
    /// The share of samples in which the states compared were deeply equal, in percent: the
    /// article's own measure.
    pub sampled_percent: Option<f64>,
    /// The number of samples.
    pub samples: u64,
    /// The share of time in which all replicas were at one version, in percent; over several
    /// stores, the worst store's.
    pub time_weighted_percent: Option<f64>,
    /// The share of digests that were the same among those taken at one version, in percent. Less
    /// than 100 breaks I2.
    pub at_equal_version_percent: Option<f64>,
    /// The number of pairs of digests that were compared.
    pub compared_at_equal_version: Option<u64>,
    /// The longest time until all replicas were equal after the load or a fault ended, in
    /// milliseconds. Null: they never were.
    pub converged_within_ms: Option<f64>,
}

/// Outcomes of every dispatch, those of mirrors included.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Dispatches {
    /// The number of intended dispatches: `ok + refused + rejected + unknown`.
    pub intended: u64,
    /// Ordered by the sequencer and applied at the origin.
    pub ok: u64,
    /// Refused at once and never applied: not connected, or busy.
    pub refused: u64,
    /// Turned down by the reducer, and never applied.
    pub rejected: u64,
    /// The outcome cannot be known: it may have been applied.
    pub unknown: u64,
    /// Answered `Ok`, and missing from the history though its lineage lived: always a bug.
    pub lost: Option<u64>,
    /// In the history more than once: always a bug.
    pub duplicated: Option<u64>,
    /// Answered `Ok`, and gone with a sequencer that died and was not durable.
    pub rolled_back: Option<u64>,
    /// The number of intended dispatches that mirrors made.
    pub from_mirrors: u64,
    /// The number of actions that the sequencers ordered: the divisor of every cost per action.
    pub ordered: Option<u64>,
}

impl Dispatches {
    /// Returns whether every intended dispatch has exactly one outcome. A record where this is
    /// false was counted wrongly.
    pub fn balanced(&self) -> bool {
        [self.ok, self.refused, self.rejected, self.unknown]
            .into_iter()
            .try_fold(0_u64, u64::checked_add)
            == Some(self.intended)
    }

    /// Adds the counts of `other` to these. What either did not measure is not measured in the sum.
    pub fn add(&mut self, other: &Dispatches) {
        let sum = |a: Option<u64>, b: Option<u64>| Some(a?.saturating_add(b?));
        self.intended += other.intended;
        self.ok += other.ok;
        self.refused += other.refused;
        self.rejected += other.rejected;
        self.unknown += other.unknown;
        self.lost = sum(self.lost, other.lost);
        self.duplicated = sum(self.duplicated, other.duplicated);
        self.rolled_back = sum(self.rolled_back, other.rolled_back);
        self.from_mirrors += other.from_mirrors;
        self.ordered = sum(self.ordered, other.ordered);
    }
}

/// The intended and the achieved rate of the load. Dispatches of mirrors are not in it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Rate {
    /// The rate that the scenario asked for, in dispatches a second; null for a closed loop, which
    /// has no rate to keep.
    pub intended_per_s: Option<f64>,
    /// The rate of the load generator, in dispatches a second.
    pub issued_per_s: Option<f64>,
    /// The rate that every replica had applied, in actions a second.
    pub achieved_per_s: Option<f64>,
    /// The delay of the load generator against its own schedule, in milliseconds: 99th percentile.
    pub schedule_lag_ms_p99: Option<f64>,
    /// The number of seconds for which loads were left out of that, summed over them, because the
    /// scenario had their processes paused or killed.
    pub left_out_seconds: Option<f64>,
}

/// The time that a dispatch took, in microseconds from the moment it was *intended*.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Latency {
    /// Until it was answered at its origin.
    pub local: Option<Quantiles>,
    /// Until each other replica had applied it.
    pub replica: Option<Quantiles>,
}

/// A distribution, by its quantiles. The unit is that of the field that holds it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Quantiles {
    /// The median.
    pub p50: f64,
    /// The 90th percentile.
    pub p90: f64,
    /// The 99th percentile.
    pub p99: f64,
    /// The 99.9th percentile.
    pub p999: f64,
    /// The largest value.
    pub max: f64,
    /// The number of values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// The whole distribution, in nanoseconds: an HdrHistogram, V2 with DEFLATE, in base64. Such
    /// histograms of several runs can be merged, quantiles cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub histogram: Option<String>,
}

/// The distance of the replicas from the newest version.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Staleness {
    /// In versions: 99th percentile.
    pub versions_p99: Option<u64>,
    /// In versions, at worst.
    pub versions_max: Option<u64>,
    /// In milliseconds: 99th percentile.
    pub ms_p99: Option<f64>,
    /// In milliseconds, at worst.
    pub ms_max: Option<f64>,
}

/// The cost of keeping the states the same, over all processes. What cannot be told apart by store
/// (CPU, memory) is null in a store's own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Cost {
    /// User and system CPU, in seconds.
    pub cpu_seconds: Option<f64>,
    /// That, over the actions ordered, in microseconds.
    pub cpu_us_per_action: Option<f64>,
    /// The CPU per action in passes of a reference work, which each process does between slices of
    /// its own work: what disturbs the machine slows both. A pass parses and prints a JSON document
    /// of 170 bytes, and takes about 2.5 us on a processor of 2.5 GHz. Null if it was not measured:
    /// in a simulation, with nodes that are programs, and if a process used less than about 0.2 s
    /// of CPU.
    pub relative_cpu_per_action: Option<f64>,
    /// The CPU per action of the null case: the same processes and the same load, measured in the
    /// same way, but without replication. It is the cost of the instruments, which is a part of
    /// `cpu_us_per_action`; null if it was not measured.
    pub null_cpu_us_per_action: Option<f64>,
    /// The resident memory of the largest process, at its largest.
    pub rss_bytes_max: Option<u64>,
    /// Bytes sent on links.
    pub wire_bytes: Option<u64>,
    /// Those, over the actions ordered.
    pub wire_bytes_per_action: Option<f64>,
    /// System calls made to send and receive on links.
    pub syscalls: Option<u64>,
    /// Those, over the actions ordered.
    pub syscalls_per_action: Option<f64>,
    /// The number of snapshots that replaced entries because a consumer fell off a log.
    pub snapshots_forced: Option<u64>,
    /// The number of entries that were never sent because of that.
    pub entries_skipped: Option<u64>,
}

impl Cost {
    /// These costs, with those per action worked out for `ordered` actions. With no action there
    /// is no cost per action.
    #[must_use]
    pub fn per_action(mut self, ordered: u64) -> Self {
        let each =
            |total: Option<f64>| total.filter(|_| ordered > 0).map(|total| total / ordered as f64);
        self.cpu_us_per_action = each(self.cpu_seconds.map(|seconds| seconds * 1e6));
        self.wire_bytes_per_action = each(self.wire_bytes.map(|bytes| bytes as f64));
        self.syscalls_per_action = each(self.syscalls.map(|calls| calls as f64));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_intended_dispatch_has_one_outcome_or_the_record_is_wrong() {
        let mut counts = Dispatches {
            intended: 10,
            ok: 6,
            refused: 2,
            rejected: 1,
            unknown: 1,
            ..<_>::default()
        };
        assert!(counts.balanced());
        counts.unknown = 2;
        assert!(!counts.balanced());
        counts.ok = u64::MAX;
        assert!(!counts.balanced(), "an overflow is not a balance");
    }

    #[test]
    fn a_sum_does_not_claim_what_one_part_did_not_measure() {
        let mut sum = Dispatches { ok: 1, lost: Some(0), ordered: Some(1), ..<_>::default() };
        sum.add(&Dispatches { ok: 2, lost: None, ordered: Some(2), ..<_>::default() });
        assert_eq!((sum.ok, sum.lost, sum.ordered), (3, None, Some(3)));
    }

    #[test]
    fn a_run_without_actions_has_no_cost_per_action() {
        let cost = Cost { cpu_seconds: Some(0.5), wire_bytes: Some(1_000), ..<_>::default() };
        assert_eq!(cost.clone().per_action(1_000).cpu_us_per_action, Some(500.0));
        assert_eq!(cost.clone().per_action(1_000).wire_bytes_per_action, Some(1.0));
        assert_eq!(cost.clone().per_action(1_000).syscalls_per_action, None);
        assert_eq!(cost.per_action(0).cpu_us_per_action, None);
    }
}

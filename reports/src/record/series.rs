//! Measures over time: a fixed number of buckets, however long the run was.
//!
//! All lists of a [`Series`] have one time axis. A list is null if the measure does not exist in
//! this kind of run, and an entry is null if nothing was measured in that bucket. So a script reads
//! the value at second `t` at the index `(t - begin_seconds) / bucket_seconds`, cut to a whole
//! number.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The version of the shape of [`Series`] that this version writes, and the newest that it reads.
pub const SERIES: u32 = 1;

/// One value for each bucket; null where nothing was measured.
pub type Points = Vec<Option<f64>>;

/// The measures of a case over time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Series {
    /// The version of this shape: 1. A reader ignores series of a version that it does not know.
    pub version: u32,
    /// The begin of the first bucket, in seconds since the load began: zero, or a little less.
    pub begin_seconds: f64,
    /// The width of a bucket, in seconds.
    pub bucket_seconds: f64,
    /// The number of buckets, which is the length of every list: at most 480.
    pub buckets: usize,
    /// The series of each store.
    pub stores: BTreeMap<String, StoreSeries>,
    /// The series of each process, in the order of the case's `processes`.
    pub processes: Vec<ProcessSeries>,
}

impl Series {
    /// Returns whether this version can read the series: it knows their version, and every list
    /// has one entry for each bucket.
    pub fn is_known(&self) -> bool {
        let fits = |points: &Option<Points>| {
            points.as_ref().is_none_or(|points| points.len() == self.buckets)
        };
        let stores = self.stores.values().flat_map(StoreSeries::all);
        let processes = self.processes.iter().flat_map(ProcessSeries::all);
        (1..=SERIES).contains(&self.version)
            && self.bucket_seconds > 0.0
            && self.bucket_seconds.is_finite()
            && self.begin_seconds.is_finite()
            && self.buckets > 0
            && stores.chain(processes).all(fits)
    }

    /// The end of the last bucket, in seconds since the load began.
    pub fn end_seconds(&self) -> f64 {
        self.begin_seconds + self.bucket_seconds * self.buckets as f64
    }
}

/// The series of one store.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct StoreSeries {
    /// The share of the bucket's time in which all replicas were at one version, in percent.
    pub identical_percent: Option<Points>,
    /// The most versions by which a replica was behind the sequencer.
    pub versions_behind_max: Option<Points>,
    /// Dispatches a second that the scenario asked for; null for a closed loop.
    pub intended_per_s: Option<Points>,
    /// Dispatches a second that the load generator made.
    pub issued_per_s: Option<Points>,
    /// Actions a second that every replica had applied.
    pub achieved_per_s: Option<Points>,
    /// Latency until the answer at the origin, in microseconds, by the time of the intended
    /// dispatch. The quantiles are exact to 3 %.
    pub local_us: QuantileSeries,
    /// Latency until each other replica had applied it, in microseconds, of the dispatches that
    /// were kept as a sample.
    pub replica_us: QuantileSeries,
}

impl StoreSeries {
    fn all(&self) -> impl Iterator<Item = &Option<Points>> {
        let Self { local_us, replica_us, .. } = self;
        [
            &self.identical_percent,
            &self.versions_behind_max,
            &self.intended_per_s,
            &self.issued_per_s,
            &self.achieved_per_s,
        ]
        .into_iter()
        .chain([&local_us.p50, &local_us.p99, &local_us.max])
        .chain([&replica_us.p50, &replica_us.p99, &replica_us.max])
    }
}

/// Quantiles over time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct QuantileSeries {
    /// The median.
    pub p50: Option<Points>,
    /// The 99th percentile.
    pub p99: Option<Points>,
    /// The largest value.
    pub max: Option<Points>,
}

/// The series of one process.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ProcessSeries {
    /// The node, such as `alpha.worker[1]`.
    pub name: String,
    /// Its process id; null in a simulation.
    pub pid: Option<u32>,
    /// User and system CPU, in percent of one core.
    pub cpu_percent: Option<Points>,
    /// Resident memory, in bytes.
    pub rss_bytes: Option<Points>,
    /// Bytes a second sent on links.
    pub sent_bytes_per_s: Option<Points>,
    /// Bytes a second received on links.
    pub received_bytes_per_s: Option<Points>,
    /// System calls a second made to send and receive on links; null if they were not counted.
    pub syscalls_per_s: Option<Points>,
}

impl ProcessSeries {
    fn all(&self) -> impl Iterator<Item = &Option<Points>> {
        [
            &self.cpu_percent,
            &self.rss_bytes,
            &self.sent_bytes_per_s,
            &self.received_bytes_per_s,
            &self.syscalls_per_s,
        ]
        .into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_that_do_not_add_up_or_are_of_a_newer_version_are_not_known() {
        let process = ProcessSeries { rss_bytes: Some(vec![Some(1.0), None]), ..<_>::default() };
        let series = Series {
            version: SERIES,
            bucket_seconds: 0.5,
            buckets: 2,
            processes: vec![process],
            ..Series::default()
        };
        assert!(series.is_known());
        assert!(!Series { version: SERIES + 1, ..series.clone() }.is_known());
        assert!(!Series { buckets: 3, ..series.clone() }.is_known());
        assert!(!Series { bucket_seconds: 0.0, ..series.clone() }.is_known());
        assert!(!Series { bucket_seconds: f64::NAN, ..series }.is_known());
    }
}

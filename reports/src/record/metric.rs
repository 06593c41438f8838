//! Every measure under its dotted name: the path it has in a case's JSON.
//!
//! One table serves the scenario's `expect`, the columns of a summary and the comparison of two
//! records, so that a name means the same everywhere.

use super::{
    Case, Cost, Dispatches, Faults, Identical, Latency, Quantiles, Rate, Staleness, StoreMeasures,
};
use crate::units;

/// One measure: its name, its unit, and which way is better.
#[derive(Debug)]
pub struct Metric {
    name: &'static str,
    unit: Unit,
    better: Better,
    of_stores: bool,
    read: fn(&Measures<'_>) -> Option<f64>,
}

/// The unit of a measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A plain count.
    Count,
    /// Percent.
    Percent,
    /// So many a second.
    PerSecond,
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Milliseconds,
    /// Microseconds.
    Microseconds,
    /// Bytes.
    Bytes,
}

/// The direction in which a measure gets better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// More is better.
    Higher,
    /// Less is better.
    Lower,
    /// Neither: it says what was done, not how well.
    Neither,
}

impl Metric {
    /// Every measure, in the order of the record.
    pub fn all() -> &'static [Metric] {
        METRICS
    }

    /// The measure of that name.
    pub fn named(name: &str) -> Option<&'static Metric> {
        METRICS.iter().find(|metric| metric.name == name)
    }

    /// Its dotted name, such as `identical.at_equal_version_percent`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Returns the unit of the metric.
    pub fn unit(&self) -> Unit {
        self.unit
    }

    /// Returns the direction in which the metric gets better.
    pub fn better(&self) -> Better {
        self.better
    }

    /// Returns whether stores have the metric by themselves, too.
    pub fn of_stores(&self) -> bool {
        self.of_stores
    }

    /// Returns whether null means that an event never happened, and not that it was not measured.
    pub fn null_is_never(&self) -> bool {
        self.name == "identical.converged_within_ms"
    }

    /// The measure of a case; none where it was not measured.
    pub fn of_case(&self, case: &Case) -> Option<f64> {
        (self.read)(&Measures::of_case(case))
    }

    /// The measure of a store; none where it was not measured, or where stores have no such.
    pub fn of_store(&self, store: &StoreMeasures) -> Option<f64> {
        (self.read)(&Measures::of_store(store))
    }

    /// A value of this measure for a glance, such as `1.2 ms`.
    pub fn human(&self, value: f64) -> String {
        match self.unit {
            Unit::Count => units::count(value),
            Unit::Percent => units::percent(value),
            Unit::PerSecond => units::per_second(value),
            Unit::Seconds => units::seconds(value),
            Unit::Milliseconds => units::milliseconds(value),
            Unit::Microseconds => units::microseconds(value),
            Unit::Bytes => units::bytes(value),
        }
    }

    /// A value of this measure in its own unit, as exact as it takes to hold it against a bound.
    pub fn exactly(&self, value: f64) -> String {
        let number = units::exactly(value);
        match self.unit {
            Unit::Count => number,
            Unit::Percent => number + " %",
            Unit::PerSecond => number + "/s",
            Unit::Seconds => number + " s",
            Unit::Milliseconds => number + " ms",
            Unit::Microseconds => number + " µs",
            Unit::Bytes => number + " B",
        }
    }
}

impl Case {
    /// The measure of that name, such as `identical.at_equal_version_percent`.
    ///
    /// `None`: there is no such measure. `Some(None)`: there is, and this run did not measure it.
    pub fn metric(&self, name: &str) -> Option<Option<f64>> {
        Metric::named(name).map(|metric| metric.of_case(self))
    }
}

impl StoreMeasures {
    /// The measure of that name, such as `identical.at_equal_version_percent`.
    ///
    /// `None`: stores have no such measure. `Some(None)`: they have, and this run did not measure
    /// it, or could not tell it apart from other stores'.
    pub fn metric(&self, name: &str) -> Option<Option<f64>> {
        Metric::named(name).filter(|metric| metric.of_stores).map(|metric| metric.of_store(self))
    }
}

/// The measures that a case and a store have in common.
struct Measures<'a> {
    identical: &'a Identical,
    dispatches: &'a Dispatches,
    rate: &'a Rate,
    latency: &'a Latency,
    staleness: &'a Staleness,
    cost: &'a Cost,
    faults: Option<&'a Faults>,
    violations: Option<usize>,
}

impl<'a> Measures<'a> {
    fn of_case(case: &'a Case) -> Self {
        Self {
            identical: &case.identical,
            dispatches: &case.dispatches,
            rate: &case.rate,
            latency: &case.latency_us,
            staleness: &case.staleness,
            cost: &case.cost,
            faults: Some(&case.faults),
            violations: Some(case.violations.len()),
        }
    }

    fn of_store(store: &'a StoreMeasures) -> Self {
        Self {
            identical: &store.identical,
            dispatches: &store.dispatches,
            rate: &store.rate,
            latency: &store.latency_us,
            staleness: &store.staleness,
            cost: &store.cost,
            faults: None,
            violations: None,
        }
    }

    fn local(&self, quantile: fn(&Quantiles) -> f64) -> Option<f64> {
        self.latency.local.as_ref().map(quantile)
    }

    fn replica(&self, quantile: fn(&Quantiles) -> f64) -> Option<f64> {
        self.latency.replica.as_ref().map(quantile)
    }
}

/// A measure that cases and stores have.
const fn both(
    name: &'static str,
    unit: Unit,
    better: Better,
    read: fn(&Measures<'_>) -> Option<f64>,
) -> Metric {
    Metric { name, unit, better, of_stores: true, read }
}

/// A measure that cases alone have.
const fn case_only(
    name: &'static str,
    better: Better,
    read: fn(&Measures<'_>) -> Option<f64>,
) -> Metric {
    Metric { name, unit: Unit::Count, better, of_stores: false, read }
}

fn whole(count: Option<u64>) -> Option<f64> {
    count.map(|count| count as f64)
}

#[rustfmt::skip]
const METRICS: &[Metric] = {
    use Better::{Higher, Lower, Neither};
    use Unit::{Bytes, Count, Microseconds, Milliseconds, PerSecond, Percent, Seconds};
    &[
        both("identical.sampled_percent", Percent, Higher, |m| m.identical.sampled_percent),
        both("identical.samples", Count, Neither, |m| Some(m.identical.samples as f64)),
        both("identical.time_weighted_percent", Percent, Higher,
            |m| m.identical.time_weighted_percent),
        both("identical.at_equal_version_percent", Percent, Higher,
            |m| m.identical.at_equal_version_percent),
        both("identical.compared_at_equal_version", Count, Neither,
            |m| whole(m.identical.compared_at_equal_version)),
        both("identical.converged_within_ms", Milliseconds, Lower,
            |m| m.identical.converged_within_ms),
        both("dispatches.intended", Count, Neither, |m| Some(m.dispatches.intended as f64)),
        both("dispatches.ok", Count, Neither, |m| Some(m.dispatches.ok as f64)),
        both("dispatches.refused", Count, Neither, |m| Some(m.dispatches.refused as f64)),
        both("dispatches.rejected", Count, Neither, |m| Some(m.dispatches.rejected as f64)),
        both("dispatches.unknown", Count, Lower, |m| Some(m.dispatches.unknown as f64)),
        both("dispatches.lost", Count, Lower, |m| whole(m.dispatches.lost)),
        both("dispatches.duplicated", Count, Lower, |m| whole(m.dispatches.duplicated)),
        both("dispatches.rolled_back", Count, Lower, |m| whole(m.dispatches.rolled_back)),
        both("dispatches.from_mirrors", Count, Neither, |m| Some(m.dispatches.from_mirrors as f64)),
        both("dispatches.ordered", Count, Neither, |m| whole(m.dispatches.ordered)),
        both("rate.intended_per_s", PerSecond, Neither, |m| m.rate.intended_per_s),
        both("rate.issued_per_s", PerSecond, Neither, |m| m.rate.issued_per_s),
        both("rate.achieved_per_s", PerSecond, Higher, |m| m.rate.achieved_per_s),
        both("rate.schedule_lag_ms_p99", Milliseconds, Neither, |m| m.rate.schedule_lag_ms_p99),
        both("rate.left_out_seconds", Seconds, Neither, |m| m.rate.left_out_seconds),
        both("latency_us.local.p50", Microseconds, Lower, |m| m.local(|q| q.p50)),
        both("latency_us.local.p90", Microseconds, Lower, |m| m.local(|q| q.p90)),
        both("latency_us.local.p99", Microseconds, Lower, |m| m.local(|q| q.p99)),
        both("latency_us.local.p999", Microseconds, Lower, |m| m.local(|q| q.p999)),
        both("latency_us.local.max", Microseconds, Lower, |m| m.local(|q| q.max)),
        both("latency_us.replica.p50", Microseconds, Lower, |m| m.replica(|q| q.p50)),
        both("latency_us.replica.p90", Microseconds, Lower, |m| m.replica(|q| q.p90)),
        both("latency_us.replica.p99", Microseconds, Lower, |m| m.replica(|q| q.p99)),
        both("latency_us.replica.p999", Microseconds, Lower, |m| m.replica(|q| q.p999)),
        both("latency_us.replica.max", Microseconds, Lower, |m| m.replica(|q| q.max)),
        both("staleness.versions_p99", Count, Lower, |m| whole(m.staleness.versions_p99)),
        both("staleness.versions_max", Count, Lower, |m| whole(m.staleness.versions_max)),
        both("staleness.ms_p99", Milliseconds, Lower, |m| m.staleness.ms_p99),
        both("staleness.ms_max", Milliseconds, Lower, |m| m.staleness.ms_max),
        both("cost.cpu_seconds", Seconds, Lower, |m| m.cost.cpu_seconds),
        both("cost.cpu_us_per_action", Microseconds, Lower, |m| m.cost.cpu_us_per_action),
        both("cost.rss_bytes_max", Bytes, Lower, |m| whole(m.cost.rss_bytes_max)),
        both("cost.wire_bytes", Bytes, Lower, |m| whole(m.cost.wire_bytes)),
        both("cost.wire_bytes_per_action", Bytes, Lower, |m| m.cost.wire_bytes_per_action),
        both("cost.syscalls", Count, Lower, |m| whole(m.cost.syscalls)),
        both("cost.syscalls_per_action", Count, Lower, |m| m.cost.syscalls_per_action),
        both("cost.snapshots_forced", Count, Lower, |m| whole(m.cost.snapshots_forced)),
        both("cost.entries_skipped", Count, Lower, |m| whole(m.cost.entries_skipped)),
        case_only("faults.planned", Neither, |m| m.faults.map(|faults| faults.planned as f64)),
        case_only("faults.injected", Neither, |m| m.faults.map(|faults| faults.injected as f64)),
        case_only("violations", Lower, |m| m.violations.map(|count| count as f64)),
    ]
};

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::record::sample;

    /// Every number in `value`, under its dotted name.
    fn numbers(value: &Value, path: &str, found: &mut Vec<(String, Option<f64>)>) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    let path =
                        if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    numbers(value, &path, found);
                }
            }
            Value::Number(number) => found.push((path.to_owned(), number.as_f64())),
            Value::Null => found.push((path.to_owned(), None)),
            _ => {}
        }
    }

    #[test]
    fn every_measure_of_a_case_is_found_under_the_path_it_has_in_the_json() {
        let case = &sample::two_clusters().cases[0];
        let json = serde_json::to_value(case).expect("plain JSON");
        let mut found = Vec::new();
        for room in ["identical", "dispatches", "rate", "latency_us", "staleness", "cost", "faults"]
        {
            numbers(&json[room], room, &mut found);
        }
        found.retain(|(name, _)| !name.ends_with(".count"));
        assert!(found.len() > 40, "{found:?}");
        for (name, value) in &found {
            assert_eq!(case.metric(name), Some(*value), "{name}");
        }
        assert_eq!(
            found.len() + 1,
            Metric::all().len(),
            "`violations` is the one that counts a list"
        );
        assert_eq!(case.metric("violations"), Some(Some(0.0)));
    }

    #[test]
    fn every_measure_of_a_store_is_found_and_the_cases_own_are_not() {
        let store = &sample::two_clusters().cases[0].stores["tasks"];
        for metric in Metric::all() {
            assert_eq!(
                store.metric(metric.name()).is_some(),
                metric.of_stores(),
                "{}",
                metric.name()
            );
        }
        assert_eq!(store.metric("identical.time_weighted_percent"), Some(Some(99.83)));
        assert_eq!(store.metric("cost.cpu_seconds"), Some(None), "not measured by store");
        assert_eq!(store.metric("faults.injected"), None);
    }

    #[test]
    fn a_name_that_is_no_measure_is_told_from_one_not_measured() {
        let case = Case::default();
        assert_eq!(case.metric("latency_us.local.p99"), Some(None));
        assert_eq!(case.metric("latency_us.local.p98"), None);
        assert_eq!(case.metric("latency_us"), None);
        assert_eq!(case.metric(""), None);
    }

    #[test]
    fn names_are_told_once() {
        let names: std::collections::BTreeSet<_> = Metric::all().iter().map(Metric::name).collect();
        assert_eq!(names.len(), Metric::all().len());
    }
}

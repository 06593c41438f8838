//! Every measure under its dotted name: the path it has in a case's JSON.
//!
//! One table serves the scenario's `expect`, the columns of a summary, the comparison of two
//! records and `samestate explain --metrics`, so that a name means the same everywhere.

mod table;

use super::{
    Case, Cost, Dispatches, Faults, Identical, Latency, Quantiles, Rate, Staleness, StoreMeasures,
};
use crate::units;
use table::METRICS;

/// One measure: its name, its unit, the way in which it is better, and its text.
#[derive(Debug)]
pub struct Metric {
    name: &'static str,
    unit: Unit,
    better: Better,
    about: &'static str,
    of_stores: bool,
    per_store: bool,
    per_node: bool,
    per_phase: bool,
    null_is_never: bool,
    only_grows: bool,
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
    /// Passes of the reference work.
    Passes,
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

    /// The thing that it measures, in words.
    pub fn about(&self) -> &'static str {
        self.about
    }

    /// Returns whether stores have a place for it, too.
    pub fn of_stores(&self) -> bool {
        self.of_stores
    }

    /// Returns whether it is measured store by store, too.
    pub fn per_store(&self) -> bool {
        self.per_store
    }

    /// Returns whether it is measured process by process, too.
    pub fn per_node(&self) -> bool {
        self.per_node
    }

    /// Returns whether it is measured phase by phase, too.
    pub fn per_phase(&self) -> bool {
        self.per_phase
    }

    /// Returns whether null says that something never happened, and not that it was not measured.
    pub fn is_null_never(&self) -> bool {
        self.null_is_never
    }

    /// Returns whether it never becomes less while a run continues, so that a run that is past a
    /// bound cannot recover.
    pub fn is_growing(&self) -> bool {
        self.only_grows
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
            Unit::Passes => units::passes(value),
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
            Unit::Passes => number + " passes",
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

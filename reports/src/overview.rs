//! The rows of a case's overview, shared by the terminal and Markdown.

use std::collections::BTreeSet;

use crate::record::{Better, Case, Metric, Verdict, plain};

/// The rows: what a person calls a measure, and its name.
const ROWS: &[(&str, &str)] = &[
    ("at one version", "identical.time_weighted_percent"),
    ("sampled identical", "identical.sampled_percent"),
    ("same at equal version", "identical.at_equal_version_percent"),
    ("converged within", "identical.converged_within_ms"),
    ("answered p50", "latency_us.local.p50"),
    ("answered p99", "latency_us.local.p99"),
    ("at replicas p50", "latency_us.replica.p50"),
    ("at replicas p99", "latency_us.replica.p99"),
    ("behind, versions p99", "staleness.versions_p99"),
    ("behind, time p99", "staleness.ms_p99"),
    ("CPU per action", "cost.cpu_us_per_action"),
    ("sent per action", "cost.wire_bytes_per_action"),
    ("system calls per action", "cost.syscalls_per_action"),
    ("largest process", "cost.rss_bytes_max"),
    ("applied everywhere", "rate.achieved_per_s"),
    ("snapshots forced", "cost.snapshots_forced"),
    ("entries skipped", "cost.entries_skipped"),
    ("lost", "dispatches.lost"),
    ("twice", "dispatches.duplicated"),
    ("faults injected", "faults.injected"),
];

/// One measure of every case.
pub(crate) struct Row {
    /// The label of the row.
    pub(crate) label: &'static str,
    /// One for each case.
    pub(crate) values: Vec<Shown>,
}

/// The way in which the value of one case is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// Not measured.
    Nothing,
    /// Null says that it never happened.
    Never,
    /// A value.
    Value(String),
    /// A value that is the best of its row.
    Best(String),
}

/// The rows that any case has something to say in.
pub(crate) fn rows(cases: &[Case]) -> Vec<Row> {
    let rows = ROWS.iter().filter_map(|(label, name)| {
        let metric = Metric::named(name)?;
        let best = best(metric, cases);
        let shown = |case: &Case| shown(metric, case, best.as_deref());
        let values: Vec<Shown> = cases.iter().map(shown).collect();
        let says_nothing = match metric.better() {
            // What was done, and was done nowhere.
            Better::Neither => cases.iter().all(|case| metric.of_case(case).unwrap_or(0.0) == 0.0),
            _ => values.iter().all(|value| *value == Shown::Nothing),
        };
        (!says_nothing).then_some(Row { label, values })
    });
    rows.collect()
}

fn shown(metric: &Metric, case: &Case, best: Option<&str>) -> Shown {
    match metric.of_case(case).map(|value| metric.human(value)) {
        Some(text) if case.verdict == Verdict::Pass && Some(&*text) == best => Shown::Best(text),
        Some(text) => Shown::Value(text),
        None if metric.is_null_never() && case.verdict != Verdict::Interrupted => Shown::Never,
        None => Shown::Nothing,
    }
}

/// The best value of a row as it is shown; none where the measure has no better, or where the
/// cases that passed all show the same. What did not pass is not praised for being cheap.
fn best(metric: &Metric, cases: &[Case]) -> Option<String> {
    let passed = cases.iter().filter(|case| case.verdict == Verdict::Pass);
    let values: Vec<f64> = passed.filter_map(|case| metric.of_case(case)).collect();
    let best = match metric.better() {
        Better::Higher => values.iter().copied().max_by(f64::total_cmp),
        Better::Lower => values.iter().copied().min_by(f64::total_cmp),
        Better::Neither => None,
    };
    let best = metric.human(best?);
    values.iter().any(|value| metric.human(*value) != best).then_some(best)
}

/// The paths that the matrix set, in order.
pub(crate) fn axes(cases: &[Case]) -> Vec<&str> {
    let paths = cases.iter().flat_map(|case| case.with.keys().map(String::as_str));
    paths.collect::<BTreeSet<_>>().into_iter().collect()
}

/// A case's values on the axes.
pub(crate) fn title(case: &Case, axes: &[&str]) -> Vec<String> {
    axes.iter().map(|axis| case.with.get(*axis).map_or_else(String::new, plain)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::sample;

    fn row(cases: &[Case], label: &str) -> Option<Vec<Shown>> {
        rows(cases).into_iter().find(|row| row.label == label).map(|row| row.values)
    }

    #[test]
    fn every_row_is_a_measure() {
        for (_, name) in ROWS {
            assert!(Metric::named(name).is_some(), "{name}");
        }
    }

    #[test]
    fn the_best_of_a_row_is_marked_where_cases_differ() {
        let cases = sample::big_store().cases;
        assert_eq!(
            row(&cases, "CPU per action"),
            Some(vec![Shown::Value("46 ms".into()), Shown::Best("120 µs".into())])
        );
        let same = Shown::Value("0".into());
        assert_eq!(row(&cases, "lost"), Some(vec![same.clone(), same]));
        assert_eq!(row(&cases, "faults injected"), None);
    }

    #[test]
    fn a_case_that_failed_is_not_praised_for_being_cheap() {
        let mut cases = sample::big_store().cases;
        cases[1].verdict = Verdict::Fail;
        cases[1].identical.converged_within_ms = None;
        let marked = rows(&cases).into_iter().flat_map(|row| row.values);
        assert_eq!(marked.filter(|value| matches!(value, Shown::Best(_))).count(), 0);
        let converged = row(&cases, "converged within").expect("it was measured");
        assert_eq!(converged[1], Shown::Never);
    }
}

//! The rows of a case's overview, shared by the terminal and Markdown.

use std::collections::BTreeSet;

use crate::record::{Better, Case, Metric, Unit, Verdict, plain};
use crate::{stats, units, winners};

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
    ("of it instruments", "cost.null_cpu_us_per_action"),
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
        let shown = |case: &Case| shown(metric, case, &best);
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

fn shown(metric: &Metric, case: &Case, best: &[&Case]) -> Shown {
    match metric.of_case(case).map(|value| with_interval(metric, case, value)) {
        Some(text) if best.iter().any(|best| std::ptr::eq(*best, case)) => Shown::Best(text),
        Some(text) => Shown::Value(text),
        None if metric.is_null_never() && case.verdict != Verdict::Interrupted => Shown::Never,
        None => Shown::Nothing,
    }
}

/// A value for a glance, with its 95 % interval if the case has one: `120 µs ±3 %`.
pub(crate) fn with_interval(metric: &Metric, case: &Case, value: f64) -> String {
    let text = metric.human(value);
    match case.interval(metric).and_then(|interval| interval.share(value)) {
        // One that is exact, but for rounding, says nothing.
        Some(share) if share > 1e-9 && metric.unit() != Unit::Percent => {
            format!("{text} {}", units::plus_minus(share))
        }
        _ => text,
    }
}

/// The best cases of a row; none where the measure has no better, where the repeats prove no
/// difference, or where there is none. What did not pass is not praised for being cheap.
fn best<'a>(metric: &Metric, cases: &'a [Case]) -> Vec<&'a Case> {
    if metric.better() == Better::Neither {
        return Vec::new();
    }
    let ranking = winners::ranking(cases.iter(), metric, ROWS.len());
    let best = ranking.equal.filter(|equal| *equal < ranking.cases.len()).unwrap_or(0);
    ranking.cases.iter().take(best).map(|(case, _)| *case).collect()
}

/// A sentence about the repeats behind the figures of several cases; `None` if they had none.
pub(crate) fn repeats_note(cases: &[Case]) -> String {
    let most = cases.iter().map(|case| case.repeats.len()).max().unwrap_or(0);
    match most {
        0 | 1 => "Each case was run once, which proves no difference between them: run them with \
                  --repeat 5."
            .to_owned(),
        2 => format!(
            "Figures are medians of 2 repeats; {} are needed for intervals and for proven \
             differences.",
            stats::REPEATS_MIN
        ),
        _ => format!(
            "Figures are medians of {most} repeats, ± their 95 % intervals. Differences are named \
             where they are significant (5 % for all of them together)."
        ),
    }
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
        let cases = sample::big_store_repeated().cases;
        assert_eq!(
            row(&cases, "CPU per action"),
            Some(vec![Shown::Value("46 ms ±1.3 %".into()), Shown::Best("120 µs ±1.3 %".into())])
        );
        let same = Shown::Value("0".into());
        assert_eq!(row(&cases, "lost"), Some(vec![same.clone(), same]));
        assert_eq!(row(&cases, "faults injected"), None);
    }

    #[test]
    fn single_runs_praise_no_case() {
        let marked = rows(&sample::big_store().cases).into_iter().flat_map(|row| row.values);
        assert_eq!(marked.filter(|value| matches!(value, Shown::Best(_))).count(), 0);
    }

    #[test]
    fn a_case_that_failed_is_not_praised_for_being_cheap() {
        let mut cases = sample::big_store_repeated().cases;
        cases[1].verdict = Verdict::Fail;
        cases[1].identical.converged_within_ms = None;
        let marked = rows(&cases).into_iter().flat_map(|row| row.values);
        assert_eq!(marked.filter(|value| matches!(value, Shown::Best(_))).count(), 0);
        let converged = row(&cases, "converged within").expect("it was measured");
        assert_eq!(converged[1], Shown::Never);
    }
}

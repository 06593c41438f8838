//! The judgement.

use crate::record::{Better, Case, Metric, Record, Unit, Verdict};

/// The comparison of two records.
#[derive(Debug)]
pub struct Comparison {
    /// The cases that both have.
    pub cases: Vec<CaseComparison>,
    /// The cases that the baseline alone has, by name: a case that is gone is worse.
    pub gone: Vec<String>,
    /// The cases that the new record alone has, by name.
    pub added: Vec<String>,
    /// Reasons to doubt the comparison, such as two different machines.
    pub doubts: Vec<String>,
    /// The share by which a measure may be worse: 0.1 is 10 %.
    pub tolerance: f64,
}

/// The comparison of one case.
#[derive(Debug)]
pub struct CaseComparison {
    /// Its values of the matrix; empty where there is none.
    pub name: String,
    /// The baseline's verdict, and the new one.
    pub verdicts: (Verdict, Verdict),
    /// The measures judged.
    pub lines: Vec<Line>,
}

/// The comparison of one measure.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    /// The metric that is compared.
    pub metric: &'static Metric,
    /// In the baseline.
    pub base: Option<f64>,
    /// In the new record.
    pub new: Option<f64>,
    /// The result of the comparison.
    pub change: Change,
}

/// The change of a measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Worse, by more than the tolerance.
    Worse,
    /// The same, within the tolerance.
    Same,
    /// Better, by more than the tolerance.
    Better,
    /// One of the two did not measure it.
    NotCompared,
}

/// The rule by which a measure is judged.
#[derive(Clone, Copy)]
enum Rule {
    /// Any step in the wrong direction is worse.
    Strict,
    /// Within the tolerance, and within a grain in the measure's own unit, it is the same.
    Grain(f64),
}

/// The metrics that are judged. The grains are what such a measure differs by between two runs of
/// one program.
const JUDGED: &[(&str, Rule)] = &[
    ("identical.time_weighted_percent", Rule::Grain(0.0)),
    ("identical.at_equal_version_percent", Rule::Strict),
    ("identical.converged_within_ms", Rule::Grain(10.0)),
    ("dispatches.lost", Rule::Strict),
    ("dispatches.duplicated", Rule::Strict),
    ("violations", Rule::Strict),
    ("rate.achieved_per_s", Rule::Grain(0.1)),
    ("latency_us.local.p50", Rule::Grain(20.0)),
    ("latency_us.local.p99", Rule::Grain(100.0)),
    ("latency_us.replica.p50", Rule::Grain(20.0)),
    ("latency_us.replica.p99", Rule::Grain(100.0)),
    ("cost.cpu_us_per_action", Rule::Grain(0.05)),
    ("cost.wire_bytes_per_action", Rule::Grain(1.0)),
    ("cost.syscalls_per_action", Rule::Grain(0.01)),
    ("cost.rss_bytes_max", Rule::Grain(1e6)),
    ("cost.snapshots_forced", Rule::Grain(0.0)),
    ("cost.entries_skipped", Rule::Grain(0.0)),
];

/// Of a percentage, the tolerance is a tenth, in points: 10 % allow 99.8 % to become 98.8 %.
const POINTS_PER_TOLERANCE: f64 = 10.0;

/// Holds `new` against `base`. `tolerance` is a share: 0.1 lets a measure be 10 % worse.
pub fn compare(base: &Record, new: &Record, tolerance: f64) -> Comparison {
    let find = |cases: &'_ [Case], case: &Case| cases.iter().any(|other| other.with == case.with);
    let only = |these: &[Case], those: &[Case]| {
        these.iter().filter(|case| !find(those, case)).map(Case::name).collect()
    };
    let pairs = base.cases.iter().filter_map(|old| {
        let case = new.cases.iter().find(|case| case.with == old.with)?;
        Some(compare_case(old, case, tolerance))
    });
    Comparison {
        cases: pairs.collect(),
        gone: only(&base.cases, &new.cases),
        added: only(&new.cases, &base.cases),
        doubts: doubts(base, new),
        tolerance,
    }
}

impl Comparison {
    /// Returns whether the new record is worse: in any measure, in a verdict, or because a case is
    /// gone.
    pub fn worse(&self) -> bool {
        !self.gone.is_empty() || self.cases.iter().any(CaseComparison::worse)
    }
}

impl CaseComparison {
    /// Returns whether the new case is worse, in any measure or in its verdict.
    pub fn worse(&self) -> bool {
        self.verdict_worse() || self.lines.iter().any(|line| line.change == Change::Worse)
    }

    /// Returns whether the case passed before and fails now. What was interrupted, or cannot be
    /// trusted, is no verdict to be worse than.
    pub fn verdict_worse(&self) -> bool {
        self.verdicts.0 != Verdict::Fail && self.verdicts.1 == Verdict::Fail
    }
}

impl Line {
    /// The new value over the baseline's; none where there is nothing to divide by.
    pub fn ratio(&self) -> Option<f64> {
        let (base, new) = self.base.zip(self.new)?;
        (base != 0.0).then(|| new / base)
    }
}

fn compare_case(base: &Case, new: &Case, tolerance: f64) -> CaseComparison {
    let lines = JUDGED.iter().filter_map(|(name, rule)| {
        let metric = Metric::named(name)?;
        let (base, new) = (metric.of_case(base), metric.of_case(new));
        let change = judge(metric, *rule, base, new, tolerance);
        Some(Line { metric, base, new, change })
    });
    CaseComparison {
        name: new.name(),
        verdicts: (base.verdict, new.verdict),
        lines: lines.collect(),
    }
}

fn judge(
    metric: &Metric,
    rule: Rule,
    base: Option<f64>,
    new: Option<f64>,
    tolerance: f64,
) -> Change {
    let (base, new) = match (base, new) {
        (Some(base), Some(new)) => (base, new),
        (Some(_), None) if metric.is_null_never() => return Change::Worse,
        (None, Some(_)) if metric.is_null_never() => return Change::Better,
        _ => return Change::NotCompared,
    };
    let allowed = match (rule, metric.unit()) {
        (Rule::Strict, _) => 0.0,
        (Rule::Grain(grain), Unit::Percent) => grain.max(tolerance * POINTS_PER_TOLERANCE),
        (Rule::Grain(grain), _) => grain.max(tolerance * base.abs()),
    };
    let gained = match metric.better() {
        Better::Higher => new - base,
        Better::Lower => base - new,
        Better::Neither => return Change::NotCompared,
    };
    match gained {
        _ if gained < -allowed => Change::Worse,
        _ if gained > allowed => Change::Better,
        _ => Change::Same,
    }
}

fn doubts(base: &Record, new: &Record) -> Vec<String> {
    let mut doubts = Vec::new();
    let mut differ = |what: &str, base: String, new: String| {
        if base != new {
            doubts.push(format!("the {what} differ: {base}, now {new}"));
        }
    };
    differ("scenarios", base.scenario.clone(), new.scenario.clone());
    differ("kinds of run", base.kind.to_string(), new.kind.to_string());
    differ("processors", base.machine.cpu.clone(), new.machine.cpu.clone());
    differ("numbers of cores", base.machine.cores.to_string(), new.machine.cores.to_string());
    let build = |record: &Record| {
        if record.machine.debug_build { "unoptimised" } else { "optimised" }.to_owned()
    };
    differ("builds", build(base), build(new));
    for (whose, record) in [("baseline", base), ("new record", new)] {
        if matches!(record.verdict, Verdict::Inconclusive | Verdict::Interrupted) {
            doubts.push(format!("the {whose} is {}", record.verdict));
        }
    }
    doubts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::sample;

    fn change_of(comparison: &Comparison, name: &str) -> Change {
        let line = comparison.cases[0].lines.iter().find(|line| line.metric.name() == name);
        line.expect("it is judged").change
    }

    #[test]
    fn a_run_is_not_worse_than_itself() {
        for record in [sample::two_clusters(), sample::big_store(), sample::disconnect_failed()] {
            let comparison = compare(&record, &record, 0.0);
            assert!(!comparison.worse(), "{comparison:?}");
            assert!(comparison.doubts.is_empty(), "{comparison:?}");
        }
    }

    #[test]
    fn a_cost_may_grow_by_the_tolerance_and_no_more() {
        let base = sample::two_clusters();
        let mut new = base.clone();
        new.cases[0].cost.cpu_us_per_action =
            base.cases[0].cost.cpu_us_per_action.map(|us| us * 1.2);
        assert!(!compare(&base, &new, 0.25).worse());
        let comparison = compare(&base, &new, 0.1);
        assert!(comparison.worse());
        assert_eq!(change_of(&comparison, "cost.cpu_us_per_action"), Change::Worse);
        assert_eq!(change_of(&compare(&new, &base, 0.1), "cost.cpu_us_per_action"), Change::Better);
    }

    #[test]
    fn what_has_to_be_perfect_has_no_tolerance() {
        let base = sample::two_clusters();
        let mut new = base.clone();
        new.cases[0].dispatches.lost = Some(1);
        assert!(compare(&base, &new, 10.0).worse());
        let mut new = base.clone();
        new.cases[0].identical.at_equal_version_percent = Some(99.999);
        assert!(compare(&base, &new, 10.0).worse());
    }

    #[test]
    fn never_converging_is_worse_and_not_measuring_is_nothing() {
        let base = sample::two_clusters();
        let mut new = base.clone();
        new.cases[0].identical.converged_within_ms = None;
        assert!(compare(&base, &new, 10.0).worse());
        let mut new = base.clone();
        new.cases[0].cost.cpu_us_per_action = None;
        assert!(!compare(&base, &new, 0.1).worse());
    }

    #[test]
    fn a_verdict_lost_and_a_case_gone_are_worse() {
        let base = sample::big_store();
        let mut new = base.clone();
        new.cases[1].verdict = Verdict::Fail;
        assert!(compare(&base, &new, 0.1).worse());
        new = base.clone();
        new.cases.pop();
        let comparison = compare(&base, &new, 0.1);
        assert!(comparison.worse());
        assert_eq!(comparison.gone, ["stores.document.mode=action"]);
        assert!(!compare(&new, &base, 0.1).worse(), "a case added is not worse");
    }

    #[test]
    fn another_machine_is_a_doubt() {
        let base = sample::two_clusters();
        let mut new = base.clone();
        new.machine.cores = 8;
        assert_eq!(compare(&base, &new, 0.1).doubts, ["the numbers of cores differ: 2, now 8"]);
    }
}

//! The judgement.

use super::samples::{Side, machine_differences};
use crate::record::{Better, Case, Metric, Record, Unit, Verdict};
use crate::stats::{self, Change, holm};

/// The probability with which anything is called worse that is not, all measures of all scenarios
/// together; and the same for better.
const LEVEL: f64 = 0.025;

/// The comparison of the runs of one scenario.
#[derive(Debug)]
pub struct Comparison {
    /// The scenario.
    pub scenario: String,
    /// The cases that both sides have.
    pub cases: Vec<CaseComparison>,
    /// The cases that the baseline alone has, by name: a case that is gone is worse.
    pub gone: Vec<String>,
    /// The cases that the new records alone have, by name.
    pub added: Vec<String>,
    /// Reasons to doubt the comparison.
    pub doubts: Vec<String>,
    /// The ways in which the machines differ. If there are any, ratios between the cases of one run
    /// are compared, and no absolute CPU or time.
    pub machines: Vec<String>,
    /// The share by which a measure may change: 0.02 is 2 %.
    pub tolerance: f64,
}

/// The comparison of one case.
#[derive(Debug)]
pub struct CaseComparison {
    /// Its values of the matrix; empty where there is none.
    pub name: String,
    /// The case to which ratios are taken; `None` if figures are compared as they are.
    pub beside: Option<String>,
    /// The baseline's verdict, and the new one.
    pub verdicts: (Verdict, Verdict),
    /// The measures judged.
    pub lines: Vec<Line>,
}

/// The comparison of one measure.
#[derive(Clone, Debug)]
pub struct Line {
    /// The metric that is compared.
    pub metric: &'static Metric,
    /// True if these are ratios to another case of the same run.
    pub relative: bool,
    /// The median in the baseline.
    pub base: Option<f64>,
    /// The same in the new records.
    pub new: Option<f64>,
    /// The number of repeats of both.
    pub repeats: (usize, usize),
    /// The ratio of new to base, and its 95 % interval; `None` where it was not found.
    pub ratio: Option<(f64, (f64, f64))>,
    /// The result.
    pub finding: Finding,
    p_worse: Option<f64>,
    p_better: Option<f64>,
}

/// The result of the comparison of one measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Worse, beyond the tolerance and beyond doubt.
    Worse,
    /// Better, beyond the tolerance and beyond doubt.
    Better,
    /// The same: the 95 % interval lies within the tolerance.
    Same,
    /// The repeats do not tell: more of them would.
    Unclear,
    /// It was not compared.
    NotCompared(Refusal),
}

/// The reason why a measure is not compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// One of the two did not measure it.
    NotMeasured,
    /// The machines differ, and there is no second case to take a ratio to.
    OtherMachine,
    /// A side has too few repeats.
    FewRepeats,
}

/// The rule by which a measure is judged.
#[derive(Clone, Copy)]
enum Rule {
    /// Any step in the wrong direction is worse: it is a fact, and no matter of noise.
    Strict,
    /// It is tested. Changes below this amount, in the measure's own unit, and below this share do
    /// not matter.
    Tested(f64, f64),
}

/// A median latency depends on what else the machine does: less than this share is not the
/// program's.
const LATENCY: f64 = 0.25;

/// A far quantile does so all the more.
const TAIL: f64 = 0.50;

const RATE: &str = "rate.achieved_per_s";

/// The rate of a load that waits for answers is as much a latency as a rate.
const CLOSED_RATE: Rule = Rule::Tested(0.1, LATENCY);

/// The metrics that are judged.
const JUDGED: &[(&str, Rule)] = &[
    ("identical.at_equal_version_percent", Rule::Strict),
    ("dispatches.lost", Rule::Strict),
    ("dispatches.duplicated", Rule::Strict),
    ("violations", Rule::Strict),
    ("identical.time_weighted_percent", Rule::Tested(1.0, 0.0)),
    ("identical.converged_within_ms", Rule::Tested(10.0, TAIL)),
    (RATE, Rule::Tested(0.1, 0.0)),
    ("latency_us.local.p50", Rule::Tested(20.0, LATENCY)),
    ("latency_us.local.p99", Rule::Tested(100.0, TAIL)),
    ("latency_us.replica.p50", Rule::Tested(20.0, LATENCY)),
    ("latency_us.replica.p99", Rule::Tested(100.0, TAIL)),
    ("cost.cpu_us_per_action", Rule::Tested(0.05, 0.0)),
    ("cost.relative_cpu_per_action", Rule::Tested(0.005, 0.0)),
    ("cost.wire_bytes_per_action", Rule::Tested(1.0, 0.0)),
    ("cost.syscalls_per_action", Rule::Tested(0.01, 0.0)),
    ("cost.rss_bytes_max", Rule::Tested(1e6, 0.0)),
    ("cost.snapshots_forced", Rule::Tested(0.5, 0.0)),
    ("cost.entries_skipped", Rule::Tested(0.5, 0.0)),
];

/// Returns whether a metric of that name is judged.
pub(crate) fn is_judged(name: &str) -> bool {
    JUDGED.iter().any(|(judged, _)| *judged == name)
}

/// Compares the records of scenarios: for each its baselines and its new records. Several records
/// of one side count as repeats. `tolerance` is the share by which a measure may be worse: 0.02 is
/// 2 %.
pub fn compare(scenarios: &[(Vec<&Record>, Vec<&Record>)], tolerance: f64) -> Vec<Comparison> {
    let compared = scenarios.iter().map(|(base, new)| of_scenario(base, new, tolerance));
    let mut compared: Vec<Comparison> = compared.collect();
    let mut lines: Vec<&mut Line> = compared
        .iter_mut()
        .flat_map(|comparison| &mut comparison.cases)
        .flat_map(|case| &mut case.lines)
        .collect();
    find(&mut lines, |line| line.p_worse, Finding::Worse);
    find(&mut lines, |line| line.p_better, Finding::Better);
    compared
}

/// Marks the lines that are significant among all.
fn find(lines: &mut [&mut Line], of: fn(&Line) -> Option<f64>, finding: Finding) {
    let tested: Vec<usize> = (0..lines.len()).filter(|at| of(lines[*at]).is_some()).collect();
    let probabilities: Vec<f64> = tested.iter().filter_map(|at| of(lines[*at])).collect();
    for (at, significant) in tested.into_iter().zip(holm(&probabilities, LEVEL)) {
        if significant {
            lines[at].finding = finding;
        }
    }
}

impl Comparison {
    /// Returns whether the new records are worse: in any measure, in a verdict, or because a case
    /// is gone.
    pub fn worse(&self) -> bool {
        !self.gone.is_empty() || self.cases.iter().any(CaseComparison::worse)
    }

    /// Returns whether nothing that varies could be compared: neither the same nor worse is said.
    pub fn says_nothing(&self) -> bool {
        let mut lines = self.cases.iter().flat_map(|case| &case.lines);
        !lines.any(|line| line.p_worse.is_some())
    }

    /// The measures that became worse, with their cases.
    pub fn regressions(&self) -> impl Iterator<Item = (&CaseComparison, &Line)> {
        let of_case = |case| {
            let CaseComparison { lines, .. }: &CaseComparison = case;
            lines.iter().map(move |line| (case, line))
        };
        self.cases.iter().flat_map(of_case).filter(|(_, line)| line.finding == Finding::Worse)
    }
}

impl CaseComparison {
    /// Returns whether the new case is worse, in any measure or in its verdict.
    pub fn worse(&self) -> bool {
        self.verdict_worse() || self.lines.iter().any(|line| line.finding == Finding::Worse)
    }

    /// Returns whether the case passed before and fails now. What was interrupted, or cannot be
    /// trusted, is no verdict to be worse than.
    pub fn verdict_worse(&self) -> bool {
        self.verdicts.0 != Verdict::Fail && self.verdicts.1 == Verdict::Fail
    }
}

fn of_scenario(base: &[&Record], new: &[&Record], tolerance: f64) -> Comparison {
    let (base_cases, new_cases) = (cases(base), cases(new));
    let has = |cases: &[&Case], case: &Case| cases.iter().any(|other| other.with == case.with);
    let only = |these: &[&Case], those: &[&Case]| {
        these.iter().filter(|case| !has(those, case)).map(|case| case.name()).collect()
    };
    let machines = machine_differences(base, new);
    let both: Vec<&Case> =
        base_cases.iter().copied().filter(|case| has(&new_cases, case)).collect();
    let reference = both.first().copied().filter(|_| !machines.is_empty());
    let compared = both.iter().map(|case| {
        let beside = reference.filter(|reference| reference.with != case.with);
        let sides = (Side::of(base, case, beside), Side::of(new, case, beside));
        let lines = JUDGED.iter().filter_map(|(name, rule)| {
            let metric = Metric::named(name)?;
            let place = match (machines.is_empty() || !is_of_machine(metric), beside) {
                (true, _) => Place::Here,
                (false, Some(_)) => Place::Beside,
                (false, None) => Place::Nowhere,
            };
            let closed = *name == RATE && case.rate.intended_per_s.is_none();
            let rule = if closed { CLOSED_RATE } else { *rule };
            Some(line(metric, rule, &sides, place, tolerance))
        });
        CaseComparison {
            name: case.name(),
            beside: beside.map(Case::name),
            verdicts: (verdict(base, case), verdict(new, case)),
            lines: lines.collect(),
        }
    });
    Comparison {
        scenario: base.first().map(|record| record.scenario.clone()).unwrap_or_default(),
        cases: compared.collect(),
        gone: only(&base_cases, &new_cases),
        added: only(&new_cases, &base_cases),
        doubts: doubts(base, new),
        machines,
        tolerance,
    }
}

/// The cases of records, each once.
fn cases<'a>(records: &[&'a Record]) -> Vec<&'a Case> {
    let mut cases: Vec<&Case> = Vec::new();
    for case in records.iter().flat_map(|record| &record.cases) {
        if !cases.iter().any(|known| known.with == case.with) {
            cases.push(case);
        }
    }
    cases
}

fn verdict(records: &[&Record], case: &Case) -> Verdict {
    let same = records.iter().flat_map(|record| &record.cases);
    Verdict::over(same.filter(|other| other.with == case.with).map(|case| case.verdict))
}

/// Returns whether a measure is one of the machine as much as of the program.
fn is_of_machine(metric: &Metric) -> bool {
    let time = matches!(
        metric.unit(),
        Unit::Microseconds | Unit::Milliseconds | Unit::Seconds | Unit::PerSecond | Unit::Passes
    );
    let timed = ["identical.time_weighted_percent", "cost.syscalls_per_action"];
    time || timed.contains(&metric.name())
}

/// The figures that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// The case's own.
    Here,
    /// Their ratios to those of another case of the same run.
    Beside,
    /// None: the machines differ.
    Nowhere,
}

fn line(
    metric: &'static Metric,
    rule: Rule,
    (base, new): &(Side<'_>, Side<'_>),
    place: Place,
    tolerance: f64,
) -> Line {
    let relative = place == Place::Beside;
    let values = (base.values(metric, relative), new.values(metric, relative));
    let mut line = Line {
        metric,
        relative,
        base: stats::summary(&values.0).map(|summary| summary.median),
        new: stats::summary(&values.1).map(|summary| summary.median),
        repeats: (values.0.len(), values.1.len()),
        ratio: None,
        finding: Finding::NotCompared(Refusal::NotMeasured),
        p_worse: None,
        p_better: None,
    };
    let (amount, share) = match rule {
        Rule::Strict => {
            (line.base, line.new) = (base.worst(metric), new.worst(metric));
            line.finding = strict(metric, line.base, line.new);
            return line;
        }
        Rule::Tested(amount, share) => (amount, tolerance.max(share)),
    };
    if metric.is_null_never()
        && let Some(finding) = never(metric, base, new)
    {
        line.finding = finding;
        return line;
    }
    if place == Place::Nowhere {
        line.finding = Finding::NotCompared(Refusal::OtherMachine);
        return line;
    }
    // A ratio of two costs has no unit of its own.
    let amount = if relative { 0.0 } else { amount };
    let (Some(from), Some(to)) = (line.base, line.new) else { return line };
    match base.change(new, metric, relative) {
        Some(change) => tested(&mut line, &change, from, share, amount),
        None if base.is_exact(new) => exact(&mut line, (from, to), tolerance, amount),
        None => line.finding = Finding::NotCompared(Refusal::FewRepeats),
    }
    line
}

fn tested(line: &mut Line, change: &Change, from: f64, share: f64, amount: f64) {
    let (rise, fall) = (change.p_rise(from, share, amount), change.p_fall(from, share, amount));
    let higher = line.metric.better() == Better::Higher;
    line.p_worse = Some(if higher { fall } else { rise });
    line.p_better = Some(if higher { rise } else { fall });
    line.ratio = change.ratio().zip(change.ratio_interval());
    let same = change.is_within(from, share, amount);
    line.finding = if same { Finding::Same } else { Finding::Unclear };
}

/// A simulation is compared with the same one: there is no noise to tell a change from.
fn exact(line: &mut Line, (from, to): (f64, f64), tolerance: f64, amount: f64) {
    let allowed = amount.max(tolerance * from.abs());
    let gained = if line.metric.better() == Better::Higher { to - from } else { from - to };
    line.p_worse = Some(if gained < -allowed { 0.0 } else { 1.0 });
    line.p_better = Some(if gained > allowed { 0.0 } else { 1.0 });
    line.ratio = (from > 0.0 && to > 0.0).then(|| (to / from, (to / from, to / from)));
    line.finding = Finding::Same;
}

fn strict(metric: &Metric, base: Option<f64>, new: Option<f64>) -> Finding {
    let (Some(base), Some(new)) = (base, new) else {
        return Finding::NotCompared(Refusal::NotMeasured);
    };
    let gained = if metric.better() == Better::Higher { new - base } else { base - new };
    match gained {
        _ if gained < 0.0 => Finding::Worse,
        _ if gained > 0.0 => Finding::Better,
        _ => Finding::Same,
    }
}

/// The finding where something never came: worse, unless that was so before.
fn never(metric: &Metric, base: &Side<'_>, new: &Side<'_>) -> Option<Finding> {
    match (base.missing(metric) > 0, new.missing(metric) > 0) {
        (false, false) => None,
        (true, true) => Some(Finding::NotCompared(Refusal::NotMeasured)),
        (false, true) => Some(Finding::Worse),
        (true, false) => Some(Finding::Better),
    }
}

fn doubts(base: &[&Record], new: &[&Record]) -> Vec<String> {
    let mut doubts = Vec::new();
    let mut differ = |what: &str, of: &dyn Fn(&Record) -> String| {
        let mut found: Vec<String> = base.iter().chain(new).map(|record| of(record)).collect();
        found.dedup();
        if found.len() > 1 {
            doubts.push(format!("the {what} differ: {}, now {}", found[0], found[1]));
        }
    };
    differ("scenarios", &|record| record.scenario.clone());
    differ("seeds", &|record| record.seed.to_string());
    let digests = base.iter().chain(new).filter_map(|record| record.scenario_digest.as_deref());
    let mut digests: Vec<&str> = digests.collect();
    digests.dedup();
    if digests.len() > 1 {
        doubts.push("the scenario is not the same: its file or the command line changed".into());
    }
    for (whose, records) in [("baseline", base), ("new record", new)] {
        let bad = |verdict| matches!(verdict, Verdict::Inconclusive | Verdict::Interrupted);
        if let Some(record) = records.iter().find(|record| bad(record.verdict)) {
            doubts.push(format!("the {whose} is {}", record.verdict));
        }
    }
    doubts
}

#[cfg(test)]
mod tests;

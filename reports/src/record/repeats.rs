//! Several runs of one case, and the case made of them.
//!
//! Figures that cost or take time become the median of the repeats, figures that have to be perfect
//! the worst of them. Everything that is no figure, such as the series over time, is that of one
//! repeat: the first that failed, or else the one closest to the median.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Case, Metric, Outcome, Unit, Verdict};
use crate::stats::{self, Change, Sides};

/// One run of a case that was run several times.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Repeat {
    /// The start of the repeat, in the format of RFC 3339; null if it is not known.
    pub started: Option<String>,
    /// The seed that everything random was drawn from; null if it is that of the record.
    pub seed: Option<u64>,
    /// The verdict. The figures of a repeat that is inconclusive or was interrupted do not count.
    pub verdict: Verdict,
    /// Reasons of a verdict that is not `pass`, as those of a case.
    pub because: Vec<String>,
    /// Its measures, by the names of the metrics. What was not measured is missing.
    pub figures: BTreeMap<String, f64>,
}

/// The 95 % interval of a median of repeats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Interval {
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

impl Interval {
    /// The largest distance of an end from `median`, as a share of it: 0.03 is ±3 %.
    pub fn share(&self, median: f64) -> Option<f64> {
        let wide = (self.high - median).max(median - self.low);
        (median > 0.0).then(|| wide / median)
    }
}

impl Repeat {
    /// Takes the figures of a case that was run once.
    pub fn of(case: &Case) -> Self {
        let figures = Metric::all()
            .iter()
            .filter_map(|metric| Some((metric.name().to_owned(), metric.of_case(case)?)));
        Self {
            started: None,
            seed: None,
            verdict: case.verdict,
            because: case.because.clone(),
            figures: figures.filter(|(_, value)| value.is_finite()).collect(),
        }
    }

    /// Returns whether its figures count.
    pub fn is_conclusive(&self) -> bool {
        matches!(self.verdict, Verdict::Pass | Verdict::Fail)
    }

    /// Its measure of that name, if it was measured.
    pub fn figure(&self, metric: &Metric) -> Option<f64> {
        self.figures.get(metric.name()).copied().filter(|value| value.is_finite())
    }
}

/// The figure of a case that stands for several repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    /// The median.
    Median,
    /// The worst.
    Worst,
    /// The one of the repeat that is shown: counts that belong together.
    Shown,
}

fn over(metric: &Metric) -> Over {
    match metric.name() {
        "identical.at_equal_version_percent"
        | "dispatches.lost"
        | "dispatches.duplicated"
        | "dispatches.rolled_back" => Over::Worst,
        "identical.samples" | "identical.compared_at_equal_version" | "violations" => Over::Shown,
        name if name.starts_with("dispatches.") || name.starts_with("faults.") => Over::Shown,
        _ => Over::Median,
    }
}

impl Case {
    /// Makes one case of its repeats, in the order in which they were run. A single one stays as
    /// it is.
    pub fn of_repeats(mut runs: Vec<(Repeat, Case)>) -> Self {
        if runs.len() < 2 {
            return runs.pop().map(|(_, case)| case).unwrap_or_default();
        }
        let shown = shown(&runs);
        let mut whole = runs[shown].1.clone();
        whole.verdict = verdict(&runs);
        whole.shown_repeat = Some(shown as u64 + 1);
        whole.because = reasons(&runs);
        whole.violations = runs.iter().flat_map(|(_, case)| case.violations.clone()).collect();
        for (at, expectation) in whole.expectations.iter_mut().enumerate() {
            let others = runs.iter().filter(|(repeat, _)| repeat.is_conclusive());
            let others = others.filter_map(|(_, case)| case.expectations.get(at));
            let failed = others.filter(|other| other.what == expectation.what);
            if let Some(failed) = failed.into_iter().find(|one| one.outcome == Outcome::Failed) {
                *expectation = failed.clone();
            }
        }
        whole.repeats = runs.into_iter().map(|(repeat, _)| repeat).collect();
        whole.sum_up();
        whole
    }

    /// Puts the medians of the repeats in the place of the figures, and finds their intervals.
    fn sum_up(&mut self) {
        let mut figures: Vec<(&Metric, Option<f64>)> = Vec::new();
        self.intervals.clear();
        for metric in Metric::all() {
            let values: Vec<f64> = self.samples(metric);
            let count = self.conclusive_repeats().count();
            let worst = |less: bool| {
                let by = |a: &&f64, b: &&f64| if less { b.total_cmp(a) } else { a.total_cmp(b) };
                values.iter().max_by(by).copied()
            };
            match over(metric) {
                _ if count == 0 => {}
                Over::Shown => {}
                Over::Worst => {
                    let higher = metric.better() == super::Better::Higher;
                    figures.push((metric, worst(higher)));
                }
                // One that never came is worse than any that did.
                Over::Median if metric.is_null_never() && values.len() < count => {
                    figures.push((metric, None));
                }
                Over::Median => {
                    let Some(summary) = stats::summary(&values) else { continue };
                    figures.push((metric, Some(summary.median)));
                    if let Some((low, high)) = summary.interval {
                        let interval = Interval { low, high };
                        self.intervals.insert(metric.name().to_owned(), interval);
                    }
                }
            }
        }
        self.put(&figures);
    }

    /// Puts figures into their places.
    fn put(&mut self, figures: &[(&Metric, Option<f64>)]) {
        let mut json = serde_json::to_value(&*self).unwrap_or_default();
        for (metric, value) in figures {
            let Some((value, place)) = place_of(metric, *value, &mut json) else { continue };
            *place = value;
        }
        // Every place was there before, and got a value of its type.
        if let Ok(whole) = serde_json::from_value(json) {
            *self = whole;
        }
    }

    /// The repeats whose figures count.
    pub fn conclusive_repeats(&self) -> impl Iterator<Item = &Repeat> {
        self.repeats.iter().filter(|repeat| repeat.is_conclusive())
    }

    /// The values of a metric in the repeats that count, in their order; of a case that was run
    /// once its only one, if that counts.
    pub fn samples(&self, metric: &Metric) -> Vec<f64> {
        if self.repeats.is_empty() {
            let counts = matches!(self.verdict, Verdict::Pass | Verdict::Fail);
            return metric.of_case(self).filter(|_| counts).into_iter().collect();
        }
        self.conclusive_repeats().filter_map(|repeat| repeat.figure(metric)).collect()
    }

    /// The change of a metric from another case of the same run to this one, `None` if too few
    /// repeats of both measured it. The repeats of one round were run one after the other, and make
    /// a pair.
    pub fn change_from(&self, base: &Case, metric: &Metric) -> Option<Change> {
        let rounds = base.repeats.iter().zip(&self.repeats);
        let rounds = rounds.filter(|(old, new)| old.is_conclusive() && new.is_conclusive());
        let pairs =
            rounds.filter_map(|(old, new)| Some((old.figure(metric)?, new.figure(metric)?)));
        let (base, new): (Vec<f64>, Vec<f64>) = pairs.unzip();
        Change::between(&base, &new, Sides::Paired)
    }

    /// The 95 % interval of a metric, if there are enough repeats.
    pub fn interval(&self, metric: &Metric) -> Option<Interval> {
        self.intervals.get(metric.name()).copied()
    }
}

/// The place of a figure in a case's JSON, and its value as it stands there.
fn place_of<'a>(
    metric: &Metric,
    value: Option<f64>,
    json: &'a mut Value,
) -> Option<(Value, &'a mut Value)> {
    let pointer = format!("/{}", metric.name().replace('.', "/"));
    let place = json.pointer_mut(&pointer)?;
    let whole = matches!(metric.unit(), Unit::Count | Unit::Bytes);
    let value = match value {
        None => Value::Null,
        Some(value) if whole && !metric.name().ends_with("_per_action") => {
            Value::from(value.round() as u64)
        }
        Some(value) => Value::from(value),
    };
    Some((value, place))
}

/// The repeat that is shown.
fn shown(runs: &[(Repeat, Case)]) -> usize {
    let failed = runs.iter().position(|(repeat, _)| repeat.verdict == Verdict::Fail);
    let typical = || {
        let metric = Metric::named("cost.cpu_us_per_action")?;
        let counted = runs.iter().enumerate().filter(|(_, (repeat, _))| repeat.is_conclusive());
        let values = counted.filter_map(|(at, (repeat, _))| Some((at, repeat.figure(metric)?)));
        let values: Vec<(usize, f64)> = values.collect();
        let median = stats::median(&values.iter().map(|(_, value)| *value).collect::<Vec<_>>())?;
        let closest =
            values.iter().min_by(|a, b| (a.1 - median).abs().total_cmp(&(b.1 - median).abs()));
        closest.map(|(at, _)| *at)
    };
    let conclusive = || runs.iter().position(|(repeat, _)| repeat.is_conclusive());
    failed.or_else(typical).or_else(conclusive).unwrap_or(0)
}

/// A case failed if a repeat did. It says nothing if less than half of its repeats say something.
fn verdict(runs: &[(Repeat, Case)]) -> Verdict {
    let count = |verdict| runs.iter().filter(|(repeat, _)| repeat.verdict == verdict).count();
    let conclusive = count(Verdict::Pass) + count(Verdict::Fail);
    if count(Verdict::Interrupted) > 0 {
        Verdict::Interrupted
    } else if count(Verdict::Fail) > 0 {
        Verdict::Fail
    } else if 2 * conclusive < runs.len() {
        Verdict::Inconclusive
    } else {
        Verdict::Pass
    }
}

fn reasons(runs: &[(Repeat, Case)]) -> Vec<String> {
    let all = runs.len();
    let each = runs.iter().enumerate().flat_map(|(at, (repeat, _))| {
        let left_out = if repeat.is_conclusive() { "" } else { ", left out" };
        let number = at + 1;
        let because = repeat.because.iter();
        because.map(move |why| format!("repeat {number} of {all}{left_out}: {why}"))
    });
    each.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Record, sample};

    fn run(cpu_us: f64, verdict: Verdict) -> (Repeat, Case) {
        let mut case = sample::two_clusters().cases.remove(0);
        case.cost.cpu_us_per_action = Some(cpu_us);
        case.verdict = verdict;
        (Repeat::of(&case), case)
    }

    fn cpu() -> &'static Metric {
        Metric::named("cost.cpu_us_per_action").expect("it is one")
    }

    #[test]
    fn costs_become_medians_with_intervals_and_counts_stay_together() {
        let costs = [120.0, 118.0, 131.0, 119.0, 121.0];
        let case = Case::of_repeats(costs.map(|cost| run(cost, Verdict::Pass)).into());
        assert_eq!(case.cost.cpu_us_per_action, Some(120.0));
        assert_eq!(case.shown_repeat, Some(1), "the one closest to the median");
        let interval = case.interval(cpu()).expect("five are enough");
        assert!(interval.low < 119.0 && interval.high > 121.0, "{interval:?}");
        assert!(interval.share(120.0).expect("positive") < 0.2, "{interval:?}");
        assert!(case.dispatches.balanced());
        assert_eq!(case.samples(cpu()), costs);
        let json = Record::new("r", 1, crate::Kind::Processes, vec![case.clone()]).to_json();
        let read = Record::from_json(json.as_bytes(), "it").expect("it was just written");
        assert_eq!(read.cases[0], case);
    }

    #[test]
    fn two_repeats_have_no_interval() {
        let case = Case::of_repeats([120.0, 122.0].map(|us| run(us, Verdict::Pass)).into());
        assert_eq!(case.cost.cpu_us_per_action, Some(121.0));
        assert_eq!(case.interval(cpu()), None);
        let single = Case::of_repeats(vec![run(120.0, Verdict::Pass)]);
        assert_eq!(single, run(120.0, Verdict::Pass).1, "a single run stays as it is");
    }

    #[test]
    fn every_figure_can_be_put_into_its_place() {
        let mut case = sample::two_clusters().cases.remove(0);
        let metrics = Metric::all().iter().filter(|metric| over(metric) != Over::Shown);
        let figures: Vec<_> = metrics.zip(1..).map(|(m, at)| (m, Some(f64::from(at)))).collect();
        case.put(&figures);
        for (metric, value) in &figures {
            assert_eq!(metric.of_case(&case), *value, "{}", metric.name());
        }
    }

    #[test]
    fn a_repeat_that_says_nothing_is_left_out_and_named() {
        let mut noisy = run(900.0, Verdict::Inconclusive);
        noisy.0.because = vec!["the load was late".into()];
        let good = || run(120.0, Verdict::Pass);
        let case = Case::of_repeats(vec![good(), noisy.clone(), good(), good()]);
        assert_eq!((case.verdict, case.cost.cpu_us_per_action), (Verdict::Pass, Some(120.0)));
        assert_eq!(case.because, ["repeat 2 of 4, left out: the load was late"]);
        let case = Case::of_repeats(vec![good(), noisy.clone(), noisy]);
        assert_eq!(case.verdict, Verdict::Inconclusive, "less than half says something");
    }

    #[test]
    fn the_worst_repeat_decides_what_has_to_be_perfect() {
        let mut bad = run(120.0, Verdict::Fail);
        bad.1.dispatches.lost = Some(2);
        bad.1.identical.at_equal_version_percent = Some(99.0);
        bad.1.identical.converged_within_ms = None;
        bad.1.expectations[0].outcome = Outcome::Failed;
        bad.0 = Repeat::of(&bad.1);
        let good = || run(120.0, Verdict::Pass);
        let case = Case::of_repeats(vec![good(), good(), bad, good()]);
        assert_eq!((case.verdict, case.shown_repeat), (Verdict::Fail, Some(3)));
        assert_eq!(case.dispatches.lost, Some(2));
        assert_eq!(case.identical.at_equal_version_percent, Some(99.0));
        assert_eq!(case.identical.converged_within_ms, None, "it never came once");
        assert_eq!(case.failed_expectations().count(), 1);
    }

    #[test]
    fn repeats_of_one_round_are_pairs() {
        let drift = [1.0, 1.5, 0.8, 1.2, 0.9];
        let of = |base: f64, wiggle: f64| {
            let runs = drift.iter().enumerate().map(|(at, drift)| {
                run(base * drift * (1.0 + wiggle * (at % 2) as f64), Verdict::Pass)
            });
            Case::of_repeats(runs.collect())
        };
        let (less, more) = (of(100.0, 0.0), of(110.0, 0.01));
        let change = more.change_from(&less, cpu()).expect("there are five pairs");
        let (low, high) = change.ratio_interval().expect("positive");
        assert!(low > 1.08 && high < 1.14, "{low} {high}");
    }
}

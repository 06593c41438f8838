//! The repeats of both sides.

use crate::record::{Case, Kind, Machine, Metric, Record, Repeat, Verdict};
use crate::stats::{Change, Sides};

/// One measured case: a repeat, or a case that was run once.
#[derive(Clone, Copy)]
struct Sample<'a> {
    /// The start, in the format of RFC 3339, which is in the order of time.
    started: Option<&'a str>,
    seed: Option<u64>,
    /// The repeat; `None` for a case that was run once.
    repeat: Option<&'a Repeat>,
    case: &'a Case,
    /// The case of the same round that ratios are taken to.
    beside: Option<(Option<&'a Repeat>, &'a Case)>,
}

impl Sample<'_> {
    fn figure(&self, metric: &Metric) -> Option<f64> {
        of(self.repeat, self.case, metric)
    }

    /// The ratio to the case beside it.
    fn ratio(&self, metric: &Metric) -> Option<f64> {
        let (repeat, case) = self.beside?;
        let (value, to) = (self.figure(metric)?, of(repeat, case, metric)?);
        (to > 0.0).then(|| value / to)
    }
}

fn of(repeat: Option<&Repeat>, case: &Case, metric: &Metric) -> Option<f64> {
    match repeat {
        Some(repeat) if repeat.is_conclusive() => repeat.figure(metric),
        Some(_) => None,
        None => case.samples(metric).first().copied(),
    }
}

/// One side of a comparison: the samples of a case in all records of a scenario, in the order of
/// their time.
pub(super) struct Side<'a> {
    samples: Vec<Sample<'a>>,
    is_virtual: bool,
}

impl<'a> Side<'a> {
    /// The samples of `case`; ratios are those to the case `reference`.
    pub(super) fn of(records: &[&'a Record], case: &Case, reference: Option<&Case>) -> Self {
        let find = |record: &'a Record, wanted: &Case| {
            record.cases.iter().find(|found| found.with == wanted.with)
        };
        let mut samples = Vec::new();
        for record in records {
            let Some(found) = find(record, case) else { continue };
            let beside = reference.and_then(|reference| find(record, reference));
            if found.repeats.is_empty() {
                samples.push(Sample {
                    started: record.started.as_deref(),
                    seed: Some(record.seed),
                    repeat: None,
                    case: found,
                    beside: beside.map(|beside| (beside.repeats.first(), beside)),
                });
            }
            for (round, repeat) in found.repeats.iter().enumerate() {
                let same_round =
                    |beside: &'a Case| Some((Some(beside.repeats.get(round)?), beside));
                samples.push(Sample {
                    started: repeat.started.as_deref().or(record.started.as_deref()),
                    seed: repeat.seed.or(Some(record.seed)),
                    repeat: Some(repeat),
                    case: found,
                    beside: beside.and_then(same_round),
                });
            }
        }
        samples.sort_by(|a, b| a.started.cmp(&b.started));
        let is_virtual = records.iter().all(|record| record.kind == Kind::Virtual);
        if is_virtual {
            // A seed has one history: simulating it again adds nothing.
            samples.sort_by_key(|one| one.seed);
            samples.dedup_by_key(|one| one.seed);
        }
        Self { samples, is_virtual }
    }

    /// The values of a metric, or their ratios to those of the reference.
    pub(super) fn values(&self, metric: &Metric, relative: bool) -> Vec<f64> {
        self.read(metric, relative).into_iter().flatten().collect()
    }

    fn read(&self, metric: &Metric, relative: bool) -> Vec<Option<f64>> {
        let read = |one: &Sample<'_>| {
            if relative { one.ratio(metric) } else { one.figure(metric) }
        };
        self.samples.iter().map(read).collect()
    }

    /// The worst value: a fact, and no matter of chance.
    pub(super) fn worst(&self, metric: &Metric) -> Option<f64> {
        let values = self.values(metric, false).into_iter();
        match metric.better() {
            crate::record::Better::Higher => values.min_by(f64::total_cmp),
            _ => values.max_by(f64::total_cmp),
        }
    }

    /// The number of samples that say something, but in which the metric was not measured.
    pub(super) fn missing(&self, metric: &Metric) -> usize {
        let conclusive = self.samples.iter().filter(|one| match one.repeat {
            Some(repeat) => repeat.is_conclusive(),
            None => matches!(one.case.verdict, Verdict::Pass | Verdict::Fail),
        });
        conclusive.filter(|one| one.figure(metric).is_none()).count()
    }

    /// Returns whether both sides are simulations of the same seeds: they differ by the program
    /// alone, and by no noise.
    pub(super) fn is_exact(&self, other: &Self) -> bool {
        let seeds = |side: &Self| side.samples.iter().map(|one| one.seed).collect::<Vec<_>>();
        self.is_virtual && other.is_virtual && seeds(self) == seeds(other)
    }

    /// Returns whether the samples at the same position were measured close together: the two sides
    /// took turns.
    fn took_turns(&self, other: &Self) -> bool {
        let pairs: Option<Vec<(&str, &str)>> = self
            .samples
            .iter()
            .zip(&other.samples)
            .map(|(one, other)| {
                let (one, other) = (one.started?, other.started?);
                Some(if one <= other { (one, other) } else { (other, one) })
            })
            .collect();
        let same = self.samples.len() == other.samples.len();
        // Two that began at one time are one run.
        same && pairs.is_some_and(|pairs| {
            pairs.iter().all(|(first, last)| first < last)
                && pairs.windows(2).all(|two| two[0].1 <= two[1].0)
        })
    }

    /// The change of a metric from this side to a new one; `None` if there are too few repeats.
    pub(super) fn change(&self, new: &Self, metric: &Metric, relative: bool) -> Option<Change> {
        let (base_values, new_values) = (self.read(metric, relative), new.read(metric, relative));
        if self.took_turns(new) || self.is_exact(new) {
            let pairs = base_values.iter().zip(&new_values);
            let pairs = pairs.filter_map(|(base, new)| Some(((*base)?, (*new)?)));
            let (base, new): (Vec<f64>, Vec<f64>) = pairs.unzip();
            return Change::between(&base, &new, Sides::Paired);
        }
        let whole = |values: Vec<Option<f64>>| values.into_iter().flatten().collect::<Vec<_>>();
        Change::between(&whole(base_values), &whole(new_values), Sides::Apart)
    }
}

/// The ways in which the machines of records differ, as far as figures depend on it.
pub(super) fn machine_differences(base: &[&Record], new: &[&Record]) -> Vec<String> {
    let all = || base.iter().chain(new);
    if all().all(|record| record.kind == Kind::Virtual) {
        return Vec::new();
    }
    let mut differences = Vec::new();
    let mut kinds: Vec<Kind> = all().map(|record| record.kind).collect();
    kinds.dedup();
    if kinds.len() > 1 {
        differences.push(format!("the kinds of run differ: {}, now {}", kinds[0], kinds[1]));
    }
    let mut differ = |what: &str, of: &dyn Fn(&Machine) -> String| {
        let mut found: Vec<String> = all().map(|record| of(&record.machine)).collect();
        found.dedup();
        if found.len() > 1 {
            differences.push(format!("the {what} differ: {}, now {}", found[0], found[1]));
        }
    };
    differ("processors", &|machine| machine.cpu.clone());
    differ("numbers of cores", &|machine| machine.cores.to_string());
    differ("operating systems", &|machine| machine.os.clone());
    differ("builds", &|machine| {
        if machine.debug_build { "unoptimised" } else { "optimised" }.to_owned()
    });
    differences
}

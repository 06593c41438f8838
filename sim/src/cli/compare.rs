//! `samestate compare`: is this run worse than that one?

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use samestate_report::Record;
use samestate_report::compare::{self, Comparison};

use super::exit::ExitCode;
use super::github;
use super::report::read;
use super::terminal::{show, style};

const EXAMPLES: &str = "\
Examples:
  samestate compare baselines runs/one-cluster/20261127T120000Z
  samestate compare 'old/*' 'new/*'        several runs of a scenario count as its repeats
  samestate compare baseline.json new.json --tolerance 5%

A cost or a time is worse only if the repeats of both sides prove it: run both with --repeat 5.
docs/figures.md describes how.";

/// Hold records against a baseline: exit code 5 if a metric is worse beyond doubt and beyond the
/// tolerance
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Compare {
    /// The record to hold against, or a folder with one, or with several by scenario, or a pattern
    #[arg(value_name = "BASELINE")]
    baseline: PathBuf,

    /// The records to judge, or folders with those of the same scenarios, or patterns
    #[arg(required = true, value_name = "NEW")]
    new: Vec<PathBuf>,

    #[command(flatten)]
    tolerance: ToleranceArgs,
}

/// The change that is allowed.
#[derive(Args, Clone, Copy, Debug)]
pub(super) struct ToleranceArgs {
    /// Share by which a metric may get worse, besides noise
    #[arg(long, value_name = "PERCENT", default_value = "2%")]
    tolerance: Percent,
}

impl ToleranceArgs {
    /// Returns the share.
    pub(super) fn share(self) -> f64 {
        self.tolerance.0
    }
}

/// A share, written with its unit.
#[derive(Clone, Copy, Debug)]
struct Percent(f64);

impl FromStr for Percent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
        number
            .filter(|percent| percent.is_finite() && *percent >= 0.0)
            .map(|percent| Percent(percent / 100.0))
            .ok_or_else(|| "write a share with its unit, as in 10%".into())
    }
}

impl Compare {
    pub(super) fn run(self) -> ExitCode {
        let baselines = read(std::slice::from_ref(&self.baseline));
        let (baselines, news) = match (baselines, read(&self.new)) {
            (Ok(baselines), Ok(news)) => (baselines, news),
            (baselines, news) => {
                return ExitCode::worst([baselines.err(), news.err()].into_iter().flatten());
            }
        };
        let mut code = ExitCode::Pass;
        let mut texts = Vec::new();
        let mut pairs = Vec::new();
        for base in by_scenario(&baselines) {
            // A single record is held against a single one, whatever their scenarios are called.
            let single = baselines.len() == 1 && news.len() == 1;
            let same = |new: &&Record| single || new.scenario == base[0].scenario;
            let of_same: Vec<&Record> = news.iter().filter(same).collect();
            if of_same.is_empty() {
                code = ExitCode::Regressed;
                texts.push(format!("{}: gone, the baseline alone has it\n", base[0].scenario));
            } else {
                pairs.push((base, of_same));
            }
        }
        let style = style(&std::io::stdout());
        for comparison in compare::compare(&pairs, self.tolerance.share()) {
            github::announce_regressions(&comparison);
            code = ExitCode::worst([code, code_of(&comparison)]);
            texts.push(comparison.render(&style));
        }
        show(&texts.join("\n"), code)
    }
}

/// Returns the exit code of a comparison.
pub(super) fn code_of(comparison: &Comparison) -> ExitCode {
    match (comparison.worse(), comparison.says_nothing()) {
        (true, _) => ExitCode::Regressed,
        (false, true) => ExitCode::Inconclusive,
        (false, false) => ExitCode::Pass,
    }
}

/// Records by their scenarios, in the order in which these come first.
fn by_scenario(records: &[Record]) -> Vec<Vec<&Record>> {
    let mut groups: Vec<Vec<&Record>> = Vec::new();
    for record in records {
        match groups.iter_mut().find(|group| group[0].scenario == record.scenario) {
            Some(group) => group.push(record),
            None => groups.push(vec![record]),
        }
    }
    groups
}

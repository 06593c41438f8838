//! `samestate compare`: is this run worse than that one?

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use samestate_report::{Record, compare};

use super::exit::ExitCode;
use super::report::read;
use super::terminal::{show, style};

const EXAMPLES: &str = "\
Examples:
  samestate compare baseline.json runs/one-cluster/record.json
  samestate compare baseline.json new.json --tolerance 25%";

/// Hold a record against a baseline: exit code 5 if any metric got worse by more than the
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

    /// Share by which a metric may get worse
    #[arg(long, value_name = "PERCENT", default_value = "10%")]
    tolerance: Percent,
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
        let style = style(&std::io::stdout());
        let mut texts = Vec::new();
        let mut code = ExitCode::Pass;
        for baseline in &baselines {
            // A single record is held against a single one, whatever their scenarios are called.
            let same = |new: &&Record| new.scenario == baseline.scenario;
            let single = baselines.len() == 1 && news.len() == 1;
            let of_same: Vec<&Record> = news.iter().filter(|new| single || same(new)).collect();
            if of_same.is_empty() {
                code = ExitCode::Regressed;
                texts.push(format!("{}: gone, the baseline alone has it\n", baseline.scenario));
            }
            for new in of_same {
                let comparison = compare::compare(baseline, new, self.tolerance.0);
                if comparison.worse() {
                    code = ExitCode::Regressed;
                }
                texts.push(comparison.render(&style));
            }
        }
        show(&texts.join("\n"), code)
    }
}

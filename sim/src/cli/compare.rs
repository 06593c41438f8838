//! `samestate compare`: is this run worse than that one?

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use samestate_report::{Record, compare};

use super::exit::ExitCode;
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
    /// The record to hold against
    #[arg(value_name = "BASELINE")]
    baseline: PathBuf,

    /// The record to judge
    #[arg(value_name = "NEW")]
    new: PathBuf,

    /// How much worse a metric may get
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
        let (baseline, new) = match (Record::read(&self.baseline), Record::read(&self.new)) {
            (Ok(baseline), Ok(new)) => (baseline, new),
            (baseline, new) => {
                for error in [baseline.err(), new.err()].into_iter().flatten() {
                    eprintln!("error: {error}");
                }
                return ExitCode::Usage;
            }
        };
        let comparison = compare::compare(&baseline, &new, self.tolerance.0);
        let code = if comparison.worse() { ExitCode::Regressed } else { ExitCode::Pass };
        show(&comparison.render(&style(&std::io::stdout())), code)
    }
}

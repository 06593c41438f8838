//! `samestate validate`: are these files right?

use clap::Args;
use samestate_report::printable;

use super::args::{ScenarioArgs, complain};
use super::exit::ExitCode;
use super::terminal::show;
use crate::scenario::{ScenarioFile, Span};

const EXAMPLES: &str = "\
Examples:
  samestate validate scenarios/*.yaml
  generate | samestate validate -          check what another program writes
  samestate validate two-clusters.yaml --set stores.tasks.mode=snapshot --duration 5s";

/// Check scenario files without starting anything
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Validate {
    #[command(flatten)]
    scenarios: ScenarioArgs,
}

impl Validate {
    pub(super) fn run(self) -> ExitCode {
        if let Err(code) = self.scenarios.check_stdin() {
            return code;
        }
        let overrides = self.scenarios.overrides();
        let mut code = ExitCode::Pass;
        let mut good = String::new();
        for path in &self.scenarios.files {
            match ScenarioFile::load(path, &overrides) {
                Ok(file) => good += &format!("ok  {}: {}\n", path.display(), summary(&file)),
                Err(error) => {
                    complain(&error);
                    code = ExitCode::Usage;
                }
            }
        }
        show(&printable(&good), code)
    }
}

/// A file in one line: how many of what.
fn summary(file: &ScenarioFile) -> String {
    let plan = &file.cases[0].plan;
    let mut parts = vec![
        counted(plan.nodes.len(), "process", "processes"),
        counted(plan.stores.len(), "store", "stores"),
        counted(plan.links.len(), "link", "links"),
        Span(plan.duration()).to_string(),
    ];
    if !plan.faults.is_empty() {
        parts.push(counted(plan.faults.len(), "fault", "faults"));
    }
    if file.cases.len() > 1 {
        parts.push(format!("{} cases", file.cases.len()));
    }
    parts.join(", ")
}

/// A number and what it counts: `1 link`, `2 links`.
fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

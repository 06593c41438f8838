//! `samestate explain`: what will a file do?

use clap::Args;
use samestate_report::{Metric, printable};

use super::args::ScenarioArgs;
use super::exit::ExitCode;
use super::terminal::show;
use crate::load::catalog;
use crate::scenario::explain;

const EXAMPLES: &str = "\
Examples:
  samestate explain two-clusters.yaml
  samestate explain big-store.yaml --set stores.document.size=1MB
  samestate explain - < two-clusters.yaml
  samestate explain --metrics
  samestate explain --reducers";

/// Draw the trees of nodes, store by store, and the course of the run
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Explain {
    #[command(flatten)]
    scenarios: ScenarioArgs,

    /// List the metrics that `expect` can name instead
    #[arg(long, exclusive = true)]
    metrics: bool,

    /// List the reducers that stores can name instead
    #[arg(long, exclusive = true)]
    reducers: bool,
}

impl Explain {
    pub(super) fn run(self) -> ExitCode {
        if self.metrics {
            return show(&metrics_text(), ExitCode::Pass);
        }
        if self.reducers {
            return show(&reducers_text(), ExitCode::Pass);
        }
        let files = match self.scenarios.load() {
            Ok(files) => files,
            Err(code) => return code,
        };
        let drawn: Vec<String> = files.iter().map(explain).collect();
        show(&printable(&drawn.join("\n")), ExitCode::Pass)
    }
}

fn metrics_text() -> String {
    let mut text = String::new();
    for metric in Metric::all() {
        let narrowed: Vec<&str> = [
            ("store", metric.per_store()),
            ("node", metric.per_node()),
            ("phase", metric.per_phase()),
        ]
        .into_iter()
        .filter_map(|(key, possible)| possible.then_some(key))
        .collect();
        text += &format!("{:38} {}", metric.name(), metric.about());
        if !narrowed.is_empty() {
            text += &format!(" [by {}]", narrowed.join(", "));
        }
        text.push('\n');
    }
    text
}

fn reducers_text() -> String {
    catalog::all().iter().map(|known| format!("{:10} {}\n", known.name, known.about)).collect()
}

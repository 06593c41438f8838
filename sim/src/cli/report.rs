//! `samestate report`: a record, shown again in another form.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use samestate_report::{Record, junit, markdown, terminal};

use super::exit::ExitCode;
use super::terminal::{show, style};

const EXAMPLES: &str = "\
Examples:
  samestate report runs/one-cluster/record.json
  samestate report record.json --format junit > samestate.xml";

/// Show the record of a run again, or turn it into what another program reads
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Report {
    /// The record of a run
    #[arg(value_name = "RECORD")]
    record: PathBuf,

    /// What to turn it into
    #[arg(long, value_enum, default_value_t = Format::Terminal)]
    format: Format,
}

#[derive(ValueEnum, Clone, Copy, Debug)]
enum Format {
    Terminal,
    Markdown,
    Junit,
    Json,
}

impl Report {
    pub(super) fn run(self) -> ExitCode {
        let record = match Record::read(&self.record) {
            Ok(record) => record,
            Err(error) => {
                eprintln!("error: {error}");
                return ExitCode::Usage;
            }
        };
        let text = match self.format {
            Format::Terminal => terminal::summary(&record, &style(&std::io::stdout())),
            Format::Markdown => markdown::to_markdown(&record),
            Format::Junit => junit::to_xml(&record),
            Format::Json => record.to_json(),
        };
        show(&text, ExitCode::Pass)
    }
}

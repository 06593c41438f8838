//! `samestate report`: records, shown again in another form.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use samestate_proto::with_causes;
use samestate_report::{Record, RecordError, junit, markdown, terminal};

use super::exit::ExitCode;
use super::terminal::{show, style};
use crate::streams::note;

const EXAMPLES: &str = "\
Examples:
  samestate report runs/one-cluster/20260102T030405Z
  samestate report results --format junit > samestate.xml    all records below a folder
  samestate report one.json other.json --format markdown";

/// Show the records of runs again, or turn them into what another program reads
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Report {
    /// Records of runs, or folders: of a run, or with several below
    #[arg(required = true, value_name = "RECORD|DIR")]
    records: Vec<PathBuf>,

    /// Format of the report
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
        let records = match read(&self.records) {
            Ok(records) => records,
            Err(code) => return code,
        };
        let each = |of: &dyn Fn(&Record) -> String| {
            let texts: Vec<String> = records.iter().map(of).collect();
            texts.join("\n")
        };
        let text = match self.format {
            Format::Terminal => {
                let style = style(&std::io::stdout());
                each(&|record| terminal::summary(record, &style))
            }
            Format::Markdown => each(&markdown::to_markdown),
            Format::Junit => junit::to_xml(&records),
            Format::Json => Record::to_json_all(&records),
        };
        show(&text, ExitCode::Pass)
    }
}

/// Reads records from files and folders; says on standard error what is wrong with them.
pub(super) fn read(places: &[PathBuf]) -> Result<Vec<Record>, ExitCode> {
    Record::read_all(places).map_err(|error| {
        note!("error: {}", with_causes(&error));
        match error {
            RecordError::NoneThere { .. } => ExitCode::NothingSelected,
            _ => ExitCode::Usage,
        }
    })
}

//! `samestate report`: records, shown again in another form.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use samestate_proto::with_causes;
use samestate_report::terminal::Style;
use samestate_report::{Record, RecordError, html, junit, markdown, terminal, write_whole};

use super::exit::ExitCode;
use super::terminal::{show, style};
use crate::streams::note;

const EXAMPLES: &str = "\
Examples:
  samestate report runs/one-cluster/20260102T030405Z
  samestate report one.json --format html --output report.html
  samestate report results --format junit > samestate.xml    all records below a folder
  samestate report one.json other.json --format markdown
  samestate report one.json --format svg --figure identity --output identity.svg
  samestate report one.json --format svg --figure list    an unknown name lists those there are";

/// Show the records of runs again, or turn them into what another program reads
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Report {
    /// Records of runs, folders of runs, folders with runs below, or patterns such as 'runs/*/*'
    #[arg(required = true, value_name = "RECORD|DIR|PATTERN")]
    records: Vec<PathBuf>,

    /// Format of the report
    #[arg(long, value_enum, default_value_t = Format::Terminal)]
    format: Format,

    /// The figure that `--format svg` draws, such as `identity`; an unknown name lists all
    #[arg(long, value_name = "NAME")]
    figure: Option<String>,

    /// Write the report to a file instead of standard output
    #[arg(long, short, value_name = "PATH")]
    output: Option<PathBuf>,
}

#[derive(ValueEnum, Clone, Copy, Debug)]
enum Format {
    Terminal,
    Markdown,
    Junit,
    Json,
    /// One page with charts, which needs no network
    Html,
    /// One figure of one record as a picture, light or dark as its viewer prefers
    Svg,
}

impl Report {
    pub(super) fn run(self) -> ExitCode {
        if matches!(self.format, Format::Html)
            && self.output.is_none()
            && std::io::stdout().is_terminal()
        {
            note!("error: a page is not for a terminal: name a file with --output report.html");
            return ExitCode::Usage;
        }
        if self.figure.is_some() && !matches!(self.format, Format::Svg) {
            note!("error: --figure names a picture: add --format svg");
            return ExitCode::Usage;
        }
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
                let to_file = self.output.is_some();
                let style = if to_file { Style::PLAIN } else { style(&std::io::stdout()) };
                each(&|record| terminal::summary(record, &style))
            }
            Format::Markdown => each(&markdown::to_markdown),
            Format::Junit => junit::to_xml(&records),
            Format::Json => Record::to_json_all(&records),
            Format::Html => html::page(&records),
            Format::Svg => match figure(&records, self.figure.as_deref()) {
                Ok(picture) => picture,
                Err(code) => return code,
            },
        };
        match &self.output {
            None => show(&text, ExitCode::Pass),
            Some(path) => match write_whole(path, text.as_bytes()) {
                Ok(()) => ExitCode::Pass,
                Err(error) => {
                    note!("error: {}", with_causes(&error));
                    ExitCode::NotDone
                }
            },
        }
    }
}

/// Draws a figure of the only record; says on standard error which figures there are, if it is none
/// of them.
fn figure(records: &[Record], name: Option<&str>) -> Result<String, ExitCode> {
    let [record] = records else {
        note!("error: a picture is of one record, and these are {}: name one", records.len());
        return Err(ExitCode::Usage);
    };
    if let Some(picture) = name.and_then(|name| html::picture(record, name)) {
        return Ok(picture);
    }
    let names = html::figures(record);
    if names.is_empty() {
        note!(
            "error: the record of {} has no figures: it has neither measures over time nor a \
             matrix over a number",
            record.scenario
        );
        return Err(ExitCode::Usage);
    }
    match name {
        Some(name) => note!("error: the record of {} has no figure `{name}`", record.scenario),
        None => note!("error: --format svg needs the name of a figure: add --figure NAME"),
    }
    // All cases have about the same: those of the first stand for all.
    let (of_cases, of_all): (Vec<_>, Vec<_>) = names.iter().partition(|name| name.contains('/'));
    let first = of_cases.iter().filter_map(|name| name.strip_prefix("1/"));
    let of_first = first.map(|name| format!("N/{name}")).collect::<Vec<_>>().join(", ");
    let of_all = of_all.into_iter().cloned().collect::<Vec<_>>().join(", ");
    if !of_all.is_empty() {
        note!("help: its figures are {of_all}");
    }
    if !of_first.is_empty() {
        note!("help: the figures of case N, from 1 to {}, are {of_first}", record.cases.len());
    }
    Err(ExitCode::Usage)
}

/// Reads records from files, folders and patterns; says on standard error what is wrong with them.
pub(super) fn read(places: &[PathBuf]) -> Result<Vec<Record>, ExitCode> {
    let mut found = Vec::new();
    for place in places {
        found.extend(matching(place)?);
    }
    Record::read_all(&found).map_err(|error| {
        note!("error: {}", with_causes(&error));
        match error {
            RecordError::NoneThere { .. } => ExitCode::NothingSelected,
            _ => ExitCode::Usage,
        }
    })
}

/// The paths that a pattern stands for, in order; a path that is no pattern, or that exists, stands
/// for itself.
fn matching(place: &Path) -> Result<Vec<PathBuf>, ExitCode> {
    let Some(pattern) = place.to_str().filter(|text| text.contains(['*', '?', '['])) else {
        return Ok(vec![place.to_owned()]);
    };
    if place.exists() {
        return Ok(vec![place.to_owned()]);
    }
    let paths = match glob::glob(pattern) {
        Ok(paths) => paths,
        Err(error) => {
            note!("error: {pattern} is not a pattern of paths: {error}");
            return Err(ExitCode::Usage);
        }
    };
    let paths: Vec<PathBuf> = paths.filter_map(Result::ok).collect();
    if paths.is_empty() {
        note!("error: nothing matches {pattern}");
        return Err(ExitCode::NothingSelected);
    }
    Ok(paths)
}

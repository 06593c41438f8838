//! `samestate list`: what do the scenarios of a folder show?

use std::path::{Path, PathBuf};

use clap::Args;
use samestate_report::printable;

use super::exit::ExitCode;
use super::terminal::show;
use crate::scenario::{Overrides, ScenarioFile, Span};
use crate::streams::note;

const EXAMPLES: &str = "\
Examples:
  samestate list
  samestate list my/scenarios";

/// List the scenarios in a folder, and what each shows
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct List {
    /// The folder
    #[arg(default_value = "scenarios")]
    folder: PathBuf,
}

impl List {
    pub(super) fn run(self) -> ExitCode {
        let files = match yaml_files(&self.folder) {
            Ok(files) => files,
            Err(error) => {
                note!("error: failed to list {}: {error}", self.folder.display());
                return ExitCode::Usage;
            }
        };
        if files.is_empty() {
            note!("there is no .yaml file in {}", self.folder.display());
            return ExitCode::NothingSelected;
        }
        let mut text = String::new();
        for path in files {
            match ScenarioFile::load(&path, &Overrides::default()) {
                Ok(file) => {
                    let duration: Span =
                        Span(file.cases.iter().map(|case| case.plan.duration()).sum());
                    text += &format!("{} ({duration})\n", path.display());
                    if !file.scenario.about.is_empty() {
                        text += &format!("    {}\n", file.scenario.about.trim());
                    }
                }
                Err(_) => {
                    text += &format!("{} (not valid)\n", path.display());
                    text += &format!("    samestate validate {} says why\n", path.display());
                }
            }
        }
        show(&printable(&text), ExitCode::Pass)
    }
}

/// The `.yaml` and `.yml` files of a folder, in the order of their names.
fn yaml_files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let is_yaml = path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml");
        if is_yaml && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

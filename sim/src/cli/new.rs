//! `samestate new`: a scenario to start from.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::exit::ExitCode;
use super::terminal::show;
use crate::load::catalog;
use crate::streams::note;

/// The file that `new` writes, and which a test keeps valid.
const STARTER: &str = include_str!("starter.yaml");

/// Stands in the starter for the names of all reducers.
const REDUCERS: &str = "{reducers}";

const EXAMPLES: &str = "\
Examples:
  samestate new first.yaml && samestate explain first.yaml
  samestate new -                          print it instead";

/// Write a commented scenario to start from
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct New {
    /// The file to write; `-` for standard output. A file that exists is left alone
    file: PathBuf,
}

impl New {
    pub(super) fn run(self) -> ExitCode {
        if self.file.as_os_str() == "-" {
            return show(&starter(), ExitCode::Pass);
        }
        let opened = OpenOptions::new().write(true).create_new(true).open(&self.file);
        match opened.and_then(|mut file| file.write_all(starter().as_bytes())) {
            Ok(()) => {
                let told = format!("wrote {0}; next: samestate explain {0}\n", self.file.display());
                show(&told, ExitCode::Pass)
            }
            Err(error) => {
                note!("error: failed to write {}: {error}", self.file.display());
                ExitCode::Usage
            }
        }
    }
}

fn starter() -> String {
    let names: Vec<&str> = catalog::all().iter().map(|reducer| reducer.name).collect();
    STARTER.replace(REDUCERS, &names.join(", "))
}

//! `samestate new`: a scenario, or an adapter, to start from.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

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
  samestate new -                          print it instead
  samestate new --adapter python mine      a folder with an adapter, its helper and a scenario
  samestate run mine/scenario.yaml";

/// Write a commented scenario, or an adapter, to start from
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct New {
    /// The file to write; `-` for standard output. A file that exists is left alone. With
    /// `--adapter`, the folder
    file: PathBuf,

    /// Write an adapter in this language: a program that is a node of scenarios (docs/adapters.md)
    #[arg(long, value_name = "LANGUAGE")]
    adapter: Option<Language>,
}

/// A language with a helper library for adapters.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Language {
    Javascript,
    Python,
}

impl Language {
    /// The program that runs an adapter, and the adapter's file.
    fn program(self) -> (&'static str, &'static str) {
        match self {
            Language::Javascript => ("node", "adapter.js"),
            Language::Python => ("python3", "adapter.py"),
        }
    }

    /// The adapter, and the name and text of its helper library.
    fn files(self) -> [(&'static str, &'static str); 2] {
        let (_, adapter) = self.program();
        match self {
            Language::Javascript => [
                (adapter, include_str!("../../../adapters/javascript/starter.js")),
                (
                    "samestate-adapter.js",
                    include_str!("../../../adapters/javascript/samestate-adapter.js"),
                ),
            ],
            Language::Python => [
                (adapter, include_str!("../../../adapters/python/starter.py")),
                (
                    "samestate_adapter.py",
                    include_str!("../../../adapters/python/samestate_adapter.py"),
                ),
            ],
        }
    }
}

impl New {
    pub(super) fn run(self) -> ExitCode {
        if let Some(language) = self.adapter {
            return self.adapter(language);
        }
        if self.file.as_os_str() == "-" {
            return show(&starter(), ExitCode::Pass);
        }
        match write_new(&self.file, &starter()) {
            Ok(()) => {
                let told = format!("wrote {0}; next: samestate explain {0}\n", self.file.display());
                show(&told, ExitCode::Pass)
            }
            Err(error) => not_written(&self.file, &error),
        }
    }

    fn adapter(&self, language: Language) -> ExitCode {
        let folder = &self.file;
        if let Err(error) = fs::create_dir_all(folder) {
            return not_written(folder, &error);
        }
        let (program, adapter) = language.program();
        let adapter = folder.join(adapter);
        let scenario = include_str!("adapter.yaml").replace("{program}", program);
        // In quotation marks of YAML, which JSON's are.
        let quoted = serde_json::Value::from(adapter.to_string_lossy()).to_string();
        let scenario = scenario.replace("{adapter}", &quoted);
        let path = folder.join("scenario.yaml");
        let mut files = vec![(path.clone(), scenario.as_str())];
        files.extend(language.files().map(|(name, text)| (folder.join(name), text)));
        if let Some((path, _)) = files.iter().find(|(path, _)| path.exists()) {
            return not_written(path, &io::ErrorKind::AlreadyExists.into());
        }
        for (path, text) in &files {
            if let Err(error) = write_new(path, text) {
                return not_written(path, &error);
            }
        }
        let told = format!(
            "wrote {} and {}; next: samestate run {}\n",
            adapter.display(),
            path.display(),
            path.display()
        );
        show(&told, ExitCode::Pass)
    }
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(text.as_bytes())
}

fn not_written(path: &Path, error: &io::Error) -> ExitCode {
    note!("error: failed to write {}: {error}", path.display());
    ExitCode::Usage
}

fn starter() -> String {
    let names: Vec<&str> = catalog::all().iter().map(|reducer| reducer.name).collect();
    STARTER.replace(REDUCERS, &names.join(", "))
}

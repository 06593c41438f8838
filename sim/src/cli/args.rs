//! Arguments that several commands share.

use std::path::PathBuf;

use clap::Args;
use samestate_proto::with_causes;

use super::exit::ExitCode;
use crate::scenario::{Overrides, ScenarioError, ScenarioFile, Setting, Span};
use crate::streams::{self, note};

/// Scenario files, and what to change in them.
#[derive(Args, Clone, Debug)]
pub struct ScenarioArgs {
    /// Scenario files; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// Put a value into the files, for example stores.tasks.mode=snapshot or phases.0.duration=5s
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub settings: Vec<Setting>,

    /// Seed of every random choice, in place of the files' seed
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,

    /// Length of each run: all phases not marked `fixed` are rescaled
    #[arg(long, value_name = "TIME")]
    pub duration: Option<Span>,
}

/// The destination of a run's results.
#[derive(Args, Clone, Debug)]
pub struct OutputArgs {
    /// The folder for the results [default: runs/SCENARIO/TIME]; with several files, each
    /// gets one in it
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,

    /// Write the record as JSON to a file, or to standard output with `-`
    #[arg(long, value_name = "PATH|-")]
    pub json: Option<PathBuf>,

    /// Print nothing but errors, and a line for each failure
    #[arg(long, short)]
    pub quiet: bool,
}

impl ScenarioArgs {
    /// Returns the changes that the command line makes to each file.
    pub fn overrides(&self) -> Overrides {
        Overrides { settings: self.settings.clone(), seed: self.seed, duration: self.duration }
    }

    /// Reads and checks all files. What is wrong with any goes to standard error.
    ///
    /// # Errors
    ///
    /// [`ExitCode::Usage`] if there is something wrong with one.
    pub fn load(&self) -> Result<Vec<ScenarioFile>, ExitCode> {
        self.check_stdin()?;
        let overrides = self.overrides();
        let mut loaded = Vec::new();
        let mut all_good = true;
        for path in &self.files {
            match ScenarioFile::load(path, &overrides) {
                Ok(file) => loaded.push(file),
                Err(error) => {
                    complain(&error);
                    all_good = false;
                }
            }
        }
        if all_good { Ok(loaded) } else { Err(ExitCode::Usage) }
    }

    /// Standard input can be read once.
    ///
    /// # Errors
    ///
    /// [`ExitCode::Usage`] if it is named twice, which is said on standard error.
    pub(super) fn check_stdin(&self) -> Result<(), ExitCode> {
        if self.files.iter().filter(|path| path.as_os_str() == "-").count() > 1 {
            note!("error: `-` is given twice: standard input can be read once");
            return Err(ExitCode::Usage);
        }
        Ok(())
    }
}

/// The command line of this program, for the record. The values of logins that it sets are blanked:
/// they are passwords.
pub(super) fn command_line() -> Vec<String> {
    without_passwords(std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()))
}

fn without_passwords(words: impl Iterator<Item = String>) -> Vec<String> {
    let blank = |word: String| match word.split_once('=') {
        Some(("--set", setting)) => match setting.split_once('=') {
            Some((path, _)) if path.starts_with("logins") => format!("--set={path}=***"),
            _ => word,
        },
        Some((path, _)) if path.starts_with("logins") => format!("{path}=***"),
        _ => word,
    };
    std::iter::once("samestate".to_owned()).chain(words.map(blank)).collect()
}

/// Says on standard error why a scenario could not be used.
pub(super) fn complain(error: &ScenarioError) {
    match error {
        ScenarioError::Invalid(invalid) => {
            let drawn = invalid.render(super::terminal::in_colour(&std::io::stderr()));
            streams::drawn(&drawn);
        }
        ScenarioError::Read { .. } => note!("error: {}", with_causes(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_on_the_command_line_does_not_get_into_the_record() {
        let words =
            ["run", "a.yaml", "--set", "logins.app=secret", "--set=logins={a: b}", "--set=x=1"];
        let kept = without_passwords(words.into_iter().map(str::to_owned));
        let expected =
            ["samestate", "run", "a.yaml", "--set", "logins.app=***", "--set=logins=***"];
        assert_eq!(kept[..6], expected);
        assert_eq!(kept[6], "--set=x=1");
    }
}

//! Arguments that several commands share.

use std::path::{Path, PathBuf};

use clap::Args;
use samestate_proto::with_causes;

use super::exit::ExitCode;
use crate::scenario::{
    Overrides, REDACTED, ScenarioError, ScenarioFile, Setting, Span, is_password,
};
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

    /// Run each case so many times, in turns: figures become medians with 95 % intervals
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub repeat: Option<u32>,

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

    /// Standard output belongs to something else.
    #[arg(skip)]
    pub stdout_taken: bool,

    /// Print nothing but errors, and a line for each failure
    #[arg(long, short)]
    pub quiet: bool,
}

impl ScenarioArgs {
    /// Returns the changes that the command line makes to each file.
    pub fn overrides(&self) -> Overrides {
        Overrides {
            settings: self.settings.clone(),
            seed: self.seed,
            repeat: self.repeat,
            duration: self.duration,
        }
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

/// The name by which this program was started: a user's own program knows reducers that
/// `samestate` does not.
pub(super) fn program() -> String {
    let path = std::env::args_os().next().map(PathBuf::from);
    let name = path.as_deref().and_then(Path::file_name);
    name.map_or_else(|| "samestate".into(), |name| name.to_string_lossy().into_owned())
}

/// The command line of this program, for the record. The values of logins that it sets are blanked:
/// they are passwords.
pub(super) fn command_line() -> Vec<String> {
    without_passwords(std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()))
}

fn without_passwords(words: impl Iterator<Item = String>) -> Vec<String> {
    let blank = |word: String| {
        let (option, setting) = match word.strip_prefix("--set=") {
            Some(setting) => ("--set=", setting),
            None => ("", word.as_str()),
        };
        match setting.split_once('=') {
            Some((path, _)) if is_password(path) => format!("{option}{path}={REDACTED}"),
            _ => word,
        }
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
        let words = [
            ("run", "run"),
            ("logins.app=secret", "logins.app=redacted"),
            ("--set=logins={a: b}", "--set=logins=redacted"),
            ("--set=stores.logins.size=1", "--set=stores.logins.size=1"),
        ];
        let kept = without_passwords(words.iter().map(|(word, _)| (*word).to_owned()));
        let expected: Vec<&str> = words.iter().map(|(_, expected)| *expected).collect();
        assert_eq!(kept[1..], expected);
    }
}

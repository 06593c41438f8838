//! `samestate completions` and `samestate man`: what shells and `man` know of the program.

use std::path::PathBuf;

use clap::{Args, Command};
use clap_complete::Shell;

use super::exit::ExitCode;
use super::terminal::show;
use crate::streams::note;

const EXAMPLES: &str = "\
Examples:
  samestate completions bash > /etc/bash_completion.d/samestate
  samestate completions zsh > ~/.zfunc/_samestate
  samestate completions fish > ~/.config/fish/completions/samestate.fish";

/// Print a script that completes the command line in a shell
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self, mut program: Command) -> ExitCode {
        let mut script = Vec::new();
        let name = program.get_name().to_owned();
        clap_complete::generate(self.shell, &mut program, name, &mut script);
        show(&String::from_utf8_lossy(&script), ExitCode::Pass)
    }
}

/// Write the man pages of the program and of its commands into a folder
#[derive(Args, Debug)]
pub(super) struct Man {
    /// The folder, which is made if it is missing
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

impl Man {
    pub(super) fn run(self, program: Command) -> ExitCode {
        let made = std::fs::create_dir_all(&self.folder);
        match made.and_then(|()| clap_mangen::generate_to(program, &self.folder)) {
            Ok(()) => ExitCode::Pass,
            Err(error) => {
                note!("error: failed to write into {}: {error}", self.folder.display());
                ExitCode::NotDone
            }
        }
    }
}

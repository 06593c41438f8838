//! `samestate guardian`: started by `run` alone.

use clap::Args;

use super::exit::ExitCode;
use crate::runner;
use crate::streams::note;

/// Guard the processes of a run; standard input is a socket to the runner
#[derive(Args, Debug)]
pub(super) struct Guardian {}

impl Guardian {
    pub(super) fn run(self) -> ExitCode {
        match runner::guard() {
            Ok(()) => ExitCode::Pass,
            Err(error) => {
                note!("error: the guardian of a run: {error}");
                ExitCode::NotDone
            }
        }
    }
}

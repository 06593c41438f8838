//! `samestate node`: started by `run` alone.

use std::path::PathBuf;

use clap::Args;
use samestate_proto::with_causes;

use super::exit::ExitCode;
use crate::node;
use crate::streams::note;

/// Be a node process of a run
#[derive(Args, Debug)]
pub(super) struct Node {
    /// The run's folder
    #[arg(long, value_name = "DIR")]
    run: PathBuf,

    /// The cluster that this process is the master of, or a worker in
    #[arg(long, value_name = "NAME")]
    cluster: String,
}

impl Node {
    pub(super) fn run(self) -> ExitCode {
        match node::main(&self.run, &self.cluster) {
            Ok(()) => ExitCode::Pass,
            Err(error) => {
                note!("error: a node of cluster `{}`: {}", self.cluster, with_causes(&error));
                ExitCode::NotDone
            }
        }
    }
}

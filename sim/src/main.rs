//! The program `samestate`; see `samestate --help`.
#![warn(clippy::print_stderr, clippy::print_stdout)]

use samestate_sim::cli::{self, ExitCode};

fn main() -> ExitCode {
    cli::main()
}

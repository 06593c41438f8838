//! The program `samestate`; see `samestate --help`.

use samestate_sim::cli::{self, ExitCode};

fn main() -> ExitCode {
    cli::main()
}

//! All that `samestate` does, with the reducer of the service:
//!
//! ```sh
//! cargo run --example harness -- run flags.yaml
//! cargo run --example harness -- simulate flags.yaml --seeds 0..1000
//! ```

#[path = "../tests/harness/mod.rs"]
mod harness;

use samestate_sim::cli::ExitCode;
use samestate_sim::load::Shipped;

fn main() -> ExitCode {
    samestate_sim::main_with::<(harness::FlagsLoad, Shipped)>()
}

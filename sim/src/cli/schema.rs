//! `samestate schema`: the shapes of scenario files and of the adapter protocol.

use clap::Args;

use super::exit::ExitCode;
use super::terminal::show;
use crate::node::adapter_schema;
use crate::scenario::json_schema;

const EXAMPLES: &str = "\
Examples:
  samestate schema > scenario.schema.json
  samestate schema --adapter > protocol.schema.json

An editor that speaks to yaml-language-server completes and checks a scenario whose first line is
  # yaml-language-server: $schema=./scenario.schema.json";

/// Print the JSON schema of scenario files, or of the adapter protocol
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Schema {
    /// Print that of the lines between the runner and a program that is a node (docs/adapters.md)
    #[arg(long)]
    adapter: bool,
}

impl Schema {
    pub(super) fn run(self) -> ExitCode {
        let schema = if self.adapter { adapter_schema() } else { json_schema() };
        show(&schema, ExitCode::Pass)
    }
}

//! `samestate schema`: the scenario file's shape, for editors.

use clap::Args;

use super::exit::ExitCode;
use super::terminal::show;
use crate::scenario::json_schema;

const EXAMPLES: &str = "\
Examples:
  samestate schema > scenario.schema.json

An editor that speaks to yaml-language-server completes and checks a scenario whose first line is
  # yaml-language-server: $schema=./scenario.schema.json";

/// Print the JSON schema of scenario files
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Schema {}

impl Schema {
    pub(super) fn run(self) -> ExitCode {
        show(&json_schema(), ExitCode::Pass)
    }
}

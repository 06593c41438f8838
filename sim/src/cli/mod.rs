//! The command line: one file a verb.
//!
//! A verb is a struct of arguments with `run(self) -> ExitCode`. Results go to standard output,
//! complaints to standard error, and every verb ends with one of [`ExitCode`]'s numbers.

mod against;
mod args;
mod attach;
mod baseline;
mod compare;
mod completions;
mod exit;
mod explain;
mod github;
mod guardian;
mod list;
mod new;
mod node;
mod output;
mod profile;
mod promote;
mod report;
mod run;
mod schema;
mod simulate;
mod terminal;
mod validate;
mod watch;

use std::io::ErrorKind;

use clap::{CommandFactory, Parser, Subcommand};

use crate::add_reducers;
use crate::load::Registry;
use crate::streams::note;

pub use args::{OutputArgs, ScenarioArgs};
pub use exit::ExitCode;

const EXAMPLES: &str = "\
Examples:
  samestate run scenarios/two-clusters.yaml
  samestate simulate scenarios/two-clusters.yaml --seeds 0..1000
  samestate new first.yaml                 write a scenario to start from
  samestate explain first.yaml             see who feeds whom, and when what happens
  samestate validate scenarios/*.yaml      check files without starting anything
  samestate list scenarios                 what the scenarios of a folder show
  samestate compare baseline.json new.json is this run worse than that one?
  samestate attach :10001 --store tasks    a console in a running store
  samestate promote b:10001 --store tasks  a standby takes the place of its sequencer

Exit codes:
  0  pass                                  4  nothing selected
  1  the run could not be done             5  worse than the baseline
  2  wrong usage or scenario               6  inconclusive
  3  an expectation or invariant failed    130  interrupted";

/// Launches replicated stores from a YAML file, storms them, breaks them, and measures how
/// identical they stayed.
#[derive(Parser, Debug)]
#[command(name = "samestate", version, about, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    Run(run::Run),
    Simulate(simulate::Simulate),
    Report(report::Report),
    Compare(compare::Compare),
    Baseline(baseline::Baseline),
    Validate(validate::Validate),
    Explain(explain::Explain),
    List(list::List),
    Schema(schema::Schema),
    New(new::New),
    Attach(attach::Attach),
    Promote(promote::Promote),
    Completions(completions::Completions),
    Man(completions::Man),
    #[command(hide = true)]
    Node(node::Node),
    #[command(hide = true)]
    Guardian(guardian::Guardian),
}

/// Runs the program as its command line says, with the reducers of a registry beside those that
/// ship: see [`main_with`](crate::main_with).
pub(crate) fn main_with<R: Registry>() -> ExitCode {
    add_reducers::<R>();
    main()
}

/// Runs the program as its command line says.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(asked) => return tell(&asked),
    };
    match cli.verb {
        Verb::Run(verb) => verb.run(),
        Verb::Simulate(verb) => verb.run(),
        Verb::Report(verb) => verb.run(),
        Verb::Compare(verb) => verb.run(),
        Verb::Baseline(verb) => verb.run(),
        Verb::Validate(verb) => verb.run(),
        Verb::Explain(verb) => verb.run(),
        Verb::List(verb) => verb.run(),
        Verb::Schema(verb) => verb.run(),
        Verb::New(verb) => verb.run(),
        Verb::Attach(verb) => verb.run(),
        Verb::Promote(verb) => verb.run(),
        Verb::Completions(verb) => verb.run(Cli::command()),
        Verb::Man(verb) => verb.run(Cli::command()),
        Verb::Node(verb) => verb.run(),
        Verb::Guardian(verb) => verb.run(),
    }
}

/// Prints what clap has to say: the help that was asked for, or what is wrong with the arguments.
fn tell(asked: &clap::Error) -> ExitCode {
    let code = if asked.use_stderr() { ExitCode::Usage } else { ExitCode::Pass };
    match asked.print() {
        Err(error) if code == ExitCode::Pass && error.kind() != ErrorKind::BrokenPipe => {
            note!("error: failed to write to standard output: {error}");
            ExitCode::NotDone
        }
        _ => code,
    }
}

//! `samestate simulate`: the same scenario in one thread, on virtual time, from a seed.

//!
//! - `one`: each file once, with its record
//! - `many`: many seeds of files, or of the swarm
//! - `found`: a scenario that shows a violation, shrunk and written to a file
//! - `trace`: traces, for people

mod found;
mod many;
mod one;
mod trace;

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use samestate_proto::with_causes;

use super::args::{OutputArgs, ScenarioArgs};
use super::exit::ExitCode;
use super::profile::ProfileArgs;
use super::run::heed_interruptions;
use super::terminal::show;
use crate::scenario::{ScenarioFile, Setting, Span};
use crate::streams::note;
use crate::threads;
use crate::virtual_time::draw;

const EXAMPLES: &str = "\
Examples:
  samestate simulate scenarios/one-cluster.yaml --duration 8h
  samestate simulate scenarios/disconnect.yaml --seeds 0..1000
  samestate simulate --swarm --seeds 0..10000     each seed draws its own scenario
  samestate simulate --swarm --print-scenario 77  what seed 77 draws, as a scenario file
  samestate simulate found.yaml --trace           who said what to whom, and when
  samestate simulate found.yaml --trace-html found.html

A seed that shows a violation is shrunk, and written as a scenario file that shows it too. What
virtual time cannot see is in docs/virtual-time.md.";

/// Run scenarios in virtual time: hours in seconds, every bug replayable from its seed
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Simulate {
    /// Scenario files
    #[arg(required_unless_present = "swarm", value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Simulate these seeds, first..end, instead of the files' own
    #[arg(long, value_name = "A..B", value_parser = seeds)]
    seeds: Option<Range<u64>>,

    /// Let each seed draw a scenario of its own, in place of files
    #[arg(long, conflicts_with_all = ["files", "settings", "seed", "duration"])]
    swarm: bool,

    /// Print what a seed of the swarm draws, as a scenario file, and do nothing else
    #[arg(long, value_name = "SEED", requires = "swarm")]
    print_scenario: Option<u64>,

    /// Go on after the first seed that fails, and count them all
    #[arg(long)]
    all: bool,

    /// Simulate one seed in so many twice, to see that it comes to the same; 0 for none
    #[arg(long, value_name = "N", default_value_t = 50)]
    twice_every: u64,

    /// Number of seeds that are simulated at once [default: one a core]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,

    /// Print what happened: the last N moments and messages
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "2000")]
    trace: Option<usize>,

    /// Draw what happened as a space-time diagram, in one HTML file
    #[arg(long, value_name = "PATH")]
    trace_html: Option<PathBuf>,

    #[command(flatten)]
    profile: ProfileArgs,

    /// Do not shrink a scenario that shows a violation
    #[arg(long)]
    no_shrink: bool,

    /// Put a value into the files, for example stores.tasks.mode=snapshot
    #[arg(long = "set", value_name = "PATH=VALUE")]
    settings: Vec<Setting>,

    /// Seed of every random choice, in place of the files' seed
    #[arg(long, value_name = "N", conflicts_with = "seeds")]
    seed: Option<u64>,

    /// Simulate each case so many times, in turns, each with the next seed: figures become medians
    /// with 95 % intervals
    #[arg(long, value_name = "N", conflicts_with_all = ["seeds", "swarm"])]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    repeat: Option<u32>,

    /// Length of each run, in virtual time: all phases not marked `fixed` are rescaled
    #[arg(long, value_name = "TIME")]
    duration: Option<Span>,

    #[command(flatten)]
    output: OutputArgs,
}

/// The options that all ways to simulate have in common.
struct Wanted {
    output: OutputArgs,
    /// Becomes true when the user has had enough.
    interrupt: Arc<AtomicBool>,
    trace: Option<usize>,
    trace_html: Option<PathBuf>,
    profile: ProfileArgs,
    shrinks: bool,
}

impl Wanted {
    fn interrupted(&self) -> bool {
        self.interrupt.load(Ordering::Relaxed)
    }

    /// Returns the number of moments to keep for a trace, if one is wanted.
    fn traced(&self) -> Option<usize> {
        self.trace.or_else(|| self.trace_html.is_some().then_some(TRACE_HTML_MAX))
    }
}

/// A diagram shows at most so many moments, and as many messages: the last.
const TRACE_HTML_MAX: usize = 2_000;

impl Simulate {
    pub(super) fn run(self) -> ExitCode {
        if let Some(seed) = self.print_scenario {
            return print_scenario(seed);
        }
        let files = match self.load() {
            Ok(files) => files,
            Err(code) => return code,
        };
        let checked = self.output.check(&files);
        if let Err(complaint) = checked.and_then(|()| self.profile.check(&files)) {
            note!("error: {complaint}");
            return ExitCode::Usage;
        }
        if let Some(file) = files.iter().find(|file| runs_programs(file)) {
            note!(
                "error: {}: a cluster has a `program`, and virtual time runs none: use \
                 `samestate run`",
                file.name
            );
            return ExitCode::Usage;
        }
        let repeated = files.iter().find(|file| file.repeats() > 1);
        if let Some(file) = repeated.filter(|_| self.trace.is_some() || self.trace_html.is_some()) {
            note!(
                "error: {}: a trace is of one seed, and this simulates {}: add `--repeat 1`",
                file.name,
                file.repeats()
            );
            return ExitCode::Usage;
        }
        let profiled = self.profile.trace_perfetto.is_some();
        if (self.seeds.is_some() || self.swarm) && profiled {
            note!("error: a trace is of one seed: name it with --seed, without --seeds or --swarm");
            return ExitCode::Usage;
        }
        if self.seeds.is_some() && (self.trace.is_some() || self.trace_html.is_some()) {
            note!("error: a trace is of one seed: name it with --seed, without --seeds");
            return ExitCode::Usage;
        }
        if !self.output.quiet {
            files.iter().filter(|file| speaks_tls(file)).for_each(|file| {
                note!(
                    "note: {}: no TLS in virtual time: its links carry what they would carry \
                     inside TLS; `samestate run` speaks it",
                    file.name
                );
            });
        }
        // The listener lives on a thread of its own for as long as the program.
        let runtime = match threads::runtime(1) {
            Ok(runtime) => runtime,
            Err(error) => {
                note!("error: {}", with_causes(&error));
                return ExitCode::NotDone;
            }
        };
        let interrupt: Arc<AtomicBool> = Arc::default();
        if let Err(error) = listen(&runtime, &interrupt) {
            note!("error: failed to listen for signals: {error}");
            return ExitCode::NotDone;
        }
        let wanted = Wanted {
            output: self.output,
            interrupt,
            trace: self.trace,
            trace_html: self.trace_html,
            profile: self.profile,
            shrinks: !self.no_shrink,
        };
        let threads = self.threads.unwrap_or_else(|| {
            std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get)
        });
        let many = many::Many { threads, all: self.all, twice_every: self.twice_every };
        match (self.swarm, self.seeds) {
            (true, seeds) => many.swarm(seeds.unwrap_or(0..SWARM_SEEDS), &wanted),
            (false, Some(seeds)) => many.files(&files, &seeds, &wanted),
            (false, None) => one::each(&files, &wanted),
        }
    }

    fn load(&self) -> Result<Vec<ScenarioFile>, ExitCode> {
        let (files, settings) = (self.files.clone(), self.settings.clone());
        let (seed, repeat, duration) = (self.seed, self.repeat, self.duration);
        ScenarioArgs { files, settings, seed, repeat, duration }.load()
    }
}

/// Returns whether a link of the file, in one of its cases at least, has `tls: true`.
fn speaks_tls(file: &ScenarioFile) -> bool {
    file.cases.iter().flat_map(|case| &case.plan.links).any(|link| link.tls)
}

/// Returns whether a node of the file, in one of its cases at least, is a program.
fn runs_programs(file: &ScenarioFile) -> bool {
    file.cases.iter().flat_map(|case| &case.plan.nodes).any(|node| node.program.is_some())
}

fn listen(runtime: &tokio::runtime::Runtime, interrupt: &Arc<AtomicBool>) -> std::io::Result<()> {
    let _inside = runtime.enter();
    let mut heard = heed_interruptions()?;
    let interrupt = Arc::clone(interrupt);
    runtime.spawn(async move {
        if heard.changed().await.is_ok() {
            interrupt.store(true, Ordering::Relaxed);
        }
    });
    Ok(())
}

fn print_scenario(seed: u64) -> ExitCode {
    match draw(seed).to_yaml() {
        Ok(yaml) => show(&yaml, ExitCode::Pass),
        Err(error) => {
            note!("error: what seed {seed} draws cannot be written down: {error}");
            ExitCode::NotDone
        }
    }
}

/// The default number of seeds of a swarm.
const SWARM_SEEDS: u64 = 1_000;

fn seeds(text: &str) -> Result<Range<u64>, String> {
    let shape = || format!("write two numbers as FIRST..END, for example 0..1000, not `{text}`");
    let (first, end) = text.split_once("..").ok_or_else(shape)?;
    let first: u64 = first.trim().parse().map_err(|_| shape())?;
    let end: u64 = end.trim().parse().map_err(|_| shape())?;
    if end <= first {
        return Err(format!(
            "there is no seed in {first}..{end}, since END itself is not among them: write \
             0..1000, for example"
        ));
    }
    Ok(first..end)
}

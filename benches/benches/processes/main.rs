//! The cost of whole processes: the CPU of an action over all processes of a cluster, at everyday
//! rates and in a storm, beside the floors of this machine.
//!
//! ```sh
//! cargo bench -p samestate-bench --bench processes
//! cargo bench -p samestate-bench --bench processes -- --only paced-1000 --rounds 9
//! ```
//!
//! A case is a tree of processes of its own, started by this program with the arguments of the
//! case. The cases take turns, and the figures are medians of the rounds. The CPU of a process is
//! that of its threads, as Linux counts it, between the end of the start and the last action; a
//! wake-up is a thread that is put on a CPU.

mod cpu;
mod floor;
mod library;
mod table;

use std::process::{Command, ExitCode};
use std::time::Duration;

use clap::{Parser, ValueEnum};

use cpu::Usage;

/// Measures whole processes.
#[derive(Clone, Debug, Parser)]
struct Options {
    /// Seconds of load for each case and round
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Rounds, in which the cases take turns
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// The loads to measure, by name; all of them if there is none
    #[arg(long)]
    only: Vec<String>,
    /// Run one case in this process, and print its figures
    #[arg(long, hide = true)]
    case: Option<System>,
    /// The load of that case
    #[arg(long, hide = true)]
    load: Option<String>,
    /// The server that a client of that case connects to
    #[arg(long, hide = true)]
    server: Option<String>,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

/// The systems that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum System {
    /// Blocking sockets that carry each action, and nothing else.
    Floor,
    /// The library on a runtime of one thread.
    Current,
    /// The library on a runtime of many threads.
    Multi,
}

impl System {
    const ALL: [System; 3] = [System::Floor, System::Current, System::Multi];

    fn title(self) -> &'static str {
        match self {
            System::Floor => "blocking sockets (the floor)",
            System::Current => "Samestate, current-thread runtime",
            System::Multi => "Samestate, multi-thread runtime",
        }
    }
}

/// The loads that a system is put under.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Load {
    /// No action at all.
    Idle { workers: usize },
    /// So many actions a second, one at a time, to workers.
    Paced { rate: f64, workers: usize },
    /// As many actions as it takes, to TCP clients.
    Storm { clients: usize },
}

/// The names of the loads.
const LOADS: [(&str, Load); 6] = [
    ("idle", Load::Idle { workers: 2 }),
    ("paced-100", Load::Paced { rate: 100.0, workers: 2 }),
    ("paced-1000", Load::Paced { rate: 1000.0, workers: 2 }),
    ("storm-2", Load::Storm { clients: 2 }),
    ("storm-8", Load::Storm { clients: 8 }),
    ("storm-64", Load::Storm { clients: 64 }),
];

/// The figures of one case in one round.
#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    actions: u64,
    seconds: f64,
    usage: Usage,
}

impl Figures {
    fn cpu_us_per_action(&self) -> f64 {
        self.usage.cpu.as_secs_f64() * 1e6 / self.actions as f64
    }

    fn wakeups_per_action(&self) -> f64 {
        self.usage.runs as f64 / self.actions as f64
    }

    fn per_second(&self) -> f64 {
        self.actions as f64 / self.seconds
    }

    /// Prints the figures for the process that started this one.
    fn print(&self) {
        let Usage { cpu, runs } = self.usage;
        println!("{} {} {} {runs}", self.actions, self.seconds, cpu.as_nanos());
    }

    fn parse(text: &str) -> Option<Figures> {
        let mut parts = text.split_whitespace();
        Some(Figures {
            actions: parts.next()?.parse().ok()?,
            seconds: parts.next()?.parse().ok()?,
            usage: Usage {
                cpu: Duration::from_nanos(parts.next()?.parse().ok()?),
                runs: parts.next()?.parse().ok()?,
            },
        })
    }
}

fn load_named(name: &str) -> Option<Load> {
    LOADS.iter().find(|(other, _)| *other == name).map(|(_, load)| *load)
}

fn main() -> ExitCode {
    let options = Options::parse();
    let Some(system) = options.case else { return compare(&options) };
    let Some(load) = options.load.as_deref().and_then(load_named) else {
        eprintln!("a case needs a load");
        return ExitCode::from(2);
    };
    let span = Duration::from_secs_f64(options.seconds);
    match system {
        System::Floor => floor::run(load, span),
        _ => library::run(system, load, span, options.server.as_deref()),
    }
    ExitCode::SUCCESS
}

/// Runs each case of each load in turn, and prints the tables.
fn compare(options: &Options) -> ExitCode {
    if !cfg!(target_os = "linux") {
        eprintln!("the CPU of processes is only measured on Linux");
        return ExitCode::SUCCESS;
    }
    let unknown = options.only.iter().find(|name| load_named(name).is_none());
    if let Some(name) = unknown {
        let names: Vec<_> = LOADS.iter().map(|(name, _)| *name).collect();
        eprintln!("no load {name:?}; there are {}", names.join(", "));
        return ExitCode::from(2);
    }
    for (name, load) in LOADS {
        if !options.only.is_empty() && !options.only.iter().any(|wanted| wanted == name) {
            continue;
        }
        let mut measured = System::ALL.map(|system| (system, Vec::new()));
        for _ in 0..options.rounds {
            for (system, rounds) in &mut measured {
                match one(options, *system, name) {
                    Ok(figures) => rounds.push(figures),
                    Err(error) => {
                        eprintln!("{name}, {}: {error}", system.title());
                        return ExitCode::FAILURE;
                    }
                }
            }
        }
        table::print(name, load, &measured);
    }
    ExitCode::SUCCESS
}

fn one(options: &Options, system: System, load: &str) -> Result<Figures, String> {
    let case = system.to_possible_value().expect("no case is skipped").get_name().to_owned();
    let seconds = options.seconds.to_string();
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new(program)
        .args(["--case", &case, "--load", load, "--seconds", &seconds])
        .output()
        .map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    Figures::parse(&text).ok_or_else(|| String::from_utf8_lossy(&output.stderr).into_owned())
}

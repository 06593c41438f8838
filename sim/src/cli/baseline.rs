//! Baselines: records to hold later runs against, in a folder to commit.
//!
//! `samestate baseline update` writes them, `samestate run --baseline` reads them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use samestate_proto::with_causes;
use samestate_report::compare::{self, Comparison};
use samestate_report::stats::REPEATS_MIN;
use samestate_report::{Kind, Record, Verdict, write_whole};

use super::args::program;
use super::compare::{ToleranceArgs, code_of};
use super::exit::ExitCode;
use super::github;
use super::output::{RECORD, RUNS};
use super::report::read;
use super::terminal::{show, style};
use crate::scenario::ScenarioFile;
use crate::streams::note;

const EXAMPLES: &str = "\
Examples:
  samestate run scenarios/big-store.yaml --repeat 10
  samestate baseline update                      from the newest run of each scenario in runs/
  samestate baseline update results --dir ci/baselines
  samestate run scenarios/big-store.yaml --repeat 5 --baseline baselines";

/// Keep baselines: small records to commit, that later runs are held against
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Baseline {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    Update(Update),
}

/// Make or renew the baselines of scenarios from runs that passed
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
struct Update {
    /// Records, folders of runs, or patterns [default: the newest run of each scenario in runs/]
    #[arg(value_name = "RECORD|DIR|PATTERN")]
    records: Vec<PathBuf>,

    /// The folder of the baselines: a file for each scenario
    #[arg(long, value_name = "DIR", default_value = "baselines")]
    dir: PathBuf,
}

impl Baseline {
    pub(super) fn run(self) -> ExitCode {
        let Verb::Update(update) = self.verb;
        match update.run() {
            Ok(code) | Err(code) => code,
        }
    }
}

impl Update {
    fn run(self) -> Result<ExitCode, ExitCode> {
        let places = if self.records.is_empty() { newest_runs()? } else { self.records.clone() };
        let mut newest: BTreeMap<String, Record> = BTreeMap::new();
        for record in read(&places)? {
            let known = newest.get(&record.scenario);
            if known.is_none_or(|known| known.started <= record.started) {
                newest.insert(record.scenario.clone(), record);
            }
        }
        // All that is wrong is said before anything is written.
        let unfit: Vec<String> = newest.values().filter_map(unfit).collect();
        unfit.iter().for_each(|why| note!("error: {why}"));
        if !unfit.is_empty() {
            return Err(ExitCode::NotDone);
        }
        let mut said = String::new();
        for record in newest.values() {
            said += &self.write(record)?;
        }
        Ok(show(&said, ExitCode::Pass))
    }

    /// Writes the baseline of a record; returns a line about it.
    fn write(&self, record: &Record) -> Result<String, ExitCode> {
        let path = self.dir.join(format!("{}.json", record.scenario));
        let text = record.to_baseline();
        let before = fs::read_to_string(&path).ok();
        let done = match &before {
            Some(before) if *before == text => "unchanged",
            Some(_) => "renewed",
            None => "new",
        };
        if done != "unchanged"
            && let Err(error) = write_whole(&path, text.as_bytes())
        {
            note!("error: {}", with_causes(&error));
            return Err(ExitCode::NotDone);
        }
        for doubt in doubts(record) {
            note!("warning: {}: {doubt}", path.display());
        }
        Ok(format!("{}: {done}\n", path.display()))
    }
}

/// The newest run of each scenario in the folder of runs.
fn newest_runs() -> Result<Vec<PathBuf>, ExitCode> {
    let folders = |path: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        let mut folders: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        folders.sort();
        folders
    };
    let has_record = |path: &&PathBuf| path.join(RECORD).is_file();
    let newest = |scenario: &PathBuf| folders(scenario).iter().rfind(has_record).cloned();
    let runs: Vec<PathBuf> = folders(Path::new(RUNS)).iter().filter_map(newest).collect();
    if runs.is_empty() {
        note!(
            "error: there is no run in {RUNS}/: make one with `{} run SCENARIO --repeat 10`, or \
             name its folder",
            program()
        );
        return Err(ExitCode::NothingSelected);
    }
    Ok(runs)
}

/// The reason why a record is no baseline.
fn unfit(record: &Record) -> Option<String> {
    let name = &record.scenario;
    let is_file_name = !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\']);
    if !is_file_name {
        return Some(format!("a record's scenario is named {name:?}, which is no name of a file"));
    }
    if record.seeds.is_some() {
        return Some(format!("{name}: the record of a search over seeds has no figures"));
    }
    (record.verdict != Verdict::Pass).then(|| {
        format!("{name}: the run is `{}`, and a baseline is a run that passed", record.verdict)
    })
}

/// Lists the shortcomings of a record as a baseline.
fn doubts(record: &Record) -> Vec<String> {
    let real = record.kind == Kind::Processes;
    let fewest = record.cases.iter().map(|case| case.conclusive_repeats().count()).min();
    let mut doubts = Vec::new();
    if real && fewest.unwrap_or(0) < REPEATS_MIN {
        doubts.push(format!(
            "costs and times cannot be compared with fewer than {REPEATS_MIN} repeats: run it with \
             --repeat 10"
        ));
    }
    if real && record.machine.debug_build {
        doubts.push("an unoptimised build: its costs and times mean nothing".into());
    }
    doubts
}

/// The baseline that a run is held against.
#[derive(Args, Debug)]
pub(super) struct BaselineArgs {
    /// Hold each run against its baseline: a record, or a folder with one for each scenario; exit
    /// code 5 if it is worse
    #[arg(long, value_name = "FILE|DIR")]
    baseline: Option<PathBuf>,

    #[command(flatten)]
    tolerance: ToleranceArgs,
}

/// Baselines that were read.
#[derive(Debug)]
pub(super) struct Baselines {
    records: Vec<Record>,
    tolerance: f64,
}

impl BaselineArgs {
    /// Returns the share by which a metric may get worse.
    pub(super) fn tolerance(&self) -> f64 {
        self.tolerance.share()
    }

    /// Reads the baselines, and checks that there is one of each scenario, made with the scenario
    /// as it is now. Says on standard error what is missing or stale.
    pub(super) fn read(&self, files: &[ScenarioFile]) -> Result<Baselines, ExitCode> {
        let tolerance = self.tolerance.share();
        let Some(place) = &self.baseline else {
            return Ok(Baselines { records: Vec::new(), tolerance });
        };
        let shown = place.display();
        if !place.exists() {
            note!("error: there is no baseline {shown}");
            note!("help: make it: {}", remedy(files.first(), place));
            return Err(ExitCode::Usage);
        }
        let records = read(std::slice::from_ref(place))?;
        let mut complaints = 0;
        for file in files {
            let of_file: Vec<&Record> =
                records.iter().filter(|record| record.scenario == file.name).collect();
            let stale = |record: &&Record| {
                let (then, now) = (&record.scenario_digest, file.digest());
                then.is_some() && now.is_some() && *then != now
            };
            let (wrong, verb) = match (of_file.first(), of_file.iter().any(stale)) {
                (Some(first), _) if first.kind != Kind::Processes => {
                    ("it is of a simulation, and not of a run: the baseline in", "make")
                }
                (None, _) => ("there is no baseline of this scenario in", "make"),
                (Some(_), true) => (
                    "the scenario, --set or --duration is not what it was for the baseline in",
                    "renew",
                ),
                (Some(_), false) => continue,
            };
            note!("error: {}: {wrong} {shown}", file.name);
            note!("help: {verb} it: {}", remedy(Some(file), place));
            complaints += 1;
        }
        if complaints > 0 { Err(ExitCode::Usage) } else { Ok(Baselines { records, tolerance }) }
    }
}

/// The commands that make a baseline.
fn remedy(file: Option<&ScenarioFile>, place: &Path) -> String {
    let path = file.map_or_else(|| "SCENARIO".into(), |file| file.path.display().to_string());
    let is_file = place.extension().is_some_and(|end| end == "json");
    let dir = if is_file { place.parent().unwrap_or(Path::new(".")) } else { place };
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    let program = program();
    format!(
        "{program} run {path} --repeat 10, with the same --set and --duration, then {program} \
         baseline update --dir {}",
        dir.display()
    )
}

impl Baselines {
    /// A record of this very run as the baseline.
    pub(super) fn of_one(record: Record, tolerance: f64) -> Self {
        Self { records: vec![record], tolerance }
    }

    /// Holds a run against its baseline, and says how it stands: on standard output, or, if that is
    /// for something else, each regression on standard error.
    pub(super) fn judge(&self, record: &Record, to_stdout: bool) -> ExitCode {
        let of_same = self.records.iter().filter(|base| base.scenario == record.scenario);
        let base: Vec<&Record> = of_same.collect();
        if base.is_empty() || record.verdict == Verdict::Interrupted {
            return ExitCode::Pass;
        }
        let compared = compare::compare(&[(base, vec![record])], self.tolerance);
        let Some(comparison) = compared.first() else { return ExitCode::Pass };
        let code = code_of(comparison);
        github::announce_regressions(comparison);
        if to_stdout {
            return show(&format!("\n{}", comparison.render(&style(&std::io::stdout()))), code);
        }
        say(comparison);
        code
    }
}

/// Says on standard error what became worse.
fn say(comparison: &Comparison) {
    for line in comparison.sentences() {
        note!("worse: {}: {line}", comparison.scenario);
    }
    for name in &comparison.gone {
        note!("worse: {}: the case {name} is gone", comparison.scenario);
    }
    if comparison.says_nothing() && !comparison.worse() {
        note!("not compared: {}: `compare` gives the reasons", comparison.scenario);
    }
}

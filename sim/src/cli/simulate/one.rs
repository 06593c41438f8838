//! Each file once, with the seed that it has: a record, as of a run on real processes.

use std::time::{Instant, SystemTime};

use samestate_proto::with_causes;
use samestate_report::{Case, Kind, Record};

use super::super::args::command_line;
use super::super::exit::ExitCode;
use super::{Wanted, found, trace};
use crate::record::{Rounds, this_machine, utc};
use crate::scenario::{self, Invalid, Plan, Scenario, ScenarioFile};
use crate::streams::note;
use crate::virtual_time::{Failure, Options, Outcome, SimulateError, simulate, why_of};

/// Simulates each file.
pub(super) fn each(files: &[ScenarioFile], wanted: &Wanted) -> ExitCode {
    let mut codes = Vec::new();
    for file in files {
        codes.push(one(file, wanted, files.len() > 1));
        if wanted.interrupted() {
            break;
        }
    }
    ExitCode::worst(codes)
}

fn one(file: &ScenarioFile, wanted: &Wanted, one_of_several: bool) -> ExitCode {
    let started = utc(SystemTime::now());
    let mut folder = match wanted.output.folder(&file.name, one_of_several, &started, []) {
        Ok(folder) => folder,
        Err(error) => {
            note!("error: {}", with_causes(&error));
            return ExitCode::NotDone;
        }
    };
    let began = Instant::now();
    let mut rounds = Rounds::default();
    let mut failed = Vec::new();
    let mut virtual_seconds = 0.0;
    let mut drawn = None;
    let turns = (0..file.repeats())
        .flat_map(|round| file.cases.iter().enumerate().map(move |c| (round, c)));
    for (round, (index, case)) in turns {
        let begun = SystemTime::now();
        let plan = match with_seed_of(case, round, &file.name) {
            Ok(plan) => plan,
            Err(invalid) => {
                note!("error: {invalid}");
                return ExitCode::Usage;
            }
        };
        let outcome = match simulated(&plan, wanted) {
            Ok(outcome) => outcome,
            Err(error) => {
                note!("error: {}, seed {}: {error}", file.name, plan.seed);
                return match error {
                    SimulateError::UnknownReducer(_) => ExitCode::Usage,
                    SimulateError::Panicked(_) => ExitCode::NotDone,
                };
            }
        };
        virtual_seconds += outcome.virtual_time.as_secs_f64();
        if let Err(complaint) = trace::hand_out(&outcome, &file.name, wanted) {
            note!("error: {complaint}");
            return ExitCode::NotDone;
        }
        failed.extend(why_of(&outcome).map(|why| {
            let seed = plan.seed;
            Failure { seed, scenario: Scenario { seed, ..case.scenario.clone() }, why }
        }));
        let with = case.with.clone();
        drawn = outcome.profile;
        let simulated = Case { with, ..outcome.case.unwrap_or_default() };
        rounds.push(index, simulated, begun, (file.repeats() > 1).then_some(plan.seed));
        if wanted.interrupted() {
            break;
        }
    }
    let seed = file.cases.first().map_or(file.scenario.seed, |case| case.plan.seed);
    let mut record = Record::new(&file.name, seed, Kind::Virtual, rounds.cases());
    record.wall_seconds = began.elapsed().as_secs_f64();
    record.virtual_seconds = Some(virtual_seconds);
    record.started = Some(started);
    record.file = Some(file.path.display().to_string());
    record.scenario_digest = file.digest();
    record.about = file.scenario.about.trim().to_owned();
    record.command = command_line();
    record.machine = this_machine();
    let handed_out = wanted.output.hand_out(&record, Some(&file.scenario), &folder);
    let written = wanted.profile.write(drawn.as_ref(), &record);
    let written = if written { handed_out } else { ExitCode::NotDone };
    let code = ExitCode::worst([ExitCode::of(record.verdict), handed_out, written]);
    if let Some(first) = failed.first() {
        found::shrink_and_write(&file.name, first, &mut folder, wanted);
    }
    code
}

/// The plan of a case with the seed of a repeat.
fn with_seed_of(case: &scenario::Case, round: u32, name: &str) -> Result<Plan, Invalid> {
    if round == 0 {
        return Ok(case.plan.clone());
    }
    let seed = case.plan.seed.wrapping_add(round.into());
    Scenario { seed, ..case.scenario.clone() }.plan(name)
}

fn simulated(plan: &Plan, wanted: &Wanted) -> Result<Outcome, SimulateError> {
    let options = Options {
        recorded: true,
        traced: wanted.traced(),
        interrupt: Some(std::sync::Arc::clone(&wanted.interrupt)),
        profiled: wanted.profile.trace_perfetto.is_some(),
        adjust: None,
    };
    simulate(plan, &options)
}

//! Each file once, with the seed that it has: a record, as of a run on real processes.

use std::time::{Instant, SystemTime};

use samestate_proto::with_causes;
use samestate_report::{Case, Kind, Record};

use super::super::args::command_line;
use super::super::exit::ExitCode;
use super::{Wanted, found, trace};
use crate::record::{this_machine, utc};
use crate::scenario::{self, ScenarioFile};
use crate::streams::note;
use crate::virtual_time::{Failure, Options, Outcome, simulate, why_of};

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
    let mut cases = Vec::new();
    let mut failed = Vec::new();
    let mut virtual_seconds = 0.0;
    for case in &file.cases {
        let outcome = match simulated(case, wanted) {
            Ok(outcome) => outcome,
            Err(error) => {
                note!("error: {}: {error}", file.name);
                return ExitCode::Usage;
            }
        };
        virtual_seconds += outcome.virtual_time.as_secs_f64();
        if let Err(complaint) = trace::hand_out(&outcome, &file.name, wanted) {
            note!("error: {complaint}");
            return ExitCode::NotDone;
        }
        failed.extend(why_of(&outcome).map(|why| {
            let (seed, scenario) = (case.plan.seed, case.scenario.clone());
            Failure { seed, scenario, why }
        }));
        let with = case.with.clone();
        cases.push(Case { with, ..outcome.case.unwrap_or_default() });
        if wanted.interrupted() {
            break;
        }
    }
    let seed = file.cases.first().map_or(file.scenario.seed, |case| case.plan.seed);
    let mut record = Record::new(&file.name, seed, Kind::Virtual, cases);
    record.wall_seconds = began.elapsed().as_secs_f64();
    record.virtual_seconds = Some(virtual_seconds);
    record.started = Some(started);
    record.file = Some(file.path.display().to_string());
    record.about = file.scenario.about.trim().to_owned();
    record.command = command_line();
    record.machine = this_machine();
    let handed_out = wanted.output.hand_out(&record, Some(&file.scenario), &folder);
    let code = ExitCode::worst([ExitCode::of(record.verdict), handed_out]);
    if let Some(first) = failed.first() {
        found::shrink_and_write(&file.name, first, &mut folder, wanted);
    }
    code
}

fn simulated(
    case: &scenario::Case,
    wanted: &Wanted,
) -> Result<Outcome, crate::load::UnknownReducer> {
    let options = Options {
        recorded: true,
        traced: wanted.traced(),
        interrupt: Some(std::sync::Arc::clone(&wanted.interrupt)),
        adjust: None,
    };
    simulate(&case.plan, &options)
}

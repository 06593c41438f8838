//! Many seeds, of files or of the swarm.

use std::ops::Range;
use std::time::{Instant, SystemTime};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use samestate_proto::with_causes;
use samestate_report::{Case, Kind, Record, SeedFailure, Seeds};

use super::super::exit::ExitCode;
use super::super::output::write_scenario;
use super::{Wanted, found};
use crate::record::{Findings, this_machine, utc};
use crate::results::ResultsFolder;
use crate::runner::Watching;
use crate::scenario::{Scenario, ScenarioFile};
use crate::streams::note;
use crate::virtual_time::{Failure, Glance, Options, Search, Searched, Source, Why, draw};

/// A swarm of fewer seeds proves nothing by what never happened in it.
const SEEDS_FOR_ALL_MOMENTS: u64 = 2_000;

/// So many failures of a search are kept with their scenarios.
const FAILURES_MAX: usize = 100;

/// The options of a search over seeds.
pub(super) struct Many {
    pub(super) threads: usize,
    pub(super) all: bool,
    pub(super) twice_every: u64,
}

/// The state of a search.
struct Searching<'a> {
    name: &'a str,
    /// The file; `None` for the swarm.
    file: Option<&'a ScenarioFile>,
    seeds: Range<u64>,
    source: &'a Source<'a>,
    /// The results have a folder in that of the results of several files.
    one_of_several: bool,
}

impl Many {
    /// Each seed draws a scenario of its own.
    pub(super) fn swarm(&self, seeds: Range<u64>, wanted: &Wanted) -> ExitCode {
        let source = |seed| vec![draw(seed)];
        let (name, file) = ("swarm", None);
        self.search(
            &Searching { name, file, seeds, source: &source, one_of_several: false },
            wanted,
        )
    }

    /// The same seeds of each file.
    pub(super) fn files(
        &self,
        files: &[ScenarioFile],
        seeds: &Range<u64>,
        wanted: &Wanted,
    ) -> ExitCode {
        let mut codes = Vec::new();
        for file in files {
            let cases: Vec<Scenario> =
                file.cases.iter().map(|case| case.scenario.clone()).collect();
            let searching = Searching {
                name: &file.name,
                file: Some(file),
                seeds: seeds.clone(),
                source: &|_| cases.clone(),
                one_of_several: files.len() > 1,
            };
            codes.push(self.search(&searching, wanted));
            if wanted.interrupted() {
                break;
            }
        }
        ExitCode::worst(codes)
    }

    fn search(&self, searching: &Searching<'_>, wanted: &Wanted) -> ExitCode {
        let Searching { name, file, seeds, source, one_of_several } = searching;
        let started = utc(SystemTime::now());
        let mut folder = match wanted.output.folder(name, *one_of_several, &started, []) {
            Ok(folder) => folder,
            Err(error) => {
                note!("error: {}", with_causes(&error));
                return ExitCode::NotDone;
            }
        };
        let began = Instant::now();
        let bar = bar(name, seeds, wanted.output.quiet);
        let search = Search {
            name: (*name).to_owned(),
            seeds: seeds.clone(),
            options: Options { interrupt: Some(wanted.interrupt.clone()), ..Options::default() },
            threads: self.threads,
            all: self.all,
            twice_every: self.twice_every,
        };
        let watch = |glance: Glance| {
            draw_bar(bar.as_ref(), &glance);
            !wanted.interrupted()
        };
        let searched = search.run(source, &watch);
        if let Some(bar) = bar {
            bar.finish_and_clear();
        }
        let case = judge(&searched, file.is_none().then_some(seeds), wanted.interrupted());
        let mut record = Record::new(*name, seeds.start, Kind::Virtual, vec![case]);
        record.file = file.map(|file| file.path.display().to_string());
        record.wall_seconds = began.elapsed().as_secs_f64();
        record.virtual_seconds = Some(searched.virtual_time.as_secs_f64());
        record.started = Some(started);
        record.machine = this_machine();
        record.seeds = Some(summed(seeds, &searched, &mut folder));
        let scenario = file.map(|file| &file.scenario);
        let handed_out = wanted.output.hand_out(&record, scenario, &folder);
        let shrinkable = |failure: &&Failure| matches!(failure.why, Why::Violation(..));
        let first = searched.failures.iter().find(shrinkable).or(searched.failures.first());
        if let Some(first) = first {
            found::shrink_and_write(name, first, &mut folder, wanted);
        }
        ExitCode::worst([ExitCode::of(record.verdict), handed_out])
    }
}

/// The verdict over all seeds, and what did not hold. A `swarm` that is wide enough has to show
/// all that it draws.
fn judge(searched: &Searched, swarm: Option<&Range<u64>>, interrupted: bool) -> Case {
    let mut case = Case::default();
    for failure in searched.failures.iter().take(FAILURES_MAX) {
        match &failure.why {
            Why::Violation(at, violation) => {
                let mut violation = samestate_report::Violation::from(violation.clone());
                let detail = format!("seed {}: {}", failure.seed, violation.detail_text());
                violation.detail = detail.into();
                violation.after_seconds = Some(at.as_secs_f64());
                case.violations.push(violation);
            }
            why => case.because.push(format!("seed {}: {why}", failure.seed)),
        }
    }
    let mut failed = !searched.failures.is_empty();
    if let Some(seeds) = swarm.filter(|_| !failed && !interrupted) {
        let never = searched.moments.never();
        if seeds.end - seeds.start >= SEEDS_FOR_ALL_MOMENTS && !never.is_empty() {
            failed = true;
            let never = never.join("; ");
            case.because
                .push(format!("in {} seeds it never happened that: {never}", searched.seeds));
        }
    }
    if let Some((seed, why)) = &searched.unsure {
        case.because.push(format!(
            "{} seeds came to no verdict, the first of them {seed}: {why}",
            searched.inconclusive
        ));
    }
    case.seconds = Some(searched.virtual_time.as_secs_f64());
    case.verdict =
        Findings { interrupted, failed, inconclusive: searched.inconclusive > 0 }.verdict();
    case
}

/// Sums up the search for the record, and writes the scenarios of the seeds that failed.
fn summed(seeds: &Range<u64>, searched: &Searched, folder: &mut ResultsFolder) -> Seeds {
    let mut failures = Vec::new();
    for failure in &searched.failures {
        let (seed, why) = (failure.seed, failure.why.to_string());
        let before = failures.iter().filter(|one: &&SeedFailure| one.seed == seed).count();
        let scenario = (failures.len() < FAILURES_MAX)
            .then(|| keep_scenario(failure, before, folder))
            .flatten();
        failures.push(SeedFailure { seed, why, scenario });
    }
    let named = searched.moments.named().into_iter();
    Seeds {
        first: seeds.start,
        end: seeds.end,
        simulated: searched.seeds,
        twice: searched.twice,
        inconclusive: searched.inconclusive,
        history: format!("{:016x}", searched.history),
        moments: named.map(|(name, times)| (name.to_owned(), times)).collect(),
        failures,
    }
}

/// Writes the scenario of a seed that failed; several cases of one seed may. Returns its name.
fn keep_scenario(failure: &Failure, before: usize, folder: &mut ResultsFolder) -> Option<String> {
    let name = match before {
        0 => format!("seed-{}.yaml", failure.seed),
        _ => format!("seed-{}-{}.yaml", failure.seed, before + 1),
    };
    let announced = folder.will_write([name.clone().into()]).map_err(|error| with_causes(&error));
    let path = folder.path().join(&name);
    match announced.and_then(|()| write_scenario(&failure.scenario, &path)) {
        Ok(()) => Some(name),
        Err(error) => {
            note!("error: {error}");
            None
        }
    }
}

fn bar(name: &str, seeds: &Range<u64>, quiet: bool) -> Option<ProgressBar> {
    if Watching::on_stderr(quiet) != Watching::Bar {
        return None;
    }
    let target = ProgressDrawTarget::stderr_with_hz(10);
    let bar = ProgressBar::with_draw_target(Some(seeds.end - seeds.start), target);
    // The template is a constant: it is right, or the default look is used.
    if let Ok(style) = ProgressStyle::with_template("{bar:16} {pos}/{len} seeds  {msg}") {
        bar.set_style(style.progress_chars("━╸─"));
    }
    bar.set_message(name.to_owned());
    Some(bar)
}

fn draw_bar(bar: Option<&ProgressBar>, glance: &Glance) {
    let Some(bar) = bar else { return };
    bar.set_position(glance.seeds);
    let hours = glance.virtual_time.as_secs_f64() / 3600.0;
    bar.set_message(format!("{hours:.2} virtual hours, {} failed", glance.failed));
}

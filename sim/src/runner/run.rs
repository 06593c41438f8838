//! A whole scenario: its cases in turn, each in an environment of its own, and the record of all.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use samestate_proto::with_causes;
use samestate_report::perfetto::Timeline;
use samestate_report::{Case, Kind, Record, Verdict};
use tokio::sync::watch;

use super::case::{CaseFailed, CaseRunner};
use super::env::{EnvError, RunEnv};
use super::guardian::GuardianError;
use super::null::null_case;
use super::progress::{Progress, Watching};
use crate::live::{Feed, LiveCase};
use crate::record::{Rounds, Taken, assemble, not_done, profile, this_machine, transports, utc};
use crate::scenario::{self, ScenarioFile};

/// The options of a run.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// The folder of the nodes' logs.
    pub logs: PathBuf,
    /// The progress to show meanwhile.
    pub watching: Watching,
    /// Becomes true when the user wants it to end.
    pub interrupt: watch::Receiver<bool>,
    /// Ends the run as soon as it cannot pass any more: an invariant is violated, or a count is
    /// past the most that is expected of it.
    pub fail_fast: bool,
    /// Measures what the instruments cost, by a null case after each case.
    pub null_case: bool,
    /// The time that all nodes have to become ready.
    pub start_timeout: Duration,
    /// Draws a trace for profiler viewers, of the last case.
    pub profiled: bool,
    /// The outlets that show the run while it goes on.
    pub feed: Feed,
}

/// The result of a run.
#[derive(Debug)]
pub struct Ran {
    /// The record of the run.
    pub record: Record,
    /// Reasons why the run could not be done, or not as planned; empty if it was.
    pub trouble: Vec<String>,
    /// The trace of the last case, if it was wanted.
    pub profile: Option<Timeline>,
}

/// The reason why a case could not be done.
#[derive(Debug, thiserror::Error)]
enum CaseError {
    #[error(transparent)]
    RunEnv(#[from] EnvError),
    #[error(transparent)]
    CaseRunner(#[from] CaseFailed),
}

/// The reason why a case that was done did not end as it should. What it measured is kept all the
/// same.
#[derive(Debug, thiserror::Error)]
enum EndError {
    #[error(transparent)]
    Guardian(#[from] GuardianError),
    #[error("failed to keep the nodes' logs in {path}")]
    Logs { path: PathBuf, source: io::Error },
}

/// Runs the cases of a scenario one after the other, as often as it says, and returns when nothing
/// is left of their processes. The first case that cannot be done, or that is interrupted, is the
/// last.
pub async fn run_scenario(file: &ScenarioFile, options: &RunOptions) -> Ran {
    let began = Instant::now();
    let started = utc(SystemTime::now());
    let mut rounds = Rounds::default();
    let mut trouble = Vec::new();
    let mut drawn = None;
    for (round, index) in turns(file) {
        let case = &file.cases[index];
        let title = title(file, round, index);
        let logs = options.logs.join(folder_of(file, round, index));
        let live = options.feed.case(file, round, index);
        let begun = SystemTime::now();
        let (taken, ended) = run_case(case, &title, &logs, live, options).await;
        let ended_at = taken.as_ref().ok().and_then(Taken::ended_at_seconds);
        trouble.extend(ended.iter().map(|error| format!("{title}: {}", with_causes(error))));
        match taken {
            Ok(taken) => {
                trouble.extend(taken.trouble.iter().map(|what| format!("{title}: {what}")));
                if options.profiled {
                    drawn = Some(profile(&case.plan, &taken));
                }
                let plan = &case.plan;
                let mut case = judged(case, taken);
                if options.null_case && !*options.interrupt.borrow() {
                    let begins = || options.feed.null_case(file, round, index);
                    let null = null_case(plan, &title, options, begins).await;
                    case.cost.null_cpu_us_per_action = null;
                }
                options.feed.judged(file, (round, index), ended_at, &case);
                let failed = case.verdict == Verdict::Fail;
                rounds.push(index, case, begun, None);
                if options.fail_fast && failed {
                    break;
                }
            }
            Err(error) => {
                let error = with_causes(&error);
                trouble.push(format!("{title}: {error}"));
                let case = Case { with: case.with.clone(), ..not_done(error) };
                options.feed.judged(file, (round, index), None, &case);
                rounds.push(index, case, begun, None);
                break;
            }
        }
        if *options.interrupt.borrow() {
            break;
        }
    }
    let seed = file.cases.first().map_or(file.scenario.seed, |case| case.plan.seed);
    let mut record = Record::new(&file.name, seed, Kind::Processes, rounds.cases());
    record.wall_seconds = began.elapsed().as_secs_f64();
    record.started = Some(started);
    record.file = Some(file.path.display().to_string());
    record.scenario_digest = file.digest();
    record.about = file.scenario.about.trim().to_owned();
    record.machine = this_machine();
    Ran { record, trouble, profile: drawn }
}

/// The order of a run: round by round, each case once. So whatever disturbs the machine for a while
/// disturbs all cases.
fn turns(file: &ScenarioFile) -> impl Iterator<Item = (u32, usize)> {
    let cases = file.cases.len();
    (0..file.repeats()).flat_map(move |round| (0..cases).map(move |case| (round, case)))
}

/// The title of a repeat of a case, such as `big-store 2/6, repeat 1/5`.
fn title(file: &ScenarioFile, round: u32, case: usize) -> String {
    let mut title = file.name.clone();
    if file.cases.len() > 1 {
        title += &format!(" {}/{}", case + 1, file.cases.len());
    }
    if file.repeats() > 1 {
        title += &format!(", repeat {}/{}", round + 1, file.repeats());
    }
    title
}

/// The folder of the logs of a repeat of a case, within that of the run's.
fn folder_of(file: &ScenarioFile, round: u32, case: usize) -> PathBuf {
    let mut folder = PathBuf::new();
    if file.cases.len() > 1 {
        folder.push(format!("case-{}", case + 1));
    }
    if file.repeats() > 1 {
        folder.push(format!("repeat-{}", round + 1));
    }
    folder
}

/// The file of the errors that stores reported to `on_error`, beside the nodes' logs.
const ERRORS: &str = "errors.log";

/// The logs that a run of the scenario may keep, within [`RunOptions::logs`].
pub(crate) fn logs_kept(file: &ScenarioFile) -> Vec<PathBuf> {
    let of_turn = |(round, index): (u32, usize)| {
        let folder = folder_of(file, round, index);
        let nodes = file.cases[index].plan.nodes.iter().map(|node| format!("{}.log", node.name));
        let logs: Vec<PathBuf> =
            nodes.chain([ERRORS.to_owned()]).map(|log| folder.join(log)).collect();
        logs
    };
    turns(file).flat_map(of_turn).collect()
}

async fn run_case(
    case: &scenario::Case,
    title: &str,
    logs: &Path,
    live: Option<LiveCase>,
    options: &RunOptions,
) -> (Result<Taken, CaseError>, Vec<EndError>) {
    let (env, events) = match RunEnv::set_up(&case.plan).await {
        Ok(set) => set,
        Err(error) => return (Err(error.into()), Vec::new()),
    };
    let progress = Progress::new(options.watching, title, case.plan.duration());
    let play = CaseRunner::new(&case.plan, &env, events, (progress, live), options);
    let played = play.run().await;
    let kept = keep_logs(&env.logs(), logs, played.as_ref().ok());
    let mut ended = Vec::new();
    ended.extend(env.tear_down().await.err().map(EndError::from));
    let path = logs.to_owned();
    ended.extend(kept.err().map(|source| EndError::Logs { path, source }));
    (played.map_err(CaseError::from), ended)
}

/// Copies the nodes' logs, and writes what their stores complained of beside them.
fn keep_logs(from: &Path, to: &Path, taken: Option<&Taken>) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    let errors = taken.map(|taken| taken.errors.as_slice()).unwrap_or_default();
    if errors.is_empty() { Ok(()) } else { fs::write(to.join(ERRORS), errors.join("\n") + "\n") }
}

/// The case as the record shows it.
fn judged(planned: &scenario::Case, taken: Taken) -> Case {
    let mut case = assemble(&planned.plan, taken);
    for (name, store) in &mut case.stores {
        store.transport = transports(&planned.plan, name);
    }
    case.with = planned.with.clone();
    case
}

//! A whole scenario: its cases in turn, each in an environment of its own, and the record of all.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use samestate_proto::with_causes;
use samestate_report::{Case, Kind, Record, Verdict};
use tokio::sync::watch;

use super::case::{CaseFailed, CaseRunner};
use super::env::{EnvError, RunEnv};
use super::guardian::GuardianError;
use super::progress::{Progress, Watching};
use crate::live::{Feed, LiveCase};
use crate::record::{Taken, assemble, not_done, this_machine, transports, utc};
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
    /// The time that all nodes have to become ready.
    pub start_timeout: Duration,
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

/// Runs the cases of a scenario one after the other, and returns when nothing is left of their
/// processes. The first case that cannot be done, or that is interrupted, is the last.
pub async fn run_scenario(file: &ScenarioFile, options: &RunOptions) -> Ran {
    let began = Instant::now();
    let started = utc(SystemTime::now());
    let mut cases = Vec::new();
    let mut trouble = Vec::new();
    for (index, case) in file.cases.iter().enumerate() {
        let several = file.cases.len() > 1;
        let title = if several {
            format!("{} {}/{}", file.name, index + 1, file.cases.len())
        } else {
            file.name.clone()
        };
        let logs = options.logs.join(folder_of(file, index));
        let live = options.feed.case(file, index);
        let (taken, ended) = run_case(case, &title, &logs, live, options).await;
        let ended_at = taken.as_ref().ok().and_then(Taken::ended_at_seconds);
        trouble.extend(ended.iter().map(|error| format!("{title}: {}", with_causes(error))));
        match taken {
            Ok(taken) => {
                trouble.extend(taken.trouble.iter().map(|what| format!("{title}: {what}")));
                let case = judged(case, taken);
                options.feed.judged(file, index, ended_at, &case);
                let failed = case.verdict == Verdict::Fail;
                cases.push(case);
                if options.fail_fast && failed {
                    break;
                }
            }
            Err(error) => {
                let error = with_causes(&error);
                trouble.push(format!("{title}: {error}"));
                let case = Case { with: case.with.clone(), ..not_done(error) };
                options.feed.judged(file, index, None, &case);
                cases.push(case);
                break;
            }
        }
        if *options.interrupt.borrow() {
            break;
        }
    }
    let seed = file.cases.first().map_or(file.scenario.seed, |case| case.plan.seed);
    let mut record = Record::new(&file.name, seed, Kind::Processes, cases);
    record.wall_seconds = began.elapsed().as_secs_f64();
    record.started = Some(started);
    record.file = Some(file.path.display().to_string());
    record.about = file.scenario.about.trim().to_owned();
    record.machine = this_machine();
    Ran { record, trouble }
}

/// The folder of a case's logs, within that of the run's.
fn folder_of(file: &ScenarioFile, case: usize) -> String {
    if file.cases.len() > 1 { format!("case-{}", case + 1) } else { String::new() }
}

/// The file of the errors that stores reported to `on_error`, beside the nodes' logs.
const ERRORS: &str = "errors.log";

/// The logs that a run of the scenario may keep, within [`RunOptions::logs`].
pub(crate) fn logs_kept(file: &ScenarioFile) -> Vec<PathBuf> {
    let of_case = |(index, case): (usize, &scenario::Case)| {
        let folder = PathBuf::from(folder_of(file, index));
        let nodes = case.plan.nodes.iter().map(|node| format!("{}.log", node.name));
        let logs: Vec<PathBuf> =
            nodes.chain([ERRORS.to_owned()]).map(|log| folder.join(log)).collect();
        logs
    };
    file.cases.iter().enumerate().flat_map(of_case).collect()
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

//! `samestate run`: launch a scenario's clusters as real processes, and measure them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::Args;
use samestate_proto::with_causes;
use samestate_report::Verdict;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::against::Against;
use super::args::{OutputArgs, ScenarioArgs, command_line, program};
use super::baseline::{BaselineArgs, Baselines};
use super::exit::ExitCode;
use super::profile::ProfileArgs;
use super::watch::{WatchArgs, Watchers, tell_end};
use crate::live::{Dashboard, Feed, Screen};
use crate::record::utc;
use crate::runner::{RunOptions, logs_kept, run_scenario, unsupported_by_run};
use crate::scenario::{ScenarioFile, Span};
use crate::streams::note;
use crate::threads;

const EXAMPLES: &str = "\
Examples:
  samestate run scenarios/one-cluster.yaml
  samestate run scenarios/*.yaml --duration 5s --out results
  samestate run big-store.yaml --set stores.document.size=1MB --json -
  samestate run tasks.yaml --ndjson - | jq .event.kind
  generate | samestate run - --out results
  samestate run storm.yaml --duration 1s --repeat 5 --against old/samestate    is this slower?

Each run leaves a folder: report.html for a browser, record.json, scenario.yaml as resolved, and the
logs of all processes.";

/// Run scenarios with real processes, and measure how identical their states stay
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Run {
    #[command(flatten)]
    scenarios: ScenarioArgs,

    /// End a run as soon as it cannot pass any more: an invariant is violated, or a count is past
    /// the most that is expected; no other case or scenario is begun then
    #[arg(long)]
    fail_fast: bool,

    /// Leave out the null case, which measures what the instruments cost: 2.5 s for
    /// each case of 2 s or more
    #[arg(long)]
    no_null: bool,

    /// Give up on a node that is not ready after this time
    #[arg(long, value_name = "DURATION", default_value = "60s")]
    start_timeout: Span,

    /// Let another build of samestate take turns with this one, and compare the two by pairs of
    /// neighbouring turns: four pairs in each repeat; exit code 5 if this build is worse. The
    /// record of the other goes to the folder `against` in the results
    #[arg(
        long,
        value_name = "PROGRAM",
        conflicts_with_all = [
            "baseline", "ndjson", "metrics", "dashboard", "live", "trace_perfetto", "fail_fast",
        ]
    )]
    against: Option<PathBuf>,

    #[command(flatten)]
    baseline: BaselineArgs,

    #[command(flatten)]
    watch: WatchArgs,

    #[command(flatten)]
    profile: ProfileArgs,

    #[command(flatten)]
    output: OutputArgs,
}

/// The sides of the outlets that the runs tell.
struct Watched<'a> {
    feed: Feed,
    dashboard: Option<&'a Dashboard>,
    screen: Option<Screen>,
}

impl Run {
    pub(super) fn run(mut self) -> ExitCode {
        if let Err(complaint) = self.watch.check(&mut self.output, &self.scenarios.files) {
            note!("error: {complaint}");
            return ExitCode::Usage;
        }
        let files = match self.scenarios.load() {
            Ok(files) => files,
            Err(code) => return code,
        };
        let checked = self.output.check(&files);
        if let Err(complaint) = checked.and_then(|()| self.profile.check(&files)) {
            note!("error: {complaint}");
            return ExitCode::Usage;
        }
        // All of them complain, so that all can be mended at once.
        let beyond = files.iter().filter(|file| complain_of_what_is_beyond(file)).count();
        if beyond > 0 {
            return ExitCode::Usage;
        }
        let baselines = match self.baseline.read(&files) {
            Ok(baselines) => baselines,
            Err(code) => return code,
        };
        let runtime = match threads::runtime(2) {
            Ok(runtime) => runtime,
            Err(error) => {
                note!("error: {}", with_causes(&error));
                return ExitCode::NotDone;
            }
        };
        if let Some(other) = &self.against {
            return runtime.block_on(self.take_turns(other, &files));
        }
        let Watchers { feeds, dashboard, screen } = match self.watch.begin() {
            Ok(watchers) => watchers,
            Err(complaint) => {
                note!("error: {complaint}");
                return ExitCode::NotDone;
            }
        };
        let watched = Watched { feed: feeds.feed(), dashboard: dashboard.as_ref(), screen };
        let code = runtime.block_on(self.run_all(&files, &baselines, watched));
        drop(dashboard);
        let told = if feeds.end() { ExitCode::Pass } else { ExitCode::NotDone };
        ExitCode::worst([code, told])
    }

    /// Compares this build with another one.
    async fn take_turns(&self, other: &Path, files: &[ScenarioFile]) -> ExitCode {
        if self.scenarios.files.iter().any(|path| path.as_os_str() == "-") {
            note!("error: --against reads the scenario in each turn: write it to a file first");
            return ExitCode::Usage;
        }
        let interrupt = match heed_interruptions() {
            Ok(interrupt) => interrupt,
            Err(error) => {
                note!("error: failed to listen for signals: {error}");
                return ExitCode::NotDone;
            }
        };
        let against = Against {
            other,
            scenarios: &self.scenarios,
            output: &self.output,
            start_timeout: self.start_timeout,
            tolerance: self.baseline.tolerance(),
        };
        against.run_all(files, &interrupt).await
    }

    async fn run_all(
        &self,
        files: &[ScenarioFile],
        baselines: &Baselines,
        watched: Watched<'_>,
    ) -> ExitCode {
        let mut interrupt = match heed_interruptions() {
            Ok(interrupt) => interrupt,
            Err(error) => {
                note!("error: failed to listen for signals: {error}");
                return ExitCode::NotDone;
            }
        };
        let mut codes = Vec::new();
        for file in files {
            let several = files.len() > 1;
            let code = self.run_one(file, baselines, (&interrupt, &watched), several).await;
            codes.push(code);
            if *interrupt.borrow() || (self.fail_fast && code != ExitCode::Pass) {
                break;
            }
        }
        if let Some(dashboard) = watched.dashboard {
            dashboard.finish();
            if self.watch.lingers() && !*interrupt.borrow() {
                note!("the report stays at {} until Ctrl-C", dashboard.url());
                // Whoever sends it lives as long as the runtime.
                let _ = interrupt.changed().await;
            }
        }
        ExitCode::worst(codes)
    }

    async fn run_one(
        &self,
        file: &ScenarioFile,
        baselines: &Baselines,
        (interrupt, watched): (&watch::Receiver<bool>, &Watched<'_>),
        one_of_several: bool,
    ) -> ExitCode {
        let started = utc(SystemTime::now());
        let logs = logs_of(file);
        let folder = match self.output.folder(&file.name, one_of_several, &started, logs) {
            Ok(folder) => folder,
            Err(error) => {
                note!("error: {}", with_causes(&error));
                return ExitCode::NotDone;
            }
        };
        let options = RunOptions {
            logs: folder.path().join(LOGS),
            watching: self.watch.progress(self.output.quiet),
            interrupt: interrupt.clone(),
            fail_fast: self.fail_fast,
            null_case: !self.no_null,
            start_timeout: self.start_timeout.get(),
            profiled: self.profile.trace_perfetto.is_some(),
            feed: watched.feed.clone(),
        };
        let mut ran = run_scenario(file, &options).await;
        watched.screen.iter().for_each(Screen::clear);
        ran.record.command = command_line();
        for trouble in &ran.trouble {
            note!("error: {trouble}");
        }
        let handed_out = self.output.hand_out(&ran.record, Some(&file.scenario), &folder);
        let judged = if ran.record.verdict == Verdict::Interrupted && *interrupt.borrow() {
            ExitCode::Interrupted
        } else if !ran.trouble.is_empty() {
            ExitCode::NotDone
        } else {
            ExitCode::of(ran.record.verdict)
        };
        let drawn = if self.profile.write(ran.profile.as_ref(), &ran.record) {
            handed_out
        } else {
            ExitCode::NotDone
        };
        let taken = self.output.json_to_stdout() || self.output.stdout_taken;
        let to_stdout = !self.output.quiet && !taken;
        let compared = baselines.judge(&ran.record, to_stdout);
        let code = ExitCode::worst([judged, handed_out, drawn, compared]);
        let page = tell_end(&watched.feed, &ran.record, folder.path(), code);
        watched.dashboard.iter().for_each(|dashboard| dashboard.keep(&ran.record, page.clone()));
        code
    }
}

/// The folder of the nodes' logs in a run's folder.
const LOGS: &str = "logs";

/// The files that a run of the scenario may copy there.
fn logs_of(file: &ScenarioFile) -> Vec<PathBuf> {
    logs_kept(file).into_iter().map(|log| Path::new(LOGS).join(log)).collect()
}

/// Says on standard error what in a file real processes cannot do; whether there is anything.
fn complain_of_what_is_beyond(file: &ScenarioFile) -> bool {
    let beyond: BTreeSet<String> =
        file.cases.iter().flat_map(|case| unsupported_by_run(&case.plan)).collect();
    let path = file.path.display();
    for what in &beyond {
        note!("error: {path}: `run` cannot do this: {what}");
    }
    if !beyond.is_empty() {
        note!("help: `{} simulate {path}` runs all of it, in virtual time", program());
    }
    !beyond.is_empty()
}

/// Becomes true with the first Ctrl-C (or `SIGTERM`, or the terminal's end); the second ends the
/// program at once, and the guardian cleans up.
pub(super) fn heed_interruptions() -> std::io::Result<watch::Receiver<bool>> {
    let (interrupted, interrupt) = watch::channel(false);
    let mut ctrl_c = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        let mut seen = 0;
        loop {
            tokio::select! {
                _ = ctrl_c.recv() => {}
                _ = terminate.recv() => {}
                _ = hang_up.recv() => {}
            }
            seen += 1;
            if seen > 1 {
                std::process::exit(ExitCode::Interrupted as i32);
            }
            interrupted.send_replace(true);
        }
    });
    Ok(interrupt)
}

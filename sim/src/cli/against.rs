//! `samestate run --against`: this build and another one take turns, and are compared by pairs.
//!
//! Each turn is a whole run in a process of its own, of either build in the same way. Whatever else
//! keeps the machine busy disturbs two neighbours alike, and the ratio of a pair leaves it out.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::{Duration, Instant, SystemTime};

use rustix::process::{Pid, Signal, kill_process};
use samestate_proto::with_causes;
use samestate_report::{Case, Record, Repeat, Verdict, html, write_whole};
use tokio::process::Command;
use tokio::sync::watch;

use super::args::{OutputArgs, ScenarioArgs, command_line};
use super::baseline::Baselines;
use super::exit::ExitCode;
use super::output::{PAGE, RECORD};
use crate::record::{utc, utc_exactly};
use crate::scenario::{ScenarioFile, Span};
use crate::streams::note;

/// The turns that both builds have in each repeat: short turns are closer to each other.
const TURNS: u32 = 4;

/// The folder of the other build's results in that of the run.
const AGAINST: &str = "against";

/// The time that the other program has to say its version.
const VERSION_MAX: Duration = Duration::from_secs(10);

/// Two builds and what they run.
pub(super) struct Against<'a> {
    pub(super) other: &'a Path,
    pub(super) scenarios: &'a ScenarioArgs,
    pub(super) output: &'a OutputArgs,
    pub(super) start_timeout: Span,
    pub(super) tolerance: f64,
}

/// The reason why builds cannot take turns.
#[derive(Debug, thiserror::Error)]
enum AgainstError {
    #[error("failed to start {program}")]
    Start { program: PathBuf, source: std::io::Error },
    #[error(
        "{program} is not samestate: `{program} --version` printed {said:?}; name another build \
         of this program"
    )]
    Foreign { program: PathBuf, said: String },
    #[error("{program} did not answer to --version within {VERSION_MAX:?}: it is not samestate")]
    Silent { program: PathBuf },
    #[error("{program} does not accept what it should run:\n{said}")]
    Refused { program: PathBuf, said: String },
    #[error("turn {turn}: {program} ended with {status}; its files are in {folder}:\n{said}")]
    Ended { turn: u32, program: PathBuf, status: String, folder: PathBuf, said: String },
    #[error("turn {turn}: the record of {program} cannot be used")]
    Record { turn: u32, program: PathBuf, source: samestate_report::RecordError },
    #[error("turn {turn}: {program} ran {found} cases in place of {wanted}")]
    Cases { turn: u32, program: PathBuf, found: usize, wanted: usize },
    #[error("failed to make a temporary folder")]
    Folder(#[source] std::io::Error),
    #[error("failed to find the path of this program")]
    Myself(#[source] std::io::Error),
}

/// The turns of one build: the record of the first, and the cases of all.
#[derive(Default)]
struct Side {
    first: Option<Record>,
    cases: Vec<Vec<(Repeat, Case)>>,
}

impl Against<'_> {
    /// Runs and compares all scenarios.
    pub(super) async fn run_all(
        &self,
        files: &[ScenarioFile],
        interrupt: &watch::Receiver<bool>,
    ) -> ExitCode {
        let (other, this) = match self.check().await {
            Ok(programs) => programs,
            Err(error) => {
                note!("error: --against: {}", with_causes(&error));
                return ExitCode::Usage;
            }
        };
        let mut codes = Vec::new();
        for (file, path) in files.iter().zip(&self.scenarios.files) {
            let several = files.len() > 1;
            codes.push(self.run_one(file, path, [&other, &this], interrupt, several).await);
            if *interrupt.borrow() {
                break;
            }
        }
        ExitCode::worst(codes)
    }

    /// Checks that the other program is a build of this one, and accepts the scenarios. Returns
    /// both programs, the other one first.
    async fn check(&self) -> Result<(PathBuf, PathBuf), AgainstError> {
        let program = self.other.canonicalize().unwrap_or_else(|_| self.other.to_owned());
        let started = |source| AgainstError::Start { program: program.clone(), source };
        let mut version = Command::new(&program);
        version.arg("--version").stdin(Stdio::null()).kill_on_drop(true);
        let answered = tokio::time::timeout(VERSION_MAX, version.output()).await;
        let Ok(answered) = answered else { return Err(AgainstError::Silent { program }) };
        let said = first_line(&answered.map_err(started)?.stdout);
        let Some(number) = said.strip_prefix("samestate ").map(str::to_owned) else {
            return Err(AgainstError::Foreign { program, said });
        };
        if number != env!("CARGO_PKG_VERSION") {
            let shown = program.display();
            note!("note: {shown} is version {number}, this is {}", env!("CARGO_PKG_VERSION"));
        }
        let mut validate = Command::new(&program);
        validate.arg("validate").args(&self.scenarios.files).args(self.changes());
        let accepted = validate.stdin(Stdio::null()).output().await.map_err(started)?;
        if !accepted.status.success() {
            return Err(AgainstError::Refused { program, said: text(&accepted.stderr) });
        }
        Ok((program, std::env::current_exe().map_err(AgainstError::Myself)?))
    }

    /// The arguments that change the scenarios, for a turn.
    fn changes(&self) -> Vec<OsString> {
        let ScenarioArgs { settings, seed, duration, .. } = self.scenarios;
        let mut words = vec!["--repeat".into(), "1".into()];
        for setting in settings {
            words.extend(["--set".into(), format!("{}={}", setting.path, setting.value)]);
        }
        words.extend(seed.iter().flat_map(|seed| ["--seed".into(), seed.to_string()]));
        words.extend(duration.iter().flat_map(|span| ["--duration".into(), span.to_string()]));
        words.into_iter().map(OsString::from).collect()
    }

    async fn run_one(
        &self,
        file: &ScenarioFile,
        path: &Path,
        programs: [&Path; 2],
        interrupt: &watch::Receiver<bool>,
        one_of_several: bool,
    ) -> ExitCode {
        let started = utc(SystemTime::now());
        let more = [RECORD, PAGE].map(|name| Path::new(AGAINST).join(name));
        let folder = match self.output.folder(&file.name, one_of_several, &started, more) {
            Ok(folder) => folder,
            Err(error) => {
                note!("error: {}", with_causes(&error));
                return ExitCode::NotDone;
            }
        };
        let began = Instant::now();
        let mut sides = [Side::default(), Side::default()];
        let turned = self.turns(file, path, programs, interrupt, &mut sides).await;
        if let Err(error) = &turned {
            note!("error: {}: {}", file.name, with_causes(error));
        }
        let wall_seconds = began.elapsed().as_secs_f64();
        let interrupted = *interrupt.borrow();
        let [other, this] = sides.map(|side| side.record(&started, wall_seconds, interrupted));
        let (Some(other), Some(this)) = (other, this) else {
            return if interrupted { ExitCode::Interrupted } else { ExitCode::NotDone };
        };
        let handed_out = self.output.hand_out(&this, Some(&file.scenario), &folder);
        let kept = keep(&other, &folder.path().join(AGAINST));
        if turned.is_err() {
            return ExitCode::NotDone;
        }
        let taken = self.output.json_to_stdout() || self.output.quiet;
        let compared = Baselines::of_one(other, self.tolerance).judge(&this, !taken);
        ExitCode::worst([ExitCode::of(this.verdict), handed_out, kept, compared])
    }

    /// Lets the two builds take turns: `other this`, `this other` and so on.
    async fn turns(
        &self,
        file: &ScenarioFile,
        path: &Path,
        programs: [&Path; 2],
        interrupt: &watch::Receiver<bool>,
        sides: &mut [Side; 2],
    ) -> Result<(), AgainstError> {
        let temp = tempfile::Builder::new().prefix("samestate-against-").tempdir();
        let temp = temp.map_err(AgainstError::Folder)?;
        let pairs = file.repeats().saturating_mul(TURNS);
        for pair in 0..pairs {
            if !self.output.quiet {
                note!("{}: pair {} of {pairs}", file.name, pair + 1);
            }
            let order = if pair % 2 == 0 { [0, 1] } else { [1, 0] };
            for (nth, side) in order.into_iter().enumerate() {
                let turn = Turn {
                    number: pair * 2 + nth as u32 + 1,
                    program: programs[side],
                    folder: temp.path().join("turn"),
                };
                let begun = SystemTime::now();
                let record = self.turn(&turn, path, interrupt).await;
                if *interrupt.borrow() {
                    return Ok(());
                }
                let record = match record {
                    Ok(record) if record.cases.len() != file.cases.len() => {
                        return Err(AgainstError::Cases {
                            turn: turn.number,
                            program: turn.program.to_owned(),
                            found: record.cases.len(),
                            wanted: file.cases.len(),
                        });
                    }
                    Ok(record) => record,
                    Err(error) => {
                        // The logs say why.
                        let _ = temp.keep();
                        return Err(error);
                    }
                };
                sides[side].push(record, begun);
                let _ = std::fs::remove_dir_all(&turn.folder);
            }
        }
        Ok(())
    }

    async fn turn(
        &self,
        turn: &Turn<'_>,
        path: &Path,
        interrupt: &watch::Receiver<bool>,
    ) -> Result<Record, AgainstError> {
        let (number, program) = (turn.number, turn.program.to_owned());
        let mut command = Command::new(&program);
        command
            .arg("run")
            .arg(path)
            .args(self.changes())
            .args(["--no-null", "--quiet", "--start-timeout", &self.start_timeout.to_string()])
            .arg("--out")
            .arg(&turn.folder)
            // The results are told once, and not by each turn.
            .env_remove("GITHUB_ACTIONS")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C reaches this process alone, which then ends the turn.
            .process_group(0);
        let ended = ends(command, interrupt.clone()).await;
        let ended =
            ended.map_err(|source| AgainstError::Start { program: program.clone(), source })?;
        // A run that failed or says nothing has a record as well.
        if !matches!(ended.status.code(), Some(0 | 3 | 6)) {
            let (status, said) = (ended.status.to_string(), text(&ended.stderr));
            let folder = turn.folder.clone();
            return Err(AgainstError::Ended { turn: number, program, status, folder, said });
        }
        Record::read(turn.folder.join(RECORD)).map_err(|source| AgainstError::Record {
            turn: number,
            program,
            source,
        })
    }
}

/// One run of one build.
struct Turn<'a> {
    number: u32,
    program: &'a Path,
    folder: PathBuf,
}

/// Runs a program to its end. If the user interrupts, it is asked to end.
async fn ends(
    mut command: Command,
    mut interrupt: watch::Receiver<bool>,
) -> std::io::Result<Output> {
    let child = command.spawn()?;
    let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    let output = child.wait_with_output();
    tokio::pin!(output);
    tokio::select! {
        output = &mut output => return output,
        _ = interrupt.wait_for(|interrupted| *interrupted) => {}
    }
    if let Some(pid) = pid {
        // It may have ended meanwhile.
        let _ = kill_process(pid, Signal::TERM);
    }
    output.await
}

impl Side {
    fn push(&mut self, mut record: Record, begun: SystemTime) {
        let cases = std::mem::take(&mut record.cases);
        self.cases.resize_with(cases.len(), Vec::new);
        for (runs, case) in self.cases.iter_mut().zip(cases) {
            // Two turns may begin in one second: pairs are found by the order of these instants.
            let repeat = Repeat { started: Some(utc_exactly(begun)), ..Repeat::of(&case) };
            runs.push((repeat, case));
        }
        self.first.get_or_insert(record);
    }

    /// The record of all turns; `None` if there was none.
    fn record(self, started: &str, wall_seconds: f64, interrupted: bool) -> Option<Record> {
        let first = self.first?;
        let cases: Vec<Case> = self.cases.into_iter().map(Case::of_repeats).collect();
        let verdict = Verdict::over(cases.iter().map(|case| case.verdict));
        Some(Record {
            verdict: if interrupted { Verdict::Interrupted } else { verdict },
            cases,
            command: command_line(),
            started: Some(started.to_owned()),
            wall_seconds,
            ..first
        })
    }
}

/// Writes the other build's record and page.
fn keep(other: &Record, folder: &Path) -> ExitCode {
    let page = html::page(std::slice::from_ref(other));
    let written = std::fs::create_dir_all(folder)
        .map_err(|error| format!("failed to make {}: {error}", folder.display()))
        .and_then(|()| other.write(folder.join(RECORD)).map_err(|error| with_causes(&error)))
        .and_then(|()| {
            write_whole(folder.join(PAGE), page.as_bytes()).map_err(|error| with_causes(&error))
        });
    match written {
        Ok(()) => ExitCode::Pass,
        Err(complaint) => {
            note!("error: {complaint}");
            ExitCode::NotDone
        }
    }
}

/// The most bytes of a program's words that are repeated.
const SAID_MAX: usize = 4096;

fn text(bytes: &[u8]) -> String {
    let end = &bytes[..bytes.len().min(SAID_MAX)];
    samestate_report::printable(String::from_utf8_lossy(end).trim_end()).into_owned()
}

fn first_line(bytes: &[u8]) -> String {
    text(bytes).lines().next().unwrap_or_default().trim().to_owned()
}

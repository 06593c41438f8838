//! The process of a program, and the lines to and from it.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, BufWriter};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{mpsc, watch};

use super::messages::{
    Dispatch, Empty, FromProgram, LINE_BYTES_MAX, Numbered, PROTOCOL, ToProgram,
};
use crate::control::LOGS;
use crate::node::log::Log;

/// The time that a program has to end once it was told to.
const STOP_MAX: Duration = Duration::from_secs(2);

/// The number of lines that are written together, if so many wait.
const LINES_AT_ONCE: usize = 512;

/// The number of actions in one line at most.
const ACTIONS_A_LINE: usize = 256;

/// The number of characters of a wrong line that an error shows.
const SHOWN_CHARS: usize = 120;

/// A store's side of the conversation.
pub(in crate::node) trait Listener: Send + Sync {
    /// Takes a line about the store. The error says in words how it breaks the protocol.
    fn hear(&self, line: FromProgram) -> Result<(), String>;
}

/// The stores of a program, by name.
pub(super) type Listeners = Arc<BTreeMap<String, Arc<dyn Listener>>>;

/// Something to tell the program.
enum Telling {
    Line(Box<ToProgram>),
    Action { store: Arc<str>, action: Numbered },
}

/// A program that was started, and how it is told things.
#[derive(Clone)]
pub(in crate::node) struct Program {
    pid: u32,
    telling: mpsc::UnboundedSender<Telling>,
    ready: watch::Receiver<bool>,
    failed: watch::Receiver<Option<String>>,
    ended: watch::Receiver<bool>,
    stopping: Arc<AtomicBool>,
}

/// The pipes of a program that was just started.
pub(super) struct Pipes {
    child: Child,
    telling: mpsc::UnboundedReceiver<Telling>,
    ready: watch::Sender<bool>,
    failed: watch::Sender<Option<String>>,
    ended: watch::Sender<bool>,
}

impl Program {
    /// Starts a program for the node `name`, whose log takes what it writes to standard error.
    pub(super) fn start(
        command: &[String],
        folder: &Path,
        name: &str,
    ) -> Result<(Self, Pipes), String> {
        let shown = command.join(" ");
        let (program, args) = command.split_first().ok_or("the command is empty")?;
        let log = folder.join(LOGS).join(format!("{name}.log"));
        let log = OpenOptions::new().create(true).append(true).open(log);
        let child = Command::new(program)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log.map_or_else(|_| Stdio::null(), Stdio::from))
            // A group of its own: Ctrl-C is for the runner, and what it started ends with it.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("its program `{shown}` could not be started: {error}"))?;
        let pid = child.id().unwrap_or_default();
        let (sender, telling) = mpsc::unbounded_channel();
        let (ready, is_ready) = watch::channel(false);
        let (failed, has_failed) = watch::channel(None);
        let (ended, has_ended) = watch::channel(false);
        let program = Program {
            pid,
            telling: sender,
            ready: is_ready,
            failed: has_failed,
            ended: has_ended,
            stopping: Arc::default(),
        };
        Ok((program, Pipes { child, telling, ready, failed, ended }))
    }

    /// Its process.
    pub(in crate::node) fn pid(&self) -> u32 {
        self.pid
    }

    /// One more line.
    pub(super) fn tell(&self, line: ToProgram) {
        // A program that has ended says so by `failed`.
        let _ = self.telling.send(Telling::Line(Box::new(line)));
    }

    /// One more action. Those of one store that wait go into one line.
    pub(super) fn dispatch(&self, store: &Arc<str>, action: Numbered) {
        let _ = self.telling.send(Telling::Action { store: Arc::clone(store), action });
    }

    /// Returns whether it has said that all of its stores are in sync.
    pub(super) fn is_ready(&self) -> bool {
        *self.ready.borrow()
    }

    /// Waits until all of its stores are in sync.
    pub(super) async fn ready(&self) {
        if self.ready.clone().wait_for(|ready| *ready).await.is_err() {
            std::future::pending::<()>().await; // it has failed, which `failed` tells
        }
    }

    /// Waits until it has failed: returns the reason.
    pub(in crate::node) async fn failed(&self) -> String {
        let mut failed = self.failed.clone();
        let why = failed.wait_for(Option::is_some).await.ok().and_then(|why| why.clone());
        match why {
            Some(why) => why,
            None => std::future::pending().await, // it was stopped
        }
    }

    /// Tells it to end, and returns once it has ended.
    pub(in crate::node) async fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.tell(ToProgram::Stop(Empty {}));
        let mut ended = self.ended.clone();
        if tokio::time::timeout(STOP_MAX, ended.wait_for(|ended| *ended)).await.is_err() {
            kill_group(self.pid);
            let _ = tokio::time::timeout(STOP_MAX, ended.wait_for(|ended| *ended)).await;
        }
    }
}

impl Pipes {
    /// Passes lines on in both directions until the program ends.
    pub(super) fn run(
        mut self,
        program: &Program,
        command: String,
        listeners: Listeners,
        log: Arc<Log>,
    ) {
        let (Some(stdin), Some(stdout)) = (self.child.stdin.take(), self.child.stdout.take())
        else {
            return;
        };
        tokio::spawn(write(self.telling, stdin));
        let stopping = Arc::clone(&program.stopping);
        let (ready, failed, ended, mut child) = (self.ready, self.failed, self.ended, self.child);
        let pid = program.pid;
        tokio::spawn(async move {
            let read = read(stdout, &listeners, &ready, &log).await;
            let why = match read {
                Err(wrong) => Some(format!("its program `{command}` {wrong}")),
                Ok(()) if stopping.load(Ordering::Acquire) => None,
                Ok(()) => {
                    let status = tokio::time::timeout(STOP_MAX, child.wait()).await;
                    Some(format!("its program `{command}` {}", end_in_words(status)))
                }
            };
            if let Some(why) = why {
                kill_group(pid);
                failed.send_replace(Some(why));
            }
            let _ = child.wait().await;
            // What it started in its group ends with it.
            kill_group(pid);
            ended.send_replace(true);
        });
    }
}

fn kill_group(pid: u32) {
    if let Some(group) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // It may be gone.
        let _ = kill_process_group(group, Signal::KILL);
    }
}

fn end_in_words(
    status: Result<std::io::Result<ExitStatus>, tokio::time::error::Elapsed>,
) -> String {
    use std::os::unix::process::ExitStatusExt;
    match status {
        Ok(Ok(status)) => match (status.code(), status.signal()) {
            (Some(code), _) => format!("ended with exit code {code}, before it was told to stop"),
            (None, signal) => format!("was killed by signal {}", signal.unwrap_or_default()),
        },
        Ok(Err(error)) => format!("cannot be waited for: {error}"),
        Err(_) => "closed its standard output, before it was told to stop".to_owned(),
    }
}

/// Writes lines until there is nobody left to write any, or the program reads no more.
async fn write(mut telling: mpsc::UnboundedReceiver<Telling>, stdin: ChildStdin) {
    let mut stdin = BufWriter::new(stdin);
    let mut waiting = Vec::with_capacity(LINES_AT_ONCE);
    while telling.recv_many(&mut waiting, LINES_AT_ONCE).await > 0 {
        let mut lines = Vec::new();
        let mut stop = false;
        let mut actions: Option<(Arc<str>, Vec<Numbered>)> = None;
        for telling in waiting.drain(..) {
            match telling {
                Telling::Action { store, action } => match &mut actions {
                    Some((of, actions)) if *of == store && actions.len() < ACTIONS_A_LINE => {
                        actions.push(action);
                    }
                    _ => {
                        if let Some((store, actions)) = actions.replace((store, vec![action])) {
                            put(&mut lines, &dispatch(&store, actions));
                        }
                    }
                },
                Telling::Line(line) => {
                    if let Some((store, actions)) = actions.take() {
                        put(&mut lines, &dispatch(&store, actions));
                    }
                    put(&mut lines, &line);
                    stop |= matches!(*line, ToProgram::Stop(_));
                }
            }
        }
        if let Some((store, actions)) = actions {
            put(&mut lines, &dispatch(&store, actions));
        }
        if stdin.write_all(&lines).await.is_err() || stdin.flush().await.is_err() || stop {
            return; // closes the pipe
        }
    }
}

fn dispatch(store: &Arc<str>, actions: Vec<Numbered>) -> ToProgram {
    ToProgram::Dispatch(Dispatch { store: store.to_string(), actions })
}

fn put(lines: &mut Vec<u8>, line: &ToProgram) {
    // Every message serialises: it has no map but that of a JSON value.
    if serde_json::to_writer(&mut *lines, line).is_ok() {
        lines.push(b'\n');
    }
}

/// Reads lines until the program closes its output. The error says in words how it broke the
/// protocol.
async fn read(
    stdout: ChildStdout,
    listeners: &Listeners,
    ready: &watch::Sender<bool>,
    log: &Log,
) -> Result<(), String> {
    let mut stdout = BufReader::with_capacity(64 << 10, stdout);
    let mut line = Vec::new();
    for number in 1u64.. {
        line.clear();
        if line.capacity() > 1 << 20 {
            line = Vec::new();
        }
        let mut limited = (&mut stdout).take(LINE_BYTES_MAX as u64 + 1);
        let read = limited.read_until(b'\n', &mut line).await;
        match read {
            Ok(0) | Err(_) => break,
            Ok(_) if line.len() > LINE_BYTES_MAX => {
                return Err(format!(
                    "broke the adapter protocol: line {number} has more than {} MiB, and a line \
                     may have that at most",
                    LINE_BYTES_MAX >> 20
                ));
            }
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&line);
        if text.trim().is_empty() {
            continue;
        }
        heard(&text, listeners, ready, log).map_err(|why| {
            format!("broke the adapter protocol (version {PROTOCOL}) in line {number}: {why}")
        })?;
    }
    Ok(())
}

/// Takes one line.
fn heard(
    text: &str,
    listeners: &Listeners,
    ready: &watch::Sender<bool>,
    log: &Log,
) -> Result<(), String> {
    let line: FromProgram = serde_json::from_str(text)
        .map_err(|error| format!("{error}\n    {}", beginning(text.trim_end())))?;
    let store = match &line {
        FromProgram::Ready(_) => {
            ready.send_replace(true);
            return Ok(());
        }
        FromProgram::Log(text) => {
            log.line(&text.text);
            return Ok(());
        }
        FromProgram::Ok(of) | FromProgram::Applied(of) => &of.store,
        FromProgram::Error(of) => &of.store,
        FromProgram::Jumped(of) => &of.store,
        FromProgram::Connected(of) => &of.store,
        FromProgram::State(of) => &of.store,
        FromProgram::Digest(of) => &of.store,
    };
    let Some(listener) = listeners.get(store) else {
        let known: Vec<&str> = listeners.keys().map(String::as_str).collect();
        return Err(format!("the node opens no store `{store}`; it opens {}", known.join(", ")));
    };
    listener.hear(line).map_err(|why| format!("{why}\n    {}", beginning(text.trim_end())))
}

/// The beginning of a line, for people.
pub(super) fn beginning(line: &str) -> String {
    match line.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

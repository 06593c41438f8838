//! The process of the guardian.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{Signal, WaitOptions, getpid, set_child_subreaper, setsid, wait};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedWriteHalf;
use tokio::signal::unix::{SignalKind, signal};

use super::message::{Ending, Order, Report};
use crate::family;

/// The longest path for the temporary folder: a socket's path in it has to fit into the 108 bytes
/// that Unix gives it.
const TEMP_PATH_BYTES_MAX: usize = 60;

/// Guards a run: standard input is the socket to the runner. Returns once nothing is left of the
/// run.
///
/// # Errors
///
/// If the run's folder cannot be made, or something cannot be cleaned up.
pub(crate) fn serve() -> io::Result<()> {
    // The leader of a session cannot make one, and needs none.
    let _ = setsid();
    let me = getpid();
    set_child_subreaper(Some(me))?;
    let socket = StdUnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    socket.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let folder = make_folder()?;
    let mut guarded = Guarded { folder, sweep: Vec::new() };
    let served = runtime.block_on(guarded.serve(socket));
    let cleaned = guarded.clean_up(me.as_raw_nonzero().get().unsigned_abs());
    served.and(cleaned)
}

/// The run's folder, for its owner alone.
fn make_folder() -> io::Result<PathBuf> {
    let temp = std::env::temp_dir();
    let temp = if temp.as_os_str().len() > TEMP_PATH_BYTES_MAX { Path::new("/tmp") } else { &temp };
    let folder = tempfile::Builder::new()
        .prefix("samestate-")
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(temp)?
        .keep();
    fs::create_dir(folder.join("logs"))?;
    Ok(folder)
}

/// The processes and files that have to be gone in the end.
struct Guarded {
    folder: PathBuf,
    sweep: Vec<PathBuf>,
}

impl Guarded {
    /// Does what the runner orders until the socket ends.
    async fn serve(&mut self, socket: StdUnixStream) -> io::Result<()> {
        let (reader, mut runner) = UnixStream::from_std(socket)?.into_split();
        let mut orders = BufReader::new(reader).lines();
        let mut child_ended = signal(SignalKind::child())?;
        // A signal that ends the run is for the runner. The guardian ends with its socket.
        let mut interrupted = signal(SignalKind::interrupt())?;
        let mut terminated = signal(SignalKind::terminate())?;
        let mut hung_up = signal(SignalKind::hangup())?;
        tell(&mut runner, &Report::Home { folder: self.folder.clone() }).await?;
        loop {
            tokio::select! {
                line = orders.next_line() => match line {
                    Ok(Some(line)) => {
                        let report = serde_json::from_str(&line).ok().and_then(|o| self.obey(o));
                        if let Some(report) = report
                            && tell(&mut runner, &report).await.is_err()
                        {
                            return Ok(());
                        }
                    }
                    Ok(None) | Err(_) => return Ok(()),
                },
                _ = child_ended.recv() => {
                    for report in reap() {
                        if tell(&mut runner, &report).await.is_err() {
                            return Ok(());
                        }
                    }
                }
                _ = interrupted.recv() => {}
                _ = terminated.recv() => {}
                _ = hung_up.recv() => {}
            }
        }
    }

    fn obey(&mut self, order: Order) -> Option<Report> {
        match order {
            Order::Launch { name, program, args, log } => {
                Some(match launch(&program, &args, &log) {
                    Ok(pid) => Report::Launched { name, pid },
                    Err(error) => Report::NotLaunched {
                        name,
                        error: format!("{}: {error}", program.display()),
                    },
                })
            }
            Order::Kill { pid } => Some(Report::Killed { pid, alive: send(pid, Signal::KILL) }),
            Order::Pause { pid } => Some(Report::Paused { pid, alive: send(pid, Signal::STOP) }),
            Order::Resume { pid } => Some(Report::Resumed { pid, alive: send(pid, Signal::CONT) }),
            Order::Sweep { path } => {
                self.sweep.push(path);
                None
            }
        }
    }

    /// Kills what is left and removes what was made.
    fn clean_up(&self, me: u32) -> io::Result<()> {
        let left = family::kill_below(me, || {
            reap();
        });
        for path in &self.sweep {
            if let Err(error) = fs::remove_file(path)
                && error.kind() != io::ErrorKind::NotFound
            {
                return Err(error);
            }
        }
        fs::remove_dir_all(&self.folder)?;
        if left.is_empty() {
            return Ok(());
        }
        Err(io::Error::other(format!("these processes could not be killed: {left:?}")))
    }
}

/// Sends a signal to a process; `false` if there is no such process any more. Only to what is below
/// the guardian: another process may have got the id by now.
fn send(pid: u32, signal: Signal) -> bool {
    let me = getpid().as_raw_nonzero().get().unsigned_abs();
    family::descendants(me).contains(&pid) && family::signal(pid, signal)
}

async fn tell(runner: &mut OwnedWriteHalf, report: &Report) -> io::Result<()> {
    let mut line = serde_json::to_string(report)?;
    line.push('\n');
    runner.write_all(line.as_bytes()).await
}

fn launch(program: &Path, args: &[String], log: &Path) -> io::Result<u32> {
    let log = File::options().create(true).append(true).open(log)?;
    let child = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()?;
    Ok(child.id()) // reaped like any other child, by `reap`
}

/// The children that have ended since the last call.
fn reap() -> Vec<Report> {
    let mut ended = Vec::new();
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        let how = match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => Ending::Exited(code),
            (None, Some(signal)) => Ending::Signal(signal),
            (None, None) => continue, // stopped or continued: not asked for, and no end
        };
        ended.push(Report::Ended { pid: pid.as_raw_nonzero().get().unsigned_abs(), how });
    }
    ended
}

//! The runner's end of the socket to the guardian.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

use super::message::{Order, Report};

/// The time that the guardian has to start.
const START_MAX: Duration = Duration::from_secs(10);

/// The time that the guardian has to kill everything and remove the folder.
const FINISH_MAX: Duration = Duration::from_secs(20);

/// An error of the guardian, which did not start or has ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GuardianError {
    /// It could not be started.
    #[error("failed to start the guardian process {program}")]
    Start {
        /// The program.
        program: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// It started, and ended before it said where the run's folder is.
    #[error(
        "the guardian process ended before it had made the run's folder: look above for why, and \
         check that {temp} can be written to"
    )]
    NoHome {
        /// The folder in which it makes folders.
        temp: PathBuf,
    },
    /// It did not end in time.
    #[error("the guardian process {pid} did not clean up within {} s", FINISH_MAX.as_secs())]
    Stuck {
        /// Its process.
        pid: u32,
    },
    /// It ended, and could not clean up.
    #[error("the guardian process could not clean up ({status}); look above for what is left")]
    NotClean {
        /// The exit status of the process.
        status: std::process::ExitStatus,
    },
}

/// The guardian of one case. Dropping it ends the case's processes too, without waiting for that.
#[derive(Debug)]
pub(crate) struct Guardian {
    child: Child,
    orders: mpsc::UnboundedSender<Order>,
    folder: PathBuf,
}

impl Guardian {
    /// Starts `program guardian`. What it reports goes to `told`, and a `None` when it is gone.
    pub(crate) async fn start(
        program: &Path,
        told: impl Fn(Option<Report>) + Send + 'static,
    ) -> Result<Self, GuardianError> {
        let failed = |source| GuardianError::Start { program: program.to_owned(), source };
        let (ours, theirs) = StdUnixStream::pair().map_err(failed)?;
        ours.set_nonblocking(true).map_err(failed)?;
        let (reader, writer) = UnixStream::from_std(ours).map_err(failed)?.into_split();
        let child = Command::new(program)
            .arg("guardian")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .spawn()
            .map_err(failed)?;
        let mut reports = BufReader::new(reader).lines();
        let folder = match tokio::time::timeout(START_MAX, next(&mut reports)).await {
            Ok(Some(Report::Home { folder })) => folder,
            _ => return Err(GuardianError::NoHome { temp: std::env::temp_dir() }),
        };
        let (orders, waiting) = mpsc::unbounded_channel();
        tokio::spawn(pass_on(waiting, writer));
        tokio::spawn(async move {
            while let Some(report) = next(&mut reports).await {
                told(Some(report));
            }
            told(None);
        });
        Ok(Self { child, orders, folder })
    }

    /// Starts a program as the guardian's child, with its output appended to `log`.
    pub(crate) fn launch(&self, name: &str, program: &Path, args: Vec<String>, log: PathBuf) {
        let (name, program) = (name.to_owned(), program.to_owned());
        self.order(Order::Launch { name, program, args, log });
    }

    /// Kills a process below the guardian.
    pub(crate) fn kill(&self, pid: u32) {
        self.order(Order::Kill { pid });
    }

    /// Stops a process below the guardian until it is resumed.
    pub(crate) fn pause(&self, pid: u32) {
        self.order(Order::Pause { pid });
    }

    /// Lets a process below the guardian go on.
    pub(crate) fn resume(&self, pid: u32) {
        self.order(Order::Resume { pid });
    }

    /// Has a file outside the run's folder removed in the end.
    pub(crate) fn sweep(&self, path: PathBuf) {
        self.order(Order::Sweep { path });
    }

    /// Ends all that was launched, and returns once nothing is left of it.
    pub(crate) async fn finish(mut self) -> Result<(), GuardianError> {
        drop(self.orders);
        let pid = self.child.id().unwrap_or_default();
        match tokio::time::timeout(FINISH_MAX, self.child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(GuardianError::NotClean { status }),
            Ok(Err(_)) | Err(_) => Err(GuardianError::Stuck { pid }),
        }
    }

    /// The run's folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    fn order(&self, order: Order) {
        // If the guardian is gone, `told` has been called with its end.
        let _ = self.orders.send(order);
    }
}

async fn next(reports: &mut Lines<BufReader<OwnedReadHalf>>) -> Option<Report> {
    let line = reports.next_line().await.ok()??;
    serde_json::from_str(&line).ok()
}

/// Writes orders until no sender is left; then the socket's write half closes, which is the
/// guardian's sign to end.
async fn pass_on(mut orders: mpsc::UnboundedReceiver<Order>, mut guardian: OwnedWriteHalf) {
    while let Some(order) = orders.recv().await {
        let Ok(mut line) = serde_json::to_string(&order) else { continue };
        line.push('\n');
        if guardian.write_all(line.as_bytes()).await.is_err() {
            return;
        }
    }
}

//! The link between a master and the workers it forks: a pair of connected Unix sockets, one end
//! of which the worker inherits.
//!
//! Nobody logs in: whoever has the socket got it from its master. The worker finds it by its
//! environment, and takes itself for a worker only if the process that started it is the master
//! named there; what a worker itself starts inherits the names, but is no worker.
//!
//! This link lasts as long as both processes do. A store that cannot go on, because its peer was
//! silent for too long, say, is taken off alone, and attaches again a little later.

mod inherit;

use std::fmt;
use std::os::fd::OwnedFd;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use command_fds::{CommandFdExt, FdMapping};
use parking_lot::Mutex;
use tokio::net::UnixStream;
use tokio::process::Child;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use inherit::{Inherited, inherited};

use super::attached::OnFault;
use super::channels::Shared;
use super::connection::{self, Ending};
use super::socket::Socket;
use super::{LinkError, LinkStats, Ports, Side, trace};

/// The environment of a worker: the number of its inherited descriptor, ...
const FD_VARIABLE: &str = "SAMESTATE_IPC_FD";
/// ... its own number, ...
const WORKER_VARIABLE: &str = "SAMESTATE_WORKER";
/// ... and the process id of its master.
const MASTER_VARIABLE: &str = "SAMESTATE_MASTER_PID";

/// The descriptor under which a worker inherits its end. The lowest that is free in every process:
/// a higher one could be where `Command` keeps the pipe by which it learns that `exec` failed.
const WORKER_FD: i32 = 3;

/// A peer that takes no bytes is waited for: it may have been stopped for a while, this link cannot
/// be made again, and its end shows by itself. What waits for it is one round of writing.
const STALL_AFTER: Duration = Duration::MAX;

/// Starts `command` as worker `number` of this process, and hands back the child and this end of
/// the link. The child is not killed when its handle is dropped: it ends when the link does.
/// Needs a tokio runtime.
pub fn spawn_worker(mut command: Command, number: u32) -> Result<(Child, UnixStream), LinkError> {
    let failed = |source| LinkError::Spawn { number, source };
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().map_err(failed)?;
    ours.set_nonblocking(true).map_err(failed)?;
    let stream = UnixStream::from_std(ours).map_err(failed)?;
    command
        .env(FD_VARIABLE, WORKER_FD.to_string())
        .env(WORKER_VARIABLE, number.to_string())
        .env(MASTER_VARIABLE, std::process::id().to_string())
        .fd_mappings(vec![FdMapping { parent_fd: OwnedFd::from(theirs), child_fd: WORKER_FD }])
        .map_err(|collision| failed(std::io::Error::other(collision)))?;
    let mut command = tokio::process::Command::from(command);
    let child = command.kill_on_drop(false).spawn().map_err(failed)?;
    Ok((child, stream))
}

/// One end of the link between a master and a worker. Dropped, it closes too, and nobody waits for
/// it.
pub struct IpcLink {
    stats: Arc<LinkStats>,
    stop: watch::Sender<bool>,
    ended: watch::Receiver<bool>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl IpcLink {
    /// The master's end: serves the stores of `ports` to worker `number`, those to come included.
    pub fn to_worker(stream: UnixStream, number: u32, ports: Arc<Ports>) -> Self {
        Self::start(stream, format!("worker {number}"), Side::Downstream, ports)
    }

    /// The worker's end: every store of `ports` follows the master's, those to come included,
    /// until it is unregistered.
    pub fn to_master(stream: UnixStream, ports: Arc<Ports>) -> Self {
        Self::start(stream, "the master".to_owned(), Side::Upstream, ports)
    }

    fn start(stream: UnixStream, peer: String, side: Side, ports: Arc<Ports>) -> Self {
        let stats = Arc::<LinkStats>::default();
        let (stop, stopping) = watch::channel(false);
        let (ended_sender, ended) = watch::channel(false);
        let socket = Socket::unix(stream, stats.clone());
        let span = trace::to_relative(side, &peer);
        trace::connected(&span);
        let shared = Shared::new(peer, side, OnFault::GoOn, ports, span);
        let task = tokio::spawn(async move {
            let ending = connection::run(socket, shared.clone(), STALL_AFTER, stopping).await;
            match ending {
                Ending::Closed | Ending::ClosedHere => trace::left(&shared.span, &ending),
                _ => {
                    trace::lost(&shared.span, &ending);
                    shared.ports.report(&format!("the link to {} is cut: {ending}", shared.peer));
                }
            }
            ended_sender.send_replace(true);
        });
        IpcLink { stats, stop, ended, task: Mutex::new(Some(task)) }
    }

    /// Waits until the link has ended, from whichever side. A worker whose link ended has no
    /// master any more; a master notices a worker's end by its process.
    pub async fn ended(&self) {
        // An error means that its task is gone, which says the same.
        let _ = self.ended.clone().wait_for(|ended| *ended).await;
    }

    /// Ends the link; what is under way gets half a second to leave.
    pub async fn close(&self) {
        self.stop.send_replace(true);
        let task = self.task.lock().take();
        if let Some(task) = task {
            // An error means that it ended by itself.
            let _ = task.await;
        }
    }

    /// What it cost so far.
    pub fn stats(&self) -> &Arc<LinkStats> {
        &self.stats
    }
}

impl fmt::Debug for IpcLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IpcLink").field("ended", &*self.ended.borrow()).finish_non_exhaustive()
    }
}

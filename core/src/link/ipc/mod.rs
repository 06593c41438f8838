//! The link between a master and the workers it forks: a pair of connected Unix sockets, or a named
//! pipe of Windows.
//!
//! A link to a worker needs no login, because only the master can hand out its ends. The worker
//! finds it by its environment, and takes itself for a worker only if the end was made by the
//! master named there and no other process has taken it; what a worker itself starts is no worker.
//! The process that the master started may be another one, which starts the worker: a debugger or a
//! shell, say.
//!
//! This link lasts as long as both processes do. A store that cannot go on, because its peer was
//! silent for too long, say, is taken off alone, and attaches again a little later.

#[cfg(target_os = "linux")]
mod ancestors;
mod program;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::env;
use std::fmt;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use samestate_proto::with_causes;
use tokio::process::Child;
use tokio::sync::watch;
use tokio::task::JoinHandle;

#[cfg(unix)]
use unix as system;
#[cfg(windows)]
use windows as system;

use super::attached::OnFault;
use super::channels::{Refusals, Shared};
use super::close_reason::CloseReason;
use super::connection::{self, Stop, stopped};
use super::socket::Socket;
use super::{LinkError, Side, StoreRegistry, trace};
use crate::event::EventKind;
use crate::task::guarded;

pub(crate) use program::Program;
pub(crate) use system::End;

/// The environment variable with the number of a worker.
const WORKER_VARIABLE: &str = "SAMESTATE_WORKER";
/// The environment variable with the process id of a worker's master.
const MASTER_VARIABLE: &str = "SAMESTATE_MASTER_PID";

/// This process's number as a worker; 0: it is none, so far.
static WORKER: AtomicU32 = AtomicU32::new(0);

/// A peer that takes no bytes is waited for: it may have been stopped for a while, this link cannot
/// be made again, and its end shows by itself. What waits for it is one round of writing.
const STALL_AFTER: Option<Duration> = None;

/// Starts `command` as worker `number` of this process, and hands back the child and this end of
/// the link. The child is not killed when its handle is dropped: it ends when the link does.
/// Needs a tokio runtime.
pub(crate) fn spawn_worker(mut command: Command, number: u32) -> Result<(Child, End), LinkError> {
    command
        .env(WORKER_VARIABLE, number.to_string())
        .env(MASTER_VARIABLE, std::process::id().to_string());
    system::spawn(command, number).map_err(|source| LinkError::Spawn { number, source })
}

/// The link and the identity that a worker inherits from its master.
#[derive(Debug)]
pub(crate) struct Inherited {
    /// The worker's number, from 1.
    pub(crate) worker: u32,
    /// The worker's end of the link.
    pub(crate) end: End,
}

/// Returns the link that this process inherited from its master, or `None` if it is no worker. It
/// can be taken once. Needs a tokio runtime.
pub(crate) fn inherited() -> Result<Option<Inherited>, LinkError> {
    let Some((named, end)) = system::inherited()? else { return Ok(None) };
    WORKER.store(named.worker, Ordering::Release);
    Ok(Some(Inherited { worker: named.worker, end }))
}

/// This process's number, if it is a worker.
pub(super) fn worker() -> Option<u32> {
    Some(WORKER.load(Ordering::Acquire)).filter(|number| *number > 0)
}

/// The settings of a worker, as read from its environment.
struct Named {
    worker: u32,
    master: u32,
}

impl Named {
    fn from_environment() -> Result<Self, LinkError> {
        Ok(Named { worker: number(WORKER_VARIABLE)?, master: number(MASTER_VARIABLE)? })
    }
}

fn number(variable: &str) -> Result<u32, LinkError> {
    let value = env::var(variable).ok().and_then(|value| value.parse().ok());
    value.ok_or_else(|| unusable(&format!("{variable} is no number")))
}

fn unusable(why: &str) -> LinkError {
    LinkError::Inherited { why: why.to_owned() }
}

/// One end of the link between a master and a worker. Dropping it closes the link without waiting.
pub(crate) struct IpcLink {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    ended: watch::Receiver<bool>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl IpcLink {
    /// The master's end: serves the stores of `ports` to worker `number`, those to come included.
    pub(crate) fn to_worker(end: End, number: u32, ports: Arc<StoreRegistry>) -> Self {
        Self::start(end, format!("worker {number}"), Side::Downstream, ports)
    }

    /// The worker's end: every store of `ports` follows the master's, those to come included,
    /// until it is unregistered.
    pub(crate) fn to_master(end: End, ports: Arc<StoreRegistry>) -> Self {
        Self::start(end, "the master".to_owned(), Side::Upstream, ports)
    }

    fn start(end: End, peer: String, side: Side, ports: Arc<StoreRegistry>) -> Self {
        let (stop, stopping) = watch::channel(false);
        let (ended_sender, ended) = watch::channel(false);
        let span = trace::to_relative(side, &peer);
        let shared = Shared::new(peer, side, OnFault::GoOn, ports, span, Refusals::default());
        let link = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            let ended = guarded("link", run(end, Arc::clone(&link), stopping)).await;
            let ending = ended.unwrap_or_else(CloseReason::Panicked);
            match ending {
                CloseReason::Closed | CloseReason::ClosedHere => trace::left(&link.span, &ending),
                _ => {
                    trace::lost(&link.span, &ending);
                    let kind = EventKind::LinkCut { peer: link.peer.clone(), refusal: None };
                    let why = with_causes(&ending);
                    link.ports.report(&kind, &format!("the link to {} is cut: {why}", link.peer));
                }
            }
            ended_sender.send_replace(true);
        });
        IpcLink { shared, stop, ended, task: Mutex::new(Some(task)) }
    }

    /// Tells the worker that this process, its master, ends, and how long it has for the same.
    pub(crate) fn tell_to_end(&self, within: Duration) {
        self.shared.tell_to_end(within);
    }

    /// Waits until the master says that it ends, and returns how long this worker has for the same.
    /// `None`: the link has ended.
    pub(crate) async fn told_to_end(&self) -> Option<Duration> {
        let mut told = self.shared.signals.told_to_end.subscribe();
        tokio::select! {
            biased;
            // The sender lives in `shared`.
            told = told.wait_for(Option::is_some) => told.ok().and_then(|within| *within),
            () = self.ended() => None,
        }
    }

    /// Begins to end the link, which [`IpcLink::close`] waits for.
    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Waits until the link has ended, from whichever side. A worker whose link ended has no
    /// master any more; a master notices a worker's end by its process.
    pub(crate) async fn ended(&self) {
        // An error means that its task is gone, which says the same.
        let _ = self.ended.clone().wait_for(|ended| *ended).await;
    }

    /// Ends the link; what is under way gets half a second to leave.
    pub(crate) async fn close(&self) {
        self.stop();
        let task = self.task.lock().take();
        if let Some(task) = task {
            // An error means that it ended by itself.
            let _ = task.await;
        }
    }
}

/// From before it is open to its end.
async fn run(end: End, shared: Arc<Shared>, mut stop: Stop) -> CloseReason {
    let opened = tokio::select! {
        opened = end.open() => opened,
        () = stopped(&mut stop) => return CloseReason::ClosedHere,
    };
    match opened.and_then(|stream| Socket::local(stream, Arc::default(), STALL_AFTER)) {
        Ok(socket) => {
            trace::connected(&shared.span);
            connection::run(socket, shared, stop).await
        }
        Err(error) => CloseReason::Io(error),
    }
}

impl fmt::Debug for IpcLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IpcLink").field("ended", &*self.ended.borrow()).finish_non_exhaustive()
    }
}

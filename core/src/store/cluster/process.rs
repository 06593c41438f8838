//! A process and the workers that it forks.
//!
//! A worker is a new process that runs the same program with the same arguments, and finds itself
//! to be a worker in [`Cluster::join`]. Master and worker are linked by a pair of sockets that the
//! worker inherits, on Windows by a named pipe; all stores of both share it.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use parking_lot::Mutex;
use tokio::process::Child;
use tokio::sync::{Notify, watch};

use crate::link::ipc::{self, IpcLink, Program};
use crate::link::{LinkError, ServerConfig};
use crate::store::cluster::closing::{AfterMaster, leave_with_the_master, outlive_the_master};
use crate::store::cluster::exits::{ExitLog, WorkerExit, WorkerExits};
use crate::store::cluster::shared::ClusterShared;
use crate::store::driver::trace;
use crate::store::handle::bounds;
use crate::store::handle::builder::StoreBuilder;
use crate::store::reducer::machine::{Action, IntoReduction, State};
use crate::store::serve::attachments::Placement;
use crate::store::serve::servers::ServerHandle;
use crate::store::{Error, Result};
use crate::task::{self, Panicked};

/// This process as a member of its cluster. This is a handle: its clones refer to the same cluster.
#[derive(Clone, Debug)]
pub struct Cluster {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) house: Arc<ClusterShared>,
    /// 0: the master.
    number: usize,
    pub(crate) to_master: Option<IpcLink>,
    /// The cluster is about to close.
    pub(crate) ending: watch::Sender<bool>,
    /// The user's program waits for that.
    pub(crate) heeded: AtomicBool,
    /// It was closed here.
    pub(crate) leaving: AtomicBool,
    /// The program that a worker runs.
    program: Program,
    workers: Mutex<Workers>,
    exits: Arc<ExitLog>,
}

#[derive(Debug, Default)]
struct Workers {
    forked: usize,
    running: BTreeMap<usize, Worker>,
}

#[derive(Debug)]
struct Worker {
    pid: u32,
    link: Arc<IpcLink>,
    /// Kills it.
    kill: Arc<Notify>,
}

impl Cluster {
    /// Joins the cluster. A process that was forked by [`Cluster::fork`] becomes a worker of the
    /// process that forked it; any other process becomes a master. Call this once, early, on a
    /// tokio runtime.
    ///
    /// A worker exits with code 0 when its master is gone or has closed the cluster; see
    /// [`Cluster::join_and_stay`] and [`Cluster::ending`]. A worker that closes the cluster itself
    /// continues.
    ///
    /// # Errors
    ///
    /// [`Error::Link`] if this process was forked as a worker, and what it inherited is not usable.
    pub fn join() -> Result<Cluster> {
        Cluster::join_and(AfterMaster::Exit)
    }

    /// Joins the cluster, and continues when the master is gone: the stores can still be read.
    ///
    /// # Errors
    ///
    /// The errors of [`Cluster::join`].
    pub fn join_and_stay() -> Result<Cluster> {
        Cluster::join_and(AfterMaster::Stay)
    }

    fn join_and(after: AfterMaster) -> Result<Cluster> {
        let house = ClusterShared::new();
        let inherited = ipc::inherited()?;
        let number = inherited.as_ref().map_or(0, |inherited| inherited.worker as usize);
        let to_master =
            inherited.map(|inherited| IpcLink::to_master(inherited.end, Arc::clone(&house.linked)));
        let cluster = Cluster::with(house, number, to_master);
        if !cluster.is_master() {
            let leaving = leave_with_the_master(Arc::clone(&cluster.inner), after);
            task::spawn("leave with the master", cluster.inner.on_panic(), leaving);
            let outliving = outlive_the_master(Arc::clone(&cluster.inner), after);
            task::spawn("outlive the master", cluster.inner.on_panic(), outliving);
        }
        Ok(cluster)
    }

    /// Creates a cluster of this process alone, whichever process started it, for stores that share
    /// one server without workers. The process is a master, and may fork.
    ///
    /// ```
    /// use samestate::{ClientConfig, Cluster, ServerConfig, create_store};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> anyhow::Result<()> {
    /// let add = |sum: &mut i64, by: &i64| *sum += by; let here = Cluster::alone(); let serving =
    /// here.create_server(ServerConfig::tcp("127.0.0.1:0").login("app", "secret")).await?; let
    /// apples = here.create_store("apples", add).open().await?; let pears =
    /// here.create_store("pears", add).open().await?;
    ///
    /// // Elsewhere: the same address for each of them, and one connection.
    /// let client = || ClientConfig::tcp(serving.address().to_string()).login("app", "secret");
    /// let apples_there = create_store("apples", add).client(client()).open().await?;
    /// let pears_there = create_store("pears", add).client(client()).open().await?;
    /// apples_there.dispatch(3).await?;
    /// pears_there.dispatch(4).await?;
    /// assert_eq!((*apples.state(), *pears.state()), (3, 4));
    /// # Ok(())
    /// # }
    /// ```
    pub fn alone() -> Cluster {
        Cluster::with(ClusterShared::new(), 0, None)
    }

    fn with(house: Arc<ClusterShared>, number: usize, to_master: Option<IpcLink>) -> Cluster {
        let inner = Inner {
            house,
            number,
            to_master,
            ending: watch::Sender::new(false),
            heeded: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
            program: Program::find(),
            workers: Mutex::default(),
            exits: Arc::default(),
        };
        Cluster { inner: Arc::new(inner) }
    }

    /// Returns whether this process is the master.
    pub fn is_master(&self) -> bool {
        self.inner.number == 0
    }

    /// Returns the number of this worker, from 1; 0 in the master.
    pub fn worker(&self) -> usize {
        self.inner.number
    }

    /// Starts `count` workers, which run this program with the same arguments. Only a master may
    /// fork.
    ///
    /// # Errors
    ///
    /// [`Error::NotMaster`] in a worker, [`Error::Options`] if there would be too many workers, and
    /// [`Error::Link`] if a process cannot be started. Workers that were started before the error
    /// stay.
    pub fn fork(&self, count: usize) -> Result<()> {
        bounds::of_workers(count, self.inner.workers.lock().running.len())?;
        for _ in 0..count {
            let number = self.inner.workers.lock().forked.saturating_add(1);
            self.fork_as(number)?;
        }
        Ok(())
    }

    /// Starts the worker with this number, or starts it again after it has ended.
    ///
    /// # Errors
    ///
    /// The errors of [`Cluster::fork`], and [`Error::WorkerRuns`] if this worker has not ended.
    pub fn fork_as(&self, number: usize) -> Result<()> {
        bounds::of_worker(number)?;
        let failed = |source| LinkError::Spawn { number: number as u32, source };
        let command = self.inner.program.command().map_err(failed)?;
        self.fork_command(number, command)
    }

    /// Starts `command` as the worker with this number. Any program that calls [`Cluster::join`]
    /// will do.
    ///
    /// # Errors
    ///
    /// The errors of [`Cluster::fork_as`].
    pub fn fork_command(&self, number: usize, command: Command) -> Result<()> {
        if !self.is_master() {
            return Err(Error::NotMaster(self.inner.number));
        }
        bounds::of_worker(number)?;
        let mut workers = self.inner.workers.lock();
        if workers.running.contains_key(&number) {
            return Err(Error::WorkerRuns(number));
        }
        let (child, end) = ipc::spawn_worker(command, number as u32)?;
        let link = IpcLink::to_worker(end, number as u32, Arc::clone(&self.inner.house.linked));
        let (pid, link) = (child.id().unwrap_or(0), Arc::new(link));
        let kill = Arc::<Notify>::default();
        workers.forked = workers.forked.max(number);
        workers.running.insert(number, Worker { pid, link, kill: Arc::clone(&kill) });
        drop(workers);
        trace::worker_started(number, pid);
        let reaping = reap(Arc::clone(&self.inner), number, pid, child, kill);
        task::spawn("wait for a worker", self.inner.on_panic(), reaping);
        Ok(())
    }

    /// Returns the running workers, by number and process id.
    pub fn workers(&self) -> Vec<(usize, u32)> {
        let workers = self.inner.workers.lock();
        workers.running.iter().map(|(number, worker)| (*number, worker.pid)).collect()
    }

    /// Returns a stream of the workers that have ended, oldest first, those so far included.
    pub fn exits(&self) -> WorkerExits {
        self.inner.exits.stream()
    }

    /// Waits until the master's end of the link is gone. In the master, it waits for ever.
    pub async fn master_gone(&self) {
        match &self.inner.to_master {
            Some(link) => link.ended().await,
            None => std::future::pending().await,
        }
    }

    /// Prepares a store of this cluster. In the master the store is the root of its tree, and in a
    /// worker it follows the master, unless [`crate::StoreBuilder::client`] names a server. Create
    /// the store in every process, with the same name and the same reducer; see
    /// [`crate::store::create_store`].
    #[doc(alias = "createStore")]
    pub fn create_store<S, A, V>(
        &self,
        name: &str,
        reducer: impl Fn(&mut S, &A) -> V + Send + Sync + 'static,
    ) -> StoreBuilder<S, A>
    where
        S: State + Default,
        A: Action,
        V: IntoReduction,
    {
        let house = Arc::clone(&self.inner.house);
        let home =
            if self.is_master() { Placement::Master(house) } else { Placement::Worker(house) };
        StoreBuilder::new(home, name, reducer, S::default())
    }

    /// Serves all stores of this cluster in this process at one address, including those that
    /// open later: a client that asks for such a store waits until it opens. A store may also have
    /// a server of its own: [`Store::create_server`](crate::Store::create_server).
    ///
    /// The server lives until [`Cluster::close`], or until the last handle of the cluster and of
    /// its stores is dropped.
    ///
    /// # Errors
    ///
    /// [`Error::Link`] if the server cannot listen there, and [`Error::AlreadyServed`] if this
    /// process has a server there already.
    pub async fn create_server(&self, server: ServerConfig) -> Result<ServerHandle> {
        self.inner.house.create_server(server).await
    }

    /// Returns the servers that were made by [`Cluster::create_server`] and are not closed.
    pub fn servers(&self) -> Vec<ServerHandle> {
        self.inner.house.servers()
    }
}

impl Inner {
    /// The links to the workers that run.
    pub(crate) fn links(&self) -> Vec<Arc<IpcLink>> {
        let workers = self.workers.lock();
        workers.running.values().map(|worker| Arc::clone(&worker.link)).collect()
    }

    pub(crate) fn kill_workers(&self) {
        self.workers.lock().running.values().for_each(|worker| worker.kill.notify_one());
    }

    /// Waits until no worker runs.
    pub(crate) async fn all_ended(&self) {
        let mut exits = self.exits.stream();
        while !self.workers.lock().running.is_empty() {
            exits.next().await;
        }
    }

    /// Tells of a task of the cluster that panicked.
    fn on_panic(&self) -> impl FnOnce(&Panicked) + Send + 'static {
        let stores = Arc::clone(&self.house.served);
        move |panic| stores.report_panic(panic)
    }
}

/// Waits for a worker's end, which may be asked for, and says so.
async fn reap(inner: Arc<Inner>, number: usize, pid: u32, mut child: Child, kill: Arc<Notify>) {
    let status = tokio::select! {
        status = child.wait() => status,
        () = kill.notified() => {
            // It may have ended meanwhile.
            let _ = child.start_kill();
            child.wait().await
        }
    };
    let status = status.ok();
    inner.workers.lock().running.remove(&number);
    trace::worker_ended(number, pid, status);
    inner.exits.push(WorkerExit { number, pid, status });
}

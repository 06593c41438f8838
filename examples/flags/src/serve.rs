//! The service: a master that keeps the flags on disk and serves them, and the workers it forks.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::pin::pin;
use std::process;
use std::time::Duration;

use anyhow::{Context, Result};
use samestate::{Backup, Cluster, Mode, ServerConfig, Store, WorkerExit};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, interval, sleep_until};

use crate::{CLOSE_WITHIN, LOGIN, Serve, password, warn};
use flags::{Action, Flags, STORE, reduce};

const BEAT: Duration = Duration::from_secs(1);
/// A worker that cannot be started is tried again after this at the latest.
const RESTART_MAX: Duration = Duration::from_secs(30);

/// The master and each worker come here: a worker is this program with the same arguments.
pub async fn serve(options: &Serve) -> Result<()> {
    let cluster = Cluster::join()?;
    let folder = &options.backup;
    if cluster.is_master() {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    }
    // A worker's copy comes from the master: there the backup is not looked at.
    let store = cluster
        .create_store(STORE, reduce)
        .mode(Mode::Action)
        .backup(Backup::at(folder.join("flags.backup")))
        .durable()
        .open()
        .await?;
    if cluster.is_master() {
        lead(options, &cluster, &store).await
    } else {
        beat(&cluster, &store).await
    }
}

/// Serves until it is told to end, and puts a new worker in the place of one that ended.
async fn lead(options: &Serve, cluster: &Cluster, store: &Store<Flags, Action>) -> Result<()> {
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    let mut exits = cluster.exits();
    let mut missing = Missing::default();

    let password = password(&options.link.password_file)?;
    let server = ServerConfig::tcp(&options.link.address).login(LOGIN, password);
    let serving = store.create_server(server).await?;
    cluster.fork(options.workers)?;
    writeln!(io::stdout(), "serving at {}", serving.address())?;

    loop {
        tokio::select! {
            _ = interrupted.recv() => break,
            _ = terminated.recv() => break,
            WorkerExit { number, pid, .. } = exits.next() => {
                warn(format_args!("worker {number}, process {pid}, has ended"));
                missing.add(number, BEAT);
            }
            () = missing.due() => missing.restart(cluster),
        }
    }
    // First the workers, while they are in sync, and then the server and the store.
    cluster.close(CLOSE_WITHIN).await?;
    Ok(())
}

/// The workers that have ended: when each is started again, and how long that was put off.
#[derive(Default)]
struct Missing(BTreeMap<usize, (Instant, Duration)>);

impl Missing {
    fn add(&mut self, number: usize, wait: Duration) {
        self.0.insert(number, (Instant::now() + wait, wait));
    }

    /// Waits until one is to be started. Never, if none is missing.
    async fn due(&self) {
        match self.0.values().map(|(at, _)| *at).min() {
            Some(at) => sleep_until(at).await,
            None => std::future::pending().await,
        }
    }

    /// Starts those that are due. A system without room for another process may have some later.
    fn restart(&mut self, cluster: &Cluster) {
        let now = Instant::now();
        let due: Vec<_> = self.0.extract_if(.., |_, (at, _)| *at <= now).collect();
        for (number, (_, waited)) in due {
            if let Err(error) = cluster.fork_as(number) {
                let wait = (waited * 2).min(RESTART_MAX);
                let error = anyhow::Error::from(error);
                warn(format_args!("{error:#}; trying again in {} s", wait.as_secs()));
                self.add(number, wait);
            }
        }
    }
}

/// Says each second that this worker lives, until the master ends or is gone.
async fn beat(cluster: &Cluster, store: &Store<Flags, Action>) -> Result<()> {
    // A Ctrl-C is sent to the whole group of processes. The master decides what comes of it.
    let _ignored = signal(SignalKind::interrupt())?;
    let worker = cluster.worker();
    let _ = writeln!(io::stdout(), "worker {worker} is process {}", process::id());
    let mut beats = interval(BEAT);
    let mut ending = pin!(cluster.ending());
    loop {
        tokio::select! {
            () = &mut ending => break,
            // One that is lost is made good by the next.
            _ = beats.tick() => drop(store.dispatch(Action::Beat { worker })),
        }
    }
    cluster.close(CLOSE_WITHIN).await?;
    Ok(())
}

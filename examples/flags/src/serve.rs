//! The service: a master that keeps the flags on disk and serves them, and the workers it forks.

use std::fs;
use std::io::{self, Write};
use std::process;
use std::time::Duration;

use anyhow::{Result, anyhow};
use samestate::{Backup, Cluster, Mode, Server, Store, WorkerExit};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{interval, sleep};

use crate::flags::{Action, Flags, STORE, reduce};
use crate::{CLOSE_WITHIN, LOGIN, Serve, password, warn};

const BEAT: Duration = Duration::from_secs(1);

/// The master and each worker come here: a worker is this program with the same arguments.
pub async fn serve(options: &Serve) -> Result<()> {
    let cluster = Cluster::join()?;
    let folder = &options.backup;
    if cluster.is_master() {
        fs::create_dir_all(folder)
            .map_err(|error| anyhow!("cannot make the folder {}: {error}", folder.display()))?;
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
        beat(&store, cluster.worker()).await
    }
}

/// Serves until it is told to end, and puts a new worker in the place of one that ended.
async fn lead(options: &Serve, cluster: &Cluster, store: &Store<Flags, Action>) -> Result<()> {
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    let mut exits = cluster.exits();
    let mut seen = 0;

    let password = password(&options.link.password_file)?;
    let server = Server::tcp(&options.link.address).login(LOGIN, password);
    let serving = store.create_server(server).await?;
    cluster.fork(options.workers)?;
    writeln!(io::stdout(), "serving at {}", serving.address())?;

    loop {
        tokio::select! {
            _ = interrupted.recv() => break,
            _ = terminated.recv() => break,
            Ok(()) = exits.changed() => {}
        }
        let ended = exits.borrow_and_update()[seen..].to_vec();
        seen += ended.len();
        for WorkerExit { number, pid, .. } in ended {
            warn(&format!("worker {number}, process {pid}, has ended"));
            sleep(BEAT).await; // one that cannot live is not tried without end
            cluster.fork_as(number)?;
        }
    }
    store.close(CLOSE_WITHIN).await?;
    cluster.close().await?;
    Ok(())
}

/// Says each second that this worker lives, until the master is gone: that ends the process.
async fn beat(store: &Store<Flags, Action>, worker: usize) -> Result<()> {
    // A Ctrl-C is sent to the whole group of processes. The master decides what comes of it.
    let _ignored = signal(SignalKind::interrupt())?;
    let _ = writeln!(io::stdout(), "worker {worker} is process {}", process::id());
    let mut beats = interval(BEAT);
    loop {
        beats.tick().await;
        store.ready().await;
        // One that is lost is made good by the next.
        let _ = store.dispatch(Action::Beat { worker }).await;
    }
}

//! Replicas of a log that a broker keeps: the broker orders, and each node applies what it reads.
//!
//! The number of an entry in the log is its position in the history, so a reader sees a gap. The
//! root saves a snapshot now and then, and drops what lies far before it; a reader that finds a
//! gap, or begins far behind, takes the snapshot.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use futures_util::future;
use tokio::sync::{Mutex, mpsc};

use crate::broker::Address;
use crate::replica::{Entry, Replica, Snapshot};

/// The number of actions between two snapshots, and of those kept before one.
const SNAPSHOT_EVERY: u64 = 10_000;

/// The number of entries that are appended together, if so many wait.
pub const APPENDED_MAX: usize = 1024;

/// The pause before a lost connection is made again.
const RECONNECT: Duration = Duration::from_millis(50);

/// A broker's log of one store.
pub trait Log: Sized + Send + 'static {
    /// The side that appends.
    type Writer: Writer;

    /// True if an entry may be appended again if its first answer was lost: the broker drops
    /// duplicates.
    const DEDUPLICATES: bool;

    /// Connects to the log of a store.
    fn connect(
        address: &Address,
        store: &str,
    ) -> impl Future<Output = anyhow::Result<(Self::Writer, Self)>> + Send;

    /// The number of the newest entry; 0 for none.
    fn tail(&mut self) -> impl Future<Output = anyhow::Result<u64>> + Send;

    /// Waits for entries with numbers above `after`. May return none.
    fn read(
        &mut self,
        after: u64,
    ) -> impl Future<Output = anyhow::Result<Vec<(u64, Entry)>>> + Send;

    /// Loads the newest snapshot.
    fn load(&mut self) -> impl Future<Output = anyhow::Result<Option<Snapshot>>> + Send;

    /// Saves a snapshot, and drops the entries before `keep_from`.
    fn save(
        &mut self,
        snapshot: &Snapshot,
        keep_from: u64,
    ) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// The side of a log that appends.
pub trait Writer: Send {
    /// Appends entries, and returns once the broker has confirmed all.
    fn append(&mut self, entries: &[Entry]) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// Keeps a replica in sync for ever. Entries to append come by `outbox`.
pub async fn follow<L: Log>(
    replica: Arc<Replica>,
    address: Arc<Address>,
    outbox: mpsc::Receiver<Entry>,
) {
    // Entries that are not confirmed, oldest first.
    let appending = Mutex::new((outbox, Vec::new()));
    let mut said = String::new();
    loop {
        let Err(why) = session::<L>(&replica, &address, &appending).await else { return };
        let mut appending = appending.lock().await;
        let (outbox, unconfirmed) = &mut *appending;
        if !L::DEDUPLICATES {
            unconfirmed.clear();
        }
        let why = format!("{why:#}");
        if replica.is_connected() || said != why {
            replica.log(format_args!("no connection: {why}"));
        }
        said.clone_from(&why);
        replica.connected(false, unconfirmed, &why);
        while outbox.try_recv().is_ok() {} // they were answered just now
        drop(appending);
        tokio::time::sleep(RECONNECT).await;
    }
}

type Appending = Mutex<(mpsc::Receiver<Entry>, Vec<Entry>)>;

async fn session<L: Log>(
    replica: &Arc<Replica>,
    address: &Address,
    appending: &Appending,
) -> anyhow::Result<()> {
    let (mut writer, mut log) = L::connect(address, &replica.spec.name).await?;
    let tail = log.tail().await?;
    if tail < replica.position() {
        // The broker has lost the end of its log.
        let loaded = log.load().await?.filter(|snapshot| snapshot.position <= tail);
        replica.jump(&loaded.unwrap_or_else(nothing), false)?;
    } else if tail - replica.position() > SNAPSHOT_EVERY
        && let Some(snapshot) = log.load().await?.filter(|s| s.position > replica.position())
    {
        replica.jump(&snapshot, false)?;
    }
    let append = async {
        let mut appending = appending.lock().await;
        let (outbox, unconfirmed) = &mut *appending;
        loop {
            if unconfirmed.is_empty() && outbox.recv_many(unconfirmed, APPENDED_MAX).await == 0 {
                return anyhow::Ok(()); // the node ends
            }
            writer.append(unconfirmed).await?;
            replica.accepted(unconfirmed.drain(..).map(|entry| entry.id));
        }
    };
    let read = async {
        let mut saved = replica.position();
        loop {
            if replica.position() >= tail && !replica.is_connected() {
                replica.connected(true, &[], "");
            }
            let mut entries = log.read(replica.position()).await?;
            if let Some((first, _)) = entries.first()
                && *first != replica.position() + 1
            {
                let snapshot = log.load().await?.context("entries are gone without a snapshot")?;
                ensure!(snapshot.position + 1 >= *first, "the snapshot is too old");
                replica.jump(&snapshot, false)?;
                entries.retain(|(number, _)| *number > snapshot.position);
            }
            let entries: Vec<Entry> = entries.into_iter().map(|(_, entry)| entry).collect();
            replica.apply(&entries, false)?;
            if replica.spec.root && replica.position() - saved >= SNAPSHOT_EVERY {
                let snapshot = replica.snapshot()?;
                saved = snapshot.position;
                log.save(&snapshot, saved.saturating_sub(SNAPSHOT_EVERY)).await?;
            }
        }
    };
    let append = std::pin::pin!(append);
    let read = std::pin::pin!(read);
    match future::select(append, read).await {
        future::Either::Left((ended, _)) => ended,
        future::Either::Right((ended, _)) => ended,
    }
}

fn nothing() -> Snapshot {
    Snapshot { position: 0, last: String::new(), state: Vec::new() }
}

//! A durable server that is killed with `kill -9` again and again while its client dispatches: what
//! the client sends again after each is applied exactly once.
//!
//! This very program is the server, when it is told so by its environment.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use samestate::{
    Backup, ClientConfig, DispatchError, Mode, Reject, ServerConfig, Store, StoreBuilder,
    create_store,
};

const DEADLINE: Duration = Duration::from_secs(60);
const FOLDER: &str = "SAMESTATE_TEST_FOLDER";
const LIVES: usize = 40;
const UNDER_WAY: usize = 32;

type List = Store<Vec<u64>, u64>;

/// Takes numbers that are not divisible by 10.
fn push(list: &mut Vec<u64>, item: &u64) -> Result<(), Reject> {
    if item.is_multiple_of(10) {
        return Err(format!("{item} is divisible by 10").into());
    }
    list.push(*item);
    Ok(())
}

fn list() -> StoreBuilder<Vec<u64>, u64> {
    create_store("list", push).mode(Mode::Action).on_error(|_| {})
}

/// The server: on its backup, until it is killed.
async fn serve(folder: &Path) -> samestate::Result<()> {
    let backup = Backup::at(folder.join("list.backup")).journal_bytes_min(4096);
    let store = list().backup(backup).durable().open().await?;
    store.create_server(ServerConfig::unix(folder.join("socket"))).await?;
    println!("serves");
    std::future::pending().await
}

fn start(folder: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
    let mut child = command.env(FOLDER, folder).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    assert_eq!(lines.next().expect("it goes on").expect("it is text"), "serves");
    child
}

/// The outcomes of the dispatches.
#[derive(Debug, Default)]
struct Outcomes {
    applied: BTreeSet<u64>,
    rejected: BTreeSet<u64>,
    refused: BTreeSet<u64>,
}

/// Dispatches numbers in their order, with many under way, until told to end.
async fn dispatch(store: List, until: Arc<AtomicU64>) -> Outcomes {
    let mut outcomes = Outcomes::default();
    let mut next = 1;
    while until.load(Ordering::Relaxed) == 0 {
        store.ready().await;
        let batch: Vec<u64> = (next..).take(UNDER_WAY).collect();
        next += UNDER_WAY as u64;
        let under_way: Vec<_> = batch.iter().map(|item| store.dispatch(*item)).collect();
        for (item, dispatched) in batch.into_iter().zip(under_way) {
            let outcome = dispatched.await;
            let set = match outcome {
                Ok(_) => &mut outcomes.applied,
                Err(DispatchError::Rejected(why)) => {
                    assert_eq!(why, format!("{item} is divisible by 10"));
                    &mut outcomes.rejected
                }
                Err(DispatchError::NotConnected) => &mut outcomes.refused,
                Err(error) => panic!("{item}: {error}"),
            };
            assert!(set.insert(item));
        }
    }
    outcomes
}

async fn storm(folder: &Path) {
    let mut server = start(folder);
    let client = ClientConfig::unix(folder.join("socket")).backoff_max(Duration::from_millis(20));
    let client = list().client(client).open().await.expect("it is in sync");
    let until = Arc::new(AtomicU64::new(0));
    let storming = tokio::spawn(dispatch(client.clone(), Arc::clone(&until)));
    let mut random = rand_pcg::Pcg64Mcg::seed_from_u64(11);
    let mut versions = client.watch();
    for _ in 0..LIVES {
        // The moment of death is what is drawn.
        let begins = client.version().seq;
        let lives_for = Duration::from_micros(random.random_range(0..15_000));
        let moved = async {
            while client.version().seq == begins {
                versions.changed().await;
            }
        };
        tokio::time::timeout(DEADLINE, moved).await.expect("the client goes on in each life");
        let until = Instant::now() + lives_for;
        while Instant::now() < until {
            tokio::task::yield_now().await;
        }
        server.kill().expect("it runs until it is killed");
        server.wait().expect("it is dead");
        tokio::time::timeout(DEADLINE, client.until_connected(false)).await.expect("it is told");
        let folder = folder.to_path_buf();
        server = tokio::task::spawn_blocking(move || start(&folder)).await.expect("it serves");
        tokio::time::timeout(DEADLINE, client.until_connected(true)).await.expect("in sync");
    }
    until.store(1, Ordering::Relaxed);
    let outcomes = tokio::time::timeout(DEADLINE, storming).await.expect("in time");
    let outcomes = outcomes.expect("no dispatch came to anything else");
    let resent = client.counters().resent;
    client.close(DEADLINE).await.expect("it closes");
    server.kill().expect("it runs");
    server.wait().expect("it is dead");

    let store = list().backup(Backup::at(folder.join("list.backup"))).start().expect("it opens");
    let state = store.state();
    assert!(state.is_sorted(), "the order of the calls");
    let kept: BTreeSet<u64> = state.iter().copied().collect();
    assert_eq!(kept.len(), state.len(), "nothing twice");
    assert_eq!(kept, outcomes.applied, "what was said to apply, and nothing else");
    assert!(resent > LIVES as u64, "only {resent} dispatches were sent again");
    assert!(!outcomes.rejected.is_empty());
    println!(
        "{LIVES} lives, {} applied, {} rejected, {} refused, {resent} sent again",
        outcomes.applied.len(),
        outcomes.rejected.len(),
        outcomes.refused.len()
    );
}

fn main() {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build().expect("a runtime");
    if let Ok(folder) = std::env::var(FOLDER) {
        let outcome = runtime.block_on(serve(Path::new(&folder)));
        std::process::exit(i32::from(outcome.is_err()));
    }
    println!("what a client sends again to a durable server that was killed is applied once");
    let folder = tempfile::tempdir().expect("there is room");
    runtime.block_on(storm(folder.path()));
}

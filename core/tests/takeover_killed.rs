//! A sequencer that is killed with `kill -9` under load, a hundred times, and a standby that takes
//! its place: what had reached the standby is neither lost nor applied twice, and what had not is
//! reported as rolled back, exactly.
//!
//! This very program is that sequencer, when it is told so by its environment.

#[allow(dead_code, reason = "other tests use the rest")]
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rand::{RngExt, SeedableRng};
use samestate::{
    Backup, Change, ClientConfig, DispatchError, Jump, ServerConfig, Store, StoreBuilder, Version,
    create_store,
};
use wire::Wire;

const TAKEOVERS: u64 = 100;
const LANES: u64 = 8;
const PATH: &str = "SAMESTATE_TEST_SOCKET";
const DEADLINE: Duration = Duration::from_secs(30);

type List = Store<Vec<u64>, u64>;

fn list() -> StoreBuilder<Vec<u64>, u64> {
    let push = |list: &mut Vec<u64>, item: &u64| list.push(*item);
    create_store("list", push).on_error(|_| {})
}

fn server(path: &Path) -> ServerConfig {
    ServerConfig::unix(path).login("app", "secret").login_rounds(4096)
}

fn client(paths: &[&Path]) -> ClientConfig {
    let addresses = paths.iter().map(|path| format!("unix:{}", path.display()));
    let client = ClientConfig::tcp(addresses.collect::<Vec<_>>()).login("app", "secret");
    client.backoff_max(Duration::from_millis(20))
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: not within {DEADLINE:?}"),
    }
}

/// The child: a sequencer that lives until it is killed.
async fn sequencer(path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let store = list().open().await?;
    store.create_server(server(path)).await?;
    let tcp = ServerConfig::tcp("127.0.0.1:0").login("app", "secret").login_rounds(4096);
    println!("{}", store.create_server(tcp).await?.address());
    std::future::pending().await
}

/// Starts the child. Returns the port that it listens at, too.
fn start(path: &Path) -> (Child, u16) {
    let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
    let mut child = command.env(PATH, path).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("it is piped"))
        .read_line(&mut line)
        .expect("it says when it is ready");
    let port = line.trim().rsplit(':').next().and_then(|port| port.parse().ok());
    (child, port.unwrap_or_else(|| panic!("it listens at {line:?}")))
}

/// Waits until a store has applied so many more actions.
async fn applies(store: &List, count: u64) {
    let (from, mut changes) = (store.version().seq, store.watch());
    while store.version().seq < from + count {
        within("more actions", changes.changed()).await;
    }
}

/// The outcome of one takeover.
#[derive(Default)]
struct Seen {
    rolled_back: u64,
    unknown: u64,
    longest: Duration,
}

async fn take_over(round: u64, folder: &Path, after: u64, seen: &mut Seen) {
    let [old, new, backup]: [PathBuf; 3] =
        ["old", "new", "backup"].map(|name| folder.join(format!("{round}-{name}")));
    let (mut killed, port) = start(&old);
    // The wire of every other standby stops before the sequencer is killed.
    let wire = Wire::to(port, 10_000_000).await;
    let late = round % 2 == 1;
    let client_of_standby = ClientConfig::tcp(wire.address()).login("app", "secret");
    let standby = list().standby().client(client_of_standby).backup(Backup::at(&backup)).durable();
    let standby = within("the standby", standby.open()).await.expect("it comes in sync");
    standby.create_server(server(&new)).await.expect("it listens");
    let origin = list().client(client(&[&old, &new]));
    let origin = within("the origin", origin.open()).await.expect("it comes in sync");
    let jumps = Arc::<Mutex<Vec<(Jump, Version, Version)>>>::default();
    let told = Arc::clone(&jumps);
    let _subscription = origin.subscribe(move |change| {
        if let Change::Jumped { why, from, to } = change {
            told.lock().push((*why, *from, *to));
        }
    });

    let done = Arc::new(AtomicBool::new(false));
    let ordered = Arc::<Mutex<BTreeMap<u64, Version>>>::default();
    let unknown = Arc::<Mutex<BTreeSet<u64>>>::default();
    let lanes: Vec<_> = (0..LANES)
        .map(|lane| {
            let (origin, done) = (origin.clone(), Arc::clone(&done));
            let (ordered, unknown) = (Arc::clone(&ordered), Arc::clone(&unknown));
            tokio::spawn(async move {
                let mut item = lane;
                while !done.load(Ordering::Relaxed) {
                    match within("a dispatch", origin.dispatch(item)).await {
                        Ok(version) => drop(ordered.lock().insert(item, version)),
                        Err(DispatchError::OutcomeUnknown) => drop(unknown.lock().insert(item)),
                        // It never applies.
                        Err(DispatchError::NotConnected) => {
                            within("a connection", origin.ready()).await;
                            continue;
                        }
                        Err(error) => panic!("{item}: {error}"),
                    }
                    item += LANES;
                }
            })
        })
        .collect();
    applies(&standby, after).await;
    if late {
        wire.set_rate(0);
        applies(&origin, 50).await;
    }
    killed.kill().expect("it runs until it is killed");
    killed.wait().expect("it is dead");
    drop(wire);
    within("the loss", standby.until_connected(false)).await;
    let begun = std::time::Instant::now();
    let began = within("the promotion", standby.promote()).await.expect("it takes over");
    applies(&standby, 100).await;
    seen.longest = seen.longest.max(begun.elapsed());
    done.store(true, Ordering::Relaxed);
    for lane in lanes {
        lane.await.expect("no dispatch fails in another way");
    }

    // They come to one state.
    let (mut changes, version) = (origin.watch(), standby.version());
    while origin.version() != version {
        within("one version", changes.changed()).await;
    }
    assert_eq!(origin.state(), standby.state());
    let state = standby.state();
    let once: BTreeSet<u64> = state.iter().copied().collect();
    assert_eq!(once.len(), state.len(), "round {round}: a dispatch is applied twice");
    // Lost is exactly what was acknowledged past the point at which the standby stood.
    let lost = |at: &Version| at.epoch != version.epoch && at.seq > began.seq;
    for (item, at) in &*ordered.lock() {
        assert_eq!(once.contains(item), !lost(at), "round {round}: {item} at {at}, from {began}");
    }
    let rolled_back: Vec<Version> = ordered.lock().values().copied().filter(lost).collect();
    if let Some(last) = rolled_back.iter().map(|at| at.seq).max() {
        within("the report", async {
            while jumps.lock().is_empty() {
                tokio::task::yield_now().await;
            }
        })
        .await;
        let jumps = jumps.lock();
        let reported = jumps.iter().any(|(why, from, _)| {
            *why == Jump::HistoryLost && from.epoch != version.epoch && from.seq >= last
        });
        assert!(reported, "round {round}: {last} was lost, told {jumps:?}");
    }
    seen.rolled_back += rolled_back.len() as u64;
    seen.unknown += unknown.lock().len() as u64;

    // What it ordered since is in its backup.
    origin.close(DEADLINE).await.expect("it closes");
    standby.close(DEADLINE).await.expect("it closes");
    let again = list().backup(Backup::at(&backup)).open().await.expect("it is restored");
    assert_eq!(again.state(), state);
    again.close(DEADLINE).await.expect("it closes");
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    if let Ok(path) = std::env::var(PATH) {
        let outcome = runtime.block_on(sequencer(Path::new(&path)));
        std::process::exit(i32::from(outcome.is_err()));
    }
    println!("a standby takes the place of a sequencer that is killed");
    let folder = tempfile::tempdir().expect("there is room");
    let mut random = rand_pcg::Pcg64Mcg::seed_from_u64(15);
    let mut seen = Seen::default();
    for round in 0..TAKEOVERS {
        let after = random.random_range(1..400);
        runtime.block_on(take_over(round, folder.path(), after, &mut seen));
    }
    let Seen { rolled_back, unknown, longest } = seen;
    assert!(rolled_back > 0, "no standby was ever behind");
    println!(
        "{TAKEOVERS} takeovers: {rolled_back} rolled back and reported, {unknown} unknown, orders \
         again within {longest:.1?}"
    );
}

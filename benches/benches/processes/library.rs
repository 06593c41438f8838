//! The library: a master and its workers, or a server and its clients, each a process.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use samestate::{ClientConfig, Cluster, DispatchError, Mode, ServerConfig, Store};
use tokio::runtime::{Builder, Runtime};
use tokio::time::{sleep, sleep_until};

use crate::{Figures, Load, System, cpu};

type Tasks = Store<Vec<String>, String>;

/// In a storm, other tasks get a turn after so many dispatches.
const BURST: u64 = 64;

/// After this long without an action, the start is over.
const SETTLE: Duration = Duration::from_millis(400);

/// The article's reducer: a push; past 500, the oldest 100 go first.
#[allow(clippy::ptr_arg, reason = "a reducer takes its action by reference")]
fn ring(state: &mut Vec<String>, action: &String) {
    if state.len() > 500 {
        state.drain(..100);
    }
    state.push(action.clone());
}

fn runtime(system: System) -> Runtime {
    let mut builder = match system {
        System::Multi => Builder::new_multi_thread(),
        _ => Builder::new_current_thread(),
    };
    builder.enable_all().build().expect("a runtime")
}

/// Runs a case, or a worker or a client of it.
pub(crate) fn run(system: System, load: Load, span: Duration, server: Option<&str>) {
    let runtime = runtime(system);
    runtime.block_on(async {
        match (load, server) {
            (Load::Storm { .. }, Some(address)) => client(address).await,
            (Load::Storm { clients }, None) => storm(system, clients, span).await,
            (Load::Idle { workers }, _) => workers_of(workers, None, span).await,
            (Load::Paced { rate, workers }, _) => workers_of(workers, Some(rate), span).await,
        }
    });
}

async fn workers_of(workers: usize, rate: Option<f64>, span: Duration) {
    let cluster = Cluster::join().expect("it joins");
    let store = cluster.create_store("tasks", ring).mode(Mode::Action);
    let store: Tasks = store.open().await.expect("it opens");
    if !cluster.is_master() {
        return cluster.master_gone().await;
    }
    cluster.fork(workers).expect("the workers start");
    let mut pids: Vec<u32> = cluster.workers().into_iter().map(|(_, pid)| pid).collect();
    pids.push(std::process::id());
    until_followed_by(&store, workers).await;
    let (began, before) = (Instant::now(), cpu::of(&pids));
    let actions = match rate {
        None => {
            sleep(span).await;
            0
        }
        Some(rate) => paced(&store, rate, span).await,
    };
    let seconds = began.elapsed().as_secs_f64();
    // The workers apply the last action within this time.
    sleep(Duration::from_millis(20)).await;
    let usage = cpu::of(&pids) - before;
    Figures { actions, seconds, usage }.print();
    cluster.close(Duration::from_secs(5)).await.expect("it closes");
}

async fn paced(store: &Tasks, rate: f64, span: Duration) -> u64 {
    let (began, count) = (tokio::time::Instant::now(), (span.as_secs_f64() * rate) as u64);
    for n in 0..count {
        sleep_until(began + Duration::from_secs_f64(n as f64 / rate)).await;
        store.dispatch(action(n)).await.expect("it is applied");
    }
    count
}

async fn storm(system: System, clients: usize, span: Duration) {
    let cluster = Cluster::alone();
    let store = cluster.create_store("tasks", ring).mode(Mode::Action);
    let store: Tasks = store.open().await.expect("it opens");
    let server = ServerConfig::tcp("127.0.0.1:0");
    let server = store.create_server(server).await.expect("it listens");
    let address = server.address().to_string();
    let mut children: Vec<Child> = (0..clients).map(|_| spawn_client(&address)).collect();
    let mut pids: Vec<u32> = children.iter().map(Child::id).collect();
    pids.push(std::process::id());
    until_followed_by(&store, clients).await;
    let (began, before) = (Instant::now(), cpu::of(&pids));
    let mut actions = 0;
    while began.elapsed() < span {
        for _ in 0..BURST {
            match store.dispatch(action(actions)).await {
                Ok(_) => actions += 1,
                Err(DispatchError::Busy(_)) => store.ready().await,
                Err(error) => panic!("{error}"),
            }
        }
        // On many threads, the tasks of the links have others to run on.
        if system != System::Multi {
            tokio::task::yield_now().await;
        }
    }
    while store.metrics().downstream.iter().any(|link| link.lag_versions != Some(0)) {
        sleep(Duration::from_millis(1)).await;
    }
    let seconds = began.elapsed().as_secs_f64();
    let usage = cpu::of(&pids) - before;
    Figures { actions, seconds, usage }.print();
    for child in &mut children {
        child.kill().expect("it runs");
        child.wait().expect("it ends");
    }
}

fn spawn_client(server: &str) -> Child {
    let program = std::env::current_exe().expect("this program");
    Command::new(program)
        .args(std::env::args_os().skip(1))
        .args(["--server", server])
        .stdout(Stdio::null())
        .spawn()
        .expect("a client starts")
}

async fn client(server: &str) {
    let cluster = Cluster::alone();
    let store = cluster.create_store("tasks", ring).mode(Mode::Action);
    let store: Tasks = store.client(ClientConfig::tcp(server)).open().await.expect("it opens");
    store.until_connected(false).await;
}

/// Waits until so many links are attached, and a moment more.
async fn until_followed_by(store: &Tasks, links: usize) {
    while store.metrics().downstream.iter().filter(|link| link.attached).count() < links {
        sleep(Duration::from_millis(5)).await;
    }
    sleep(SETTLE).await;
}

/// An action of the article's size.
fn action(n: u64) -> String {
    format!("task {n:>16} of the article")
}

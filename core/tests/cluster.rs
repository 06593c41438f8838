//! A master and the workers it forks: real processes, real inherited sockets. Without the usual
//! harness, since a worker runs this very program again.

use std::process::ExitCode;
use std::time::Duration;

use samestate::{Client, Cluster, Mode, Role, Server, Store, WorkerExit, create_store};

const DEADLINE: Duration = Duration::from_secs(20);
const WORKERS: usize = 4;

fn push(list: &mut Vec<u64>, item: &u64) {
    list.push(*item);
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: not within {DEADLINE:?}"),
    }
}

async fn until_len(store: &Store<Vec<u64>, u64>, len: usize) {
    let mut watch = store.watch();
    while store.read(Vec::len) < len {
        watch.changed().await;
    }
}

/// Each worker dispatches its number, waits for all the others' and for the end.
async fn worker(cluster: Cluster) {
    let store = cluster.create_store("list", push).mode(Mode::Action).open().await;
    let store = store.expect("a worker comes in sync with its master");
    assert_eq!(store.role(), [Role::Worker]);
    store.dispatch(cluster.worker() as u64).await.expect("it applies");
    // The master dispatches 0 at the end, and again once it lost and found its server.
    until_len(&store, WORKERS + 1).await;
    if cluster.worker() == WORKERS {
        let done = cluster.create_store("done", push).open().await.expect("it opens");
        becomes_a_client(&store).await;
        done.dispatch(1).await.expect("only the one store left its master");
    }
    cluster.master_gone().await;
}

/// A10: in a worker, `create_client` cuts the store off its master and leaves the role client.
async fn becomes_a_client(store: &Store<Vec<u64>, u64>) {
    let elsewhere = create_store("list", push).mode(Mode::Action).preloaded(vec![77]);
    let elsewhere = elsewhere.open().await.expect("it opens");
    let serving = elsewhere.create_server(Server::tcp("127.0.0.1:0")).await.expect("it listens");
    let there = Client::tcp(serving.address().to_string());
    store.create_client(there).expect("it becomes a client");
    assert_eq!(store.role(), [Role::Client]);
    within("the client comes in sync", store.until_connected(true)).await;
    assert_eq!(*store.state(), [77]);
    elsewhere.dispatch(78).await.expect("it applies");
    within("the other server's action", until_len(store, 2)).await;
}

async fn master(cluster: Cluster) {
    let store = cluster.create_store("list", push).mode(Mode::Action).open().await;
    let store = store.expect("a master is in sync");
    assert_eq!(store.role(), [Role::Master]);
    let done = cluster.create_store("done", push).open().await.expect("it opens");
    cluster.fork(WORKERS).expect("the workers start");
    within("every worker's dispatch", until_len(&store, WORKERS)).await;
    let mut numbers = store.state().to_vec();
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2, 3, 4]);
    store.dispatch(0).await.expect("it applies");
    let killed = a_killed_worker_is_noticed_and_can_be_forked_again(&cluster, &store).await;
    within("the worker that became a client", until_len(&done, 1)).await;
    cluster.close().await.expect("it closes");
    assert_eq!(cluster.workers(), [], "no worker stays behind");
    let exits = cluster.exits().borrow().clone();
    assert_eq!(exits.len(), WORKERS + 1);
    let mut others = exits.iter().filter(|exit| exit.pid != killed);
    assert!(others.all(succeeded), "all but the killed one ended well: {exits:?}");
}

fn succeeded(exit: &WorkerExit) -> bool {
    exit.status.is_some_and(|status| status.success())
}

async fn a_killed_worker_is_noticed_and_can_be_forked_again(
    cluster: &Cluster,
    store: &Store<Vec<u64>, u64>,
) -> u32 {
    let (number, pid) = cluster.workers()[0];
    kill(pid);
    let mut exits = cluster.exits();
    within("the exit", exits.wait_for(|exits| exits.iter().any(|exit| exit.number == number)))
        .await
        .expect("the cluster lives");
    let before = store.read(Vec::len);
    cluster.fork_as(number).expect("it starts again");
    within("the new worker's dispatch", until_len(store, before + 1)).await;
    pid
}

/// As `kill -9` does, which no process can prevent.
fn kill(pid: u32) {
    let (program, option) = if cfg!(windows) { ("taskkill", "/F") } else { ("kill", "-9") };
    let mut command = std::process::Command::new(program);
    if cfg!(windows) {
        command.args([option, "/PID"])
    } else {
        command.arg(option)
    };
    assert!(command.arg(pid.to_string()).status().expect("it starts").success());
}

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let cluster = Cluster::join().expect("it joins");
        match cluster.is_master() {
            true => master(cluster).await,
            false => worker(cluster).await,
        }
    });
    println!("test a01_a_master_and_its_workers_hold_one_state ... ok");
    ExitCode::SUCCESS
}

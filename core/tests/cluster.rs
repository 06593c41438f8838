//! A master and the workers it forks: real processes, real inherited sockets. Without the usual
//! harness, since a worker runs this very program again.

use std::process::ExitCode;
use std::time::Duration;

use samestate::{ClientConfig, Cluster, Mode, Role, ServerConfig, Store, WorkerExit, create_store};

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
    assert_eq!(store.roles(), [Role::Worker]);
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
    let serving =
        elsewhere.create_server(ServerConfig::tcp("127.0.0.1:0")).await.expect("it listens");
    let there = ClientConfig::tcp(serving.address().to_string());
    store.create_client(there).expect("it becomes a client");
    assert_eq!(store.roles(), [Role::Client]);
    within("the client comes in sync", store.until_connected(true)).await;
    assert_eq!(*store.state(), [77]);
    elsewhere.dispatch(78).await.expect("it applies");
    within("the other server's action", until_len(store, 2)).await;
}

async fn master(cluster: Cluster) {
    let store = cluster.create_store("list", push).mode(Mode::Action).open().await;
    let store = store.expect("a master is in sync");
    assert_eq!(store.roles(), [Role::Master]);
    let done = cluster.create_store("done", push).open().await.expect("it opens");
    cluster.fork(WORKERS).expect("the workers start");
    within("every worker's dispatch", until_len(&store, WORKERS)).await;
    let mut numbers = store.state().to_vec();
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2, 3, 4]);
    store.dispatch(0).await.expect("it applies");
    let killed = a_killed_worker_is_noticed_and_can_be_forked_again(&cluster, &store).await;
    within("the worker that became a client", until_len(&done, 1)).await;
    cluster.close(DEADLINE).await.expect("it closes");
    assert_eq!(cluster.workers(), [], "no worker stays behind");
    let exits = exits_of(&cluster);
    assert_eq!(exits.len(), WORKERS + 1);
    let mut others = exits.iter().filter(|exit| exit.pid != killed);
    assert!(others.all(succeeded), "all but the killed one ended well: {exits:?}");
}

/// Returns the workers that have ended so far.
fn exits_of(cluster: &Cluster) -> Vec<WorkerExit> {
    let mut exits = cluster.exits();
    std::iter::from_fn(|| exits.try_next()).collect()
}

/// Waits until the worker with this number has ended.
async fn exit_of(cluster: &Cluster, number: usize) {
    let mut exits = cluster.exits();
    while exits.next().await.number != number {}
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
    within("the exit", exit_of(cluster, number)).await;
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

/// The case that a process of this program is part of; none: the first one.
const CASE_VARIABLE: &str = "SAMESTATE_TEST_CASE";

/// A deploy replaces the file of a program while it runs, or removes it.
#[cfg(target_os = "linux")]
mod deployed {
    use std::env;
    use std::fs;
    use std::process::Command;

    use super::*;

    pub(super) const CASE: &str = "deployed";

    /// Runs [`run`] in a copy of this program that may be replaced.
    pub(super) fn a_master_forks_its_own_program_whatever_became_of_its_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let program = folder.path().join("app");
        fs::copy(this_program(), &program).expect("it is copied");
        let status = Command::new(&program).env(CASE_VARIABLE, CASE).status();
        assert!(status.expect("it starts").success(), "the copy of the program failed");
    }

    fn this_program() -> std::path::PathBuf {
        env::current_exe().expect("this program has a path")
    }

    /// In the copy: its master and its workers.
    pub(super) async fn run(cluster: Cluster) {
        let store = cluster.create_store("list", push).mode(Mode::Action).open().await;
        let store = store.expect("it comes in sync");
        if !cluster.is_master() {
            store.dispatch(cluster.worker() as u64).await.expect("it applies");
            return cluster.master_gone().await;
        }
        let program = this_program();
        cluster.fork_as(1).expect("the program as it was");
        until_dispatched(&store, 1).await;
        let replacement = program.with_extension("new");
        fs::write(&replacement, "another release").expect("it is written");
        fs::rename(&replacement, &program).expect("it is replaced");
        cluster.fork_as(2).expect("the program that was replaced");
        until_dispatched(&store, 2).await;
        fs::remove_file(&program).expect("it is removed");
        cluster.fork_as(3).expect("the program that was removed");
        until_dispatched(&store, 3).await;
        wrapped(&cluster, &store).await;
        cluster.close(DEADLINE).await.expect("it closes");
    }

    /// A debugger, a profiler or a shell starts the worker, and stays its parent.
    async fn wrapped(cluster: &Cluster, store: &Store<Vec<u64>, u64>) {
        let mut shell = Command::new("sh");
        shell.args(["-c", "/proc/$PPID/exe; exit $?"]);
        cluster.fork_command(4, shell).expect("the shell starts");
        until_dispatched(store, 4).await;
    }

    async fn until_dispatched(store: &Store<Vec<u64>, u64>, len: usize) {
        within("the dispatch of a worker", until_len(store, len)).await;
    }
}

/// Runs this program again as the master of a case, and returns what it and its workers printed.
fn run_case(case: &str) -> String {
    let program = std::env::current_exe().expect("this program has a path");
    let mut command = std::process::Command::new(program);
    let output = command.env(CASE_VARIABLE, case).stderr(std::process::Stdio::inherit()).output();
    String::from_utf8(output.expect("it starts").stdout).expect("it prints text")
}

/// The master is killed while its workers dispatch.
mod orphaned {
    use std::sync::Arc;

    use samestate::DispatchError;

    use super::*;

    pub(super) const CASE: &str = "orphaned";

    pub(super) fn what_a_worker_dispatched_is_unknown_at_once_when_its_master_is_gone() {
        let printed = run_case(CASE);
        assert!(printed.contains("all are resolved"), "the worker printed {printed:?}");
    }

    pub(super) async fn run() {
        let cluster = Cluster::join_and_stay().expect("it joins");
        let store = cluster.create_store("list", push).dispatch_deadline(DEADLINE * 10);
        let store = store.open().await.expect("it comes in sync");
        if cluster.is_master() {
            cluster.fork(1).expect("the worker starts");
            within("some load", until_len(&store, 100)).await;
            return kill(std::process::id());
        }
        let store = Arc::new(store);
        let dispatchers: Vec<_> = (0..64)
            .map(|item| {
                let store = Arc::clone(&store);
                tokio::spawn(async move {
                    loop {
                        match store.dispatch(item).await {
                            Ok(_) => {}
                            Err(DispatchError::NotConnected | DispatchError::OutcomeUnknown) => {
                                return;
                            }
                            Err(other) => panic!("{other}"),
                        }
                    }
                })
            })
            .collect();
        within("the master's end", cluster.master_gone()).await;
        for dispatcher in dispatchers {
            within("the end of a dispatch", dispatcher).await.expect("no panic");
        }
        within("a store that nobody orders", store.ready()).await;
        let late = cluster.create_store("late", push).open_timeout(DEADLINE * 10).open();
        let late = within("a store of a master that is gone", late).await;
        assert!(matches!(late, Err(samestate::Error::Refused { .. })), "{late:?}");
        store.close(DEADLINE).await.expect("nothing is under way");
        println!("all are resolved");
    }
}

/// The master closes the cluster while its workers dispatch.
mod closed {
    use super::*;

    pub(super) const CASE: &str = "closed";

    pub(super) fn workers_end_while_their_stores_are_still_in_sync() {
        let printed = run_case(CASE);
        assert!(printed.contains("closed in order"), "the master printed {printed:?}");
    }

    pub(super) async fn run(cluster: Cluster) {
        let store = cluster.create_store("list", push).open().await.expect("it comes in sync");
        match cluster.worker() {
            0 => close(&cluster, &store).await,
            1 => heed(&cluster, &store).await,
            _ => dispatch(&store).await,
        }
    }

    /// It is told, and has time for a last dispatch.
    async fn heed(cluster: &Cluster, store: &Store<Vec<u64>, u64>) {
        let ending = cluster.ending();
        store.dispatch(1).await.expect("it applies");
        within("the end", ending).await;
        assert!(cluster.is_ending() && store.is_connected());
        store.dispatch(77).await.expect("the master still orders");
        cluster.close(DEADLINE).await.expect("all is resolved");
        // It goes on after that, until it returns.
        assert!(!store.is_connected());
    }

    /// It does not know, and is ended between two dispatches.
    async fn dispatch(store: &Store<Vec<u64>, u64>) {
        loop {
            store.dispatch(2).await.expect("it is not cut off in the middle");
        }
    }

    async fn close(cluster: &Cluster, store: &Store<Vec<u64>, u64>) {
        cluster.fork(2).expect("the workers start");
        within("both workers", async {
            let mut watch = store.watch();
            while !store.read(|list| list.contains(&1) && list.contains(&2)) {
                watch.changed().await;
            }
        })
        .await;
        within("the close", cluster.close(DEADLINE * 10)).await.expect("it closes");
        assert!(store.read(|list| list.contains(&77)), "the last dispatch of worker 1");
        let exits = exits_of(cluster);
        assert!(exits.len() == 2 && exits.iter().all(succeeded), "{exits:?}");
        println!("closed in order");
    }
}

/// Wrappers between a master and its workers: some keep the link to themselves.
#[cfg(target_os = "linux")]
mod wrapped {
    use std::process::Command;

    use super::*;

    pub(super) const CASE: &str = "wrapped";

    /// Tells a worker, or what was to be one, from the master of the case.
    const WRAPPED_VARIABLE: &str = "SAMESTATE_TEST_WRAPPED";

    /// Tells what a worker started by itself.
    const HELPER_VARIABLE: &str = "SAMESTATE_TEST_HELPER";

    /// They start this program, `$0`, and one of what they start joins.
    const PASS_IT_ON: [&[&str]; 4] = [
        &["sh", "-c", "\"$0\" & wait"],
        &["sh", "-c", "sh -c '\"$0\"; exit $?' \"$0\"; exit $?"],
        &["timeout", "600"],
        // The second one is refused.
        &["sh", "-c", "\"$0\"& \"$0\"& wait"],
    ];

    /// Nothing of what they start can join.
    const KEEP_IT: [&[&str]; 3] = [
        &["sh", "-c", "exec 3>&-; \"$0\"; exit $?"],
        &["sh", "-c", "\"$0\" 3>&-; exit $?"],
        &["sh", "-c", "exec \"$0\" 3</dev/null"],
    ];

    pub(super) fn a_worker_joins_behind_a_wrapper_or_says_why_it_cannot() {
        let printed = run_case(CASE);
        let count = |words: &str| printed.lines().filter(|line| line.contains(words)).count();
        assert!(printed.contains("all are through"), "{printed}");
        assert_eq!(count("descriptor 3 was not passed on"), KEEP_IT.len(), "{printed}");
        assert_eq!(count("another process has taken it"), 1, "{printed}");
        assert_eq!(count("takes itself for a master"), 0, "{printed}");
        assert_eq!(count("a helper is no worker"), PASS_IT_ON.len(), "{printed}");
    }

    pub(super) async fn run() {
        if std::env::var_os(HELPER_VARIABLE).is_some() {
            assert!(join().is_master());
            return println!("a helper is no worker");
        }
        let is_wrapped = std::env::var_os(WRAPPED_VARIABLE).is_some();
        let cluster = match Cluster::join() {
            Err(error) => return println!("refused: {error}"),
            Ok(cluster) if is_wrapped && cluster.is_master() => {
                return println!("takes itself for a master");
            }
            Ok(cluster) => cluster,
        };
        let store = cluster.create_store("list", push).open().await.expect("it comes in sync");
        let program = std::env::current_exe().expect("this program has a path");
        if is_wrapped {
            let mut helper = Command::new("sh");
            helper.args(["-c", "\"$0\"; exit $?"]).arg(&program).env(HELPER_VARIABLE, "1");
            let status = helper.status();
            assert!(status.expect("it starts").success());
            store.dispatch(cluster.worker() as u64).await.expect("it applies");
            return cluster.master_gone().await;
        }
        let fork = |number: usize, wrapper: &[&str]| {
            let mut command = Command::new(wrapper[0]);
            command.args(&wrapper[1..]).arg(&program).env(WRAPPED_VARIABLE, "1");
            cluster.fork_command(number, command).expect("the wrapper starts");
        };
        for (number, wrapper) in (1..).zip(PASS_IT_ON) {
            fork(number, wrapper);
            within("the dispatch of a worker", until_len(&store, number)).await;
        }
        for (number, wrapper) in (PASS_IT_ON.len() + 1..).zip(KEEP_IT) {
            fork(number, wrapper);
            within("the end of a wrapper", exit_of(&cluster, number)).await;
        }
        cluster.close(DEADLINE).await.expect("it closes");
        println!("all are through");
    }
}

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    match std::env::var(CASE_VARIABLE).as_deref() {
        #[cfg(target_os = "linux")]
        Ok(deployed::CASE) => runtime.block_on(async { deployed::run(join()).await }),
        #[cfg(target_os = "linux")]
        Ok(wrapped::CASE) => runtime.block_on(wrapped::run()),
        Ok(orphaned::CASE) => runtime.block_on(orphaned::run()),
        Ok(closed::CASE) => runtime.block_on(async { closed::run(join()).await }),
        _ => {
            let is_master = runtime.block_on(async {
                let cluster = join();
                let is_master = cluster.is_master();
                match is_master {
                    true => master(cluster).await,
                    false => worker(cluster).await,
                }
                is_master
            });
            if !is_master {
                return ExitCode::SUCCESS;
            }
            println!("test a01_a_master_and_its_workers_hold_one_state ... ok");
            #[cfg(target_os = "linux")]
            deployed::a_master_forks_its_own_program_whatever_became_of_its_file();
            #[cfg(target_os = "linux")]
            println!("test a_master_forks_its_own_program_whatever_became_of_its_file ... ok");
            #[cfg(target_os = "linux")]
            {
                wrapped::a_worker_joins_behind_a_wrapper_or_says_why_it_cannot();
                println!("test a_worker_joins_behind_a_wrapper_or_says_why_it_cannot ... ok");
            }
            orphaned::what_a_worker_dispatched_is_unknown_at_once_when_its_master_is_gone();
            println!(
                "test what_a_worker_dispatched_is_unknown_at_once_when_its_master_is_gone ... ok"
            );
            closed::workers_end_while_their_stores_are_still_in_sync();
            println!("test workers_end_while_their_stores_are_still_in_sync ... ok");
        }
    }
    ExitCode::SUCCESS
}

fn join() -> Cluster {
    Cluster::join().expect("it joins")
}

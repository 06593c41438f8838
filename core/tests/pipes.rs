//! Named pipes of Windows, between stores and between a master and its workers; and what other
//! systems say of them. `scripts/windows` runs this where there is no Windows.

use std::process::Command;
use std::time::Duration;

use samestate::{Cluster, ServerConfig, create_store};

const DEADLINE: Duration = Duration::from_secs(30);

fn push(list: &mut Vec<u64>, item: &u64) {
    list.push(*item);
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: not within {DEADLINE:?}"),
    }
}

/// Returns the command that is forked as a worker: this program, with one test.
fn this_test(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("a path"));
    command.args(["--exact", name, "--ignored", "--nocapture"]);
    command
}

/// A4: only the master serves at a pipe, and the words say what to do instead.
#[tokio::test]
async fn a04_a_worker_cannot_create_a_named_pipe() {
    let cluster = Cluster::alone();
    let said =
        cluster.create_store("said", |said: &mut String, word: &String| *said = word.clone());
    let said = said.open().await.expect("it opens");
    cluster.fork_command(1, this_test("worker_that_would_serve_at_a_pipe")).expect("it starts");
    let mut watch = said.watch();
    within("the worker's words", async {
        while said.read(String::is_empty) {
            watch.changed().await;
        }
    })
    .await;
    assert_eq!(
        *said.state(),
        "worker 1 cannot listen on pipe:samestate-test: on Windows a named pipe belongs to the \
         master; create this server in the master, or serve on TCP"
    );
    cluster.close(DEADLINE).await.expect("it closes");
}

#[tokio::test]
#[ignore = "a worker of the test above"]
async fn worker_that_would_serve_at_a_pipe() {
    let cluster = Cluster::join().expect("it joins");
    let said =
        cluster.create_store("said", |said: &mut String, word: &String| *said = word.clone());
    let said = said.open().await.expect("it opens");
    let served = said.create_server(ServerConfig::pipe("samestate-test")).await;
    let error = served.expect_err("a worker cannot").to_string();
    said.dispatch(error).await.expect("it applies");
    cluster.master_gone().await;
}

#[cfg(not(windows))]
#[tokio::test]
async fn a03_a_system_without_named_pipes_says_what_to_use() {
    let store = create_store("list", push).open().await.expect("it opens");
    let served = store.create_server(ServerConfig::pipe("list")).await.map(|_| ());
    let dialed = store.create_client(samestate::ClientConfig::pipe("list"));
    for refused in [served, dialed] {
        let error: samestate::Error = refused.expect_err("no pipe");
        assert_eq!(
            error.to_string(),
            "pipe:list cannot be used on this system: named pipes are of Windows; write \
             `unix:path`, or `host:port`"
        );
    }
}

#[cfg(windows)]
mod windows {
    use samestate::PeerAddress;
    use samestate::{ClientConfig, Mode, Store, StoreBuilder};

    use super::*;

    type List = Store<Vec<u64>, u64>;

    async fn until_len(store: &List, len: usize) {
        let mut watch = store.watch();
        while store.read(Vec::len) < len {
            watch.changed().await;
        }
    }

    fn list() -> StoreBuilder<Vec<u64>, u64> {
        create_store("list", push).mode(Mode::Action)
    }

    fn name(test: &str) -> String {
        format!("samestate-{}-{test}", std::process::id())
    }

    async fn served(name: &str) -> List {
        let store = list().open().await.expect("it opens");
        let server = ServerConfig::pipe(name).login("app", "secret").login_rounds(4096);
        store.create_server(server).await.expect("it listens");
        store
    }

    async fn client(name: &str) -> List {
        let client = ClientConfig::pipe(name).login("app", "secret");
        within("a client in sync", list().client(client).open()).await.expect("it follows")
    }

    #[tokio::test]
    async fn a03_stores_are_linked_by_a_named_pipe() {
        let name = name("linked");
        let server = served(&name).await;
        let here = client(&name).await;
        here.dispatch(1).await.expect("it applies");
        server.dispatch(2).await.expect("it applies");
        within("both actions", until_len(&here, 2)).await;
        assert_eq!((&*here.state(), &*server.state()), (&vec![1, 2], &vec![1, 2]));

        let as_windows_writes_it =
            ClientConfig::tcp(format!(r"\\.\pipe\{name}")).login("app", "secret");
        let other = list().client(as_windows_writes_it).open();
        let other = within("the same pipe", other).await.expect("it follows");
        assert_eq!(*other.state(), [1, 2]);
    }

    #[tokio::test]
    async fn a_state_of_many_mebibytes_comes_through_both_ways() {
        let name = name("large");
        let server = list().preloaded((0..1_000_000).collect()).open().await.expect("it opens");
        server.create_server(ServerConfig::pipe(&name)).await.expect("it listens");
        let client = list().client(ClientConfig::pipe(&name)).open();
        let client = within("a large snapshot", client).await.expect("it follows");
        for outcome in within("many", client.dispatch_many(0..10_000)).await {
            outcome.expect("it applies");
        }
        assert!(*client.state() == *server.state());
    }

    #[tokio::test]
    async fn thirty_clients_find_an_instance_each() {
        let name = name("many");
        let server = served(&name).await;
        let joining: Vec<_> = (0..30)
            .map(|number| {
                let name = name.clone();
                tokio::spawn(async move {
                    let store = client(&name).await;
                    store.dispatch(number).await.expect("it applies");
                    store
                })
            })
            .collect();
        for joined in joining {
            let store = joined.await.expect("no panic");
            within("all thirty", until_len(&store, 30)).await;
            assert_eq!(store.state(), server.state());
        }
    }

    /// Returns the error that a client gets that tries once.
    async fn told(client: ClientConfig) -> String {
        let (sender, mut errors) = tokio::sync::mpsc::unbounded_channel();
        let store =
            list().on_error(move |event| drop(sender.send(event.to_string()))).client(client);
        let store = store.start().expect("it starts");
        let told = within("a refusal", errors.recv()).await.expect("it is said");
        store.close(DEADLINE).await.expect("it closes");
        told
    }

    #[tokio::test]
    async fn a05_five_wrong_passwords_lock_the_user_of_a_pipe_out() {
        let name = name("locked");
        let store = list().open().await.expect("it opens");
        let config = ServerConfig::pipe(&name).login("app", "secret").login_rounds(4096);
        let serving = store.create_server(config).await.expect("it listens");
        for _ in 0..5 {
            let refused = told(ClientConfig::pipe(&name).login("app", "wrong")).await;
            assert!(refused.contains("refuses login"), "{refused}");
        }
        let locked = told(ClientConfig::pipe(&name).login("app", "secret")).await;
        assert!(locked.contains("locked out"), "{locked}");
        let who: Vec<_> = serving.locked().iter().map(|locked| locked.address).collect();
        assert_eq!(who, [PeerAddress::Pipe]);
        assert!(serving.unlock(PeerAddress::Pipe));
        client(&name).await;
    }

    #[tokio::test]
    async fn a08_a_client_finds_the_server_that_comes_back_to_the_pipe() {
        let name = name("again");
        let first = served(&name).await;
        let follower = client(&name).await;
        first.close(DEADLINE).await.expect("it closes");
        within("the loss", follower.until_connected(false)).await;
        let second = served(&name).await;
        within("the way back", follower.until_connected(true)).await;
        second.dispatch(7).await.expect("it applies");
        within("the action", until_len(&follower, 1)).await;
    }

    #[tokio::test]
    async fn a_pipe_that_another_process_serves_is_an_error() {
        let name = name("taken");
        let _server = served(&name).await;
        let taken = taken_elsewhere(&name).await;
        assert!(
            taken.contains("a server answers there; stop it, or choose another path"),
            "{taken}"
        );
    }

    /// Returns the error of a process that tries to serve at the same pipe.
    async fn taken_elsewhere(name: &str) -> String {
        let mut command = this_test("windows::process_that_would_serve_there_too");
        command.env("SAMESTATE_TEST_PIPE", name);
        let output = tokio::process::Command::from(command).output();
        let output = within("the other process", output).await.expect("it runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    #[tokio::test]
    #[ignore = "a process of the test above"]
    async fn process_that_would_serve_there_too() {
        let name = std::env::var("SAMESTATE_TEST_PIPE").expect("a name");
        let store = list().open().await.expect("it opens");
        let served = store.create_server(ServerConfig::pipe(name)).await;
        println!("{}", served.expect_err("it is taken"));
    }

    /// A1, A3: without sockets to inherit, master and workers are linked by pipes.
    #[tokio::test]
    async fn a01_a_master_and_its_workers_hold_one_state() {
        const WORKERS: usize = 3;
        let cluster = Cluster::alone();
        let store = cluster.create_store("list", push).open().await.expect("it opens");
        let fork = |number| cluster.fork_command(number, this_test("windows::worker_of_a_cluster"));
        (1..=WORKERS).for_each(|number| fork(number).expect("it starts"));
        within("each worker's action", until_len(&store, WORKERS)).await;
        store.dispatch(0).await.expect("it applies");
        // Each says what it holds then.
        within("each worker's state", until_len(&store, 2 * WORKERS + 1)).await;
        let state = store.state();
        let mut numbers = state[..WORKERS].to_vec();
        numbers.sort_unstable();
        assert_eq!(numbers, [1, 2, 3]);
        assert_eq!(state[WORKERS], 0);
        let sum = state[..=WORKERS].iter().rev().fold(0, |sum, item| sum * 10 + item);
        assert!(state[WORKERS + 1..].iter().all(|held| *held == sum), "{state:?}");

        cluster.close(DEADLINE).await.expect("it closes");
        let mut stream = cluster.exits();
        let exits: Vec<_> = std::iter::from_fn(|| stream.try_next()).collect();
        assert_eq!(exits.len(), WORKERS);
        assert!(exits.iter().all(|exit| exit.status.is_some_and(|status| status.success())));
    }

    #[tokio::test]
    #[ignore = "a worker of the test above"]
    async fn worker_of_a_cluster() {
        const WORKERS: usize = 3;
        let cluster = Cluster::join().expect("it joins");
        let store = cluster.create_store("list", push).open().await.expect("it follows");
        store.dispatch(cluster.worker() as u64).await.expect("it applies");
        until_len(&store, WORKERS + 1).await;
        let sum =
            store.read(|list| list[..=WORKERS].iter().rev().fold(0, |sum, item| sum * 10 + item));
        store.dispatch(sum).await.expect("it applies");
        // What a worker starts is a cluster of its own.
        assert!(Cluster::join().expect("it joins").is_master());
        cluster.master_gone().await;
    }
}

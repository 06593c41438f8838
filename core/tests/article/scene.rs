//! Clusters of real processes inside a test, and what tests wait for.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use samestate::{ClientConfig, Cluster, Mode, ServerConfig, Store, StoreBuilder, create_store};

/// The longest time that a test waits for an event.
pub(super) const DEADLINE: Duration = Duration::from_secs(20);

/// The environment variable that names the folder of a test's sockets to its workers.
const FOLDER: &str = "SAMESTATE_ARTICLE_FOLDER";

pub(super) type List = Store<Vec<u64>, u64>;

pub(super) fn push(list: &mut Vec<u64>, item: &u64) {
    list.push(*item);
}

/// A list in mode action, in a process by itself, that keeps its troubles to itself.
pub(super) fn list() -> StoreBuilder<Vec<u64>, u64> {
    create_store("list", push).mode(Mode::Action).on_error(|_| {})
}

pub(super) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: not within {DEADLINE:?}"),
    }
}

/// Waits until the store holds what is wanted.
pub(super) async fn until(what: &str, store: &List, wanted: impl Fn(&Vec<u64>) -> bool) {
    let mut watch = store.watch();
    let reached = async {
        while !store.read(&wanted) {
            watch.changed().await;
        }
    };
    if tokio::time::timeout(DEADLINE, reached).await.is_err() {
        panic!("{what}: not within {DEADLINE:?}; the list is {:?}", store.state());
    }
}

/// A place for a socket, in a folder that goes with it.
pub(super) struct Place(tempfile::TempDir);

impl Place {
    pub(super) fn new() -> Self {
        Place(tempfile::tempdir().expect("a temporary folder"))
    }

    pub(super) fn path(&self) -> PathBuf {
        self.0.path().join("s")
    }

    pub(super) fn server(&self) -> ServerConfig {
        ServerConfig::path(self.path()).login("app", "secret").login_rounds(4096)
    }

    pub(super) fn client(&self) -> ClientConfig {
        client(&self.path())
    }
}

/// A client of the socket at this path that does not wait long between its attempts.
pub(super) fn client(path: &Path) -> ClientConfig {
    ClientConfig::path(path).login("app", "secret").backoff_max(Duration::from_millis(200))
}

/// One process of a test's cluster.
pub(super) struct Scene {
    pub(super) cluster: Cluster,
    /// For the sockets of the test.
    pub(super) folder: PathBuf,
    /// The reports of the workers, by number.
    said: Store<Vec<(usize, String)>, (usize, String)>,
}

impl Scene {
    /// A store of the cluster.
    pub(super) fn list(&self) -> StoreBuilder<Vec<u64>, u64> {
        self.cluster.create_store("list", push).mode(Mode::Action).on_error(|_| {})
    }

    pub(super) fn worker(&self) -> usize {
        self.cluster.worker()
    }

    /// A worker tells its master that it has come this far.
    pub(super) async fn say(&self, words: impl Into<String>) {
        let said = self.said.dispatch((self.worker(), words.into())).await;
        said.expect("the master listens");
    }

    /// The master waits until so many workers have said this.
    pub(super) async fn heard(&self, words: &str, workers: usize) {
        let mut watch = self.said.watch();
        let count = || self.said.read(|said| said.iter().filter(|said| said.1 == words).count());
        let all = async {
            while count() < workers {
                watch.changed().await;
            }
        };
        if tokio::time::timeout(DEADLINE, all).await.is_err() {
            let said = self.said.state();
            panic!("{workers} workers say `{words}`: not within {DEADLINE:?}; heard {said:?}");
        }
    }
}

/// Plays a test of one cluster: `master` here, `worker` in each of the workers, which are this
/// program again, told to run the test of this name alone. Workers live, and hold the stores that
/// `worker` returned, until the master has ended; all of them have to end well.
pub(super) fn play<M, W>(
    test: &str,
    workers: usize,
    master: impl FnOnce(Scene) -> M,
    worker: impl FnOnce(Scene) -> W,
) where
    M: Future<Output = ()>,
    W: Future,
{
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let cluster = Cluster::join().expect("it joins");
        let said = cluster
            .create_store("said", |said: &mut Vec<_>, words: &(usize, String)| {
                said.push(words.clone());
            })
            .mode(Mode::Action)
            .on_error(|_| {});
        let said = said.open().await.expect("it opens");
        if let Some(folder) = std::env::var_os(FOLDER).filter(|_| !cluster.is_master()) {
            let scene = Scene { cluster: cluster.clone(), folder: folder.into(), said };
            let _stores = worker(scene).await;
            return cluster.master_gone().await;
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        for number in 1..=workers {
            let mut command = Command::new(std::env::current_exe().expect("this program"));
            command.args([test, "--exact", "--nocapture", "--test-threads=1"]);
            command.env(FOLDER, folder.path()).stdout(Stdio::null());
            cluster.fork_command(number, command).expect("the worker starts");
        }
        let scene = Scene { cluster: cluster.clone(), folder: folder.path().to_owned(), said };
        master(scene).await;
        assert_eq!(cluster.exits().try_next(), None, "a worker ended before its master");
        cluster.close(DEADLINE).await.expect("it closes");
        let mut exits = cluster.exits();
        while let Some(exit) = exits.try_next() {
            assert!(exit.status.is_some_and(|status| status.success()), "{exit:?}");
        }
    });
}

/// Declares a test of one cluster: its name, how many workers, what the master and the workers do.
macro_rules! cluster_test {
    ($name:ident, $workers:expr, $master:expr, $worker:expr) => {
        #[test]
        fn $name() {
            let path = concat!(module_path!(), "::", stringify!($name));
            let test = path.split_once("::").map_or(path, |(_, test)| test);
            crate::scene::play(test, $workers, $master, $worker);
        }
    };
}
pub(super) use cluster_test;

//! A store that is served, a good client that goes on dispatching, and what is reported.

use std::path::PathBuf;
use std::time::Duration;

use samestate::{
    ClientConfig, Event, Mode, Reject, ServerConfig, Store, StoreBuilder, create_store,
};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::peer::{Peer, Session};

pub(super) const STORE: &str = "list";
pub(super) const LOGIN: &str = "app";
pub(super) const PASSWORD: &str = "secret";

/// Refused by the reducer.
pub(super) const REFUSED: u32 = 0;
/// The reducer panics.
pub(super) const DEADLY: u32 = 13;
/// The first of the good client's actions.
const GOOD: u32 = 1_000_000;

const DEADLINE: Duration = Duration::from_secs(10);
/// The interval between the good client's dispatches.
const EVERY: Duration = Duration::from_millis(2);
/// The number of dispatches that the good client makes after the attack.
const AFTERWARDS: usize = 10;

pub(super) type List = Store<Vec<u32>, u32>;

pub(super) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("it happens in time")
}

fn push(list: &mut Vec<u32>, item: &u32) -> Result<(), Reject> {
    match *item {
        REFUSED => Err("zero is not taken".into()),
        DEADLY => panic!("thirteen"),
        item => {
            list.push(item);
            Ok(())
        }
    }
}

pub(super) fn list() -> StoreBuilder<Vec<u32>, u32> {
    create_store(STORE, push).mode(Mode::Action).on_error(|_| {})
}

/// The reports of a store, as they come.
pub(super) struct Reports(mpsc::UnboundedReceiver<String>);

impl Reports {
    /// A place for reports, and who puts them there: for `on_error`.
    pub(super) fn new() -> (Self, impl Fn(&Event) + Send + Sync + 'static) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Reports(receiver), move |event: &Event| drop(sender.send(event.to_string())))
    }

    /// Waits for a report with these words.
    pub(super) async fn say(&mut self, words: &str) -> String {
        let mut passed = Vec::new();
        let found = tokio::time::timeout(DEADLINE, async {
            loop {
                let text = self.0.recv().await.expect("the store lives");
                if text.contains(words) {
                    return text;
                }
                passed.push(text);
            }
        });
        let found = found.await;
        found.unwrap_or_else(|_| panic!("nobody reports {words:?}, but {passed:?}"))
    }
}

/// A folder for a socket, gone with it.
pub(super) struct Place(tempfile::TempDir);

impl Place {
    pub(super) fn new() -> Self {
        Place(tempfile::tempdir().expect("a temporary folder"))
    }

    pub(super) fn path(&self) -> PathBuf {
        self.0.path().join("s")
    }

    pub(super) fn server(&self) -> ServerConfig {
        ServerConfig::unix(self.path()).login(LOGIN, PASSWORD).login_rounds(4096)
    }

    pub(super) fn client(&self) -> ClientConfig {
        ClientConfig::unix(self.path())
            .login(LOGIN, PASSWORD)
            .backoff_max(Duration::from_millis(50))
    }
}

/// A server, and a good client that dispatches all the time.
pub(super) struct Scene {
    pub(super) server: List,
    pub(super) reports: Reports,
    pub(super) place: Place,
    good: Good,
}

impl Scene {
    pub(super) async fn new() -> Self {
        let place = Place::new();
        let options = place.server();
        Scene::with(place, list(), options).await
    }

    /// With this store, served so.
    pub(super) async fn with(
        place: Place,
        store: StoreBuilder<Vec<u32>, u32>,
        options: ServerConfig,
    ) -> Self {
        let (reports, on_error) = Reports::new();
        let server = store.on_error(on_error).open().await.expect("it opens");
        server.create_server(options).await.expect("it listens");
        let good = Good::start(list().client(place.client())).await;
        Scene { server, reports, place, good }
    }

    pub(super) async fn stranger(&self) -> Peer {
        Peer::connect(&self.place.path()).await
    }

    pub(super) async fn guest(&self) -> Peer {
        Peer::guest(&self.place.path()).await
    }

    pub(super) async fn dispatcher(&self) -> (Peer, Session) {
        Peer::dispatcher(&self.place.path()).await
    }

    /// Ends it: all that the good client dispatched was `Ok` and is there, on both sides, once.
    /// What others got in is returned.
    pub(super) async fn end_undisturbed(self) -> Vec<u32> {
        let (client, dispatched) = self.good.stop().await;
        same(&self.server, &client).await;
        let state = self.server.state();
        let (good, others): (Vec<u32>, Vec<u32>) = state.iter().partition(|item| **item >= GOOD);
        assert_eq!(good, dispatched);
        others
    }
}

/// Waits until two stores are at one version, and compares them.
pub(super) async fn same(one: &List, other: &List) {
    let (mut one_changes, mut other_changes) = (one.watch(), other.watch());
    within(async {
        while one.version() != other.version() {
            tokio::select! {
                _ = one_changes.changed() => {},
                _ = other_changes.changed() => {},
            }
        }
    })
    .await;
    assert_eq!(one.state(), other.state());
}

/// A client that dispatches all the time, and is answered `Ok` all the time.
pub(super) struct Good {
    stop: oneshot::Sender<()>,
    task: JoinHandle<(List, Vec<u32>)>,
}

impl Good {
    pub(super) async fn start(client: StoreBuilder<Vec<u32>, u32>) -> Self {
        let client = client.open().await.expect("it comes in sync");
        let (stop, mut stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            let mut dispatched = Vec::new();
            let mut pace = tokio::time::interval(EVERY);
            let mut left = usize::MAX;
            while left > 0 {
                tokio::select! {
                    _ = pace.tick() => left = left.saturating_sub(1),
                    _ = &mut stopped, if left > AFTERWARDS => left = AFTERWARDS,
                }
                let item = GOOD + dispatched.len() as u32;
                let outcome = within(client.dispatch(item)).await;
                outcome.expect("the good client is not disturbed");
                dispatched.push(item);
            }
            (client, dispatched)
        });
        Good { stop, task }
    }

    /// Stops the client and returns what it dispatched until now.
    pub(super) async fn stop(self) -> (List, Vec<u32>) {
        // An error means that it has panicked, which the next line shows.
        let _ = self.stop.send(());
        within(self.task).await.expect("it was not disturbed")
    }
}

//! A program reacts to the events of its stores by their kinds, over real sockets.

use std::path::PathBuf;
use std::time::Duration;

use samestate::{
    Address, ClientConfig, Event, EventKind, Mode, RefusalReason, Resync, ServerConfig,
    StoreBuilder, create_store,
};
use tokio::sync::mpsc;

const DEADLINE: Duration = Duration::from_secs(20);

fn push(list: &mut Vec<u64>, item: &u64) {
    list.push(*item);
}

fn list() -> StoreBuilder<Vec<u64>, u64> {
    create_store("list", push).mode(Mode::Action).on_error(|_| {})
}

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Place(tempfile::tempdir().expect("there is room"))
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("s")
    }

    fn server(&self) -> ServerConfig {
        ServerConfig::path(self.path())
    }

    fn client(&self) -> ClientConfig {
        ClientConfig::path(self.path()).backoff_max(Duration::from_millis(50))
    }
}

/// The events of a store, as they come.
struct Events(mpsc::UnboundedReceiver<Event>);

impl Events {
    fn of(builder: StoreBuilder<Vec<u64>, u64>) -> (StoreBuilder<Vec<u64>, u64>, Self) {
        let (sender, events) = mpsc::unbounded_channel();
        (builder.on_error(move |event| drop(sender.send(event.clone()))), Events(events))
    }

    /// Waits for the first event of which `pick` makes something.
    async fn first<T>(&mut self, pick: impl Fn(&EventKind) -> Option<T>) -> (Event, T) {
        let picked = async {
            loop {
                let event = self.0.recv().await.expect("the store lives");
                if let Some(picked) = pick(event.kind()) {
                    return (event, picked);
                }
            }
        };
        tokio::time::timeout(DEADLINE, picked).await.expect("it is reported in time")
    }
}

#[tokio::test]
async fn a_program_reacts_to_a_divergence_by_its_version() {
    let place = Place::new();
    let checked = |builder: StoreBuilder<Vec<u64>, u64>| {
        builder
            .mode(Mode::Action)
            .resync(Resync::Verify(1))
            .configure(|config| config.verify_budget = 1.0)
    };
    let server = checked(list()).open().await.expect("it opens");
    server.create_server(place.server()).await.expect("it listens");
    let wrong = |list: &mut Vec<u64>, item: &u64| list.push(item + 1);
    let (client, mut events) = Events::of(checked(create_store("list", wrong)));
    let client = client.client(place.client()).open().await.expect("it is in sync");

    let version = server.dispatch(1).await.expect("it applies");
    let diverged = |kind: &EventKind| match kind {
        EventKind::Diverged { version } => Some(*version),
        _ => None,
    };
    let (event, at) = events.first(diverged).await;
    assert_eq!((event.store(), event.node(), at), ("list", client.node(), version));
    assert!(event.to_string().contains("differs from the sequencer's"), "{event}");
}

#[tokio::test]
async fn a_program_reacts_to_a_refused_login_at_both_ends() {
    let place = Place::new();
    let (server, mut at_server) = Events::of(list());
    let server = server.open().await.expect("it opens");
    let logins = place.server().login("app", "secret").login_rounds(4096);
    server.create_server(logins).await.expect("it listens");
    let (client, mut at_client) = Events::of(list());
    let wrong = place.client().login("app", "guess").retry_refused_after(Duration::from_millis(10));
    let client = client.client(wrong).start().expect("it starts");

    let refused = |kind: &EventKind| match kind {
        EventKind::ConnectFailed { refusal: Some(RefusalReason::Login), address, retry_in } => {
            Some((address.clone(), *retry_in))
        }
        _ => None,
    };
    let (event, (address, retry_in)) = at_client.first(refused).await;
    assert_eq!(address, Address::path(place.path()));
    assert_eq!(retry_in, Duration::from_millis(10));
    assert!(event.to_string().contains("refuses login \"app\""), "{event}");
    // The fifth failure locks the client's address out.
    let locked_out = |kind: &EventKind| match kind {
        EventKind::ClientRefused { address, reason, locked_out } => {
            assert_eq!(*reason, Some(RefusalReason::Login));
            locked_out.map(|locked_out| (locked_out.address, *address))
        }
        _ => None,
    };
    let (_, (locked_out, address)) = at_server.first(locked_out).await;
    assert_eq!(locked_out, address);
    drop(client);
}

#[tokio::test]
async fn a_program_reacts_to_a_lost_history_by_its_versions() {
    let place = Place::new();
    let server = list().open().await.expect("it opens");
    server.create_server(place.server()).await.expect("it listens");
    let (client, mut events) = Events::of(list());
    let client = client.client(place.client()).open().await.expect("it is in sync");
    let applied = client.dispatch(1).await.expect("it applies");
    server.close(DEADLINE).await.expect("it closes");

    let (_, address) = events
        .first(|kind| match kind {
            EventKind::Disconnected { address, refusal: None, .. } => Some(address.clone()),
            _ => None,
        })
        .await;
    assert_eq!(address, Address::path(place.path()));
    // A new sequencer, without a backup.
    let server = list().open().await.expect("it opens");
    server.create_server(place.server()).await.expect("it listens");
    let lost = |kind: &EventKind| match kind {
        EventKind::HistoryLost { from, to } => Some((*from, *to)),
        _ => None,
    };
    let (_, (from, to)) = events.first(lost).await;
    assert_eq!((from, to.seq), (applied, 0));
}

#[tokio::test]
async fn a_program_reacts_to_another_schema_at_both_ends() {
    let place = Place::new();
    let (server, mut at_server) = Events::of(list());
    let server = server.open().await.expect("it opens");
    server.create_server(place.server()).await.expect("it listens");
    let (client, mut at_client) = Events::of(list().schema_version(2));
    let client = client.client(place.client()).start().expect("it starts");

    let refused = |kind: &EventKind| match kind {
        EventKind::Disconnected { refusal, .. } | EventKind::LinkCut { refusal, .. } => *refusal,
        EventKind::FollowerRefused { reason } => Some(*reason),
        _ => None,
    };
    assert_eq!(at_client.first(refused).await.1, RefusalReason::Schema);
    assert_eq!(at_server.first(refused).await.1, RefusalReason::Schema);
    drop(client);
}

#[tokio::test]
async fn a_program_reacts_to_a_panic_of_its_subscriber() {
    let (store, mut events) = Events::of(list());
    let store = store.open().await.expect("it opens");
    store.subscribe(|_| panic!("a bug of the program")).forever();
    store.dispatch(1).await.expect("it applies");
    let panicked = |kind: &EventKind| matches!(kind, EventKind::SubscriberPanicked).then_some(());
    let (event, ()) = events.first(panicked).await;
    assert_eq!(event.to_string(), "a subscriber of store `list` panicked");
}

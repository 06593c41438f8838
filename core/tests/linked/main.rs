//! Stores linked over real sockets: servers, clients, relays, roles, reconnects.

mod addresses;
#[path = "../ports/mod.rs"]
mod ports;
mod several;
mod slow;
mod superseded;
mod takeover;
#[path = "../wire/mod.rs"]
mod wire;

use std::sync::Arc;
use std::time::Duration;

use samestate::{
    Change, ClientConfig, Error, Jump, Mode, Resync, Role, ServerConfig, Store, StoreBuilder,
    create_store,
};

use ports::free_port;
use samestate::Address;
use wire::Wire;

const DEADLINE: Duration = Duration::from_secs(10);

fn push(list: &mut Vec<u32>, item: &u32) {
    list.push(*item);
}

fn list() -> StoreBuilder<Vec<u32>, u32> {
    create_store("list", push).mode(Mode::Action).on_error(|_| {})
}

/// A socket path of its own, in a folder that goes with it.
struct Path(tempfile::TempDir);

impl Path {
    fn new() -> Self {
        Path(tempfile::tempdir().expect("a temporary folder"))
    }

    fn server(&self) -> ServerConfig {
        ServerConfig::path(self.0.path().join("s")).login("app", "secret").login_rounds(4096)
    }

    fn client(&self) -> ClientConfig {
        ClientConfig::path(self.0.path().join("s"))
            .login("app", "secret")
            .backoff_max(Duration::from_millis(200))
    }
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("it happens in time")
}

/// Waits until a store holds what another does.
async fn same(one: &Store<Vec<u32>, u32>, other: &Store<Vec<u32>, u32>) {
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

#[tokio::test]
async fn a07_a_client_holds_what_its_server_holds_and_dispatches_to_it() {
    let path = Path::new();
    let server = list().preloaded(vec![1]).open().await.expect("it opens");
    server.create_server(path.server()).await.expect("it listens");
    let client = list().client(path.client()).open().await.expect("it comes in sync");
    assert_eq!(*client.state(), [1]);
    client.dispatch(2).await.expect("it applies");
    assert_eq!(*client.state(), [1, 2], "a client reads its own writes");
    server.dispatch(3).await.expect("it applies");
    same(&server, &client).await;
    assert_eq!((server.roles(), client.roles()), (vec![Role::Server], vec![Role::Client]));
}

#[tokio::test]
async fn a03_the_same_over_tcp() {
    let server = list().open().await.expect("it opens");
    let port = free_port();
    let address = format!("127.0.0.1:{port}");
    server
        .create_server(ServerConfig::tcp(&address).login("a", "b").login_rounds(4096))
        .await
        .expect("it listens");
    let client = ClientConfig::tcp(&address).login("a", "b");
    let client = list().client(client).open().await.expect("it comes in sync");
    let outcomes = client.dispatch_many(0..1000).await;
    assert!(outcomes.iter().all(Result::is_ok));
    same(&server, &client).await;
    assert_eq!(server.state().len(), 1000);
}

#[tokio::test]
async fn a10_a_relay_is_client_and_server_and_passes_dispatches_both_ways() {
    let (upper, lower) = (Path::new(), Path::new());
    let root = list().open().await.expect("it opens");
    root.create_server(upper.server()).await.expect("it listens");
    let relay = list().client(upper.client()).open().await.expect("it comes in sync");
    relay.create_server(lower.server()).await.expect("it listens");
    let leaf = list().client(lower.client()).open().await.expect("it comes in sync");
    assert_eq!(relay.roles(), [Role::Server, Role::Client]);
    leaf.dispatch(1).await.expect("it applies");
    relay.dispatch(2).await.expect("it applies");
    root.dispatch(3).await.expect("it applies");
    same(&root, &leaf).await;
    same(&root, &relay).await;
    assert_eq!(*leaf.state(), [1, 2, 3]);
}

#[tokio::test]
async fn a09_connected_goes_false_behind_a_relay_that_lost_its_server_and_comes_back() {
    let (upper, lower) = (Path::new(), Path::new());
    let root = list().open().await.expect("it opens");
    root.create_server(upper.server()).await.expect("it listens");
    let relay = list().client(upper.client()).open().await.expect("it comes in sync");
    relay.create_server(lower.server()).await.expect("it listens");
    let leaf = list().client(lower.client()).open().await.expect("it comes in sync");
    root.close(DEADLINE).await.expect("it closes");
    drop(root);
    within(leaf.until_connected(false)).await;
    let root = list().open().await.expect("it opens");
    root.create_server(upper.server()).await.expect("it listens");
    within(leaf.until_connected(true)).await;
    leaf.dispatch(1).await.expect("it applies");
    same(&root, &leaf).await;
}

#[tokio::test]
async fn a10_a_store_with_a_history_becomes_a_client_and_says_rebased_once() {
    let path = Path::new();
    let server = list().preloaded(vec![1]).open().await.expect("it opens");
    server.create_server(path.server()).await.expect("it listens");
    let store = list().preloaded(vec![9]).open().await.expect("it opens");
    store.dispatch(9).await.expect("it applies");
    let (sender, mut jumps) = tokio::sync::mpsc::unbounded_channel();
    let _subscription = store.subscribe(move |change| {
        if let Change::Jumped { why, .. } = change {
            let _ = sender.send(*why);
        }
    });
    store.create_client(path.client()).expect("it becomes a client");
    assert!(!store.is_connected(), "it stops ordering at the call");
    within(store.until_connected(true)).await;
    assert_eq!(*store.state(), [1]);
    assert_eq!(within(jumps.recv()).await, Some(Jump::Rebased));
    assert!(jumps.try_recv().is_err(), "once");
    let again = store.create_client(path.client());
    assert!(matches!(again, Err(Error::AlreadyClient(name)) if name == "list"));
}

#[tokio::test]
async fn a05_a_wrong_password_is_refused_and_said_once() {
    let path = Path::new();
    let server = list().open().await.expect("it opens");
    server.create_server(path.server()).await.expect("it listens");
    let (sender, mut errors) = tokio::sync::mpsc::unbounded_channel();
    let client = list()
        .on_error(move |event| drop(sender.send(event.to_string())))
        .client(path.client().login("app", "wrong"))
        .start()
        .expect("it starts");
    let error = within(errors.recv()).await.expect("it is said");
    assert!(error.contains("refuses login"), "{error}");
    assert!(!client.is_connected());
}

#[tokio::test]
async fn a12_in_mode_snapshot_the_newest_state_arrives_and_dispatches_are_answered() {
    let path = Path::new();
    let server = list().mode(Mode::Snapshot).open().await.expect("it opens");
    server.create_server(path.server()).await.expect("it listens");
    let client = list().client(path.client()).open().await.expect("it comes in sync");
    let outcomes = within(client.dispatch_many(0..200)).await;
    assert!(outcomes.iter().all(Result::is_ok), "a node fed by snapshots gets answers too");
    same(&server, &client).await;
}

#[tokio::test]
async fn a13_both_forms_of_resync_leave_the_copies_the_same() {
    for resync in [Resync::Verify(10), Resync::Snapshot(10), Resync::Off] {
        let path = Path::new();
        let server = list().resync(resync).open().await.expect("it opens");
        server.create_server(path.server()).await.expect("it listens");
        let client = list().client(path.client()).open().await.expect("it comes in sync");
        for item in 0..50 {
            client.dispatch(item).await.expect("it applies");
        }
        same(&server, &client).await;
        assert_eq!(client.counters().divergences, 0);
        let resyncs = server.counters().snapshots_sent - 1;
        assert_eq!(resyncs > 0, matches!(resync, Resync::Snapshot(_)), "{resync:?}: {resyncs}");
    }
}

#[tokio::test]
async fn two_stores_of_other_names_or_schemas_refuse_each_other_in_words() {
    let path = Path::new();
    let server = list().open().await.expect("it opens");
    server.create_server(path.server()).await.expect("it listens");
    let (sender, mut errors) = tokio::sync::mpsc::unbounded_channel();
    let sender = Arc::new(sender);
    let told = Arc::clone(&sender);
    let newer = list()
        .schema_version(2)
        .on_error(move |event| drop(told.send(event.to_string())))
        .client(path.client())
        .start()
        .expect("it starts");
    let error = within(errors.recv()).await.expect("it is said");
    assert!(error.contains("schema_version 2 at the client, 1 at the server"), "{error}");
    assert!(!newer.is_connected());
}

#[tokio::test]
async fn two_stores_of_one_process_share_a_server_at_one_address() {
    let path = Path::new();
    let other = || create_store("other", push).mode(Mode::Action).on_error(|_| {});
    let first = list().open().await.expect("it opens");
    let second = other().preloaded(vec![9]).open().await.expect("it opens");
    first.create_server(path.server()).await.expect("it listens");
    let early = other().client(path.client()).start().expect("it starts before it is served");
    second.create_server(path.server()).await.expect("it joins that server");
    let client = list().client(path.client()).open().await.expect("it comes in sync");
    within(early.until_connected(true)).await;
    client.dispatch(1).await.expect("it applies");
    assert_eq!((&*first.state(), &*early.state()), (&vec![1], &vec![9]));
    first.close(DEADLINE).await.expect("it closes");
    early.dispatch(2).await.expect("the other store is served on");
    let third = list().open().await.expect("it opens");
    let refused = third.create_server(path.server().login("x", "y"));
    assert!(matches!(refused.await, Err(Error::OtherLogins { .. })));
}

#[tokio::test]
async fn a_second_server_at_one_address_is_refused_with_what_differs() {
    let path = Path::new();
    let store = list().open().await.expect("it opens");
    store.create_server(path.server()).await.expect("it listens");
    let other = create_store("other", push).on_error(|_| {}).open().await.expect("it opens");
    let server =
        ServerConfig::path(path.0.path().join("s")).login("app", "guess").login_rounds(4096);
    let error = other.create_server(server).await.expect_err("another password").to_string();
    let words = "for list, which has another password for login \"app\": give both the same logins";
    assert!(error.contains(words), "{error}");
    let error = store.create_server(path.server()).await.expect_err("twice").to_string();
    assert!(error.starts_with("store `list` is served at "), "{error}");
    let twin = list().open().await.expect("it opens");
    let error = twin.create_server(path.server()).await.expect_err("twice").to_string();
    assert!(error.starts_with("store `list` is served at "), "{error}");
}

/// The reports of a store.
type Said = tokio::sync::mpsc::UnboundedReceiver<String>;

fn heard(store: StoreBuilder<Vec<u32>, u32>) -> (StoreBuilder<Vec<u32>, u32>, Said) {
    let (told, said) = tokio::sync::mpsc::unbounded_channel();
    (store.on_error(move |event| drop(told.send(event.to_string()))), said)
}

async fn says(said: &mut Said, words: &str) -> String {
    within(async {
        loop {
            let text = said.recv().await.expect("the store lives");
            if text.contains(words) {
                return text;
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_store_that_is_not_served_is_reported_once_on_both_sides_with_those_that_are() {
    let (server, mut at_server) = heard(list());
    let server = server.open().await.expect("it opens");
    let serving = server.create_server(ServerConfig::tcp("127.0.0.1:0")).await.expect("it listens");
    let Address::Tcp { port, .. } = *serving.address() else { panic!("it listens on TCP") };
    let wire = Wire::to(port, 1_000_000).await;
    let client = ClientConfig::tcp(wire.address()).backoff_max(Duration::from_millis(20));
    let (wrong, mut at_client) = heard(create_store("lisp", push));
    let wrong = wrong.client(client).start().expect("it starts");
    let refused = "store `lisp` is not served here, only `list`";
    says(&mut at_server, refused).await;
    says(&mut at_client, refused).await;
    within(wire.has_carried(8)).await;
    let (other, mut at_other) = heard(create_store("lost", push));
    let client = ClientConfig::tcp(serving.address().to_string());
    let other = other.client(client).start().expect("it starts");
    says(&mut at_other, "store `lost` is not served here").await;
    says(&mut at_server, "store `lost` is not served here").await;
    assert_eq!((at_server.try_recv().ok(), at_client.try_recv().ok()), (None, None));
    assert!(!wrong.is_connected() && !other.is_connected());
}

#[tokio::test]
async fn a_server_that_others_reach_says_who_may_dispatch() {
    let (server, mut said) = heard(list());
    let server = server.open().await.expect("it opens");
    server.create_server(ServerConfig::tcp("*:0")).await.expect("it listens");
    let report = says(&mut said, "without logins").await;
    assert!(report.contains("any client that reaches this address may read list and dispatch"));
    server.create_server(ServerConfig::tcp("127.0.0.1:0")).await.expect("it listens");
    server
        .create_server(ServerConfig::tcp("*:0").login("app", "secret").login_rounds(4096))
        .await
        .expect("it listens");
    says(&mut said, "in plaintext").await;
    assert!(said.try_recv().is_err(), "neither the one on this machine nor the one with logins");
}

//! Clients that know several servers of their store.

use std::time::Duration;

use samestate::{
    Address, ClientConfig, DispatchError, Error, Event, EventKind, RefusalReason, ServerConfig,
    Store,
};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::{Path, list, same, within};

type List = Store<Vec<u32>, u32>;

/// A client of these servers, in this order.
fn client_of<const N: usize>(places: [&Path; N]) -> ClientConfig {
    let addresses = places.map(|path| Address::path(path.0.path().join("s")).to_string());
    ClientConfig::tcp(addresses).login("app", "secret")
}

/// A relay below `root`, served at a place of its own.
async fn relay(root: &Path) -> (List, Path) {
    let place = Path::new();
    let relay = within(list().client(root.client()).open()).await.expect("it comes in sync");
    relay.create_server(place.server()).await.expect("it listens");
    (relay, place)
}

/// Dispatches these items, each again until it is taken.
async fn dispatches(client: &List, items: impl Iterator<Item = u32>) {
    for item in items {
        loop {
            match within(client.dispatch(item)).await {
                Ok(_) => break,
                // It never applies.
                Err(DispatchError::NotConnected) => within(client.ready()).await,
                Err(error) => panic!("{item}: {error}"),
            }
        }
    }
}

#[tokio::test]
async fn a_client_goes_to_the_next_relay_and_each_dispatch_applies_once() {
    let place = Path::new();
    let root = list().open().await.expect("it opens");
    root.create_server(place.server()).await.expect("it listens");
    let ((first, at_first), (second, at_second)) = (relay(&place).await, relay(&place).await);
    let client = list().client(client_of([&at_first, &at_second]));
    let client = within(client.open()).await.expect("it comes in sync");

    // There and back: the first is gone in the middle, and then the second, when another serves
    // where the first did.
    let away = async {
        first.watch().changed().await;
        drop(first);
        client.until_connected(false).await;
        client.until_connected(true).await;
        let again = list().client(place.client()).open().await.expect("it comes in sync");
        again.create_server(at_first.server()).await.expect("it listens");
        drop(second);
        client.until_connected(false).await;
        client.until_connected(true).await;
        again
    };
    let (_again, ()) = tokio::join!(async { within(away).await }, dispatches(&client, 0..2_000));
    same(&root, &client).await;
    assert_eq!(*root.state(), (0..2_000).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_server_that_refuses_or_is_not_there_is_passed_over_without_a_wait() {
    let (nobody, guarded, place) = (Path::new(), Path::new(), Path::new());
    let root = list().preloaded(vec![7]).open().await.expect("it opens");
    root.create_server(place.server()).await.expect("it listens");
    let other = list().open().await.expect("it opens");
    let another = ServerConfig::path(guarded.0.path().join("s")).login("app", "another");
    other.create_server(another.login_rounds(4096)).await.expect("it listens");
    let (sender, mut events) = tokio::sync::mpsc::unbounded_channel();
    let client = list()
        .client(client_of([&nobody, &guarded, &place]))
        .on_error(move |event: &Event| drop(sender.send(event.clone())));
    let client = within(client.open()).await.expect("it comes in sync");
    assert_eq!(*client.state(), [7]);
    for refused in [None, Some(RefusalReason::Login)] {
        let event = events.recv().await.expect("it is told of the first two");
        let EventKind::ConnectFailed { refusal, retry_in, .. } = event.kind() else {
            panic!("{event}");
        };
        assert_eq!((*refusal, *retry_in), (refused, Duration::ZERO), "{event}");
        assert!(event.to_string().contains("; trying "), "{event}");
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_or_is_another_program_is_passed_over() {
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("it listens");
    let other = TcpListener::bind("127.0.0.1:0").await.expect("it listens");
    let addresses = [&silent, &other].map(|one| one.local_addr().expect("it has one").to_string());
    let answering = tokio::spawn(async move {
        let (mut stream, _) = other.accept().await.expect("a client");
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await
    });
    let place = Path::new();
    let root = list().preloaded(vec![7]).open().await.expect("it opens");
    let serving = root.create_server(place.server()).await.expect("it listens");
    let [silent, other] = addresses;
    let addresses = vec![silent, other.clone(), other, serving.address().to_string()];
    let client = ClientConfig::tcp(addresses).login("app", "secret");
    let client = client.login_within(Duration::from_millis(200));
    let client = within(list().client(client).open()).await.expect("it comes in sync");
    assert_eq!(*client.state(), [7]);
    answering.await.expect("it was asked").expect("and has answered");
}

#[tokio::test]
async fn a_client_that_all_refuse_says_so_and_waits() {
    let (one, two) = (Path::new(), Path::new());
    let server = list().open().await.expect("it opens");
    for place in [&one, &two] {
        let another = ServerConfig::path(place.0.path().join("s")).login("app", "another");
        server.create_server(another.login_rounds(4096)).await.expect("it listens");
    }
    let (sender, mut events) = tokio::sync::mpsc::unbounded_channel();
    let client = list()
        .client(client_of([&one, &two]).retry_refused_after(Duration::from_secs(77)))
        .on_error(move |event: &Event| drop(sender.send(event.clone())));
    let error = within(client.open()).await.expect_err("nobody lets it in");
    assert!(matches!(error, Error::Refused { reason: RefusalReason::Login, .. }), "{error:?}");
    for wait in [0, 77] {
        let event = events.recv().await.expect("it is told of both");
        let EventKind::ConnectFailed { retry_in, .. } = event.kind() else { panic!("{event}") };
        assert_eq!(retry_in.as_secs(), wait, "{event}");
    }
}

#[tokio::test]
async fn a_client_without_an_address_is_told_so() {
    let error = list().client(ClientConfig::tcp(Vec::<String>::new())).open().await;
    let error = error.expect_err("it has none");
    assert!(matches!(error, Error::Options { .. }), "{error:?}");
    assert_eq!(error.to_string(), "invalid option `addresses`: 0; allowed is 1 or more");
}

//! A4, A6 to A9: servers and clients, and what holds while a link is down.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use samestate::Address;
use samestate::{ClientConfig, DispatchError, ServerConfig};
use tokio::sync::{Mutex, mpsc};

use super::ports::free_port;
use super::scene::{DEADLINE, Place, Scene, client, cluster_test, list, until, within};

/// A lock for the tests that use the default port.
static PORT_10001: Mutex<()> = Mutex::const_new(());

#[tokio::test]
async fn a04_a_server_listens_on_all_interfaces_at_port_10001_unless_told() {
    let _alone = PORT_10001.lock().await;
    let server = list().open().await.expect("it opens");
    match server.create_server(ServerConfig::default().login("app", "secret")).await {
        Ok(serving) => {
            // As the system calls them, with IPv6 or without.
            let all = ["::", "0.0.0.0"].map(|host| Address::tcp(host, 10001));
            assert!(all.contains(serving.address()), "{}", serving.address());
        }
        // Another program has it.
        Err(error) => assert!(error.to_string().contains("*:10001"), "{error}"),
    }
    assert_eq!(":8888".parse::<Address>().ok(), Some(Address::tcp("*", 8888)));
    assert_eq!("unix:/run/s".parse::<Address>().ok(), Some(Address::unix("/run/s")));
}

#[tokio::test]
async fn a04_all_interfaces_means_reachable_by_either_family() {
    let port = free_port();
    let server = list().open().await.expect("it opens");
    let serving = ServerConfig::tcp(format!(":{port}")).login("app", "secret").login_rounds(4096);
    server.create_server(serving).await.expect("it listens");
    for host in ["127.0.0.1", "localhost"] {
        let client = ClientConfig::tcp(format!("{host}:{port}")).login("app", "secret");
        let client = list().client(client).open().await.expect("it comes in sync");
        client.dispatch(1).await.expect("it applies");
    }
    assert_eq!(*server.state(), [1, 1]);
}

/// Nothing takes a named pipe away.
#[cfg(unix)]
#[tokio::test]
async fn a06_a_server_that_falls_over_comes_back_by_itself() {
    let place = Place::new();
    let server = list().open().await.expect("it opens");
    server.create_server(place.server()).await.expect("it listens");
    let before = list().client(place.client()).open().await.expect("it comes in sync");
    std::fs::remove_file(place.path()).expect("its socket goes");
    // Nobody can reach it now, until it has noticed and listens again.
    let after = list().client(place.client()).open().await.expect("the server is back");
    after.dispatch(1).await.expect("it applies");
    until("who was there before", &before, |list| *list == [1]).await;
}

#[tokio::test]
async fn a07_a_client_goes_to_localhost_at_port_10001_unless_told() {
    let _alone = PORT_10001.lock().await;
    let (told, mut reports) = mpsc::unbounded_channel();
    let client = list().on_error(move |event| drop(told.send(event.to_string())));
    let client =
        client.client(ClientConfig::default().login("app", "secret")).start().expect("it dials");
    let report = within("nobody is there, and it says where", reports.recv()).await;
    assert!(report.as_ref().is_some_and(|text| text.contains("localhost:10001")), "{report:?}");
    let server = list().preloaded(vec![7]).open().await.expect("it opens");
    match server.create_server(ServerConfig::default().login("app", "secret")).await {
        Ok(_) => within("it comes in sync", client.until_connected(true)).await,
        // Another program has it.
        Err(error) => assert!(error.to_string().contains("*:10001"), "{error}"),
    }
}

#[tokio::test]
async fn a07_create_client_on_an_existing_store_makes_it_a_copy_of_the_servers() {
    let port = free_port();
    let address = format!("127.0.0.1:{port}");
    let server = list().preloaded(vec![1, 2]).open().await.expect("it opens");
    let serving = ServerConfig::tcp(&address).login("app", "secret").login_rounds(4096);
    server.create_server(serving).await.expect("it listens");
    let store = list().open().await.expect("it opens");
    store.create_client(ClientConfig::tcp(&address).login("app", "secret")).expect("it dials");
    within("it comes in sync", store.until_connected(true)).await;
    store.dispatch(3).await.expect("it applies");
    assert_eq!((&*store.state(), &*server.state()), (&vec![1, 2, 3], &vec![1, 2, 3]));
}

#[tokio::test]
async fn a08_while_the_link_is_down_nothing_is_dispatched_or_told_and_the_state_can_be_read() {
    let place = Place::new();
    let server = list().preloaded(vec![1]).open().await.expect("it opens");
    server.create_server(place.server()).await.expect("it listens");
    let client = list().client(place.client()).open().await.expect("it comes in sync");
    let told = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&told);
    let _subscription = client.subscribe(move |_| {
        counting.fetch_add(1, Ordering::SeqCst);
    });
    server.close(DEADLINE).await.expect("it closes");
    drop(server);
    within("the link is gone", client.until_connected(false)).await;
    assert_eq!(client.dispatch(2).await, Err(DispatchError::NotConnected));
    assert_eq!(*client.state(), [1]);
    assert_eq!(told.load(Ordering::SeqCst), 0);

    let server = list().preloaded(vec![7]).open().await.expect("it opens");
    server.create_server(place.server()).await.expect("it listens again");
    within("the client is back by itself", client.until_connected(true)).await;
    assert_eq!(*client.state(), [7], "a fresh state from the server");
    client.dispatch(8).await.expect("it applies");
    let is_told = async {
        while told.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
    };
    within("subscribers are told again", is_told).await;
}

/// The server that a test's cluster loses and finds again.
async fn elsewhere(scene: &Scene) -> super::scene::List {
    let server = list().preloaded(vec![7]).open().await.expect("it opens");
    let serving =
        ServerConfig::path(scene.folder.join("s")).login("app", "secret").login_rounds(4096);
    server.create_server(serving).await.expect("it listens");
    server
}

async fn master_that_loses_its_server(scene: Scene) {
    let server = elsewhere(&scene).await;
    let store = scene.list().client(client(&scene.folder.join("s"))).open().await;
    let store = store.expect("it comes in sync");
    scene.heard("in sync", 2).await;
    server.close(DEADLINE).await.expect("it closes");
    drop(server);
    within("the link is gone", store.until_connected(false)).await;
    scene.heard("read-only", 2).await;
    let server = elsewhere(&scene).await;
    scene.heard("back", 2).await;
    until("both workers' actions", &server, |list| list.len() == 3).await;
}

cluster_test!(
    a08_workers_of_a_client_that_is_down_are_read_only,
    2,
    master_that_loses_its_server,
    async |scene: Scene| {
        let store = scene.list().open().await.expect("it opens");
        scene.say("in sync").await;
        within("the master's link is gone", store.until_connected(false)).await;
        assert_eq!(store.dispatch(1).await, Err(DispatchError::NotConnected));
        assert_eq!(*store.state(), [7]);
        scene.say("read-only").await;
        within("it is back", store.until_connected(true)).await;
        store.dispatch(1).await.expect("it applies");
        scene.say("back").await;
        store
    }
);

cluster_test!(
    a09_connected_goes_false_in_every_worker_and_true_again,
    2,
    master_that_loses_its_server,
    async |scene: Scene| {
        let store = scene.list().open().await.expect("it opens");
        assert!(store.is_connected());
        scene.say("in sync").await;
        within("false", store.until_connected(false)).await;
        assert!(!store.is_connected());
        scene.say("read-only").await;
        within("true again", store.until_connected(true)).await;
        store.dispatch(1).await.expect("connected means that it can dispatch");
        scene.say("back").await;
        store
    }
);

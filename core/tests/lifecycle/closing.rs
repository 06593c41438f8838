//! Servers are closed by their handles, and a cluster closes all that it has.

use std::time::Duration;

use samestate::{Cluster, DispatchError, Error, Role, create_store};

use super::scene::{DEADLINE, Place, add, sum, within};

#[tokio::test]
async fn a_server_is_closed_by_its_handle_and_its_address_is_free_again() {
    let place = Place::new();
    let store = sum().open().await.expect("it opens");
    let serving = store.create_server(place.server()).await.expect("it listens");
    let addresses = |store: &super::scene::Sum| -> Vec<String> {
        store.servers().iter().map(|server| server.address().to_string()).collect()
    };
    assert_eq!(addresses(&store), [serving.address().to_string()]);
    let client = sum().client(place.client()).open().await.expect("it comes in sync");
    within("the close", serving.close()).await;
    assert!(!serving.is_open() && store.servers().is_empty());
    assert_eq!(store.roles(), []);
    within("the loss of the server", client.until_connected(false)).await;
    assert!(!place.file("s").exists(), "its socket file is gone");
    within("a second close", serving.close()).await;
    store.dispatch(1).await.expect("the store goes on");
    let again = store.create_server(place.server().login("app", "secret")).await;
    let again = again.expect("it listens there again, with another login");
    assert_eq!((store.roles(), store.servers().len()), (vec![Role::Server], 1));
    within("the close", again.close()).await;
    store.create_server(place.server()).await.expect("it listens once more");
    within("the server", client.until_connected(true)).await;
    assert_eq!(*client.state(), 1);
}

#[tokio::test]
async fn what_was_dispatched_before_a_server_is_closed_is_answered() {
    let place = Place::new();
    let store = sum().open().await.expect("it opens");
    let serving = store.create_server(place.server()).await.expect("it listens");
    let client = sum().client(place.client()).open().await.expect("it comes in sync");
    let dispatches: Vec<_> = (0..100).map(|_| client.dispatch(1)).collect();
    let mut versions = store.watch();
    within("all of them", async {
        while store.version().seq < 100 {
            versions.changed().await;
        }
    })
    .await;
    within("the close", serving.close()).await;
    for dispatch in dispatches {
        within("the outcome", dispatch).await.expect("its answer left before the close");
    }
}

#[tokio::test]
async fn a_cluster_that_closes_ends_its_servers_and_stores() {
    let (place, folder) = (Place::new(), Place::new());
    let cluster = Cluster::alone();
    let backup = samestate::Backup::at(folder.file("sum")).every_seconds(3600);
    let store = cluster.create_store("sum", add).backup(backup.clone());
    let store = store.open().await.expect("it opens");
    let serving = cluster.create_server(place.server()).await.expect("it listens");
    assert_eq!(cluster.servers().len(), 1);
    let client = sum().client(place.client()).open().await.expect("it comes in sync");
    client.dispatch(2).await.expect("it applies");
    let ending = cluster.ending();
    assert!(!cluster.is_ending());
    within("the close", cluster.close(DEADLINE)).await.expect("it closes");
    within("the end", ending).await;
    assert!(cluster.is_ending() && cluster.servers().is_empty() && !serving.is_open());
    assert_eq!(store.dispatch(1).await, Err(DispatchError::NotConnected));
    assert_eq!(*store.state(), 2, "it can still be read");
    within("the loss of the server", client.until_connected(false)).await;
    let restored = create_store("sum", add).backup(backup).open().await.expect("it is on disk");
    assert_eq!(*restored.state(), 2);
    within("a second close", cluster.close(DEADLINE)).await.expect("it is closed");
    within("a store that is closed", store.ready()).await;
}

#[tokio::test]
async fn a_cluster_closes_within_any_time_and_says_what_is_unresolved() {
    for time in [Duration::ZERO, Duration::from_nanos(1), Duration::from_millis(200)] {
        let place = Place::new();
        let server = sum().open().await.expect("it opens");
        server.create_server(place.server()).await.expect("it listens");
        let cluster = Cluster::alone();
        let store = cluster.create_store("sum", add).on_error(|_| {}).client(place.client());
        let store = store.open().await.expect("it comes in sync");
        server.close(DEADLINE).await.expect("it closes");
        within("the loss of the server", store.until_connected(false)).await;
        within("the close", cluster.close(time)).await.expect("nothing is under way");
        assert_eq!(store.dispatch(1).await, Err(DispatchError::NotConnected));
    }
    let cluster = Cluster::alone();
    let store = cluster.create_store("sum", add).open().await.expect("it opens");
    within("the close", cluster.close(Duration::MAX)).await.expect("it closes");
    let again: Result<_, Error> = store.close(Duration::MAX).await;
    again.expect("it is closed already");
}

#[tokio::test]
async fn a_store_that_is_dispatched_to_without_end_closes_all_the_same() {
    let place = Place::new();
    let server = sum().open().await.expect("it opens");
    server.create_server(place.server()).await.expect("it listens");
    let store = sum().client(place.client()).open().await.expect("it comes in sync");
    let busy = store.clone();
    let load = tokio::spawn(async move {
        let mut ordered = 0;
        while busy.dispatch(1).await.is_ok() {
            ordered += 1;
        }
        ordered
    });
    let mut versions = store.watch();
    within("some load", versions.changed()).await;
    within("the close", store.close(DEADLINE)).await.expect("what was under way is resolved");
    let ordered: u64 = within("the load", load).await.expect("no panic");
    assert!(server.version().seq >= ordered);
}

#[tokio::test]
async fn a_store_stops_being_a_client_and_follows_another_server() {
    let (first_place, second_place) = (Place::new(), Place::new());
    let first = sum().preloaded(1).open().await.expect("it opens");
    first.create_server(first_place.server()).await.expect("it listens");
    let second = sum().preloaded(20).open().await.expect("it opens");
    second.create_server(second_place.server()).await.expect("it listens");
    let store = sum().client(first_place.client()).open().await.expect("it comes in sync");
    store.dispatch(2).await.expect("it applies");
    let taken = store.create_client(second_place.client()).expect_err("it has one");
    assert!(matches!(taken, Error::AlreadyClient(_)), "{taken}");
    within("the end of the link", store.detach_client()).await.expect("it was a client");
    assert_eq!((store.roles(), store.is_connected(), *store.state()), (vec![], false, 3));
    assert_eq!(store.dispatch(2).await, Err(DispatchError::NotConnected));
    let none = store.detach_client().await.expect_err("it is no client any more");
    assert!(matches!(none, Error::NotAClient(_)), "{none}");
    store.create_client(second_place.client()).expect("it follows the other");
    within("the other server", store.until_connected(true)).await;
    store.dispatch(3).await.expect("it applies");
    assert_eq!((*store.state(), *second.state(), *first.state()), (23, 23, 3));
}

//! A link between two stores of one process, broken and repaired by a test: `testing::TestLink`.

use std::time::Duration;

use samestate::testing::TestLink;
use samestate::{Address, DispatchError, ServerConfig, Store, create_store};

const SOON: Duration = Duration::from_secs(30);

fn add(sum: &mut i64, number: &i64) {
    *sum += number;
}

/// A store that others follow, a link to it, and a store that follows it over the link.
async fn linked(server: ServerConfig) -> (Store<i64, i64>, TestLink, Store<i64, i64>) {
    let sum = create_store("sum", add).open().await.expect("it opens");
    let server = sum.create_server(server).await.expect("it listens");
    let link = TestLink::new(server.address()).await.expect("it listens");
    let copy = create_store("sum", add).client(link.client()).open().await.expect("it connects");
    (sum, link, copy)
}

async fn until_connected(store: &Store<i64, i64>, wanted: bool) {
    let done = tokio::time::timeout(SOON, store.until_connected(wanted)).await;
    assert!(done.is_ok(), "connected is still {}", !wanted);
}

/// Waits until the sum at `store` is `wanted`.
async fn until_sum(store: &Store<i64, i64>, wanted: i64) {
    let mut changes = store.watch();
    let reached = tokio::time::timeout(SOON, async {
        while store.read(|sum| *sum) != wanted {
            changes.changed().await.expect("it is open");
        }
    });
    assert!(reached.await.is_ok(), "the sum is still {}", store.read(|sum| *sum));
}

#[tokio::test]
async fn a_cut_ends_the_connection_and_refuses_new_ones_until_it_is_healed() {
    let (sum, link, copy) = linked(ServerConfig::tcp("127.0.0.1:0")).await;
    link.cut();
    until_connected(&copy, false).await;
    assert_eq!(copy.dispatch(1).await, Err(DispatchError::NotConnected));
    sum.dispatch(5).await.expect("it is alone");
    assert_eq!(copy.read(|sum| *sum), 0);
    link.heal();
    until_connected(&copy, true).await;
    assert_eq!(copy.read(|sum| *sum), 5);
    copy.dispatch(1).await.expect("it is connected");
    until_sum(&sum, 6).await;
}

#[tokio::test]
async fn a_connection_ends_although_the_cut_is_healed_at_once() {
    let (_sum, link, copy) = linked(ServerConfig::tcp("127.0.0.1:0")).await;
    for _ in 0..3 {
        link.cut();
        link.heal();
        until_connected(&copy, false).await;
        until_connected(&copy, true).await;
    }
}

#[cfg(unix)]
#[tokio::test]
async fn what_is_under_way_when_a_link_stalls_arrives_when_it_is_healed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (sum, link, copy) = linked(ServerConfig::unix(folder.path().join("s"))).await;
    link.stall();
    let dispatched = copy.dispatch(2);
    sum.dispatch(5).await.expect("it is alone");
    assert_eq!((copy.read(|sum| *sum), sum.read(|sum| *sum)), (0, 5));
    link.heal();
    dispatched.await.expect("it was held, and not lost");
    until_sum(&sum, 7).await;
    until_sum(&copy, 7).await;
}

#[tokio::test]
async fn a_link_that_stalls_for_long_is_noticed_as_a_dead_peer() {
    let (_sum, link, copy) = linked(ServerConfig::tcp("127.0.0.1:0")).await;
    link.stall();
    until_connected(&copy, false).await;
    link.heal();
    until_connected(&copy, true).await;
}

#[tokio::test]
async fn a_dropped_link_ends_its_connections_and_one_to_a_pipe_is_refused() {
    let (_sum, link, copy) = linked(ServerConfig::tcp("127.0.0.1:0")).await;
    drop(link);
    until_connected(&copy, false).await;
    let refused = TestLink::new(&Address::pipe("sum")).await.expect_err("it is no TCP address");
    assert!(refused.to_string().contains("pipe"), "{refused}");
}

//! A panic in the background is reported, and its store says so: it never only falls silent.

use samestate::{DispatchError, create_store};
use samestate_proto::Version;
use samestate_proto::replication::Observer;

use super::scene::{DEADLINE, Place, Reports, add, sum, within};

/// Panics in the middle of a step, where no callback of a user is: as a bug of the library does.
struct Bug;

impl Observer for Bug {
    fn applied(&mut self, _: u64, _: Version, _: u64, _: samestate_proto::wire::Entries<'_>) {
        panic!("a bug was put in");
    }

    fn jumped(&mut self, _: Version, _: Version, _: u64) {}
}

#[tokio::test]
async fn a_panic_in_a_link_of_a_server_poisons_its_store_and_says_so() {
    let (place, reports) = (Place::new(), Reports::default());
    let server = sum().on_error(reports.collect()).observer(Box::new(Bug));
    let server = server.open().await.expect("it opens");
    server.create_server(place.server()).await.expect("it listens");
    let client = sum().client(place.client()).open().await.expect("it comes in sync");
    let dispatch = client.dispatch(1);
    let said = reports.with("a bug was put in").await;
    assert!(said.contains("the store is poisoned"), "{said}");
    reports.with("its task \"reader of a link\" panicked").await;
    assert!(!server.is_connected());
    assert_eq!(server.dispatch(1).await, Err(DispatchError::Poisoned));
    within("a poisoned store", server.ready()).await;
    within("the client", client.until_connected(false)).await;
    client.close(std::time::Duration::ZERO).await.expect_err("one is unresolved");
    assert_eq!(within("the outcome", dispatch).await, Err(DispatchError::OutcomeUnknown));
}

#[tokio::test]
async fn a_panic_in_a_link_of_a_client_leaves_its_server_alone() {
    let (place, reports) = (Place::new(), Reports::default());
    let server = sum().open().await.expect("it opens");
    server.create_server(place.server()).await.expect("it listens");
    let client = sum().client(place.client()).on_error(reports.collect()).observer(Box::new(Bug));
    let client = client.open().await.expect("it comes in sync");
    server.dispatch(1).await.expect("it applies");
    reports.with("a bug was put in").await;
    within("the client", client.until_connected(false)).await;
    assert_eq!(client.dispatch(1).await, Err(DispatchError::Poisoned));
    server.dispatch(1).await.expect("the server goes on");
}

#[tokio::test]
async fn an_error_callback_that_panics_stops_nothing() {
    let place = Place::new();
    let server = sum().open().await.expect("it opens");
    let serving = server.create_server(place.server()).await.expect("it listens");
    let client =
        sum().client(place.client()).on_error(|event| panic!("told of {:?}", event.to_string()));
    let client = client.open().await.expect("it comes in sync");
    serving.close().await;
    within("the loss of the server", client.until_connected(false)).await;
    server.create_server(place.server()).await.expect("it listens again");
    within("the server", client.until_connected(true)).await;
    client.dispatch(1).await.expect("it applies");
}

#[tokio::test]
async fn a_thunk_of_a_middleware_that_panics_is_reported_and_its_dispatch_resolves() {
    let reports = Reports::default();
    let store = create_store("sum", add).middleware(|by, next| match by {
        13 => next.later(async { panic!("thirteen") }),
        by => next.run(by),
    });
    let store = store.on_error(reports.collect()).open().await.expect("it opens");
    let dispatch = tokio::time::timeout(DEADLINE, store.dispatch(13)).await;
    assert_eq!(dispatch.expect("in time"), Err(DispatchError::OutcomeUnknown));
    reports.with("thirteen").await;
    store.dispatch(1).await.expect("the store goes on");
}

#[tokio::test]
async fn a_selector_that_panics_is_reported_and_the_others_are_told() {
    let reports = Reports::default();
    let store = sum().on_error(reports.collect()).open().await.expect("it opens");
    let selected = store.select(|sum| match sum {
        1 => panic!("one"),
        sum => *sum,
    });
    let _bad = selected.subscribe(|_| {});
    let (sender, mut told) = tokio::sync::mpsc::unbounded_channel();
    let _good = store.subscribe(move |_| _ = sender.send(()));
    store.dispatch(1).await.expect("it applies");
    within("the subscriber", told.recv()).await.expect("it is told");
    reports.with("a subscriber of store `sum` panicked").await;
    store.dispatch(1).await.expect("it applies");
    within("the subscriber", told.recv()).await.expect("it is told again");
}

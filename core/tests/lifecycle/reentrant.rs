//! A reducer that calls a store panics at once and says so. It never waits for a lock that its own
//! thread holds.

use std::sync::OnceLock;

use samestate::{DispatchError, Store, create_store};
use serde::{Deserialize, Serialize};

use super::scene::{Reports, Sum, within};

const SAYS: &str = "was called by a reducer";

/// Opens a store whose reducer calls it, dispatches once from a thread of its own, and returns
/// what was reported.
async fn called(call: impl Fn(&Sum) + Send + Sync + 'static) -> String {
    let itself: &'static OnceLock<Sum> = Box::leak(Box::default());
    let reports = Reports::default();
    let store = create_store("sum", move |sum: &mut i64, by: &i64| {
        if let Some(store) = itself.get() {
            call(store);
        }
        *sum += by;
    });
    let store = store.on_error(reports.collect()).open().await.expect("it opens");
    assert!(itself.set(store.clone()).is_ok());
    // On a thread that may hang, so that this one can say so.
    let dispatching = tokio::task::spawn_blocking(move || store.dispatch(1));
    let outcome = within("the dispatch", dispatching).await.expect("no panic").await;
    assert!(outcome.is_err(), "{outcome:?}");
    match outcome {
        Err(DispatchError::Rejected(why)) if why.contains(SAYS) => why,
        _ => reports.with(SAYS).await,
    }
}

#[tokio::test]
async fn whatever_a_reducer_asks_of_its_own_store_panics_with_the_cause() {
    let calls: [fn(&Sum); 12] = [
        |store| _ = store.read(|sum| *sum),
        |store| drop(store.state()),
        |store| drop(store.state_at()),
        |store| drop(store.dispatch(1)),
        |store| _ = store.version(),
        |store| _ = store.is_connected(),
        |store| drop(store.subscribe(|_| {})),
        |store| drop(store.watch()),
        |store| drop(store.changes()),
        |store| _ = store.select(|sum| *sum).get(),
        |store| _ = store.counters(),
        |store| drop(store.metrics()),
    ];
    for call in calls {
        let said = called(call).await;
        assert!(said.contains("store `sum` was called by a reducer"), "{said}");
        assert!(said.contains("Dispatch from a subscriber or a middleware instead"), "{said}");
    }
}

#[tokio::test]
async fn so_does_a_call_by_way_of_another_store() {
    let first: &'static OnceLock<Sum> = Box::leak(Box::default());
    let reports = Reports::default();
    let second = create_store("second", |sum: &mut i64, by: &i64| {
        *sum += by;
        first.get().expect("it is open").read(|_| ());
    });
    let second = second.on_error(reports.collect()).open().await.expect("it opens");
    let store = create_store("first", move |sum: &mut i64, by: &i64| {
        drop(second.dispatch(*by));
        *sum += by;
    });
    let store = store.on_error(reports.collect()).open().await.expect("it opens");
    assert!(first.set(store.clone()).is_ok());
    let dispatching = tokio::task::spawn_blocking(move || store.dispatch(1));
    let outcome = within("the dispatch", dispatching).await.expect("no panic").await;
    assert!(outcome.is_err(), "{outcome:?}");
    let why = format!("{outcome:?} {:?}", reports.all());
    assert!(why.contains("store `second` was called by a reducer"), "{why}");
}

/// An action whose serialiser calls a store.
#[derive(Clone, Debug, Default, Deserialize)]
struct Calling;

static CALLED: OnceLock<Store<u64, Calling>> = OnceLock::new();

impl Serialize for Calling {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Some(store) = CALLED.get() {
            drop(store.state_at());
        }
        serializer.serialize_unit()
    }
}

#[tokio::test]
async fn a_serialiser_of_an_action_does_not_wait_either() {
    let count = create_store("calling", |count: &mut u64, _: &Calling| *count += 1);
    let store = count.on_error(|_| {}).open().await.expect("it opens");
    assert!(CALLED.set(store.clone()).is_ok());
    let dispatching = tokio::task::spawn_blocking(move || {
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| store.dispatch(Calling)))
    });
    let dispatched = within("the dispatch", dispatching).await.expect("the panic is caught");
    if let Ok(dispatch) = dispatched {
        assert!(within("the outcome", dispatch).await.is_err());
    }
}

#[tokio::test]
async fn what_would_wait_inside_a_read_panics_with_the_cause() {
    let store = super::scene::sum().open().await.expect("it opens");
    let reading = tokio::task::spawn_blocking(move || store.read(|_| drop(store.state_at())));
    let panic = within("the read", reading).await.expect_err("it panics").into_panic();
    let words = panic.downcast_ref::<String>().expect("words");
    assert!(words.contains("store `sum` was called inside `read`"), "{words}");
}

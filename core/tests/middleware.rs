//! Middleware around dispatch: what it sees, in which order, and what it must not break.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use samestate::{
    ClientConfig, DispatchError, DispatchFuture, Mode, Next, ServerConfig, Store, StoreBuilder,
    create_store,
};

const DEADLINE: Duration = Duration::from_secs(10);

type List = Vec<u32>;

fn list() -> StoreBuilder<List, u32> {
    create_store("list", |list: &mut List, item: &u32| list.push(*item))
        .mode(Mode::Action)
        .on_error(|_| {})
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("in time")
}

/// A server and a client of it, where dispatches do not resolve at once. The client is built by
/// `client`.
async fn linked(
    client: impl FnOnce(StoreBuilder<List, u32>) -> StoreBuilder<List, u32>,
) -> (Store<List, u32>, Store<List, u32>, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("s");
    let server = list().open().await.expect("it opens");
    server.create_server(ServerConfig::path(&path)).await.expect("it listens");
    let client = client(list()).client(ClientConfig::path(&path)).open().await.expect("in sync");
    (server, client, folder)
}

/// The values that were seen, in order.
type Seen<T> = Arc<Mutex<Vec<T>>>;

#[tokio::test]
async fn middleware_is_called_in_the_order_it_is_declared_and_may_change_the_action() {
    let seen: Seen<(&str, u32)> = Arc::default();
    let (first, second) = (Arc::clone(&seen), Arc::clone(&seen));
    let store = list()
        .middleware(move |item, next| {
            first.lock().push(("first", item));
            next.run(item * 10)
        })
        .middleware(move |item, next| {
            second.lock().push(("second", item));
            next.run(item + 1)
        })
        .open()
        .await
        .expect("it opens");
    let dispatching = store.clone().dispatch(3);
    assert!(dispatching.try_outcome().is_some(), "at the sequencer it is still resolved at once");
    dispatching.await.expect("it applies");
    assert_eq!(*seen.lock(), [("first", 3), ("second", 30)]);
    assert_eq!(*store.state(), [31]);
}

#[tokio::test]
async fn what_a_middleware_refuses_never_applies_and_says_why() {
    let (server, client, _folder) = linked(|builder| {
        builder.middleware(|item, next| match item % 2 {
            0 => next.run(item),
            _ => next.refuse(format!("{item} is odd")),
        })
    })
    .await;
    assert_eq!(client.dispatch(3).await, Err(DispatchError::Refused("3 is odd".into())));
    client.dispatch(4).await.expect("it applies");
    server.dispatch(5).await.expect("the server has no middleware");
    assert_eq!(*server.state(), [4, 5]);
}

#[tokio::test]
async fn an_outcome_is_observed_also_when_nobody_awaits_it() {
    let (sender, mut told) = tokio::sync::mpsc::unbounded_channel();
    let (server, client, _folder) = linked(move |builder| {
        builder.middleware(move |item, next| {
            let sender = sender.clone();
            next.run_then(item, move |outcome| {
                sender.send((item, outcome.clone())).expect("the test listens");
            })
        })
    })
    .await;
    drop(client.dispatch(7));
    let (item, outcome) = in_time(told.recv()).await.expect("it is told");
    assert_eq!((item, outcome.map(|version| version.seq)), (7, Ok(1)));
    server.close(DEADLINE).await.expect("it closes");
    in_time(client.until_connected(false)).await;
    drop(client.dispatch(8));
    let told = in_time(told.recv()).await.expect("it is told");
    assert_eq!(told, (8, Err(DispatchError::NotConnected)));
}

#[tokio::test]
async fn what_a_middleware_dispatches_besides_goes_where_it_was_called() {
    // Around each item under 100: one before it, and one after. They pass the middleware too.
    let around = |item: u32, next: Next<'_, List, u32>| {
        if item >= 100 {
            return next.run(item);
        }
        drop(next.store().dispatch(item + 100));
        let dispatching = next.run(item);
        drop(next.store().dispatch(item + 200));
        dispatching
    };
    let (server, client, _folder) = linked(|builder| builder.middleware(around)).await;
    for item in 0..3 {
        drop(client.dispatch(item));
    }
    client.dispatch(999).await.expect("it applies");
    assert_eq!(*server.state(), [100, 0, 200, 101, 1, 201, 102, 2, 202, 999]);
}

#[tokio::test]
async fn a_dispatch_inside_a_read_passes_the_middleware_and_applies_after_the_read() {
    let store = list()
        .middleware(|item, next| next.run(item + next.store().read(|list| list.len() as u32)))
        .open()
        .await
        .expect("it opens");
    store.dispatch(5).await.expect("it applies");
    let dispatching = store.read(|list| {
        let dispatchings = (store.dispatch(10), store.dispatch(20));
        assert_eq!(*list, [5]);
        dispatchings
    });
    dispatching.0.await.expect("it applies");
    dispatching.1.await.expect("it applies");
    assert_eq!(*store.state(), [5, 11, 21]);
}

#[tokio::test]
async fn many_pass_one_after_another_wait_for_room_and_keep_their_order() {
    let seen: Seen<u32> = Arc::default();
    let counted = Arc::clone(&seen);
    let (server, client, _folder) = linked(move |builder| {
        builder.window(8).middleware(move |item, next| {
            counted.lock().push(item);
            match item % 10 {
                9 => next.refuse("a nine"),
                _ => next.run(item),
            }
        })
    })
    .await;
    let outcomes = in_time(client.dispatch_many(0..500)).await;
    for (item, outcome) in (0..500).zip(&outcomes) {
        match item % 10 {
            9 => assert_eq!(*outcome, Err(DispatchError::Refused("a nine".into()))),
            _ => assert!(outcome.is_ok(), "{item}: {outcome:?}"),
        }
    }
    let expected: Vec<u32> = (0..500).filter(|item| item % 10 != 9).collect();
    assert_eq!(*server.state(), expected);
    assert_eq!(*seen.lock(), (0..500).collect::<Vec<_>>(), "each passed once");
}

#[tokio::test]
async fn one_of_many_may_become_more_than_there_is_room_for() {
    let (server, client, _folder) = linked(|builder| {
        builder.window(2).middleware(|item, next| {
            (1..10).for_each(|more| drop(next.run(item + more)));
            next.run(item + 10)
        })
    })
    .await;
    let outcomes = in_time(client.dispatch_many([0, 100])).await;
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    assert_eq!(*server.state(), (1..=10).chain(101..=110).collect::<Vec<_>>());
}

#[tokio::test]
async fn many_that_are_cut_off_stop_there_and_the_rest_does_not_pass() {
    let seen: Seen<u32> = Arc::default();
    let counted = Arc::clone(&seen);
    let (server, client, _folder) = linked(move |builder| {
        builder.middleware(move |item, next| {
            counted.lock().push(item);
            next.run(item)
        })
    })
    .await;
    server.close(DEADLINE).await.expect("it closes");
    in_time(client.until_connected(false)).await;
    let outcomes = in_time(client.dispatch_many([1, 2, 3])).await;
    assert_eq!(outcomes, [const { Err(DispatchError::NotConnected) }; 3]);
    assert_eq!(*seen.lock(), [1]);
}

/// Even numbers are dispatched later, and twice.
fn thunk(item: u32, next: Next<'_, List, u32>) -> DispatchFuture {
    if !item.is_multiple_of(2) {
        return next.run(item);
    }
    let store = next.store().clone();
    next.later(async move {
        store.dispatch(item + 1).await?;
        store.dispatch(item + 3).await
    })
}

#[tokio::test]
async fn a_thunk_waits_in_a_task_of_its_own_and_resolves_the_dispatch() {
    let store = list().middleware(thunk).open().await.expect("it opens");
    let dispatching = store.dispatch(10);
    assert!(dispatching.try_outcome().is_none());
    store.dispatch(1).await.expect("it applies, and waits for no thunk");
    assert_eq!(in_time(dispatching).await.map(|version| version.seq), Ok(3));
    assert_eq!(*store.state(), [1, 11, 13]);
}

/// Checks that a middleware that dispatches without end panics with the cause, and that the store
/// goes on.
#[tokio::test]
async fn a_middleware_that_dispatches_inside_its_own_dispatches_without_end_panics() {
    // The deepest one that is passed on.
    let deepest = |item: u32, next: Next<'_, List, u32>| match item {
        0 => next.run(item),
        _ => next.store().dispatch(item.saturating_sub(1)),
    };
    let store = list().middleware(deepest).open().await.expect("it opens");
    store.dispatch(127).await.expect("so deep, and no deeper");
    for many in [false, true] {
        let store = store.clone();
        let dispatching = tokio::spawn(async move {
            match many {
                true => drop(store.dispatch_many([1, 128]).await),
                false => drop(store.dispatch(u32::MAX)),
            }
        });
        let panic = in_time(dispatching).await.expect_err("it has no end").into_panic();
        let words = panic.downcast_ref::<String>().expect("it has words");
        assert!(words.contains("store `list`") && words.contains("128 deep"), "{words}");
    }
    store.dispatch(127).await.expect("it is as deep as before");
    assert_eq!(*store.state(), [0, 0, 0]);
}

//! A store in a process by itself: reading, dispatching, subscribing, and reducers that misbehave.

use std::sync::mpsc;
use std::time::Duration;

use samestate::{Change, DispatchError, Reject, Store, UndoPanics, create_store};

const DEADLINE: Duration = Duration::from_secs(10);

fn push(list: &mut Vec<u32>, item: &u32) -> Result<(), Reject> {
    match item {
        0 => Err("zero is not taken".into()),
        13 => panic!("thirteen"),
        item => {
            list.push(*item);
            Ok(())
        }
    }
}

async fn list() -> Store<Vec<u32>, u32> {
    create_store("list", push).on_error(|_| {}).open().await.expect("a store alone is in sync")
}

#[tokio::test]
async fn a_dispatch_resolves_to_the_version_at_which_it_applied() {
    let store = list().await;
    assert_eq!(store.dispatch(1).await.expect("it applies").seq, 1);
    assert_eq!(store.dispatch(2).await.expect("it applies").seq, 2);
    assert_eq!(*store.state(), [1, 2]);
    assert_eq!(store.version().seq, 2);
}

#[tokio::test]
async fn a_rejected_action_never_applies_and_says_why() {
    let store = list().await;
    let refused = store.dispatch(0).await.expect_err("the reducer refuses zero");
    assert_eq!(refused, DispatchError::Rejected("zero is not taken".into()));
    assert_eq!(store.version().seq, 0);
}

#[tokio::test]
async fn a_state_that_is_held_stays_as_it_was() {
    let store = list().await;
    store.dispatch(1).await.expect("it applies");
    let held = store.state();
    store.dispatch(2).await.expect("it applies");
    assert_eq!((&*held, &*store.state()), (&vec![1], &vec![1, 2]));
}

#[tokio::test]
async fn reads_nest_and_a_dispatch_inside_waits_for_the_outermost() {
    let store = list().await;
    let dispatched = store.read(|list| {
        let dispatched = store.read(|_| store.dispatch(7));
        assert!(dispatched.try_outcome().is_none() && list.is_empty() && store.is_connected());
        dispatched
    });
    dispatched.await.expect("it applies when the read ends");
    assert_eq!(*store.state(), [7]);
}

#[tokio::test]
async fn a_panic_that_is_not_undone_poisons_its_store_and_leaves_others_serving() {
    let unguarded =
        create_store("list", push).on_error(|_| {}).undo_panics(UndoPanics::Never).open();
    let (store, other) = (unguarded.await.expect("it opens"), list().await);
    let refused = store.dispatch(13).await.expect_err("the reducer panics");
    assert!(matches!(&refused, DispatchError::Rejected(why) if why.contains("thirteen")));
    assert_eq!(store.dispatch(1).await, Err(DispatchError::Poisoned));
    assert!(!store.is_connected());
    other.dispatch(1).await.expect("the other store serves");
}

#[tokio::test]
async fn a_panic_is_undone_by_default_whatever_the_reducer_had_changed() {
    let reducer = |items: &mut Vec<String>, item: &String| {
        items.push(item.clone());
        assert_ne!(item, "thirteen", "unlucky");
    };
    let store = create_store("items", reducer).open().await.expect("it opens");
    for round in 0..3 {
        store.dispatch(format!("item {round}")).await.expect("it applies");
        let panicked = store.dispatch("thirteen".to_owned()).await;
        let panicked = panicked.expect_err("the reducer panics");
        assert!(matches!(&panicked, DispatchError::Rejected(why) if why.contains("unlucky")));
        assert!(store.is_connected(), "the store still serves");
    }
    assert_eq!(*store.state(), ["item 0", "item 1", "item 2"]);
    assert_eq!(store.version().seq, 3, "what panicked took no version");
}

#[tokio::test]
async fn a_subscriber_is_told_every_action_in_order_and_may_dispatch_to_its_own_store() {
    let store = list().await;
    store.dispatch(100).await.expect("it applies, before anyone listens");
    let (sender, told) = mpsc::channel();
    let echo = store.clone();
    let subscription = store.subscribe(move |change| {
        if let Change::Applied { version, action } = change {
            if **action < 10 {
                drop(echo.dispatch(**action + 20));
            }
            let _ = sender.send((version.seq, **action));
        }
    });
    for item in 1..=3 {
        drop(store.dispatch(item));
    }
    let told = tokio::task::spawn_blocking(move || {
        (0..6).map(|_| told.recv_timeout(DEADLINE).expect("six actions")).collect::<Vec<_>>()
    });
    let told = told.await.expect("no panic");
    assert_eq!(told.iter().map(|told| told.0).collect::<Vec<_>>(), [2, 3, 4, 5, 6, 7]);
    assert_eq!(told.iter().map(|told| told.1).collect::<Vec<_>>(), [1, 2, 3, 21, 22, 23]);
    drop(subscription);
}

#[tokio::test]
async fn a_preloaded_state_is_where_the_store_begins() {
    let store = create_store("list", push).preloaded(vec![5]).open().await.expect("it opens");
    store.dispatch(6).await.expect("it applies");
    assert_eq!(*store.state(), [5, 6]);
}

#[tokio::test]
async fn many_are_dispatched_in_order_and_each_has_its_outcome() {
    let store = list().await;
    let outcomes = store.dispatch_many([1, 0, 2]).await;
    assert_eq!(outcomes[0].as_ref().map(|version| version.seq), Ok(1));
    assert!(matches!(outcomes[1], Err(DispatchError::Rejected(_))));
    assert_eq!(outcomes[2].as_ref().map(|version| version.seq), Ok(2));
}

#[tokio::test]
async fn a_store_needs_no_rust_type_at_all() {
    let reducer = |state: &mut serde_json::Value, action: &serde_json::Value| {
        *state = action.clone();
    };
    let store = create_store("json", reducer).open().await.expect("it opens");
    store.dispatch(serde_json::json!({ "type": "LOG" })).await.expect("it applies");
    assert_eq!(store.read(|state| state["type"].clone()), "LOG");
}

#[tokio::test]
async fn a_watcher_sees_the_newest_version() {
    let store = list().await;
    let mut watch = store.watch();
    store.dispatch_many([1, 2, 3]).await;
    let newest = tokio::time::timeout(DEADLINE, watch.changed()).await;
    assert_eq!(newest.expect("in time").expect("the store lives").seq, 3);
}

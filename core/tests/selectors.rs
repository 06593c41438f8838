//! Changes as streams, and subscribers to a part of the state.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use futures_core::Stream;
use samestate::{Change, ClientConfig, ServerConfig, Store, create_selector, create_store};
use serde::{Deserialize, Serialize};

const DEADLINE: Duration = Duration::from_secs(10);

/// Two counters; an action names one, and what it grows by.
type Counters = (u64, u64);

async fn counters() -> Store<Counters, (bool, u64)> {
    let reducer = |counters: &mut Counters, &(second, by): &(bool, u64)| {
        *(if second { &mut counters.1 } else { &mut counters.0 }) += by;
    };
    create_store("counters", reducer).open().await.expect("a store alone is in sync")
}

/// The next item, as any reader of streams gets it.
async fn next<T: Stream + Unpin>(stream: &mut T) -> Option<T::Item> {
    in_time(poll_fn(|context| Pin::new(&mut *stream).poll_next(context))).await
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("in time")
}

#[tokio::test]
async fn a_subscriber_to_a_part_is_called_only_when_that_part_changed() {
    let store = counters().await;
    let (sender, told) = mpsc::channel();
    let first = store.select(|counters| counters.0);
    let _first = first.subscribe(move |value| sender.send(*value).expect("the test listens"));
    // Told of every change, and after the subscriber to the part: once it was, so was that one.
    let mut changes = store.changes();
    for action in [(true, 1), (false, 5), (true, 1), (false, 0)] {
        store.dispatch(action).await.expect("it applies");
        in_time(changes.next()).await.expect("the store lives");
    }
    assert_eq!(told.try_iter().collect::<Vec<_>>(), [5]);
    assert_eq!(first.get(), 5);
}

#[tokio::test]
async fn a_stream_of_a_part_skips_to_the_newest_and_ends_with_the_store() {
    let store = counters().await;
    let mut parts = store.select(|counters| counters.1).stream();
    let mut changes = store.changes();
    for _ in 0..3 {
        store.dispatch((true, 1)).await.expect("it applies");
        in_time(changes.next()).await.expect("the store lives");
    }
    assert_eq!(in_time(parts.next()).await.as_deref(), Some(&3));
    store.close(DEADLINE).await.expect("nothing is under way");
    assert_eq!(in_time(parts.next()).await, None);
    assert!(in_time(changes.next()).await.is_none());
    assert!(in_time(store.changes().next()).await.is_none(), "closed already");
}

#[tokio::test]
async fn a_stream_has_every_action_in_order() {
    let store = counters().await;
    store.dispatch((false, 100)).await.expect("it applies, before anyone listens");
    let mut changes = store.changes();
    store.dispatch_many((1..=500).map(|by| (false, by))).await;
    for by in 1..=500 {
        match in_time(changes.next()).await {
            Some(Change::Applied { version, action }) => {
                assert_eq!((version.seq, *action), (by + 1, (false, by)));
            }
            other => panic!("{by}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_stream_that_nobody_reads_stays_bounded_and_tells_of_one_jump() {
    let store = counters().await;
    let (mut idle, mut read) = (store.changes(), store.changes());
    for by in 1..=3_000 {
        store.dispatch((false, by)).await.expect("it applies");
        in_time(read.next()).await.expect("the store lives");
    }
    // Both were told of the last one; the idle stream's own mailbox dropped the oldest.
    store.close(DEADLINE).await.expect("nothing is under way");
    let first = in_time(idle.next()).await;
    assert!(
        matches!(first, Some(Change::Jumped { from, to, .. }) if from.seq == 0 && to.seq == 1_976),
        "{first:?}"
    );
    let mut rest = 0;
    while in_time(idle.next()).await.is_some() {
        rest += 1;
    }
    assert_eq!(rest, 1_024);
}

#[tokio::test]
async fn a_stream_does_not_keep_its_store_alive() {
    let store = counters().await;
    let mut changes = store.changes();
    let mut parts = store.select(|counters| counters.0).stream();
    drop(store);
    assert!(in_time(changes.next()).await.is_none());
    assert!(in_time(parts.next()).await.is_none());
}

#[tokio::test]
async fn all_three_are_streams_and_end_when_the_store_is_closed() {
    let store = counters().await;
    let mut changes = store.changes();
    let mut parts = store.select(|counters| counters.0).stream();
    let mut versions = store.watch();
    store.dispatch((false, 4)).await.expect("it applies");
    let told = next(&mut changes).await;
    assert!(matches!(told, Some(Change::Applied { version, .. }) if version.seq == 1));
    assert_eq!(next(&mut parts).await.as_deref(), Some(&4));
    assert_eq!(next(&mut versions).await.map(|version| version.seq), Some(1));
    let waiting = tokio::spawn(async move { next(&mut versions).await });
    store.close(DEADLINE).await.expect("nothing is under way");
    assert_eq!(waiting.await.expect("it ends"), None, "the store's handle is still here");
    assert!(next(&mut changes).await.is_none());
    assert!(next(&mut parts).await.is_none());
    assert!(next(&mut store.watch()).await.is_none(), "closed already");
}

#[tokio::test]
async fn a_watch_tells_a_version_once_however_it_is_asked() {
    let store = counters().await;
    let mut versions = store.watch();
    let asked = poll_fn(|context| Pin::new(&mut versions).poll_next(context).map(|_| false));
    assert!(tokio::select! { biased; _ = asked => false, () = std::future::ready(()) => true });
    store.dispatch((false, 1)).await.expect("it applies");
    assert_eq!(in_time(versions.changed()).await.map(|version| version.seq), Some(1));
    store.dispatch((false, 1)).await.expect("it applies");
    assert_eq!(next(&mut versions).await.map(|version| version.seq), Some(2));
}

#[tokio::test]
async fn a_part_that_a_jump_changed_is_told() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("s");
    let reducer = |counters: &mut Counters, by: &u64| counters.0 += by;
    let server = create_store("jumping", reducer).preloaded((7, 3)).open().await.expect("opens");
    server.create_server(ServerConfig::path(&path)).await.expect("it listens");
    let store = create_store("jumping", reducer).preloaded((7, 0)).open().await.expect("opens");
    let mut same = store.select(|counters| counters.0).stream();
    let mut other = store.select(|counters| counters.1).stream();
    store.create_client(ClientConfig::path(&path)).expect("it becomes a client");
    assert_eq!(next(&mut other).await.as_deref(), Some(&3), "the server's state took its place");
    server.dispatch(1).await.expect("it applies");
    assert_eq!(next(&mut same).await.as_deref(), Some(&8), "7 was 7 before and after");
}

#[tokio::test]
async fn a_selector_that_remembers_derives_only_from_what_is_new() {
    let store = counters().await;
    let derived = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&derived);
    let text = store.select(create_selector(
        |counters: &Counters| counters.1,
        move |second| {
            count.fetch_add(1, Ordering::Relaxed);
            second.to_string()
        },
    ));
    let mut texts = text.stream();
    for action in [(true, 1), (false, 1), (false, 1), (true, 1)] {
        store.dispatch(action).await.expect("it applies");
        if action.0 {
            next(&mut texts).await.expect("it changed");
        }
    }
    assert_eq!(text.get(), "2");
    assert_eq!(derived.load(Ordering::Relaxed), 3, "for 0, 1 and 2");
}

/// The number of living [`Counted`] values.
static COUNTED: AtomicUsize = AtomicUsize::new(0);

/// An action that is counted while it is anywhere.
#[derive(Serialize, Deserialize)]
struct Counted {
    #[serde(skip)]
    _token: Token,
}

struct Token(());

impl Default for Token {
    fn default() -> Self {
        COUNTED.fetch_add(1, Ordering::Relaxed);
        Token(())
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        COUNTED.fetch_sub(1, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn a_stream_that_is_dropped_costs_nothing() {
    let reducer = |actions: &mut usize, _: &Counted| *actions += 1;
    let store = create_store("counted", reducer).open().await.expect("it opens");
    let selector = Arc::new(());
    let (mut unread, mut read) = (store.changes(), store.changes());
    let in_selector = Arc::clone(&selector);
    let parts = store.select(move |actions| actions + Arc::strong_count(&in_selector)).stream();
    for _ in 0..10 {
        store.dispatch(Counted { _token: Token::default() }).await.expect("it applies");
        next(&mut read).await.expect("it is told");
    }
    assert!(next(&mut unread).await.is_some(), "and nine more wait");
    assert!(COUNTED.load(Ordering::Relaxed) >= 9);
    drop((unread, read, parts));
    store.dispatch(Counted { _token: Token::default() }).await.expect("it applies");
    in_time(async {
        while COUNTED.load(Ordering::Relaxed) > 0 || Arc::strong_count(&selector) > 1 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn what_waits_in_a_stream_is_bounded_in_bytes() {
    let reducer = |bytes: &mut usize, text: &String| *bytes += text.len();
    let store = create_store("texts", reducer).open().await.expect("it opens");
    let (mut unread, mut read) = (store.changes(), store.changes());
    for _ in 0..10 {
        store.dispatch("x".repeat(1 << 20)).await.expect("it applies");
        next(&mut read).await.expect("it is told");
    }
    store.close(DEADLINE).await.expect("nothing is under way");
    assert!(matches!(next(&mut unread).await, Some(Change::Jumped { .. })));
    let mut waited = 0;
    while next(&mut unread).await.is_some() {
        waited += 1;
    }
    assert_eq!(waited, 3, "of a little more than 1 MiB each, within 4 MiB");
}

#[tokio::test]
async fn a_stream_that_nobody_reads_holds_no_other_back() {
    let store = counters().await;
    let _unread = (store.changes(), store.select(|counters| counters.0).stream(), store.watch());
    let (sender, told) = mpsc::channel();
    let _subscription = store.subscribe(move |_| sender.send(()).expect("the test listens"));
    let mut read = store.changes();
    for by in 0..5_000 {
        store.dispatch((false, by)).await.expect("it applies");
        next(&mut read).await.expect("it is told");
    }
    assert_eq!(told.try_iter().count(), 5_000);
}

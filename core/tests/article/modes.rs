//! A12 to A14: what each mode sends, and that nothing is lost or garbled unnoticed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use samestate::LinkStats;
use samestate::state::Map;
use samestate::{Mode, Resync, Store, StoreBuilder, create_store};

use super::proxy::Proxy;
use super::scene::{Place, client, list, until, within};

type Page = Store<(u64, String), u64>;

/// A state of 100,000 bytes that changes by a few.
fn page() -> StoreBuilder<(u64, String), u64> {
    let count = |state: &mut (u64, String), by: &u64| state.0 += by;
    let builder = create_store("page", count).resync(Resync::Off).on_error(|_| {});
    builder.preloaded((0, "x".repeat(100_000)))
}

/// Returns the number of bytes that cross for 50 actions, each awaited.
async fn bytes_of_fifty(server: Mode, client_mode: Mode) -> usize {
    let place = Place::new();
    let root: Page = page().mode(server).open().await.expect("it opens");
    root.create_server(place.server()).await.expect("it listens");
    let seen = Proxy::before(&place.path(), place.path().with_extension("seen"));
    let copy = page().mode(client_mode).client(client(seen.path()));
    let copy: Page = copy.open().await.expect("it comes in sync");
    seen.forget();
    for _ in 0..50 {
        copy.dispatch(1).await.expect("it applies");
    }
    assert_eq!((copy.state().0, root.state().0), (50, 50));
    seen.bytes().len()
}

#[tokio::test]
async fn a12_snapshot_sends_the_state_action_the_actions_and_the_sender_decides() {
    let (small, state) = (50 * 1_000, 100_000);
    let snapshots = bytes_of_fifty(Mode::Snapshot, Mode::Action).await;
    let actions = bytes_of_fifty(Mode::Action, Mode::Snapshot).await;
    assert!(snapshots > 40 * state, "the whole state at each change: {snapshots}");
    assert!(actions < small, "the actions alone: {actions}");
}

#[tokio::test]
async fn a12_the_default_is_action_because_here_it_cannot_drift() {
    assert_eq!(Mode::default(), Mode::Action);
    let place = Place::new();
    let root = page().open().await.expect("it opens");
    root.create_server(place.server()).await.expect("it listens");
    let copy = page().client(place.client()).open().await.expect("it comes in sync");
    for _ in 0..10 {
        copy.dispatch(1).await.expect("it applies");
    }
    assert_eq!(root.counters().snapshots_sent, 1, "the first alone: the rest were actions");
}

/// A map of about a megabyte.
type Scores = Store<Map<u64, String>, u64>;

/// Its reducer says when it runs.
fn scores(runs: &Arc<AtomicU64>) -> StoreBuilder<Map<u64, String>, u64> {
    let runs = Arc::clone(runs);
    let score = move |scores: &mut Map<u64, String>, player: &u64| {
        runs.fetch_add(1, Ordering::Relaxed);
        scores.update(player, |text| text.replace_range(..1, "y"));
    };
    create_store("scores", score).resync(Resync::Verify(10)).on_error(|_| {})
}

#[tokio::test]
async fn a12_delta_sends_what_changed_and_only_the_sender_runs_the_reducer() {
    let (upper, lower) = (Place::new(), Place::new());
    let runs = [(); 4].map(|()| Arc::new(AtomicU64::new(0)));
    let all = (0..10_000).map(|player| (player, "x".repeat(100))).collect();
    let root = scores(&runs[0]).preloaded(all).delta();
    let root: Scores = root.open().await.expect("it opens");
    root.create_server(upper.server()).await.expect("it listens");
    let seen = Proxy::before(&upper.path(), upper.path().with_extension("seen"));
    let relay = scores(&runs[1]).delta().client(client(seen.path()));
    let relay: Scores = relay.open().await.expect("it comes in sync");
    relay.create_server(lower.server()).await.expect("it listens");
    let leaf = scores(&runs[2]).delta().client(lower.client());
    let leaf: Scores = leaf.open().await.expect("it comes in sync");
    // One that does not take patches gets the actions, and runs the reducer.
    let other = scores(&runs[3]).client(lower.client());
    let other: Scores = other.open().await.expect("it comes in sync");
    seen.forget();
    for player in 0..50 {
        leaf.dispatch(player).await.expect("it applies");
    }
    let bytes = seen.bytes().len();
    assert!(bytes < 50 * 1_000, "one changed key costs {} bytes on the wire", bytes / 50);
    for copy in [&relay, &leaf, &other] {
        let caught_up = async {
            let mut watch = copy.watch();
            while copy.version() != root.version() {
                watch.changed().await;
            }
        };
        within("a copy has all", caught_up).await;
        assert_eq!(copy.state(), root.state());
    }
    let ran = runs.each_ref().map(|runs| runs.load(Ordering::Relaxed));
    assert_eq!(ran, [50, 0, 0, 50], "at the root, the relay, the leaf and the other");
    within("copies are compared", async {
        while leaf.counters().verified == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    assert_eq!((leaf.counters().divergences, leaf.counters().snapshots_installed), (0, 1));
}

#[tokio::test]
async fn a12_in_mode_delta_a_change_of_more_than_half_of_the_state_is_a_snapshot() {
    let place = Place::new();
    let set = |state: &mut String, len: &usize| *state = "x".repeat(*len);
    let store = || create_store("text", set).delta().on_error(|_| {});
    let root = store().preloaded("x".into()).open().await.expect("it opens");
    root.create_server(place.server()).await.expect("it listens");
    let copy = store().client(place.client()).open().await.expect("it comes in sync");
    for (len, snapshots) in [(10, 1), (100_000, 2), (20, 2), (50_000, 3)] {
        copy.dispatch(len).await.expect("it applies");
        assert_eq!((copy.state().len(), root.state().len()), (len, len));
        assert_eq!(copy.counters().snapshots_installed, snapshots, "{len}");
    }
}

/// Returns the number of snapshots that a server sends for 100 actions of its client, without the
/// first.
async fn snapshots_of_a_hundred(resync: Resync) -> u64 {
    let place = Place::new();
    let server = list().resync(resync).open().await.expect("it opens");
    server.create_server(place.server()).await.expect("it listens");
    let client = list().client(place.client()).open().await.expect("it comes in sync");
    let sent = || server.counters().snapshots_sent - 1;
    for item in 0..100 {
        client.dispatch(item).await.expect("it applies");
        let count = item + 1;
        // A link that has gone on before a snapshot is made skips it.
        if let Resync::Snapshot(every) = resync
            && count % every == 0
        {
            within("the snapshot is sent", async {
                while sent() < count / every {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            })
            .await;
        }
    }
    until("the server has all", &server, |list| list.len() == 100).await;
    sent()
}

#[tokio::test]
async fn a13_a_full_synchronisation_every_n_actions() {
    assert_eq!(snapshots_of_a_hundred(Resync::Snapshot(20)).await, 5);
    assert_eq!(snapshots_of_a_hundred(Resync::Snapshot(50)).await, 2);
    assert_eq!(snapshots_of_a_hundred(Resync::Verify(20)).await, 0, "digests take their place");
    assert_eq!(Resync::default(), Resync::Verify(100), "the article's 100");
}

#[tokio::test]
async fn a14_a_garbled_message_never_goes_unnoticed_nor_becomes_state() {
    let place = Place::new();
    let server = list().resync(Resync::Off).open().await.expect("it opens");
    server.create_server(place.server()).await.expect("it listens");
    let spoiling = Proxy::before(&place.path(), place.path().with_extension("spoiling"));
    let (sender, mut errors) = tokio::sync::mpsc::unbounded_channel();
    let copy =
        list().resync(Resync::Off).on_error(move |event| drop(sender.send(event.to_string())));
    let copy = copy.client(client(spoiling.path())).open().await.expect("it comes in sync");
    for round in 1..=5 {
        spoiling.spoil_next(1);
        let garbled = async {
            while spoiling.spoiled() < round {
                server.dispatch(0).await.expect("it applies");
                tokio::task::yield_now().await;
            }
        };
        within("a byte is garbled", garbled).await;
        let told = within("it is noticed", errors.recv()).await.expect("it is said");
        assert!(told.contains("list"), "{told}");
        let all = server.state().len();
        until("the copy has all of it", &copy, |list| list.len() >= all).await;
    }
    assert_eq!(copy.state(), server.state());
}

#[tokio::test]
async fn a14_a_cut_in_the_middle_of_a_storm_loses_nothing_and_doubles_nothing() {
    let place = Place::new();
    let server = list().open().await.expect("it opens");
    server.create_server(place.server()).await.expect("it listens");
    let cutting = Proxy::before(&place.path(), place.path().with_extension("cutting"));
    let copy = client(cutting.path()).backoff_max(Duration::from_millis(50));
    let copy = list().client(copy).open().await.expect("it comes in sync");
    let mut acknowledged = Vec::new();
    for item in 0..2_000_u64 {
        if item % 200 == 100 {
            cutting.cut();
        }
        within("in sync", copy.until_connected(true)).await;
        if copy.dispatch(item).await.is_ok() {
            acknowledged.push(item);
        }
    }
    assert!(acknowledged.len() > 1_900, "{}", acknowledged.len());
    within("in sync", copy.until_connected(true)).await;
    let history = server.state();
    let counted = |item: &u64| history.iter().filter(|held| *held == item).count();
    assert!(acknowledged.iter().all(|item| counted(item) == 1), "each exactly once");
    assert!(history.iter().all(|item| counted(item) == 1), "and nothing else twice");
    assert!(LinkStats::process().counts().bytes_written > 0);
}

//! Promotions by an operator, and sequencers that come back to find one.

use std::time::Duration;

use samestate::{
    Backup, BackupError, ClientConfig, Error, EventKind, Role, ServerConfig, Store, StoreBuilder,
    Version,
};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::{DEADLINE, Path, list, same, within};

type List = Store<Vec<u32>, u32>;

/// A server with a login for clients and one for operators.
fn server(place: &Path) -> ServerConfig {
    place.server().operator("ops", "other")
}

fn operator(place: &Path) -> ClientConfig {
    ClientConfig::path(place.0.path().join("s")).login("ops", "other")
}

/// A standby of the sequencer at `root`, served at `place`.
async fn standby(root: &Path, place: &Path) -> List {
    let standby = list().standby().client(root.client());
    let standby = within(standby.open()).await.expect("it comes in sync");
    standby.create_server(server(place)).await.expect("it listens");
    standby
}

/// The store, and the kinds of what it reports.
fn told(
    store: StoreBuilder<Vec<u32>, u32>,
) -> (StoreBuilder<Vec<u32>, u32>, UnboundedReceiver<EventKind>) {
    let (sender, events) = unbounded_channel();
    (store.on_error(move |event| drop(sender.send(event.kind().clone()))), events)
}

/// Waits for an event, and skips those that come before it.
async fn event<T>(
    events: &mut UnboundedReceiver<EventKind>,
    wanted: impl Fn(EventKind) -> Option<T>,
) -> T {
    within(async {
        loop {
            let event = events.recv().await.expect("it is told");
            if let Some(found) = wanted(event) {
                return found;
            }
        }
    })
    .await
}

async fn lost(events: &mut UnboundedReceiver<EventKind>) -> (Version, Version) {
    event(events, |event| match event {
        EventKind::HistoryLost { from, to } => Some((from, to)),
        _ => None,
    })
    .await
}

#[tokio::test]
async fn an_operator_promotes_a_standby_over_a_link_and_nobody_else_does() {
    let (at_root, at_standby) = (Path::new(), Path::new());
    let root = list().open().await.expect("it opens");
    root.create_server(server(&at_root)).await.expect("it listens");
    let (below, mut events) = told(list().standby().client(at_root.client()));
    let standby = within(below.open()).await.expect("it comes in sync");
    standby.create_server(server(&at_standby)).await.expect("it listens");
    root.dispatch(1).await.expect("it applies");
    same(&root, &standby).await;
    let refused = async |client: ClientConfig, store: &str| {
        let error = within(client.promote(store)).await.expect_err("it is refused");
        assert!(matches!(error, Error::NotPromotedThere { .. }), "{error:?}");
        error.to_string()
    };
    let error = refused(at_standby.client(), "list").await;
    assert!(error.contains("only an operator may promote"), "{error}");
    let error = refused(operator(&at_standby), "lists").await;
    assert!(error.contains("`lists` is not served here, only `list`"), "{error}");
    let error = refused(operator(&at_standby), "list").await;
    assert!(error.contains("can be reached, and orders"), "{error}");
    let error = refused(operator(&at_root), "list").await;
    assert!(error.contains("it is the sequencer already"), "{error}");
    let wrong = ClientConfig::path(at_standby.0.path().join("s")).login("ops", "wrong");
    let error = refused(wrong, "list").await;
    assert!(error.contains("password"), "{error}");
    assert_eq!(standby.roles(), [Role::Server, Role::Client]);

    drop(root);
    within(standby.until_connected(false)).await;
    let promoted = within(operator(&at_standby).promote("list")).await.expect("it takes over");
    assert_eq!(promoted.seq, 1);
    let kind = event(&mut events, |event| match event {
        EventKind::Promoted { version, operator } => Some((version, operator)),
        _ => None,
    });
    assert_eq!(kind.await, (promoted, "ops".to_owned()));
    standby.dispatch(2).await.expect("it orders");
    let error = refused(ClientConfig::tcp("127.0.0.1:1"), "list").await;
    assert!(error.contains("127.0.0.1:1: "), "{error}");
    let two = ClientConfig::tcp(["a", "b"]).promote("list").await.expect_err("which of them?");
    assert!(matches!(two, Error::Options { .. }), "{two:?}");
}

#[tokio::test]
async fn two_stores_with_other_operators_do_not_share_a_server() {
    let place = Path::new();
    let (one, two) = (list(), samestate::create_store("other", super::push));
    let (one, two) = (one.open().await.expect("it opens"), two.open().await.expect("it opens"));
    one.create_server(server(&place)).await.expect("it listens");
    let same_logins = place.server().login("ops", "other");
    let error = two.create_server(same_logins).await.expect_err("they differ");
    assert!(error.to_string().contains("\"ops\" is that of an operator"), "{error}");
    two.create_server(server(&place)).await.expect("it shares the server");
}

#[tokio::test]
async fn a_sequencer_that_is_started_again_finds_that_it_was_superseded() {
    let (at_root, at_standby) = (Path::new(), Path::new());
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = || {
        let backup = Backup::at(folder.path().join("list.backup"));
        list().backup(backup).durable().standbys(at_standby.client())
    };
    // Nobody is there yet, so it orders.
    let first = within(root().open()).await.expect("it opens");
    assert_eq!(first.roles(), [], "it is alone");
    first.create_server(at_root.server()).await.expect("it listens");
    let standby = standby(&at_root, &at_standby).await;
    first.dispatch(1).await.expect("it applies");
    same(&first, &standby).await;

    // A restart while the standby is a client changes nothing.
    first.close(DEADLINE).await.expect("it closes");
    let (second, mut events) = told(root());
    let second = within(second.open()).await.expect("it opens");
    assert_eq!(second.roles(), []);
    second.create_server(at_root.server()).await.expect("it listens");
    within(standby.until_connected(true)).await;
    second.servers().remove(0).close().await;
    within(standby.until_connected(false)).await;
    second.dispatch(2).await.expect("it applies where the standby does not see it");
    second.close(DEADLINE).await.expect("it closes");
    assert!(events.try_recv().is_err(), "nothing was wrong with it");

    within(standby.promote()).await.expect("it takes over");
    standby.dispatch(3).await.expect("it orders");
    let (third, mut events) = told(root());
    let third = within(third.open()).await.expect("it comes in sync");
    assert_eq!(third.roles(), [Role::Client]);
    assert_eq!(*third.state(), [1, 3]);
    event(&mut events, |event| matches!(event, EventKind::Superseded { .. }).then_some(())).await;
    let (from, to) = lost(&mut events).await;
    assert_eq!((from.seq, to.seq), (2, 2));
    third.close(DEADLINE).await.expect("it closes");

    // It knows from now on, whether or not it reaches the other one, and orders nothing.
    standby.servers().remove(0).close().await;
    let (fourth, mut events) = told(root().open_timeout(Duration::from_millis(200)));
    let error = within(fourth.open()).await.map(drop).expect_err("it waits for the other one");
    assert!(matches!(error, Error::NotInSync { .. }), "{error}");
    standby.create_server(server(&at_standby)).await.expect("it listens");
    let (fifth, mut last) = told(root());
    let fifth = within(fifth.open()).await.expect("it comes in sync");
    assert_eq!(*fifth.state(), [1, 3]);
    for events in [&mut events, &mut last] {
        while let Ok(event) = events.try_recv() {
            assert!(matches!(event, EventKind::ConnectFailed { .. }), "{event:?}");
        }
    }
    // Its files hold an action that was lost.
    standby.close(DEADLINE).await.expect("it closes");
    within(fifth.until_connected(false)).await;
    let error = fifth.promote().await.expect_err("somebody may want that action");
    assert!(matches!(error, Error::Backup(BackupError::Ahead { .. })), "{error}");
    fifth.close(DEADLINE).await.expect("it closes");
    let alone = list().backup(Backup::at(folder.path().join("list.backup")));
    let error = alone.open().await.map(drop).expect_err("it must not order");
    assert!(matches!(error, Error::Superseded { .. }), "{error}");
}

#[tokio::test]
async fn of_two_standbys_only_one_is_promoted() {
    let places = [Path::new(), Path::new(), Path::new()];
    let root = list().open().await.expect("it opens");
    root.create_server(server(&places[0])).await.expect("it listens");
    let first = standby(&places[0], &places[1]).await;
    let second = list().standby().standbys(places[1].client()).client(places[0].client());
    let second = within(second.open()).await.expect("it comes in sync");
    root.dispatch(1).await.expect("it applies");
    same(&root, &first).await;
    same(&root, &second).await;
    root.close(DEADLINE).await.expect("it closes");
    for standby in [&first, &second] {
        within(standby.until_connected(false)).await;
    }
    within(first.promote()).await.expect("it takes over");
    let error = within(second.promote()).await.expect_err("the first did");
    assert!(error.to_string().contains("another node was promoted in its place"), "{error}");
    assert_eq!(second.roles(), [Role::Client]);
}

#[tokio::test]
async fn a_sequencer_is_told_what_keeps_its_standby_from_an_answer() {
    let at_standby = Path::new();
    let (why, mut events) = unbounded_channel();
    let stranger = list().open().await.expect("it opens");
    stranger.create_server(server(&at_standby)).await.expect("it listens");
    let wrong = ClientConfig::path(at_standby.0.path().join("s")).login("app", "wrong");
    for (standby, words) in
        [(at_standby.client(), "it has another history of the store"), (wrong, "login")]
    {
        let why = why.clone();
        let root = list().standbys(standby).on_error(move |event| {
            if let EventKind::StandbyUnusable { .. } = event.kind() {
                drop(why.send(event.to_string()));
            }
        });
        let root = within(root.open()).await.expect("it opens");
        let told = within(events.recv()).await.expect("it is told");
        assert!(told.contains(words), "{told}");
        root.dispatch(1).await.expect("it orders");
    }
}

#[tokio::test]
async fn two_processes_take_each_others_place_again_and_again() {
    let places = [Path::new(), Path::new()];
    let folders = [(); 2].map(|()| tempfile::tempdir().expect("a temporary folder"));
    let store = |this: usize| {
        let backup = Backup::at(folders[this].path().join("list.backup"));
        let other = places[1 - this].client();
        list().backup(backup).durable().standby().standbys(other)
    };
    let mut root = within(store(0).open()).await.expect("it opens");
    root.create_server(server(&places[0])).await.expect("it listens");
    let other = within(store(1).client(places[0].client()).open()).await;
    let mut standby = other.expect("it comes in sync");
    standby.create_server(server(&places[1])).await.expect("it listens");
    for round in 0..4 {
        let lost = round as usize % 2;
        let version = root.dispatch(round).await.expect("it applies");
        within(standby.dispatch(round + 100)).await.expect("it applies");
        // It dies, is replaced, and comes back as it was.
        root.close(DEADLINE).await.expect("it closes");
        within(standby.until_connected(false)).await;
        let promoted = within(standby.promote()).await.expect("it takes over");
        assert_eq!(promoted.seq, version.seq + 1);
        let back = within(store(lost).open()).await.expect("it comes in sync");
        assert_eq!(back.roles(), [Role::Client]);
        back.create_server(server(&places[lost])).await.expect("it listens");
        (root, standby) = (standby, back);
    }
    let all: Vec<_> = (0..4).flat_map(|round| [round, round + 100]).collect();
    assert_eq!(*root.state(), all);
    same(&root, &standby).await;
    root.close(DEADLINE).await.expect("it closes");
    standby.close(DEADLINE).await.expect("it closes");
    let again = within(store(0).open()).await.expect("it opens");
    assert_eq!(*again.state(), all, "the last that was promoted has it all on disk");
}

#[tokio::test]
async fn a_sequencer_that_was_cut_off_finds_that_it_was_superseded() {
    let (at_root, at_standby) = (Path::new(), Path::new());
    let (root, mut events) = told(list().standbys(at_standby.client()));
    let root = within(root.open()).await.expect("it opens");
    root.create_server(at_root.server()).await.expect("it listens");
    let standby = standby(&at_root, &at_standby).await;
    root.dispatch(1).await.expect("it applies");
    same(&root, &standby).await;
    root.servers().remove(0).close().await;
    within(standby.until_connected(false)).await;
    root.dispatch(2).await.expect("it applies at one of two sequencers");
    within(standby.promote()).await.expect("it takes over");
    event(&mut events, |event| matches!(event, EventKind::Superseded { .. }).then_some(())).await;
    let (from, _) = lost(&mut events).await;
    assert_eq!(from.seq, 2);
    same(&standby, &root).await;
    within(root.until_connected(true)).await;
    root.dispatch(3).await.expect("it dispatches to the new sequencer");
    assert_eq!(*standby.state(), [1, 3]);
}

//! A client that takes the place of its sequencer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use samestate::{
    Address, Backup, BackupError, Change, ClientConfig, DispatchError, Error, EventKind, Jump,
    NotPromotable, Role, Store, Subscription, Version,
};

use super::{DEADLINE, Path, list, same, within};

type List = Store<Vec<u32>, u32>;

type Jumps = Arc<Mutex<Vec<(Jump, Version, Version)>>>;

/// The jumps that a store's subscribers are told of.
fn jumps(store: &List) -> (Jumps, Subscription) {
    let jumps = Jumps::default();
    let told = Arc::clone(&jumps);
    let subscription = store.subscribe(move |change| {
        if let Change::Jumped { why, from, to } = change {
            told.lock().push((*why, *from, *to));
        }
    });
    (jumps, subscription)
}

/// A client that knows both places.
async fn client_of(places: [&Path; 2]) -> List {
    let address = |place: &Path| Address::path(place.0.path().join("s")).to_string();
    let client = ClientConfig::tcp(places.map(address)).login("app", "secret");
    within(list().client(client).open()).await.expect("it comes in sync")
}

/// A standby of the sequencer at `root`, served at `place`.
async fn standby(root: &Path, place: &Path) -> List {
    let standby = list().standby().client(root.client());
    let standby = within(standby.open()).await.expect("it comes in sync");
    standby.create_server(place.server()).await.expect("it listens");
    standby
}

#[tokio::test]
async fn a_standby_takes_over_and_each_dispatch_applies_once() {
    let (at_root, at_standby) = (Path::new(), Path::new());
    let root = list().open().await.expect("it opens");
    root.create_server(at_root.server()).await.expect("it listens");
    let standby = standby(&at_root, &at_standby).await;
    let client = client_of([&at_root, &at_standby]).await;
    let (jumps, _told) = jumps(&client);

    let (done, ordered) = (Arc::new(AtomicBool::new(false)), Arc::<Mutex<Vec<_>>>::default());
    let lanes = (0..8).map(|lane| {
        let (client, done, ordered) = (client.clone(), Arc::clone(&done), Arc::clone(&ordered));
        tokio::spawn(async move {
            let mut item = lane;
            while !done.load(Ordering::Relaxed) {
                match within(client.dispatch(item)).await {
                    Ok(version) => {
                        ordered.lock().push((item, version));
                        item += 8;
                    }
                    // It never applies.
                    Err(DispatchError::NotConnected) => within(client.ready()).await,
                    Err(error) => panic!("{item}: {error}"),
                }
            }
        })
    });
    let lanes: Vec<_> = lanes.collect();
    let more = async |store: &List, count: u64| {
        let (from, mut changes) = (store.version().seq, store.watch());
        while store.version().seq < from + count {
            within(changes.changed()).await;
        }
    };
    more(&standby, 500).await;
    drop(root);
    within(standby.until_connected(false)).await;
    let began = standby.promote().await.expect("it takes over");
    assert_eq!(standby.roles(), [Role::Server]);
    more(&standby, 500).await;
    done.store(true, Ordering::Relaxed);
    for lane in lanes {
        lane.await.expect("each dispatch is applied");
    }

    same(&standby, &client).await;
    let state = standby.state();
    let mut once = (*state).clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), state.len(), "no dispatch is applied twice");
    // What the standby never got is lost, and reported: exactly that.
    let new = standby.version().epoch;
    let lost = |version: &Version| version.epoch != new && version.seq > began.seq;
    for (item, version) in &*ordered.lock() {
        assert_eq!(state.contains(item), !lost(version), "{item} at {version}");
    }
    let lost_any = ordered.lock().iter().any(|(_, version)| lost(version));
    let reported =
        jumps.lock().iter().any(|(why, _, to)| *why == Jump::HistoryLost && to.seq >= began.seq);
    assert!(reported || !lost_any, "{:?}", jumps.lock());
}

#[tokio::test]
async fn a_sequencer_that_comes_back_joins_and_is_told_what_it_alone_had() {
    let (at_root, at_standby) = (Path::new(), Path::new());
    let root = list().preloaded(vec![1]).open().await.expect("it opens");
    root.create_server(at_root.server()).await.expect("it listens");
    let standby = standby(&at_root, &at_standby).await;
    root.dispatch(2).await.expect("it applies");
    same(&root, &standby).await;
    // The two lose sight of each other.
    root.servers().remove(0).close().await;
    within(standby.until_connected(false)).await;
    standby.promote().await.expect("it takes over");
    root.dispatch(3).await.expect("it applies at one of two sequencers");
    standby.dispatch(4).await.expect("it applies at the other");
    standby.dispatch(5).await.expect("it applies at the other");
    let (jumps, _told) = jumps(&root);
    root.create_client(at_standby.client()).expect("it begins");
    same(&standby, &root).await;
    assert_eq!(*root.state(), [1, 2, 4, 5]);
    within(async {
        while jumps.lock().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let [(why, from, to)] = jumps.lock()[..] else { panic!("{:?}", jumps.lock()) };
    assert_eq!((why, from.seq, to.seq), (Jump::HistoryLost, 2, 3));
    root.dispatch(6).await.expect("it dispatches to the new sequencer");
    assert_eq!(*standby.state(), [1, 2, 4, 5, 6]);
}

#[tokio::test]
async fn workers_and_clients_below_stay_when_a_relay_takes_over() {
    let (at_root, at_relay) = (Path::new(), Path::new());
    let root = list().open().await.expect("it opens");
    root.create_server(at_root.server()).await.expect("it listens");
    let relay = standby(&at_root, &at_relay).await;
    let below = within(list().client(at_relay.client()).open()).await.expect("it comes in sync");
    below.dispatch(1).await.expect("it applies");
    drop(root);
    within(below.until_connected(false)).await;
    let (jumps, _told) = jumps(&below);
    relay.promote().await.expect("it takes over");
    within(below.until_connected(true)).await;
    below.dispatch(2).await.expect("it applies");
    assert_eq!(*relay.state(), [1, 2]);
    assert!(jumps.lock().is_empty(), "its history goes on: {:?}", jumps.lock());
}

#[tokio::test]
async fn what_cannot_be_promoted_says_why_and_stays_as_it_is() {
    let (at_root, nobody) = (Path::new(), Path::new());
    let root = list().open().await.expect("it opens");
    root.create_server(at_root.server()).await.expect("it listens");
    let why = async |store: &List| match store.promote().await {
        Err(Error::NotPromotable { why, .. }) => why,
        other => panic!("{other:?}"),
    };
    assert_eq!(why(&root).await, NotPromotable::Sequencer);
    root.dispatch(1).await.expect("it is the sequencer still");

    let (sender, mut events) = tokio::sync::mpsc::unbounded_channel();
    let waiting = list().client(nobody.client()).on_error(move |event| {
        drop(sender.send(event.kind().clone()));
    });
    let waiting = waiting.start().expect("it starts");
    assert_eq!(why(&waiting).await, NotPromotable::NoState);
    assert_eq!(waiting.roles(), [Role::Client]);
    let event = within(events.recv()).await.expect("it is told");
    assert!(matches!(event, EventKind::ConnectFailed { .. }), "it tries on: {event:?}");
    let error = why(&waiting).await.to_string();
    assert!(error.contains("nothing to continue"), "{error}");

    let follower = within(list().client(at_root.client()).open()).await.expect("it comes in sync");
    assert_eq!(why(&follower).await, NotPromotable::Ordered);
    within(follower.dispatch(2)).await.expect("it is a client still");
}

#[tokio::test]
async fn a_sequencer_hands_over_and_nothing_is_lost() {
    let (at_root, at_standby) = (Path::new(), Path::new());
    let root = list().open().await.expect("it opens");
    root.create_server(at_root.server()).await.expect("it listens");
    let standby = standby(&at_root, &at_standby).await;
    let client = client_of([&at_root, &at_standby]).await;
    let dispatching = async {
        let mut refused = 0;
        for item in 0..3_000 {
            loop {
                match within(client.dispatch(item)).await {
                    Ok(_) => break,
                    Err(DispatchError::NotConnected) => {
                        refused += 1;
                        within(client.ready()).await;
                    }
                    Err(error) => panic!("{item}: {error}"),
                }
            }
        }
        refused
    };
    let handing_over = async {
        let mut changes = standby.watch();
        while standby.version().seq < 1_000 {
            within(changes.changed()).await;
        }
        let to_standby = at_standby.client().retry_refused_after(Duration::from_millis(20));
        root.create_client(to_standby).expect("it begins");
        // It is told that the sequencer orders no more.
        within(standby.until_connected(false)).await;
        let begun = std::time::Instant::now();
        standby.promote().await.expect("it takes over");
        within(client.until_connected(true)).await;
        println!("handed over within {:?}", begun.elapsed());
    };
    let (refused, ()) = tokio::join!(dispatching, handing_over);
    println!("{refused} refused");
    for store in [&root, &client] {
        same(&standby, store).await;
    }
    assert_eq!(*standby.state(), (0..3_000).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_backup_begins_at_the_promotion_and_overwrites_nothing_that_would_be_lost() {
    let (at_root, folder) = (Path::new(), tempfile::tempdir().expect("a temporary folder"));
    let backup = || Backup::at(folder.path().join("list.backup"));
    let root = list().backup(backup()).durable().open().await.expect("it opens");
    root.create_server(at_root.server()).await.expect("it listens");
    root.dispatch(1).await.expect("it applies");
    let standby = list().standby().client(at_root.client()).backup(backup()).durable();
    let standby = within(standby.open()).await.expect("it comes in sync");
    root.servers().remove(0).close().await;
    within(standby.until_connected(false)).await;
    root.dispatch(2).await.expect("it applies where the standby does not see it");
    let error = standby.promote().await.expect_err("another process has the files");
    assert!(matches!(error, Error::Backup(BackupError::InUse(_))), "{error}");
    root.close(DEADLINE).await.expect("it closes");
    let error = standby.promote().await.expect_err("what only the files have would be lost");
    assert!(matches!(error, Error::Backup(BackupError::Ahead { .. })), "{error}");
    assert_eq!(standby.roles(), [Role::Client], "{error}");

    let kept = folder.path().join("kept");
    std::fs::create_dir(&kept).expect("a folder");
    for file in ["list.backup", "list.backup.journal"] {
        std::fs::rename(folder.path().join(file), kept.join(file)).expect("it is moved away");
    }
    standby.promote().await.expect("it takes over");
    standby.dispatch(3).await.expect("it applies");
    let error = standby.promote().await.expect_err("it is the sequencer already");
    assert!(error.to_string().contains("the sequencer already"), "{error}");
    standby.close(DEADLINE).await.expect("it closes");
    let again = list().backup(backup()).open().await.expect("it is restored");
    assert_eq!(*again.state(), [1, 3]);
    // A client that has all that the files hold begins them anew.
    again.create_server(at_root.server()).await.expect("it listens");
    let standby = list().standby().client(at_root.client()).backup(backup());
    let standby = within(standby.open()).await.expect("it comes in sync");
    again.close(DEADLINE).await.expect("it closes");
    within(standby.until_connected(false)).await;
    standby.promote().await.expect("it takes over");
    assert_eq!(*standby.state(), [1, 3]);
}

#[tokio::test]
async fn a_sequencer_whose_standby_dies_during_a_hand_over_takes_its_place_back() {
    let (at_root, at_standby) = (Path::new(), Path::new());
    let root = list().open().await.expect("it opens");
    root.create_server(at_root.server()).await.expect("it listens");
    let standby = standby(&at_root, &at_standby).await;
    root.dispatch(1).await.expect("it applies");
    same(&root, &standby).await;
    root.create_client(at_standby.client()).expect("it begins");
    within(standby.until_connected(false)).await;
    drop(standby);
    within(async {
        while let Err(error) = root.promote().await {
            assert!(matches!(error, Error::NotPromotable { .. }), "{error}");
        }
    })
    .await;
    root.dispatch(2).await.expect("it orders again");
    assert_eq!(*root.state(), [1, 2]);
}

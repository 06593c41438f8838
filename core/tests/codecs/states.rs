//! States that do not survive their codec: at the beginning, and after some action.

use std::collections::HashSet;
use std::net::IpAddr;

use samestate::state::Map;
use samestate::{BackupError, Codec, DispatchError, Error, create_store};
use serde::{Deserialize, Serialize};

use crate::scene::{DEADLINE, Scene, until, within};

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Meta {
    addr: IpAddr,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Task {
    id: u32,
    #[serde(flatten)]
    meta: Meta,
    name: Option<Option<String>>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Tasks {
    tasks: Vec<Task>,
    by_pair: Map<(u64, u64), f64>,
}

fn task(id: u32) -> Task {
    let meta = Meta { addr: IpAddr::from([10, 0, 0, 1]) };
    Task { id, meta, name: None }
}

async fn refused(codec: Codec, tasks: Tasks) -> String {
    let scene = Scene::new(codec);
    let store = scene.store(|_: &mut Tasks, _: &u8| {}).backup(scene.backup());
    match store.preloaded(tasks).open().await {
        Err(Error::Unrestorable { why, .. }) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_store_does_not_begin_in_a_state_that_is_lost_with_it_and_says_which_part_it_is() {
    let tasks = || Tasks { tasks: (0..4).map(task).collect(), ..Tasks::default() };
    let why = refused(Codec::MessagePack, tasks()).await;
    assert!(why.contains(".addr: invalid type"), "{why}");
    let mut cleared = tasks();
    cleared.tasks[3].name = Some(None);
    let why = refused(Codec::Json, cleared).await;
    assert!(why.starts_with("tasks[3].name: "), "{why}");
    let by_pair = |value| Tasks { by_pair: [((1, 2), value)].into_iter().collect(), tasks: vec![] };
    let why = refused(Codec::Json, by_pair(1.0)).await;
    assert!(why.starts_with("by_pair: "), "{why}");
    let list = |why: Vec<Option<f64>>| async move {
        let store = create_store("list", |_: &mut Vec<Option<f64>>, _: &u8| {});
        store.codec(Codec::Json).preloaded(why).open().await.map(drop)
    };
    let error = list(vec![None, Some(f64::NAN)]).await.expect_err("a NaN").to_string();
    assert!(error.contains("[1]: the value that comes back"), "{error}");
}

#[tokio::test]
async fn a_hashed_set_comes_back_in_another_order_and_is_the_same() {
    let scene = Scene::new(Codec::Json);
    let mut set: HashSet<u32> = (0..100).collect();
    let store = scene.store(|set: &mut HashSet<u32>, one: &u32| {
        set.insert(*one);
    });
    let store = store.preloaded(set.clone()).backup(scene.backup()).durable();
    let store = store.open().await.expect("it opens");
    within(store.dispatch(100)).await.expect("it applies");
    store.close(DEADLINE).await.expect("it is written");
    set.insert(100);
    assert_eq!(*store.state(), set);
}

/// A durable store whose state JSON cannot express once it is not empty.
#[tokio::test]
async fn a_durable_store_takes_no_action_whose_state_would_be_lost_with_it() {
    let scene = Scene::new(Codec::Json);
    let open = || {
        let store = scene.store(|state: &mut Tasks, value: &f64| {
            if *value < 0.0 {
                state.by_pair.insert((1, 2), *value);
            }
        });
        store.backup(scene.backup()).durable().open()
    };
    let store = open().await.expect("an empty map has no keys");
    for value in [1.0, 2.0] {
        within(store.dispatch(value)).await.expect("it applies");
    }
    let Err(DispatchError::Rejected(why)) = within(store.dispatch(-1.0)).await else {
        panic!("it would be lost");
    };
    assert!(why.contains("by_pair: "), "{why}");
    assert!(!store.is_connected());
    let Err(DispatchError::Unrestorable(why)) = within(store.dispatch(3.0)).await else {
        panic!("the store has stopped");
    };
    assert!(why.contains("by_pair: "), "{why}");
    let closed = store.close(DEADLINE).await;
    assert!(matches!(closed, Err(Error::Backup(BackupError::Unrestorable { .. }))), "{closed:?}");
    assert_eq!(scene.said.of("by_pair: ").len(), 1, "{:?}", scene.said.all());
    drop(store);
    let again = open().await.expect("the last good backup");
    assert_eq!(again.version().seq, 2);
    within(again.dispatch(4.0)).await.expect("it goes on");
}

/// Checks of a large state have a budget. The last write is checked all the same, later.
#[tokio::test]
async fn a_large_state_is_checked_after_its_last_write_too() {
    let scene = Scene::new(Codec::Json);
    let store = scene.store(|state: &mut (String, Tasks), value: &f64| {
        if *value < 0.0 {
            state.1.by_pair.insert((1, 2), *value);
        }
    });
    let large = ("a".repeat(300 << 10), Tasks::default());
    let store = store.preloaded(large).configure(|config| config.verify_budget = 0.01);
    let store = store.resync(samestate::Resync::Off).backup(scene.backup()).durable();
    let store = store.open().await.expect("an empty map has no keys");
    within(store.dispatch(1.0)).await.expect("it applies, and is checked");
    within(store.dispatch(-1.0)).await.expect("it applies, and is checked later");
    until(|| !scene.said.of("by_pair: ").is_empty()).await;
    let stopped = within(store.dispatch(2.0)).await;
    assert!(matches!(stopped, Err(DispatchError::Unrestorable(_))), "{stopped:?}");
    assert_eq!(scene.said.all().len(), 1, "{:?}", scene.said.all());
    assert!(store.close(DEADLINE).await.is_err());
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Comment {
    text: String,
    replies: Vec<Comment>,
}

/// A thread takes no more replies than this. A store that is not durable checks its state now and
/// then, and a thread that grew until then without end would overflow the stack.
const DEPTH_MAX: usize = 1_000;

#[allow(clippy::ptr_arg, reason = "a reducer takes its action by reference")]
fn reply(comment: &mut Comment, text: &String) {
    if depth(comment) >= DEPTH_MAX {
        return;
    }
    let mut at = comment;
    while !at.replies.is_empty() {
        at = at.replies.last_mut().expect("it is not empty");
    }
    at.replies.push(Comment { text: text.clone(), replies: Vec::new() });
}

fn depth(comment: &Comment) -> usize {
    std::iter::successors(Some(comment), |comment| comment.replies.last()).count()
}

/// A thread of so many comments.
fn thread(depth: usize) -> Comment {
    (1..depth)
        .fold(Comment::default(), |inner, _| Comment { replies: vec![inner], ..Comment::default() })
}

/// Dispatches replies until the store takes no more; returns how many it took, and what it said.
async fn reply_on(store: &samestate::Store<Comment, String>) -> (usize, DispatchError) {
    for replies in 0.. {
        if let Err(error) = within(store.dispatch(format!("reply {replies}"))).await {
            return (replies, error);
        }
    }
    unreachable!("a codec decodes so many levels, and no more")
}

#[tokio::test]
async fn a_state_that_grows_deeper_than_its_codec_reads_back_keeps_its_last_good_backup() {
    // A reply is two levels: a struct, and the list that it is in.
    for (codec, deepest) in [(Codec::Json, 63), (Codec::MessagePack, 511)] {
        for durable in [true, false] {
            let scene = Scene::new(codec);
            let open = || {
                let begun = thread(deepest - 20);
                let store = scene.store(reply).preloaded(begun).backup(scene.backup());
                if durable { store.durable().open() } else { store.open() }
            };
            let store = open().await.expect("it opens");
            let (replies, error) = reply_on(&store).await;
            let why = error.to_string();
            assert!(why.contains("replies[0]") && why.contains("levels"), "{why}");
            let closed = store.close(DEADLINE).await.expect_err("not all is on disk").to_string();
            assert!(closed.contains("last good backup"), "{closed}");
            assert_eq!(scene.said.of("levels").len(), 1, "{:?}", scene.said.all());
            drop(store);
            scene.free().await;
            let again = open().await.expect("the last good backup");
            let depth = depth(&again.state());
            assert!(depth <= deepest, "{codec:?}: {depth}");
            if durable {
                assert_eq!((depth, replies), (deepest, 20), "{codec:?}: all that is `Ok`");
            }
        }
    }
}

#[tokio::test]
async fn a_copy_that_cannot_get_the_state_is_told_why_and_asks_seldom() {
    let scene = Scene::new(Codec::Json);
    let store = || {
        scene.store(|state: &mut Tasks, value: &f64| {
            state.by_pair.insert((1, 2), *value);
        })
    };
    let server = store().open().await.expect("it opens");
    server.create_server(scene.server()).await.expect("it listens");
    server.dispatch(1.0).await.expect("it applies: nobody needs the state yet");
    let late = store().client(scene.client()).open_timeout(std::time::Duration::from_millis(500));
    let error = late.open().await.expect_err("there is no state to get").to_string();
    assert!(error.contains("by_pair: "), "{error}");
    until(|| !server.is_connected()).await;
    assert!(server.dispatch(2.0).await.is_err());
    let said = scene.said.of("cannot be restored");
    assert_eq!(said.len(), 2, "once at each node: {said:?}");
    assert_eq!(server.counters().snapshots_sent, 0);
}

/// A state whose `Serialize` writes another value than its `Deserialize` reads.
#[derive(Clone, Debug, Default)]
struct Crooked(u64);

impl Serialize for Crooked {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0 + 1)
    }
}

impl<'de> Deserialize<'de> for Crooked {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u64::deserialize(deserializer).map(Crooked)
    }
}

#[tokio::test]
async fn a_state_that_reads_back_as_another_is_refused_in_both_codecs() {
    for codec in [Codec::MessagePack, Codec::Json] {
        let scene = Scene::new(codec);
        let store = scene.store(|_: &mut Vec<Crooked>, _: &u8| {});
        let opened = store.preloaded(vec![Crooked(1)]).open().await;
        let error = opened.expect_err("it is another").to_string();
        assert!(error.contains("[0]: the value that comes back"), "{error}");
    }
}

/// A server and a client whose states differ in type, as after a release that forgot to count its
/// `schema_version` up.
#[tokio::test]
async fn a_snapshot_of_another_type_is_reported_once_by_its_path_and_not_fetched_in_a_loop() {
    let scene = Scene::new(Codec::MessagePack);
    let server = scene.store(|_: &mut Vec<(u8, String)>, _: &u8| {});
    let server = server.preloaded(vec![(1, "one".into())]).open().await.expect("it opens");
    server.create_server(scene.server()).await.expect("it listens");
    let client = scene.store(|_: &mut Vec<(u8, u64)>, _: &u8| {}).client(scene.client());
    let opened = client.open_timeout(std::time::Duration::from_millis(800)).open().await;
    let error = opened.expect_err("it is of another type").to_string();
    assert!(error.contains("[0][1]: wrong msgpack marker"), "{error}");
    let said = scene.said.of("[0][1]: wrong msgpack marker");
    assert_eq!(said.len(), 1, "{:?}", scene.said.all());
    assert!(server.counters().snapshots_sent <= 2, "{:?}", server.counters());
    assert!(server.is_connected(), "the server's own state is sound");
}

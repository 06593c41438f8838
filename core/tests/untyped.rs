//! A store followed by a program that knows neither its types nor its reducer.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use samestate::Untyped;
use samestate::{
    Change, ClientConfig, DispatchError, Mode, Reject, Resync, ServerConfig, Store, UntypedStore,
    create_store,
};
use samestate_proto::wire::Codec;
use serde::{Deserialize, Serialize};
use serde_json::json;

const DEADLINE: Duration = Duration::from_secs(20);

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Tasks {
    names: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Action {
    Push(String),
    Clear,
}

fn reduce(tasks: &mut Tasks, action: &Action) -> Result<(), Reject> {
    match action {
        Action::Push(name) if name.is_empty() => return Err("a task has a name".into()),
        Action::Push(name) => tasks.names.push(name.clone()),
        Action::Clear => tasks.names.clear(),
    }
    Ok(())
}

/// A served store, and where.
struct Scene {
    folder: tempfile::TempDir,
    server: Store<Tasks, Action>,
}

impl Scene {
    async fn new(mode: Mode, codec: Codec) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let server = create_store("tasks", reduce)
            .mode(mode)
            .codec(codec)
            .resync(Resync::Verify(10))
            .on_error(|_| {})
            .open()
            .await
            .expect("it opens");
        let socket =
            ServerConfig::path(folder.path().join("s")).login("app", "secret").login_rounds(4096);
        server.create_server(socket).await.expect("it listens");
        Scene { folder, server }
    }

    /// A copy without types, and what it complains of.
    async fn attach(&self, codec: Codec) -> (UntypedStore, Arc<Mutex<Vec<String>>>) {
        let client = ClientConfig::path(self.folder.path().join("s")).login("app", "secret");
        let complaints = Arc::<Mutex<Vec<String>>>::default();
        let heard = Arc::clone(&complaints);
        let attached = UntypedStore::attach("tasks", client)
            .codec(codec)
            .on_error(move |event| heard.lock().push(event.to_string()))
            .open();
        (within(attached).await.expect("it comes in sync"), complaints)
    }
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("it happens in time")
}

fn push(name: impl Into<String>) -> Action {
    Action::Push(name.into())
}

#[tokio::test]
async fn a_copy_without_types_reads_the_state_and_dispatches_in_either_codec() {
    for codec in [Codec::MessagePack, Codec::Json] {
        let scene = Scene::new(Mode::Action, codec).await;
        scene.server.dispatch(push("one")).await.expect("it applies");
        let (copy, _) = scene.attach(codec).await;
        let version = within(copy.dispatch(json!({"Push": "two"}))).await.expect("it applies");
        let (fetched, state) = within(copy.fetch()).await.expect("it is connected");
        assert_eq!((fetched, &state.0), (version, &json!({"names": ["one", "two"]})));
        let rejected = within(copy.dispatch(json!({"Push": ""}))).await;
        assert_eq!(rejected, Err(DispatchError::Rejected("a task has a name".into())));
        let Err(DispatchError::Rejected(why)) = within(copy.dispatch(json!({"Pop": 1}))).await
        else {
            panic!("an action that nobody can decode applies nowhere");
        };
        assert!(why.contains("Pop"), "{why}");
        within(copy.dispatch(json!("Clear"))).await.expect("it applies");
        assert_eq!(scene.server.read(|tasks| tasks.names.len()), 0);
    }
}

#[tokio::test]
async fn fetching_the_state_amid_actions_hides_none_of_them_and_sends_no_other_state() {
    const ACTIONS: u64 = 2_000;
    let scene = Scene::new(Mode::Action, Codec::MessagePack).await;
    let (copy, complaints) = scene.attach(Codec::MessagePack).await;
    let seen = Arc::<Mutex<Vec<Change<Arc<Untyped>>>>>::default();
    let told = Arc::clone(&seen);
    let _subscription = copy.subscribe(move |change| told.lock().push(change.clone()));
    let server = scene.server.clone();
    let storm = tokio::spawn(async move {
        for number in 0..ACTIONS {
            server.dispatch(push(number.to_string())).await.expect("it applies");
            tokio::task::yield_now().await;
        }
    });
    let mut fetches = 0;
    while copy.version().seq < ACTIONS {
        let (version, state) = within(copy.fetch()).await.expect("it is connected");
        fetches += 1;
        let names = state.0["names"].as_array().expect("a list").len();
        assert_eq!(names as u64, version.seq, "a state belongs to its version");
        tokio::task::yield_now().await;
    }
    storm.await.expect("no panic");
    within(async {
        while seen.lock().len() < ACTIONS as usize {
            tokio::task::yield_now().await;
        }
    })
    .await;
    for (change, number) in seen.lock().iter().zip(0..) {
        let Change::Applied { version, action } = change else {
            panic!("a jump at action {number}: {change:?}");
        };
        assert_eq!((version.seq, &action.0), (number + 1, &json!({"Push": number.to_string()})));
    }
    assert!(fetches > 1, "the state was fetched amid the actions");
    assert!(scene.server.counters().snapshots_sent <= fetches + 1, "one for the attach");
    assert_eq!(
        *complaints.lock(),
        Vec::<String>::new(),
        "a copy that cannot reduce never diverges"
    );
}

#[tokio::test]
async fn nobody_is_sent_a_state_that_was_not_asked_for() {
    let scene = Scene::new(Mode::Action, Codec::MessagePack).await;
    let (copy, _) = scene.attach(Codec::MessagePack).await;
    for number in 0..500 {
        within(copy.dispatch(json!({"Push": number.to_string()}))).await.expect("it applies");
    }
    assert_eq!(scene.server.counters().snapshots_sent, 1, "the one of the attach");
    let (version, _) = within(copy.fetch()).await.expect("it is connected");
    let (again, _) = within(copy.fetch()).await.expect("it is connected");
    assert_eq!((version.seq, again), (500, version));
    assert_eq!(scene.server.counters().snapshots_sent, 2, "nothing has changed since");
}

#[tokio::test]
async fn a_copy_without_types_goes_on_when_its_server_is_back() {
    let scene = Scene::new(Mode::Action, Codec::MessagePack).await;
    let (copy, _) = scene.attach(Codec::MessagePack).await;
    within(copy.dispatch(json!({"Push": "kept"}))).await.expect("it applies");
    within(copy.fetch()).await.expect("it is connected");
    let Scene { folder, server } = scene;
    server.close(Duration::from_secs(1)).await.expect("it closes");
    drop(server);
    within(copy.until_connected(false)).await;
    assert_eq!(within(copy.fetch()).await.err(), Some(DispatchError::NotConnected));
    let refused = within(copy.dispatch(json!("Clear"))).await;
    assert_eq!(refused, Err(DispatchError::NotConnected));
    let (_, last) = copy.newest().expect("it had a state");
    assert_eq!(last.0, json!({"names": ["kept"]}));

    let server = create_store("tasks", reduce).mode(Mode::Action).open().await.expect("it opens");
    server.dispatch(push("new")).await.expect("it applies");
    let socket =
        ServerConfig::path(folder.path().join("s")).login("app", "secret").login_rounds(4096);
    server.create_server(socket).await.expect("it listens");
    within(copy.until_connected(true)).await;
    let (_, state) = within(copy.fetch()).await.expect("it is connected");
    assert_eq!(state.0, json!({"names": ["new"]}));
}

#[tokio::test]
async fn a_wrong_password_is_told_at_once() {
    let scene = Scene::new(Mode::Action, Codec::MessagePack).await;
    let client = ClientConfig::path(scene.folder.path().join("s")).login("app", "wrong");
    let copy = UntypedStore::attach("tasks", client).on_error(|_| {}).start().expect("it starts");
    let words = within(copy.refused()).await;
    assert!(words.contains("login"), "{words}");
}

#[tokio::test]
async fn another_codec_than_the_servers_is_told_at_once() {
    let scene = Scene::new(Mode::Action, Codec::Json).await;
    let client = ClientConfig::path(scene.folder.path().join("s")).login("app", "secret");
    let copy = UntypedStore::attach("tasks", client).on_error(|_| {}).start().expect("it starts");
    let words = within(copy.refused()).await;
    assert!(words.contains("codec MessagePack") && words.contains("Json"), "{words}");
}

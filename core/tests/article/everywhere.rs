//! A1 to A3: the same store in every process, stores told apart, over every transport.

use std::sync::Arc;

use parking_lot::Mutex;
use samestate::{Change, ClientConfig, Mode, ServerConfig, create_store};

use super::ports::free_port;
use super::scene::{Place, Scene, client, cluster_test, list, push, until, within};

/// Master and workers run the same lines, as the article's processes do.
async fn the_same_everywhere(scene: &Scene) -> super::scene::List {
    let told = Arc::new(Mutex::new(Vec::new()));
    let store = scene.list().open().await.expect("it opens");
    let telling = Arc::clone(&told);
    let _subscription = store.subscribe(move |change| {
        if let Change::Applied { action, .. } = change {
            telling.lock().push(**action);
        }
    });
    scene.dispatch_in_turn(&store).await;
    until("every process's action", &store, |list| list.len() == 4).await;
    assert_eq!(*store.state(), [0, 1, 2, 3], "one order everywhere");
    let all_told = async {
        while told.lock().last() != Some(&3) {
            tokio::task::yield_now().await;
        }
    };
    within("the subscriber is told", all_told).await;
    assert!(store.state().ends_with(&told.lock()), "in the order of the state");
    store
}

impl Scene {
    /// Each process waits for those before it, so that the order is known.
    async fn dispatch_in_turn(&self, store: &super::scene::List) {
        let turn = self.worker();
        until("the turn comes", store, |list| list.len() == turn).await;
        store.dispatch(turn as u64).await.expect("it applies");
        assert_eq!(store.state()[turn], turn as u64, "it reads its own write");
    }
}

cluster_test!(
    a01_every_process_that_creates_the_store_holds_the_same_state,
    3,
    async |scene: Scene| {
        let _store = the_same_everywhere(&scene).await;
        scene.heard("the same", 3).await;
    },
    async |scene: Scene| {
        let store = the_same_everywhere(&scene).await;
        scene.say("the same").await;
        store
    }
);

cluster_test!(
    a02_stores_of_one_process_share_its_channels_and_are_told_apart,
    1,
    async |scene: Scene| {
        let one = scene.list().open().await.expect("it opens");
        let other = scene.cluster.create_store("other", push).open().await.expect("it opens");
        until("the worker's action", &one, |list| *list == [1]).await;
        until("the worker's action in the other", &other, |list| *list == [2]).await;
        let again = scene.list().open().await;
        assert!(again.is_err(), "a name is a store's own: {again:?}");
        scene.heard("apart", 1).await;
    },
    async |scene: Scene| {
        let one = scene.list().open().await.expect("it opens");
        let other = scene.cluster.create_store("other", push).open().await.expect("it opens");
        one.dispatch(1).await.expect("it applies");
        other.dispatch(2).await.expect("it applies");
        assert_eq!((&*one.state(), &*other.state()), (&vec![1], &vec![2]));
        scene.say("apart").await;
        (one, other)
    }
);

cluster_test!(
    a03_one_store_over_the_workers_channel_a_file_socket_and_tcp_at_once,
    1,
    async |scene: Scene| {
        let root = scene.list().open().await.expect("it opens");
        let (path, port) = (scene.folder.join("s"), free_port());
        let address = format!("127.0.0.1:{port}");
        root.create_server(ServerConfig::path(&path).login("app", "secret").login_rounds(4096))
            .await
            .expect("it listens");
        root.create_server(ServerConfig::tcp(&address).login("app", "secret").login_rounds(4096))
            .await
            .expect("as well");
        let over_file = list().client(client(&path)).open().await.expect("it comes in sync");
        let over_tcp = ClientConfig::tcp(&address).login("app", "secret");
        let over_tcp = list().client(over_tcp).open().await.expect("it comes in sync");
        over_file.dispatch(1).await.expect("it applies");
        over_tcp.dispatch(2).await.expect("it applies");
        for (what, store) in [("root", &root), ("file", &over_file), ("tcp", &over_tcp)] {
            until(what, store, |list| *list == [1, 2, 3]).await;
        }
        scene.heard("all three", 1).await;
    },
    async |scene: Scene| {
        let store = scene.list().open().await.expect("it opens");
        until("the others' actions", &store, |list| list.len() == 2).await;
        store.dispatch(3).await.expect("it applies");
        assert_eq!(*store.state(), [1, 2, 3]);
        scene.say("all three").await;
        store
    }
);

#[tokio::test]
async fn a02_a_client_is_never_given_another_store_than_it_names() {
    let place = Place::new();
    let server = list().open().await.expect("it opens");
    server.create_server(place.server()).await.expect("it listens");
    let (sender, mut errors) = tokio::sync::mpsc::unbounded_channel();
    let other = create_store("another", push).mode(Mode::Action);
    let other = other.on_error(move |event| drop(sender.send(event.to_string())));
    let other = other.client(place.client()).start().expect("it starts");
    server.dispatch(1).await.expect("it applies");
    let told = within("an error", errors.recv()).await.expect("it is told");
    assert!(told.contains("another"), "{told}");
    assert!(!other.is_connected() && other.read(Vec::is_empty));
}

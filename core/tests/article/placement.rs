//! A11: where servers and clients may sit. The article's drawings (A17) are run as scenarios, in
//! the runner's tests.

use samestate::{DispatchError, ServerConfig};

use super::scene::{Scene, client, cluster_test, list, until, within};

// A worker serves at no named pipe: see `pipes.rs`.
#[cfg(unix)]
cluster_test!(
    a11_a_server_may_sit_in_any_worker,
    3,
    async |scene: Scene| {
        let store = scene.list().open().await.expect("it opens");
        scene.heard("serving", 3).await;
        for number in 1..=3 {
            let client = client(&scene.folder.join(number.to_string()));
            let client = list().client(client).open().await.expect("it comes in sync");
            client.dispatch(number).await.expect("it applies");
        }
        assert_eq!(*store.state(), [1, 2, 3]);
        scene.heard("all three", 3).await;
    },
    async |scene: Scene| {
        let store = scene.list().open().await.expect("it opens");
        let serving = ServerConfig::path(scene.folder.join(scene.worker().to_string()));
        store.create_server(serving.login("app", "secret")).await.expect("it listens");
        scene.say("serving").await;
        until("all three", &store, |list| *list == [1, 2, 3]).await;
        scene.say("all three").await;
        store
    }
);

cluster_test!(
    a11_a_client_in_the_master_of_a_secondary_cluster_keeps_all_of_it_in_sync,
    2,
    async |scene: Scene| {
        let primary = list().preloaded(vec![7]).open().await.expect("it opens");
        let serving =
            ServerConfig::path(scene.folder.join("s")).login("app", "secret").login_rounds(4096);
        primary.create_server(serving).await.expect("it listens");
        let store = scene.list().client(client(&scene.folder.join("s"))).open().await;
        let store = store.expect("it comes in sync");
        until("both workers' actions", &primary, |list| list.len() == 3).await;
        until("here too", &store, |list| list.len() == 3).await;
        scene.heard("all", 2).await;
    },
    async |scene: Scene| {
        let store = scene.list().open().await.expect("it opens");
        assert_eq!(store.state()[0], 7, "the primary's state");
        store.dispatch(8).await.expect("it applies");
        until("both workers' actions", &store, |list| *list == [7, 8, 8]).await;
        scene.say("all").await;
        store
    }
);

cluster_test!(
    a11_a_client_in_one_worker_keeps_that_worker_alone_in_sync,
    2,
    async |scene: Scene| {
        let primary = list().preloaded(vec![7]).open().await.expect("it opens");
        let serving =
            ServerConfig::path(scene.folder.join("s")).login("app", "secret").login_rounds(4096);
        primary.create_server(serving).await.expect("it listens");
        let store = scene.list().open().await.expect("it opens");
        scene.heard("with the primary", 1).await;
        store.dispatch(1).await.expect("it applies");
        scene.heard("with the master", 1).await;
        assert_eq!((&*store.state(), &*primary.state()), (&vec![1], &vec![7, 8]));
    },
    async |scene: Scene| {
        let store = scene.list().open().await.expect("it opens");
        if scene.worker() == 1 {
            store.create_client(client(&scene.folder.join("s"))).expect("it becomes a client");
            within("in sync", store.until_connected(true)).await;
            let version = store.dispatch(8).await;
            assert!(!matches!(version, Err(DispatchError::NotConnected)), "{version:?}");
            assert_eq!(*store.state(), [7, 8]);
            scene.say("with the primary").await;
        } else {
            until("the master's action", &store, |list| *list == [1]).await;
            scene.say("with the master").await;
        }
        store
    }
);

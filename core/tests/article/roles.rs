//! A10: what a store is in a process, several roles at once.

use samestate::{Error, Role, ServerConfig};

use super::scene::{Place, Scene, client, cluster_test, list, until, within};

// A worker serves at no named pipe: see `pipes.rs`.
#[cfg(unix)]
cluster_test!(
    a10_a_worker_that_serves_passes_actions_down_and_dispatches_up,
    1,
    async |scene: Scene| {
        let store = scene.list().open().await.expect("it opens");
        scene.heard("serving", 1).await;
        assert_eq!(store.roles(), [Role::Master]);
        let client = list().client(client(&scene.folder.join("s"))).open().await;
        let client = client.expect("it comes in sync");
        assert_eq!(client.roles(), [Role::Client]);
        client.dispatch(1).await.expect("a client's dispatch goes on to the master");
        assert_eq!(*store.state(), [1]);
        store.dispatch(2).await.expect("it applies");
        until("the master's action goes on to the client", &client, |list| {
            list.starts_with(&[1, 2])
        })
        .await;
        scene.heard("its own dispatch too", 1).await;
        until("the worker's own", &client, |list| *list == [1, 2, 3]).await;
        assert_eq!(*store.state(), [1, 2, 3]);
    },
    async |scene: Scene| {
        let store = scene.list().open().await.expect("it opens");
        let serving =
            ServerConfig::path(scene.folder.join("s")).login("app", "secret").login_rounds(4096);
        store.create_server(serving).await.expect("it listens");
        assert_eq!(store.roles(), [Role::Worker, Role::Server]);
        scene.say("serving").await;
        until("the others' actions", &store, |list| *list == [1, 2]).await;
        store.dispatch(3).await.expect("it applies");
        scene.say("its own dispatch too").await;
        store
    }
);

cluster_test!(
    a10_create_client_in_a_worker_removes_the_role_worker_and_its_traffic,
    1,
    async |scene: Scene| {
        let store = scene.list().open().await.expect("it opens");
        let elsewhere = list().preloaded(vec![77]).open().await.expect("it opens");
        let serving =
            ServerConfig::path(scene.folder.join("s")).login("app", "secret").login_rounds(4096);
        elsewhere.create_server(serving).await.expect("it listens");
        scene.heard("a client now", 1).await;
        assert_eq!(*elsewhere.state(), [77, 78], "its dispatch went to its server");
        assert_eq!(*store.state(), [1], "and not to its master");
        store.dispatch(2).await.expect("it applies");
        elsewhere.dispatch(79).await.expect("it applies");
        scene.heard("and nothing of the master's", 1).await;
    },
    async |scene: Scene| {
        let store = scene.list().open().await.expect("it opens");
        store.dispatch(1).await.expect("it applies");
        store.create_client(client(&scene.folder.join("s"))).expect("it becomes a client");
        assert_eq!(store.roles(), [Role::Client]);
        within("in sync with its server", store.until_connected(true)).await;
        store.dispatch(78).await.expect("it applies");
        scene.say("a client now").await;
        until("its server's next", &store, |list| list.len() == 3).await;
        assert_eq!(*store.state(), [77, 78, 79]);
        scene.say("and nothing of the master's").await;
        store
    }
);

#[tokio::test]
async fn a10_one_store_cannot_be_a_client_of_two_servers() {
    let (one, other) = (Place::new(), Place::new());
    let store = list().open().await.expect("it opens");
    store.create_client(one.client()).expect("the first");
    let refused = store.create_client(other.client());
    assert!(matches!(refused, Err(Error::AlreadyClient(name)) if name == "list"));
}

#[tokio::test]
async fn a10_a_store_may_be_server_and_client_at_once() {
    let (upper, lower) = (Place::new(), Place::new());
    let root = list().open().await.expect("it opens");
    root.create_server(upper.server()).await.expect("it listens");
    let relay = list().client(upper.client()).open().await.expect("it comes in sync");
    relay.create_server(lower.server()).await.expect("it listens");
    assert_eq!(relay.roles(), [Role::Server, Role::Client]);
    let leaf = list().client(lower.client()).open().await.expect("it comes in sync");
    leaf.dispatch(1).await.expect("it applies");
    assert_eq!(*root.state(), [1]);
}

//! A15: the state comes back from disk, and from there to everybody.

use samestate::{Backup, BackupError, Error, Role, ServerConfig};

use super::scene::{DEADLINE, Place, Scene, client, cluster_test, list, until};

#[tokio::test]
async fn a15_what_was_saved_is_loaded_at_the_start_and_reaches_the_clients() {
    let place = Place::new();
    let backup = || Backup::at(place.path().with_extension("backup")).every_actions(1);
    let server = list().backup(backup()).open().await.expect("it opens");
    for item in [1, 2, 3] {
        server.dispatch(item).await.expect("it applies");
    }
    server.close(DEADLINE).await.expect("it closes");
    drop(server);
    let server = list().backup(backup()).open().await.expect("it restores");
    assert_eq!(*server.state(), [1, 2, 3]);
    server.create_server(place.server()).await.expect("it listens");
    let client = list().client(place.client()).open().await.expect("it comes in sync");
    assert_eq!(*client.state(), [1, 2, 3]);
}

cluster_test!(
    a15_a_restore_in_the_master_reaches_all_workers_each_with_a_path_of_its_own,
    2,
    async |scene: Scene| {
        let backup = Backup::at(scene.folder.join("0")).every_actions(1);
        let before = list().backup(backup.clone()).open().await.expect("it opens");
        before.dispatch(7).await.expect("it applies");
        before.close(DEADLINE).await.expect("it closes");
        drop(before);
        let store = scene.list().backup(backup).open().await.expect("it restores");
        assert_eq!((&*store.state(), store.roles()), (&vec![7], vec![Role::Master]));
        scene.heard("restored", 2).await;
    },
    async |scene: Scene| {
        let backup = Backup::at(scene.folder.join(scene.worker().to_string())).every_actions(1);
        let store = scene.list().backup(backup).open().await.expect("it opens");
        until("the master's state", &store, |list| *list == [7]).await;
        scene.say("restored").await;
        store
    }
);

#[tokio::test]
async fn a15_seconds_win_over_actions() {
    let place = Place::new();
    // A thousand actions would never come; a twentieth of a second does.
    let backup = || {
        let at = Backup::at(place.path().with_extension("backup"));
        at.every_actions(1_000).every_seconds(0.05)
    };
    let store = list().backup(backup()).open().await.expect("it opens");
    let path = place.path().with_extension("backup");
    let bytes = || {
        let folder = std::fs::read_dir(path.parent().expect("a folder")).expect("it can be read");
        let files = folder.filter_map(Result::ok).filter_map(|file| file.metadata().ok());
        files.map(|file| file.len()).sum::<u64>()
    };
    let before = bytes();
    store.dispatch(1).await.expect("it applies");
    let written = async {
        while bytes() == before {
            tokio::task::yield_now().await;
        }
    };
    super::scene::within("it is written by the clock", written).await;
}

#[tokio::test]
async fn a15_a_server_restored_behind_its_clients_takes_them_back_with_it() {
    let place = Place::new();
    let backup = || Backup::at(place.path().with_extension("backup")).every_actions(1);
    let server = list().backup(backup()).open().await.expect("it opens");
    server
        .create_server(ServerConfig::path(place.path()).login("app", "secret").login_rounds(4096))
        .await
        .expect("listens");
    let client = list().client(client(&place.path())).open().await.expect("it comes in sync");
    client.dispatch(1).await.expect("it applies");
    server.close(DEADLINE).await.expect("it closes");
    drop(server);
    let server = list().backup(backup()).open().await.expect("it restores");
    server.create_server(place.server()).await.expect("it listens again");
    super::scene::within("back", client.until_connected(true)).await;
    client.dispatch(2).await.expect("it applies");
    assert_eq!(*server.state(), [1, 2]);
}

#[cfg(feature = "encryption")]
#[tokio::test]
async fn a15_a_key_encrypts_the_file() {
    let place = Place::new();
    let path = place.path().with_extension("backup");
    let backup = |key: &str| Backup::at(&path).every_actions(1).key(key);
    let marker = u64::from_be_bytes(*b"MARKEDxx");
    let store = list().backup(backup("right")).open().await.expect("it opens");
    store.dispatch(marker).await.expect("it applies");
    store.close(DEADLINE).await.expect("it closes");
    drop(store);
    for file in std::fs::read_dir(path.parent().expect("a folder")).expect("it can be read") {
        let bytes = std::fs::read(file.expect("an entry").path()).expect("it can be read");
        assert!(!bytes.windows(6).any(|window| window == b"MARKED"));
    }
    let refused = list().backup(backup("wrong")).open().await;
    assert!(matches!(refused, Err(Error::Backup(BackupError::WrongKey { .. }))), "{refused:?}");
    let store = list().backup(backup("right")).open().await.expect("it opens");
    assert_eq!(*store.state(), [marker]);
}

//! A store that is kept on disk: what comes back, in which life, and what is said when it cannot.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "encryption")]
mod encrypted;
mod missing;
#[cfg(unix)]
mod paths;
#[cfg(unix)]
mod replaced;

use parking_lot::Mutex;
use samestate::{
    Backup, BackupError, Change, ClientConfig, DispatchError, Error, Jump, Mode, Reject,
    ServerConfig, Store, StoreBuilder, create_store,
};

const DEADLINE: Duration = Duration::from_secs(20);

fn push(list: &mut Vec<u64>, item: &u64) -> Result<(), Reject> {
    match item {
        0 => Err("zero is not taken".into()),
        item => {
            list.push(*item);
            Ok(())
        }
    }
}

type List = Store<Vec<u64>, u64>;

fn list(path: &Path) -> StoreBuilder<Vec<u64>, u64> {
    create_store("list", push).on_error(|_| {}).backup(every_action(path))
}

fn every_action(path: &Path) -> Backup {
    Backup::at(path).every_actions(1)
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Folder(tempfile::tempdir().expect("there is room for a folder"))
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("list.backup")
    }

    fn journal(&self) -> PathBuf {
        self.0.path().join("list.backup.journal")
    }
}

async fn pushed(store: &List, items: std::ops::Range<u64>) {
    for item in items {
        store.dispatch(item).await.expect("it applies");
    }
}

async fn closed(store: List) {
    store.close(DEADLINE).await.expect("it is written");
}

/// Ends a store without closing it, and waits until its files are free.
async fn dropped(store: List, path: &Path) {
    drop(store);
    free(path).await;
}

async fn free(path: &Path) {
    let lock = std::fs::File::open(path.with_extension("backup.lock")).expect("it is there");
    let locked = tokio::task::spawn_blocking(move || lock.lock());
    tokio::time::timeout(DEADLINE, locked)
        .await
        .expect("in time")
        .expect("no panic")
        .expect("locks");
}

fn refused(opened: samestate::Result<List>) -> BackupError {
    match opened {
        Err(Error::Backup(error)) => error,
        Err(error) => panic!("another error: {error}"),
        Ok(_) => panic!("it opened"),
    }
}

#[cfg(unix)]
#[tokio::test]
async fn all_files_of_a_backup_are_for_their_user_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let store = list(&folder.path()).open().await.expect("it opens");
    pushed(&store, 1..4).await;
    closed(store).await;
    let mut names = Vec::new();
    for file in std::fs::read_dir(folder.0.path()).expect("it is a folder") {
        let file = file.expect("it can be listed");
        let mode = file.metadata().expect("it has some").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{:?}", file.path());
        names.push(file.file_name());
    }
    names.sort();
    assert_eq!(names, ["list.backup", "list.backup.journal", "list.backup.lock"]);
}

#[tokio::test]
async fn what_was_closed_comes_back_with_its_version_and_its_lineage() {
    let folder = Folder::new();
    let store = list(&folder.path()).open().await.expect("it opens");
    pushed(&store, 1..4).await;
    let before = store.version();
    closed(store).await;
    let store = list(&folder.path()).open().await.expect("it opens");
    assert_eq!(*store.state(), [1, 2, 3]);
    assert_eq!(store.version(), before, "the same life ordered these");
    let after = store.dispatch(4).await.expect("it applies");
    assert_eq!((after.epoch.number, after.seq), (2, 4), "a second life goes on");
}

#[tokio::test]
async fn what_was_not_closed_comes_back_from_the_journal() {
    let folder = Folder::new();
    for life in 1..=5 {
        let store = list(&folder.path()).open().await.expect("it opens");
        assert_eq!(store.state().len() as u64, (life - 1) * 10);
        pushed(&store, 1..11).await;
        dropped(store, &folder.path()).await;
    }
    let store = list(&folder.path()).open().await.expect("it opens");
    assert_eq!((store.state().len(), store.version().seq), (50, 50));
}

#[tokio::test]
async fn a_journal_that_outgrows_the_state_is_replaced_and_the_disk_stays_bounded() {
    let folder = Folder::new();
    let ring = |ring: &mut Vec<u64>, item: &u64| {
        ring.push(*item);
        let surplus = ring.len().saturating_sub(100);
        ring.drain(..surplus);
    };
    let open = || {
        let backup = every_action(&folder.path()).journal_bytes_min(4096);
        create_store("ring", ring).on_error(|_| {}).backup(backup).open()
    };
    let store = open().await.expect("it opens");
    for item in 1..=3000 {
        store.dispatch(item).await.expect("it applies");
    }
    let length = |path: PathBuf| std::fs::metadata(path).expect("it is there").len();
    let bounded = async {
        while length(folder.journal()) > length(folder.path()).max(4096) {
            // Looking at a file opens it on Windows, and one that is open may not be replaced.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, bounded).await.expect("the journal is replaced");
    drop(store);
    free(&folder.path()).await;
    let store = open().await.expect("it opens");
    assert_eq!(*store.state(), (2901..=3000).collect::<Vec<_>>());
    assert_eq!(store.version().seq, 3000);
}

#[tokio::test]
async fn the_pace_in_seconds_writes_without_being_asked() {
    let folder = Folder::new();
    let open = || {
        let backup = Backup::at(folder.path()).every_actions(1_000_000).every_seconds(0.01);
        create_store("list", push).on_error(|_| {}).backup(backup)
    };
    let store = open().open().await.expect("it opens");
    let empty = std::fs::metadata(folder.journal()).expect("it is there").len();
    pushed(&store, 1..3).await;
    let written = async {
        while std::fs::metadata(folder.journal()).expect("it is there").len() == empty {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(DEADLINE, written).await.expect("it is written in time");
}

#[tokio::test]
async fn a_durable_store_acknowledges_what_is_on_disk_only() {
    let folder = Folder::new();
    let store = list(&folder.path()).durable().open().await.expect("it opens");
    let told = Arc::new(Mutex::new(Vec::new()));
    let telling = Arc::clone(&told);
    let subscription = store.subscribe(move |change| {
        if let Change::Applied { action, .. } = change {
            telling.lock().push(**action);
        }
    });
    let copy = folder.0.path().join("copy.backup");
    for item in 1..30 {
        let dispatched = store.dispatch(item);
        assert!(dispatched.try_outcome().is_none(), "it waits for the disk");
        dispatched.await.expect("it applies");
        for (from, to) in [(".backup", ""), (".backup.journal", ".journal")] {
            let from = folder.0.path().join(format!("list{from}"));
            let to = PathBuf::from(format!("{}{to}", copy.display()));
            std::fs::copy(from, to).expect("it can be copied");
        }
        let other = create_store("list", push).on_error(|_| {}).backup(every_action(&copy));
        let other = other.start().expect("it opens");
        assert_eq!(*other.state(), (1..=item).collect::<Vec<_>>());
        other.close(DEADLINE).await.expect("it is written");
    }
    assert_eq!(store.dispatch(0).await, Err(DispatchError::Rejected("zero is not taken".into())));
    let all = async {
        while told.lock().len() < 29 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, all).await.expect("subscribers are told");
    drop(subscription);
    let many = store.dispatch_many(100..600).await;
    assert!(many.iter().all(Result::is_ok));
    dropped(store, &folder.path()).await;
    let store = list(&folder.path()).durable().open().await.expect("it opens");
    assert_eq!(store.state().len(), 529);
}

#[tokio::test]
async fn a_durable_store_without_a_backup_says_so() {
    let opened = create_store("list", push).durable().open().await;
    assert!(matches!(opened, Err(Error::DurableWithoutBackup(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_a_durable_server_get_what_is_on_disk_and_its_next_life() {
    let folder = Folder::new();
    let socket = folder.0.path().join("socket");
    for mode in [Mode::Action, Mode::Snapshot] {
        let server = list(&folder.path()).mode(mode).durable().open().await.expect("it opens");
        server.create_server(ServerConfig::path(&socket)).await.expect("it serves");
        let before = server.state().len();
        let client = create_store("list", push).on_error(|_| {}).mode(mode);
        let client =
            client.client(ClientConfig::path(&socket)).open().await.expect("it is in sync");
        assert_eq!(client.state().len(), before, "what was restored reaches clients");
        for item in 1..50 {
            client.dispatch(item).await.expect("it applies");
        }
        let rejected = client.dispatch(0).await;
        assert_eq!(rejected, Err(DispatchError::Rejected("zero is not taken".into())));
        assert_eq!(client.state().len(), before + 49);
        closed(client).await;
        closed(server).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_ahead_of_what_was_restored_are_told_that_history_is_lost() {
    let folder = Folder::new();
    let socket = folder.0.path().join("socket");
    let store = list(&folder.path()).mode(Mode::Action).open().await.expect("it opens");
    pushed(&store, 1..4).await;
    closed(store).await;
    let saved = std::fs::read(folder.path()).expect("it is there");

    let server = list(&folder.path()).mode(Mode::Action).open().await.expect("it opens");
    server.create_server(ServerConfig::path(&socket)).await.expect("it serves");
    let client = create_store("list", push).on_error(|_| {}).mode(Mode::Action);
    let client = client.client(ClientConfig::path(&socket)).open().await.expect("it is in sync");
    let (sender, lost) = std::sync::mpsc::channel();
    client
        .subscribe(move |change| {
            if let Change::Jumped { why: Jump::HistoryLost, from, to } = change {
                let _ = sender.send((from.seq, to.seq));
            }
        })
        .forever();
    client.dispatch(9).await.expect("it applies");
    closed(server).await;

    // An operator puts an older copy back.
    std::fs::write(folder.path(), saved).expect("it can be written");
    std::fs::remove_file(folder.journal()).expect("it is there");
    let server = list(&folder.path()).mode(Mode::Action).open().await.expect("it opens");
    server.create_server(ServerConfig::path(&socket)).await.expect("it serves");
    let told = tokio::task::spawn_blocking(move || lost.recv_timeout(DEADLINE));
    assert_eq!(told.await.expect("no panic").expect("it is told"), (4, 3));
    assert_eq!(*client.state(), [1, 2, 3]);
}

#[tokio::test]
async fn two_stores_on_one_backup_are_an_error() {
    let folder = Folder::new();
    let _first = list(&folder.path()).open().await.expect("it opens");
    let error = refused(list(&folder.path()).open().await);
    assert!(matches!(error, BackupError::InUse(_)), "{error}");
}

#[tokio::test]
async fn a_missing_folder_and_a_path_that_cannot_be_written_are_told_apart() {
    let folder = Folder::new();
    let error = refused(list(&folder.0.path().join("none/list.backup")).open().await);
    assert!(matches!(error, BackupError::MissingFolder(_)), "{error}");
    // No user, root included, creates a file there.
    if cfg!(target_os = "linux") {
        let error = refused(list(Path::new("/sys/samestate.backup")).open().await);
        assert!(matches!(error, BackupError::NotWritable { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_backup_of_another_store_or_schema_is_an_error_and_stays() {
    let folder = Folder::new();
    let store = list(&folder.path()).open().await.expect("it opens");
    pushed(&store, 1..4).await;
    closed(store).await;
    let other = create_store("other", push).backup(every_action(&folder.path()));
    let error = refused(other.open().await);
    assert!(matches!(&error, BackupError::OtherStore { found, .. } if found == "list"), "{error}");
    let error = refused(list(&folder.path()).schema_version(2).open().await);
    assert!(matches!(error, BackupError::OtherSchema { found: 1, ours: 2, .. }), "{error}");
    let error = refused(list(&folder.path()).codec(samestate::Codec::Json).open().await);
    assert!(matches!(error, BackupError::OtherCodec { .. }), "{error}");
    let other =
        create_store("list", |_: &mut String, _: &u64| {}).backup(every_action(&folder.path()));
    let undecodable = other.open().await.err();
    assert!(
        matches!(undecodable, Some(Error::Backup(BackupError::Undecodable { .. }))),
        "{undecodable:?}"
    );
    let store = list(&folder.path()).open().await.expect("it is as it was");
    assert_eq!(*store.state(), [1, 2, 3]);
}

#[tokio::test]
async fn files_that_are_no_backup_or_not_together_are_errors_and_stay() {
    let folder = Folder::new();
    let store = list(&folder.path()).open().await.expect("it opens");
    pushed(&store, 1..4).await;
    dropped(store, &folder.path()).await;
    let (whole, journal) = (folder.path(), folder.journal());
    let good = [std::fs::read(&whole).expect("read"), std::fs::read(&journal).expect("read")];

    std::fs::write(&whole, b"#!/bin/sh\necho something else\n").expect("written");
    let error = refused(list(&whole).open().await);
    assert!(matches!(error, BackupError::Foreign(_)), "{error}");
    assert!(std::fs::read(&whole).expect("read").starts_with(b"#!/bin/sh"), "it is left alone");

    let mut newer = good[0].clone();
    newer[8] = 9;
    std::fs::write(&whole, newer).expect("written");
    let error = refused(list(&whole).open().await);
    assert!(matches!(error, BackupError::NewerFormat { found: 9, .. }), "{error}");

    std::fs::write(&whole, &good[0][..good[0].len() - 3]).expect("written");
    let error = refused(list(&whole).open().await);
    assert!(matches!(error, BackupError::Truncated { .. }), "{error}");

    let mut changed = good[0].clone();
    let last = changed.len() - 20;
    changed[last] ^= 1;
    std::fs::write(&whole, changed).expect("written");
    let error = refused(list(&whole).open().await);
    assert!(matches!(error, BackupError::Damaged { .. }), "{error}");

    std::fs::remove_file(&whole).expect("removed");
    let error = refused(list(&whole).open().await);
    assert!(matches!(error, BackupError::JournalAlone(_)), "{error}");

    std::fs::remove_file(&journal).expect("removed");
    closed(list(&whole).open().await.expect("it begins anew")).await;
    std::fs::write(&journal, &good[1]).expect("written");
    let error = refused(list(&whole).open().await);
    assert!(matches!(error, BackupError::JournalOfAnother(_)), "{error}");

    std::fs::write(&whole, &good[0]).expect("written");
    let store = list(&whole).open().await.expect("what was good is good");
    assert_eq!(*store.state(), [1, 2, 3]);
}

//! Files that are moved away and replaced by others while a store is open: as for a full disk.

use super::*;

/// A store that reports to the channel, of which each whole backup is due after a few actions.
fn reporting(path: &Path) -> (StoreBuilder<Vec<u64>, u64>, std::sync::mpsc::Receiver<String>) {
    let (sender, reports) = std::sync::mpsc::channel();
    let backup = every_action(path).journal_bytes_min(400);
    let store = create_store("list", push).backup(backup);
    (store.on_error(move |event| drop(sender.send(event.to_string()))), reports)
}

/// Puts a folder that is not empty in the place of a file.
fn obstructed(path: &Path) -> PathBuf {
    let saved = path.with_extension("saved");
    std::fs::rename(path, &saved).expect("it is moved away");
    std::fs::create_dir(path).expect("created");
    std::fs::write(path.join("something"), b"else").expect("written");
    saved
}

fn cleared(path: &Path) {
    std::fs::remove_dir_all(path).expect("it is removed");
}

async fn connected(store: &List) {
    let connected = tokio::time::timeout(DEADLINE, store.until_connected(true));
    connected.await.expect("it goes on by itself");
}

#[tokio::test]
async fn a_durable_store_stalls_while_a_file_cannot_be_replaced_and_goes_on_afterwards() {
    for journal in [false, true] {
        let folder = Folder::new();
        let (builder, reports) = reporting(&folder.path());
        let store = builder.durable().open().await.expect("it opens");
        let place = if journal { folder.journal() } else { folder.path() };
        let saved = obstructed(&place);
        let mut acknowledged = 0;
        let outcome = loop {
            match store.dispatch(acknowledged + 1).await {
                Ok(_) => acknowledged += 1,
                Err(error) => break error,
            }
        };
        assert!(acknowledged < 1000);
        assert!(
            matches!(outcome, DispatchError::OutcomeUnknown | DispatchError::Stalled),
            "{outcome:?}"
        );
        assert!(!store.is_connected());
        assert_eq!(store.dispatch(9).await, Err(DispatchError::Stalled));
        let report = reports.recv_timeout(DEADLINE).expect("it is reported");
        assert!(report.contains("list.backup") && report.contains("tried again"), "{report}");
        assert!(reports.try_recv().is_err(), "it is reported once");
        let held = store.state().len();

        cleared(&place);
        connected(&store).await;
        let report = reports.recv_timeout(DEADLINE).expect("it is reported");
        assert!(report.contains("can be written again"), "{report}");
        store.dispatch(7777).await.expect("it applies");
        dropped(store, &folder.path()).await;
        let store = list(&folder.path()).durable().open().await.expect("it opens");
        assert_eq!(store.state().len(), held + 1, "nothing is lost");
        assert!(saved.exists(), "what was moved away is left alone");
    }
}

#[tokio::test]
async fn a_store_that_is_not_durable_reports_it_keeps_trying_and_writes_all_afterwards() {
    let folder = Folder::new();
    let (builder, reports) = reporting(&folder.path());
    let store = builder.open().await.expect("it opens");
    obstructed(&folder.path());
    let mut item = 0;
    let report = loop {
        item += 1;
        store.dispatch(item).await.expect("nothing is promised of the disk");
        if let Ok(report) = reports.try_recv() {
            break report;
        }
        tokio::task::yield_now().await;
    };
    assert!(report.contains("list.backup") && report.contains("tried again"), "{report}");
    assert!(store.is_connected());
    pushed(&store, item + 1..item + 10).await;
    cleared(&folder.path());
    let report = reports.recv_timeout(DEADLINE).expect("it is reported");
    assert!(report.contains("can be written again"), "{report}");
    dropped(store, &folder.path()).await;
    let store = list(&folder.path()).open().await.expect("it opens");
    assert_eq!(*store.state(), (1..item + 10).collect::<Vec<_>>());
}

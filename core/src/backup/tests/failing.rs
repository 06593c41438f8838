//! Calls that fail while the process continues.

use std::io::ErrorKind;

use super::life::{Life, connected, push, until};
use super::simulated::Fault;
use crate::{ClientConfig, DispatchError, ServerConfig, create_store};

const ITEMS: usize = 8;

/// So many calls of a store that was opened are let fail, where it is not counted how many it
/// makes: some blocks of its journal, and a whole backup.
const CALLS: usize = 50;

/// As a disk fails, and as a file system does that is full, became read-only, or changed owners.
const ERRORS: [ErrorKind; 4] = [
    ErrorKind::Other,
    ErrorKind::StorageFull,
    ErrorKind::ReadOnlyFilesystem,
    ErrorKind::PermissionDenied,
];

/// The ways in which a call fails; the errors take turns.
fn faults(call: usize) -> [Fault; 3] {
    let error = ERRORS[call % ERRORS.len()];
    [Fault::Error(error), Fault::Late(error), Fault::Short]
}

/// Two lives: one that begins and ends as by `kill -9`, and one that is restored and closed.
async fn lives(life: &mut Life) {
    let store = life.open_at_last();
    life.dispatch_all(&store, ITEMS).await;
    life.replaced().await;
    life.kill(store).await;
    let store = life.open_at_last();
    life.dispatch_all(&store, 3).await;
    life.close(store).await;
}

/// Returns the number of calls that the two lives make.
async fn calls_of_a_life() -> usize {
    let mut life = Life::new(true);
    lives(&mut life).await;
    assert_eq!(life.told(), [""; 0]);
    life.disk.calls().len()
}

/// Whichever call fails once: no acknowledged action is lost, nothing panics, and the store
/// continues by itself.
#[tokio::test]
async fn a_durable_store_survives_each_call_that_fails() {
    let calls = calls_of_a_life().await;
    for call in 0..calls {
        for fault in faults(call) {
            let mut life = Life::new(true);
            life.disk.fail(call, fault, false);
            lives(&mut life).await;
            let struck = life.disk.calls().get(call).cloned().unwrap_or_default();
            let matters = ["rename", "sync", "write"].iter().any(|what| struck.starts_with(what));
            assert!(!matters || fault == Fault::Short || life.was_told(), "{struck}: {fault:?}");
            life.disk.mend();
            let store = life.open().expect("the files are whole");
            life.dispatch(&store).await.expect("the disk works");
            assert!(life.close(store).await);
        }
    }
}

#[tokio::test]
async fn a_store_that_is_not_durable_survives_each_call_that_fails() {
    for call in 0..CALLS {
        for fault in faults(call) {
            let mut life = Life::new(false);
            let store = life.open().expect("the disk works");
            life.disk.fail(call, fault, false);
            for _ in 0..ITEMS {
                life.dispatch_and_write(&store).await;
            }
            // What is in memory is on disk once it could be closed.
            if !life.close(store).await {
                continue;
            }
            life.disk.mend();
            let store = life.open().expect("the files are whole");
            assert_eq!(store.state().len(), ITEMS);
            assert!(life.close(store).await);
        }
    }
}

/// All calls fail from one on, until the disk is repaired.
#[tokio::test]
async fn a_durable_store_stalls_while_the_disk_fails_and_goes_on_afterwards() {
    let calls = calls_of_a_life().await;
    for call in 0..calls {
        for error in &ERRORS[..2] {
            let mut life = Life::new(true);
            let store = life.open().expect("the disk works");
            life.disk.fail(call, Fault::Error(*error), true);
            let all = life.dispatch_until_it_fails(&store, 3 * ITEMS).await;
            assert!(!all || call > ITEMS, "acknowledged by a disk that fails");
            if !all {
                assert!(!store.is_connected());
                assert_eq!(life.dispatch(&store).await, Err(DispatchError::Stalled));
                let told = life.told();
                let stalls = told.iter().filter(|text| text.contains("tried again")).count();
                assert_eq!(stalls, 1, "{told:?}");
                assert!(told.iter().all(|text| text.contains("/data/list.backup")), "{told:?}");
            }
            for disk in life.disk.after_a_crash() {
                life.check_disk(&disk).expect("what was acknowledged is on disk");
            }
            life.disk.mend();
            connected(&store).await;
            life.dispatch_all(&store, 1).await;
            if !all {
                until("it is told", || {
                    life.told().last().is_some_and(|text| text.contains("again, and is whole"))
                })
                .await;
            }
            assert!(life.close(store).await);
            let store = life.open().expect("all is there");
            life.kill(store).await;
        }
    }
}

#[tokio::test]
async fn a_store_that_is_not_durable_reports_a_disk_that_fails_and_writes_all_afterwards() {
    for call in 0..CALLS {
        let mut life = Life::new(false);
        let store = life.open().expect("the disk works");
        life.disk.fail(call, Fault::Error(ErrorKind::Other), true);
        for _ in 0..1000 {
            life.dispatch_and_write(&store).await;
            assert!(store.is_connected());
            if !life.told().is_empty() {
                break;
            }
        }
        assert!(!life.told().is_empty(), "{:?}", life.disk.calls());
        life.disk.mend();
        until("it is told", || {
            life.told().last().is_some_and(|text| text.contains("again, and is whole"))
        })
        .await;
        life.kill(store).await;
        let store = life.open().expect("the files are whole");
        assert_eq!(store.state().len(), life.acknowledged());
        life.kill(store).await;
    }
}

/// A bug in the writer is no reason to acknowledge what is not on disk, nor to be silent.
#[tokio::test]
async fn a_writer_that_panics_is_reported_and_acknowledges_nothing_more() {
    for call in 0..CALLS {
        let mut life = Life::new(true);
        let store = life.open().expect("the disk works");
        life.disk.fail(call, Fault::Panic, false);
        let all = life.dispatch_until_it_fails(&store, ITEMS).await;
        if !all {
            let told = || life.told().iter().any(|text| text.contains("panicked"));
            until("it is told", told).await;
            assert!(!store.is_connected());
        }
        life.kill(store).await;
        life.disk.mend();
        let store = life.open().expect("what was acknowledged is on disk");
        life.kill(store).await;
    }
}

#[tokio::test]
async fn no_dispatch_is_acknowledged_before_a_sync_and_many_share_one() {
    let life = Life::new(true).journal_bytes_min(1 << 30);
    let store = life.open().expect("the disk works");
    let before = life.disk.syncs();
    life.disk.hold_syncs(true);
    let first = store.dispatch(1);
    until("it is being synced", || {
        life.disk.calls().last().is_some_and(|call| call.starts_with("write"))
    })
    .await;
    let mut rest: Vec<_> = (2..=300).map(|item| store.dispatch(item)).collect();
    assert!(
        first.try_outcome().is_none()
            && rest.iter().all(|dispatch| dispatch.try_outcome().is_none())
    );
    life.disk.hold_syncs(false);
    first.await.expect("the disk works");
    assert!(life.disk.syncs() > before);
    for dispatch in rest.drain(..) {
        dispatch.await.expect("the disk works");
    }
    assert_eq!(life.disk.syncs() - before, 2, "all that came meanwhile share one");
}

/// Neither an entry nor the version in a heartbeat. Two heartbeats show that all that could have
/// been sent has come.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_reaches_a_client_before_a_sync() {
    let folder = tempfile::tempdir().expect("there is room");
    let socket = folder.path().join("socket");
    let life = Life::new(true).journal_bytes_min(1 << 30);
    let server = life.open().expect("the disk works");
    server.create_server(ServerConfig::path(&socket)).await.expect("it serves");
    let client = create_store("list", push).on_error(|_| {}).client(ClientConfig::path(&socket));
    let client = client.open().await.expect("it is in sync");
    client.dispatch(1).await.expect("the disk works");

    life.disk.hold_syncs(true);
    let (theirs, ours) = (client.dispatch(2), server.dispatch(3));
    until("the sequencer has ordered both", || server.version().seq == 3).await;
    let received = || client.metrics().upstream.map_or(0, |link| link.traffic.frames_received);
    let before = received();
    until("the client hears of it twice", || received() >= before + 2).await;
    assert!(theirs.try_outcome().is_none() && ours.try_outcome().is_none(), "before it is on disk");
    assert_eq!((client.version().seq, client.state().len()), (1, 1));
    assert_eq!(client.metrics().upstream.and_then(|link| link.lag_versions), Some(0));
    life.disk.hold_syncs(false);
    theirs.await.expect("the disk works");
    ours.await.expect("the disk works");
    until("the client has both", || client.state().len() == 3).await;
}

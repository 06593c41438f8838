//! Calls that do not end, until the disk is released.

use std::cell::Cell;
use std::future::poll_fn;
use std::io::ErrorKind;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use super::life::{DEADLINE, Life, until};
use super::simulated::Fault;
use crate::backup::Source;
use crate::{BackupError, Error};

/// The disk hangs if a call takes this long.
const HANGS_AFTER: Duration = Duration::from_millis(50);

const HANGS: &str = "the disk hangs: it has taken ";
const ANSWERS: &str = "the disk answers again, after ";

/// Returns how often a text with this beginning was reported.
fn told(life: &Life, begins: &str) -> usize {
    let begins = format!("store `list`: {begins}");
    life.told().iter().filter(|text| text.starts_with(&begins)).count()
}

#[tokio::test]
async fn a_sync_that_hangs_is_reported_once_and_once_more_when_it_ends() {
    for durable in [true, false] {
        let life = Life::new(durable).journal_bytes_min(1 << 30).hangs_after(HANGS_AFTER);
        let store = life.open().expect("the disk works");
        for round in 1..=2 {
            life.disk.hold_syncs(true);
            let dispatch = store.dispatch(round);
            until("it is told", || told(&life, HANGS) == round as usize).await;
            assert_eq!(
                dispatch.try_outcome().is_none(),
                durable,
                "nothing is acknowledged meanwhile"
            );
            assert!(life.told().last().is_some_and(|text| text.contains("/data/list.backup")));
            life.disk.hold_syncs(false);
            dispatch.await.expect("the disk works");
            until("it is told", || told(&life, ANSWERS) == round as usize).await;
        }
        assert!(life.close(store).await);
        assert_eq!((told(&life, HANGS), told(&life, ANSWERS), life.told().len()), (2, 2, 4));
    }
}

#[tokio::test]
async fn a_store_closes_on_a_disk_that_hangs() {
    for durable in [true, false] {
        let mut life = Life::new(durable).hangs_after(HANGS_AFTER);
        let store = life.open().expect("the disk works");
        life.dispatch(&store).await.expect("the disk works");
        life.disk.hold_syncs(true);
        let closing = tokio::time::timeout(DEADLINE, store.close(HANGS_AFTER)).await;
        let error = closing.expect("it ends").expect_err("the backup is not finished");
        assert!(matches!(error, Error::Backup(BackupError::DiskHangs { .. })), "{error}");
        assert!(error.to_string().contains("/data/list.backup"), "{error}");
        assert_eq!(told(&life, HANGS), 1, "{:?}", life.told());
        let error = life.open().expect_err("the files are locked").to_string();
        assert!(error.contains("in use"), "{error}");
        life.disk.hold_syncs(false);
        let again = Cell::new(None);
        until("the writer has finished", || {
            let opened = life.open().ok();
            let open = opened.is_some();
            again.set(opened);
            open
        })
        .await;
        let again = again.take().expect("it is open");
        assert_eq!(*again.state(), [1]);
        assert!(life.close(again).await);
    }
}

/// Polls a future once.
async fn is_pending<T>(future: &mut Pin<Box<impl Future<Output = T>>>) -> bool {
    poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_pending())).await
}

#[tokio::test]
async fn a_store_that_is_closed_twice_at_once_closes_once_for_both() {
    for fails in [false, true] {
        let mut life = Life::new(true);
        let store = life.open().expect("the disk works");
        life.dispatch(&store).await.expect("the disk works");
        life.disk.hold_syncs(true);
        let mut first = Box::pin(store.close(DEADLINE));
        assert!(is_pending(&mut first).await);
        until("the last backup is being written", || {
            life.disk.calls().last().is_some_and(|call| call.starts_with("write"))
        })
        .await;
        // The thread that writes is closing already.
        let mut second = Box::pin(store.close(DEADLINE));
        assert!(is_pending(&mut second).await);
        if fails {
            life.disk.fail(0, Fault::Error(ErrorKind::Other), true);
        }
        life.disk.hold_syncs(false);
        for closing in [first, second] {
            let closed = tokio::time::timeout(DEADLINE, closing).await.expect("it ends");
            assert_eq!(closed.is_err(), fails, "{closed:?}");
        }
        assert!(store.close(DEADLINE).await.is_ok(), "it is closed");
    }
}

#[tokio::test]
async fn a_slow_disk_is_waited_for_beyond_the_time_to_close() {
    let mut life = Life::new(true);
    let store = life.open().expect("the disk works");
    life.dispatch(&store).await.expect("the disk works");
    life.disk.hold_syncs(true);
    let closing = tokio::spawn(async move { store.close(Duration::ZERO).await });
    until("it is being synced", || {
        life.disk.calls().last().is_some_and(|call| call.starts_with("write"))
    })
    .await;
    assert!(!closing.is_finished());
    life.disk.hold_syncs(false);
    closing.await.expect("no panic").expect("the disk works");
}

/// Checks that a store that closes waits for the dispatches that are under way, and not for those
/// that come meanwhile: others may never stop to dispatch.
#[tokio::test]
async fn a_store_that_drains_waits_for_what_is_under_way_and_not_for_what_comes_later() {
    let life = Life::new(true).journal_bytes_min(1 << 30);
    let store = life.open().expect("the disk works");
    let shared = std::sync::Arc::clone(&store.shared);
    Box::pin(shared.drained()).await;
    life.disk.hold_syncs(true);
    let _first = [store.dispatch(1), store.dispatch(2)];
    let mut drained = Box::pin(shared.drained());
    assert!(is_pending(&mut drained).await);
    let _later = store.dispatch(3);
    Source::committed(&*shared, 1, 0);
    assert!(is_pending(&mut drained).await, "one of the two is under way");
    Source::committed(&*shared, 2, 0);
    assert!(!is_pending(&mut drained).await, "only the one that came later is");
    life.disk.hold_syncs(false);
    assert!(life.close(store).await);
}

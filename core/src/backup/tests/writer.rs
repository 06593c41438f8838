//! The thread of the writer, driven through its queue, without a store.

use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use samestate_proto::replication::{Image, Sessions, Span};
use samestate_proto::{Epoch, Lineage, Version};

use super::life::DEADLINE;
use super::simulated::{FOLDER, Fault, Simulated};
use crate::Codec;
use crate::backup::options::Pace;
use crate::backup::{About, Backup, BackupFiles, BackupWriter, Held, JournalQueue, Source};
use crate::event::EventKind;
use crate::task::Panicked;

/// A store that records the calls of its backup's writer.
#[derive(Default)]
struct Noted {
    said: Mutex<Vec<Said>>,
    more: Condvar,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    Committed(u64),
    Stalled(bool),
}

impl Noted {
    fn note(&self, said: Said) {
        self.said.lock().push(said);
        self.more.notify_all();
    }

    /// Waits for this many calls, and returns all calls.
    fn said(&self, count: usize) -> Vec<Said> {
        let mut said = self.said.lock();
        let until = Instant::now() + DEADLINE;
        while said.len() < count {
            assert!(!self.more.wait_until(&mut said, until).timed_out(), "{said:?}");
        }
        said.clone()
    }
}

impl Source for Noted {
    fn hold(&self) -> Option<Held> {
        Some(Held { image: image(9), encode: Box::new(|| Ok(Vec::new())) })
    }

    fn check(&self) -> Result<Option<Instant>, String> {
        Ok(None)
    }

    fn committed(&self, seq: u64, _: usize) {
        self.note(Said::Committed(seq));
    }

    fn stalled(&self, stalled: bool) {
        self.note(Said::Stalled(stalled));
    }

    fn report(&self, _: EventKind, _: &str) {}

    fn failed(&self, panic: &Panicked) {
        panic!("{panic}");
    }
}

fn image(seq: u64) -> Image {
    let epoch = Epoch { number: 1, id: 7 };
    let (lineage, version) = (Lineage::founded(epoch), Version { epoch, seq });
    Image { lineage, version, history: 0, sessions: Sessions::new(4, 8) }
}

struct Writing {
    disk: Simulated,
    queue: Arc<JournalQueue>,
    store: Arc<Noted>,
}

impl Writing {
    /// Begins to write. After a failure, a whole backup is tried after `retry`.
    fn begin(retry: Duration) -> Writing {
        Writing::of(retry, Pace::Actions(1), true)
    }

    fn of(retry: Duration, pace: Pace, durable: bool) -> Writing {
        let disk = Simulated::default();
        let backup = Backup::at(Path::new(FOLDER).join("list.backup"));
        let backup = backup.on(Arc::new(disk.clone()), retry);
        let (store, codec) = ("list".into(), Codec::default());
        let about = About { store, schema_version: 1, codec };
        let (files, _) = BackupFiles::open(&backup, about).expect("the disk works");
        let watch = files.watch();
        let begun = BackupWriter::begin(files, &backup, &image(0), &[]).expect("the disk works");
        let queue = Arc::new(JournalQueue::new(pace, durable, watch));
        let store = Arc::new(Noted::default());
        let source: Weak<dyn Source> = Arc::downgrade(&store) as Weak<dyn Source>;
        begun.keep(Arc::clone(&queue), source).expect("a thread can be started");
        Writing { disk, queue, store }
    }

    /// Queues the record of the next action.
    fn orders(&self, seq: u64) {
        self.queue.leave(|records| {
            records.push(1);
            Some(Span { before: seq - 1, last: seq })
        });
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.queue.orphan();
    }
}

/// Checks that records are not reported as committed if their write or their sync failed. Otherwise
/// clients and subscribers would get actions that a restart loses.
#[test]
fn a_write_or_a_sync_that_fails_commits_nothing() {
    for call in 0..2 {
        let writing = Writing::begin(DEADLINE * 2);
        writing.orders(1);
        assert_eq!(writing.store.said(1), [Said::Committed(1)]);
        writing.disk.fail(call, Fault::Error(std::io::ErrorKind::Other), true);
        writing.orders(2);
        let all = [Said::Committed(1), Said::Stalled(true), Said::Committed(0)];
        assert_eq!(writing.store.said(3), all);
        writing.orders(3);
        assert_eq!(writing.store.said(4)[3..], [Said::Committed(0)]);
    }
}

/// Checks that the actions in a whole backup are committed before the store is told that its disk
/// works again. Later dispatches then wait for their own records alone.
#[test]
fn a_whole_backup_commits_what_it_holds_and_ends_the_stall() {
    let writing = Writing::begin(Duration::from_millis(1));
    writing.disk.fail(0, Fault::Error(std::io::ErrorKind::Other), false);
    writing.orders(1);
    let all = [Said::Stalled(true), Said::Committed(0), Said::Committed(9), Said::Stalled(false)];
    assert_eq!(writing.store.said(4), all);
    writing.orders(10);
    assert_eq!(writing.store.said(5)[4..], [Said::Committed(10)]);
}

/// Checks that the records that are not due yet are written when the store closes: its state may be
/// half changed, and then there is no whole backup.
#[test]
fn records_that_wait_are_written_when_the_store_closes() {
    let writing = Writing::of(DEADLINE, Pace::Actions(1000), false);
    writing.orders(1);
    writing.orders(2);
    let ended = writing.queue.close().expect("it has not ended");
    assert_eq!(writing.store.said(1), [Said::Committed(2)]);
    ended.blocking_recv().expect("it says so").expect("the disk works");
}

//! The queue of a store's records, and the times at which they are due.
//!
//! A store leaves them under its own lock, so this lock is held for a moment only, and nothing is
//! called under it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use samestate_proto::replication::Span;
use tokio::sync::oneshot;

use super::options::Pace;
use super::{BackupError, DiskWatch};

/// So many bytes of records are due whatever the pace.
const BYTES_MAX: usize = 1 << 20;

/// The receiver of the last backup's result, for the caller that closes the store.
pub(super) type Closing = oneshot::Sender<Result<(), BackupError>>;

/// Between a store and the thread that writes its backup.
pub(crate) struct JournalQueue {
    waiting: Mutex<Waiting>,
    wake: Condvar,
    pace: Pace,
    durable: bool,
    disk: Arc<DiskWatch>,
}

#[derive(Default)]
struct Waiting {
    records: Vec<u8>,
    span: Option<Span>,
    /// The time at which the first of the records was queued.
    since: Option<Instant>,
    /// The result of the whole backup that was being written.
    drafted: Option<Result<u64, BackupError>>,
    closing: Vec<Closing>,
    /// The store is gone.
    orphaned: bool,
    /// The thread has ended.
    ended: bool,
    /// The thread ended by a panic: the records that were left are not on disk.
    broken_off: bool,
    /// The thread waits to be woken.
    asleep: bool,
}

/// A task of the backup thread.
pub(super) enum Work {
    /// Records are due.
    Append(Vec<u8>, Span),
    /// A whole backup is written, or is not.
    Drafted(Result<u64, BackupError>),
    /// The time that was waited for has come.
    Wake,
    /// Write what there is, and end.
    Close(Option<(Vec<u8>, Span)>),
}

impl JournalQueue {
    pub(crate) fn new(pace: Pace, durable: bool, disk: Arc<DiskWatch>) -> Self {
        JournalQueue { waiting: Mutex::default(), wake: Condvar::new(), pace, durable, disk }
    }

    /// The calls to the disk that are under way.
    pub(crate) fn disk(&self) -> &DiskWatch {
        &self.disk
    }

    /// Takes the records that `take` moves in, if any.
    pub(crate) fn leave(&self, take: impl FnOnce(&mut Vec<u8>) -> Option<Span>) {
        let mut waiting = self.waiting.lock();
        let Some(span) = take(&mut waiting.records) else { return };
        if waiting.ended {
            waiting.records.clear();
            return;
        }
        match &mut waiting.span {
            Some(all) => all.last = span.last,
            none => *none = Some(span),
        }
        if waiting.since.is_none() {
            waiting.since = Some(Instant::now());
            self.wake_if(&mut waiting, matches!(self.pace, Pace::Seconds(_)));
        }
        let due = self.is_due(&waiting, None);
        self.wake_if(&mut waiting, due);
    }

    fn wake_if(&self, waiting: &mut Waiting, needed: bool) {
        if needed && std::mem::take(&mut waiting.asleep) {
            self.wake.notify_one();
        }
    }

    fn is_due(&self, waiting: &Waiting, now: Option<Instant>) -> bool {
        let Some(span) = waiting.span else { return false };
        if self.durable || waiting.records.len() >= BYTES_MAX {
            return true;
        }
        match (self.pace, now, waiting.since) {
            (Pace::Actions(actions), ..) => span.last - span.before >= actions,
            (Pace::Seconds(every), Some(now), Some(since)) => now >= since + every,
            (Pace::Seconds(every), ..) => every.is_zero(),
        }
    }

    /// Waits for something to do, until `wake_at` at most.
    pub(super) fn next(&self, wake_at: Option<Instant>) -> Work {
        let mut waiting = self.waiting.lock();
        loop {
            if let Some(drafted) = waiting.drafted.take() {
                return Work::Drafted(drafted);
            }
            let now = Instant::now();
            if waiting.orphaned || !waiting.closing.is_empty() {
                return Work::Close(take_all(&mut waiting));
            }
            if self.is_due(&waiting, Some(now))
                && let Some((records, span)) = take_all(&mut waiting)
            {
                return Work::Append(records, span);
            }
            if wake_at.is_some_and(|at| at <= now) {
                return Work::Wake;
            }
            let due_at = match self.pace {
                Pace::Seconds(every) => waiting.since.map(|since| since + every),
                Pace::Actions(_) => None,
            };
            waiting.asleep = true;
            match [due_at, wake_at].into_iter().flatten().min() {
                Some(until) => drop(self.wake.wait_until(&mut waiting, until)),
                None => self.wake.wait(&mut waiting),
            }
            waiting.asleep = false;
        }
    }

    /// Waits until the whole backup that is being written is done, `within` at most.
    pub(super) fn until_drafted(&self, within: Duration) -> Option<Result<u64, BackupError>> {
        let mut waiting = self.waiting.lock();
        let until = Instant::now() + within;
        while waiting.drafted.is_none() {
            waiting.asleep = true;
            if self.wake.wait_until(&mut waiting, until).timed_out() {
                break;
            }
        }
        waiting.drafted.take()
    }

    /// A whole backup was written, or was not.
    pub(super) fn drafted(&self, outcome: Result<u64, BackupError>) {
        let mut waiting = self.waiting.lock();
        waiting.drafted = Some(outcome);
        self.wake_if(&mut waiting, true);
    }

    /// Asks the thread to write all and end; `None` if it has.
    pub(crate) fn close(&self) -> Option<oneshot::Receiver<Result<(), BackupError>>> {
        let mut waiting = self.waiting.lock();
        let (sender, receiver) = oneshot::channel();
        if waiting.broken_off {
            // The sender is dropped, which says it.
            return Some(receiver);
        }
        if waiting.ended {
            return None;
        }
        waiting.closing.push(sender);
        self.wake_if(&mut waiting, true);
        Some(receiver)
    }

    /// The store is gone without having been closed.
    pub(crate) fn orphan(&self) {
        let mut waiting = self.waiting.lock();
        waiting.orphaned = true;
        self.wake_if(&mut waiting, true);
    }

    /// The thread has panicked.
    pub(super) fn break_off(&self) {
        // Their senders are dropped, which says it.
        drop::<Vec<Closing>>(self.end());
        self.waiting.lock().broken_off = true;
    }

    /// Notes that the thread has ended. Returns the callers that wait for this.
    pub(super) fn end(&self) -> Vec<Closing> {
        let mut waiting = self.waiting.lock();
        waiting.ended = true;
        waiting.records = Vec::new();
        std::mem::take(&mut waiting.closing)
    }
}

fn take_all(waiting: &mut Waiting) -> Option<(Vec<u8>, Span)> {
    let span = waiting.span.take()?;
    waiting.since = None;
    Some((std::mem::take(&mut waiting.records), span))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn queue(durable: bool) -> JournalQueue {
        JournalQueue::new(Pace::Seconds(HOUR), durable, DiskWatch::new(HOUR))
    }

    fn leave(queue: &JournalQueue, bytes: usize, before: u64, last: u64) {
        queue.leave(|records| {
            records.resize(records.len() + bytes, 1);
            Some(Span { before, last })
        });
    }

    /// Returns what is due now: the number of bytes, and the actions that they are about.
    fn due(queue: &JournalQueue) -> Option<(usize, Span)> {
        match queue.next(Some(Instant::now())) {
            Work::Append(records, span) => Some((records.len(), span)),
            _ => None,
        }
    }

    #[test]
    fn the_records_of_a_durable_store_are_due_at_once_whatever_the_pace() {
        for durable in [true, false] {
            let queue = queue(durable);
            leave(&queue, 1, 0, 1);
            assert_eq!(due(&queue).is_some(), durable);
        }
    }

    #[test]
    fn many_records_are_due_whatever_the_pace_and_all_of_them() {
        let queue = queue(false);
        leave(&queue, BYTES_MAX - 1, 4, 6);
        assert_eq!(due(&queue), None);
        leave(&queue, 1, 6, 7);
        assert_eq!(due(&queue), Some((BYTES_MAX, Span { before: 4, last: 7 })));
        assert_eq!(due(&queue), None);
    }

    #[test]
    fn records_that_are_left_after_the_end_take_no_room() {
        let queue = queue(true);
        leave(&queue, 1, 0, 1);
        queue.end();
        leave(&queue, BYTES_MAX, 1, 2);
        let waiting = queue.waiting.lock();
        assert!(waiting.records.is_empty());
    }

    #[test]
    fn the_time_of_the_pace_counts_from_the_first_record_that_waits() {
        let queue = queue(false);
        leave(&queue, BYTES_MAX, 0, 1);
        assert!(due(&queue).is_some());
        let now = Instant::now();
        for seq in [1, 2] {
            leave(&queue, 1, seq, seq + 1);
            let since = queue.waiting.lock().since;
            assert!(since.is_some_and(|since| since >= now), "it counts from earlier ones");
        }
    }
}

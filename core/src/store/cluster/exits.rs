//! The ends of workers, as a stream.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::process::ExitStatus;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures_core::Stream;
use parking_lot::Mutex;

/// The number of exits that are kept for streams that have not taken them.
const KEPT_MAX: usize = 1024;

/// A worker that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerExit {
    /// The number of the worker, from 1.
    pub number: usize,
    /// Its process id.
    pub pid: u32,
    /// The exit status, if the system reports it.
    pub status: Option<ExitStatus>,
}

/// The exits of a cluster's workers, the newest of them kept.
#[derive(Debug, Default)]
pub(crate) struct ExitLog {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    kept: VecDeque<WorkerExit>,
    /// The number of exits before the first one kept.
    dropped: u64,
    waiting: Vec<Waker>,
}

impl ExitLog {
    /// Adds an exit, and wakes the streams.
    pub(crate) fn push(&self, exit: WorkerExit) {
        let mut inner = self.inner.lock();
        if inner.kept.len() == KEPT_MAX {
            inner.kept.pop_front();
            inner.dropped += 1;
        }
        inner.kept.push_back(exit);
        let waiting = std::mem::take(&mut inner.waiting);
        drop(inner);
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Returns a stream that begins with the oldest exit kept.
    pub(crate) fn stream(self: &Arc<Self>) -> WorkerExits {
        WorkerExits { log: Arc::clone(self), taken: 0 }
    }
}

impl Inner {
    /// Returns the exit after the first `taken` ones, or the oldest kept.
    fn after(&self, taken: &mut u64) -> Option<WorkerExit> {
        *taken = (*taken).max(self.dropped);
        let index = usize::try_from(*taken - self.dropped).ok()?;
        let exit = self.kept.get(index).copied()?;
        *taken += 1;
        Some(exit)
    }
}

/// A stream of the workers that have ended, oldest first: from
/// [`Cluster::exits`](crate::Cluster::exits). It implements `futures_core::Stream`, and never ends;
/// [`next`](WorkerExits::next) needs no other crate.
///
/// A stream begins with the exits before it, 1,024 at most. If more workers end before the stream
/// takes them, the oldest exits are dropped.
#[derive(Clone, Debug)]
pub struct WorkerExits {
    log: Arc<ExitLog>,
    taken: u64,
}

impl WorkerExits {
    /// Waits for the next exit.
    pub async fn next(&mut self) -> WorkerExit {
        poll_fn(|context| self.poll(context)).await
    }

    /// Returns the next exit if a worker has ended, without waiting.
    pub fn try_next(&mut self) -> Option<WorkerExit> {
        self.log.inner.lock().after(&mut self.taken)
    }

    fn poll(&mut self, context: &Context<'_>) -> Poll<WorkerExit> {
        let mut inner = self.log.inner.lock();
        if let Some(exit) = inner.after(&mut self.taken) {
            return Poll::Ready(exit);
        }
        let waker = context.waker();
        if !inner.waiting.iter().any(|waiting| waiting.will_wake(waker)) {
            inner.waiting.push(waker.clone());
        }
        Poll::Pending
    }
}

impl Stream for WorkerExits {
    type Item = WorkerExit;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<WorkerExit>> {
        self.poll(context).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit(number: usize) -> WorkerExit {
        WorkerExit { number, pid: 7, status: None }
    }

    #[tokio::test]
    async fn each_stream_gets_every_exit_those_before_it_included() {
        let log = Arc::new(ExitLog::default());
        log.push(exit(1));
        let (mut one, mut other) = (log.stream(), log.stream());
        assert_eq!((one.next().await.number, one.try_next()), (1, None));
        let waiting = tokio::spawn(async move { one.next().await.number });
        tokio::task::yield_now().await;
        log.push(exit(2));
        assert_eq!(waiting.await.expect("it does not panic"), 2);
        let numbers = [other.next().await.number, other.next().await.number];
        assert_eq!((numbers, other.try_next()), ([1, 2], None));
    }

    #[test]
    fn exits_that_no_stream_takes_are_bounded() {
        let log = Arc::new(ExitLog::default());
        let mut early = log.stream();
        (0..KEPT_MAX + 10).for_each(|number| log.push(exit(number)));
        assert_eq!(log.inner.lock().kept.len(), KEPT_MAX);
        for mut stream in [early.clone(), log.stream()] {
            assert_eq!(stream.try_next().map(|exit| exit.number), Some(10));
        }
        let taken = std::iter::from_fn(|| early.try_next()).count();
        assert_eq!(taken, KEPT_MAX);
    }
}

//! The future of a dispatch, and of many.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use parking_lot::Mutex;
use samestate_proto::Version;
use samestate_proto::replication::Resolution;
use tokio::sync::{Notify, oneshot};

use crate::DispatchError;
use crate::store::error::resolved;

pub(crate) type Outcome = Result<Version, DispatchError>;

/// A future of the outcome of a dispatch. The action is queued whether or not the future is
/// awaited, and dropping the future does not cancel it.
#[derive(Debug)]
pub struct DispatchFuture {
    state: State,
}

#[derive(Debug)]
enum State {
    Resolved(Option<Outcome>),
    Waiting(oneshot::Receiver<Outcome>),
}

impl DispatchFuture {
    pub(crate) fn resolved(result: Result<Version, DispatchError>) -> Self {
        DispatchFuture { state: State::Resolved(Some(result)) }
    }

    pub(crate) fn waiting(receiver: oneshot::Receiver<Outcome>) -> Self {
        DispatchFuture { state: State::Waiting(receiver) }
    }

    /// Returns the outcome, if the dispatch is already resolved.
    pub fn try_outcome(&self) -> Option<&Result<Version, DispatchError>> {
        match &self.state {
            State::Resolved(result) => result.as_ref(),
            State::Waiting(_) => None,
        }
    }
}

impl Future for DispatchFuture {
    type Output = Result<Version, DispatchError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.state {
            State::Resolved(result) => {
                Poll::Ready(result.take().unwrap_or(Err(DispatchError::OutcomeUnknown)))
            }
            State::Waiting(receiver) => Pin::new(receiver)
                .poll(context)
                .map(|received| received.unwrap_or(Err(DispatchError::OutcomeUnknown))),
        }
    }
}

/// A receiver of a dispatch's outcome.
pub(crate) enum Waiter {
    One(oneshot::Sender<Outcome>),
    Many { batch: Arc<Batch>, index: usize },
}

impl Waiter {
    pub(crate) fn resolve(self, resolution: Resolution) {
        match self {
            Waiter::One(sender) => drop(sender.send(resolved(resolution))),
            Waiter::Many { batch, index } => batch.put(index, resolved(resolution)),
        }
    }
}

/// The outcomes of many dispatches, as they arrive.
#[derive(Debug)]
pub(crate) struct Batch {
    outcomes: Mutex<Outcomes>,
    complete: Notify,
}

#[derive(Debug)]
struct Outcomes {
    results: Vec<Option<Outcome>>,
    missing: usize,
}

impl Batch {
    pub(crate) fn new(len: usize) -> Arc<Self> {
        let outcomes = Outcomes { results: vec![None; len], missing: len };
        Arc::new(Batch { outcomes: Mutex::new(outcomes), complete: Notify::new() })
    }

    pub(crate) fn put(&self, index: usize, result: Result<Version, DispatchError>) {
        let mut outcomes = self.outcomes.lock();
        if outcomes.results[index].replace(result).is_none() {
            outcomes.missing -= 1;
        }
        if outcomes.missing == 0 {
            self.complete.notify_one();
        }
    }

    pub(crate) async fn completed(&self) -> Vec<Result<Version, DispatchError>> {
        loop {
            {
                let mut outcomes = self.outcomes.lock();
                if outcomes.missing == 0 {
                    let results = std::mem::take(&mut outcomes.results);
                    return results.into_iter().flatten().collect();
                }
            }
            self.complete.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks that a batch waits for each of its dispatches, even if one is reported twice, as by
    /// its outcome and by the end of its store.
    #[tokio::test]
    async fn a_batch_is_complete_when_each_of_its_dispatches_is() {
        let batch = Batch::new(2);
        let version = |seq| Version { seq, ..Version::default() };
        batch.put(0, Ok(version(1)));
        batch.put(0, Ok(version(1)));
        assert_eq!(batch.outcomes.lock().missing, 1);
        batch.put(1, Ok(version(2)));
        assert_eq!(batch.completed().await, [Ok(version(1)), Ok(version(2))]);
    }
}

//! Background tasks and threads. All of this crate's are started here, so that a panic of one is
//! reported and never only ends it.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::Poll;

use thiserror::Error;
use tokio::task::JoinHandle;

/// A future whose type is hidden.
pub(crate) type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Work for a thread, its type hidden.
pub(crate) type Work = Box<dyn FnOnce() + Send>;

/// The panic of a background task: a bug of this crate, or of a callback that it calls.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("its task \"{task}\" panicked: {words}")]
pub struct Panicked {
    task: &'static str,
    words: String,
}

impl Panicked {
    pub(crate) fn new(task: &'static str, panic: &(dyn Any + Send)) -> Self {
        Panicked { task, words: words_of(panic) }
    }
}

/// The message of a panic.
pub(crate) fn words_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".into())
}

/// Runs a future to its end, or to its panic.
pub(crate) async fn guarded<T>(
    task: &'static str,
    future: impl Future<Output = T>,
) -> Result<T, Panicked> {
    let mut future = pin!(future);
    let poll =
        poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
            Ok(Poll::Pending) => Poll::Pending,
            Err(panic) => Poll::Ready(Err(Panicked::new(task, &*panic))),
        });
    poll.await
}

/// Runs work that may wait for a disk, on a thread of the runtime. It begins when the future is
/// polled first.
pub(crate) async fn blocking<T: Send + 'static>(
    task: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Panicked> {
    joined(task, tokio::task::spawn_blocking(work)).await
}

/// Runs a future in a task of its own, which goes on if nobody waits for it. Needs a tokio runtime.
pub(crate) fn awaited<T: Send + 'static>(
    task: &'static str,
    future: impl Future<Output = T> + Send + 'static,
) -> impl Future<Output = Result<T, Panicked>> {
    joined(task, tokio::spawn(future))
}

async fn joined<T>(task: &'static str, handle: JoinHandle<T>) -> Result<T, Panicked> {
    handle.await.map_err(|error| match error.try_into_panic() {
        Ok(panic) => Panicked::new(task, &*panic),
        Err(_) => Panicked::new(task, &"the runtime ended"),
    })
}

/// Called with a panic.
type Told = Box<dyn FnOnce(&Panicked) + Send>;

/// Starts a task; `panicked` is called if it panics. Needs a tokio runtime.
pub(crate) fn spawn(
    task: &'static str,
    panicked: impl FnOnce(&Panicked) + Send + 'static,
    future: impl Future<Output = ()> + Send + 'static,
) -> JoinHandle<()> {
    // In a box, because a runtime is compiled once for each type of task, at some 1,300 lines of
    // intermediate code, and some tasks have a type for each type of store.
    let (panicked, future): (Told, BoxFuture<()>) = (Box::new(panicked), Box::pin(future));
    tokio::spawn(async move {
        if let Err(panic) = guarded(task, future).await {
            panicked(&panic);
        }
    })
}

/// Starts a thread; `panicked` is called if it panics.
pub(crate) fn thread(
    task: &'static str,
    panicked: impl FnOnce(&Panicked) + Send + 'static,
    work: impl FnOnce() + Send + 'static,
) -> io::Result<()> {
    let (panicked, work): (Told, Work) = (Box::new(panicked), Box::new(work));
    let work = move || {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(work)) {
            panicked(&Panicked::new(task, &*panic));
        }
    };
    std::thread::Builder::new().name(task.into()).spawn(work).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_panics_says_which_it_was_and_why() {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let told = |panic: &Panicked| drop(sender.send(panic.to_string()));
        let task = spawn("bad", told, async {
            tokio::task::yield_now().await;
            panic!("no {}", "luck");
        });
        task.await.expect("the panic was caught");
        assert_eq!(receiver.await.expect("told"), "its task \"bad\" panicked: no luck");
    }

    #[test]
    fn a_thread_that_panics_says_which_it_was_and_why() {
        let (sender, receiver) = std::sync::mpsc::channel();
        let told = move |panic: &Panicked| drop(sender.send(panic.to_string()));
        thread("bad", told, || panic!("no luck")).expect("it starts");
        assert_eq!(receiver.recv().expect("told"), "its task \"bad\" panicked: no luck");
    }
}

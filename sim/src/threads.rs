//! The threads of the program's own runtimes.
//!
//! A runtime panics if the system gives it no thread, and waits for ever for one that it got and
//! lost. So the threads are tried before a runtime is started.

use std::io;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use thiserror::Error;
use tokio::runtime::{Builder, Runtime};

/// The number of threads besides the workers: one looks up names, one reads and writes files.
const BLOCKING_THREADS: usize = 2;

/// The error of a process that cannot start the threads that it needs.
#[derive(Debug, Error)]
#[error(
    "this process cannot start {threads} threads; end other processes of this user, or raise the \
     limit of them (`ulimit -u`)"
)]
pub struct NoThreads {
    threads: usize,
    source: io::Error,
}

/// Starts a runtime with so many workers.
pub(crate) fn runtime(workers: usize) -> Result<Runtime, NoThreads> {
    let threads = workers + BLOCKING_THREADS;
    let no_threads = |source| NoThreads { threads, source };
    try_threads(threads).map_err(no_threads)?;
    let runtime = Builder::new_multi_thread().worker_threads(workers).enable_all().build();
    runtime.map_err(no_threads)
}

/// Starts so many threads at once, and ends them again.
fn try_threads(count: usize) -> io::Result<()> {
    let (hold, held) = channel::<()>();
    let held: Arc<Mutex<Receiver<()>>> = Arc::new(Mutex::new(held));
    let started: io::Result<Vec<_>> = (0..count)
        .map(|_| {
            let held = Arc::clone(&held);
            // An error says that `hold` is gone, which is what is waited for.
            let wait = move || drop(held.lock().map(|held| held.recv()));
            thread::Builder::new().name("try".to_owned()).spawn(wait)
        })
        .collect();
    drop(hold);
    for thread in started? {
        // They do nothing that panics.
        let _ = thread.join();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_starts_where_there_are_threads_and_an_error_names_the_limit() {
        let runtime = runtime(1).expect("there are threads");
        assert_eq!(runtime.block_on(async { 7 }), 7);
        let source = io::Error::from(io::ErrorKind::WouldBlock);
        let error = NoThreads { threads: 4, source }.to_string();
        assert!(error.contains("cannot start 4 threads") && error.contains("ulimit -u"), "{error}");
    }
}

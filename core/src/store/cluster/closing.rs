//! The closing of a cluster: workers first, while their master is still in sync with them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::store::Result;
use crate::store::cluster::process::{Cluster, Inner};

/// Of the time to close, workers get all but this, or a quarter of it, for their dispatches; it is
/// left to end the stores and the processes.
const RESERVE_MAX: Duration = Duration::from_secs(2);

impl Cluster {
    /// Waits until the cluster is about to close: until [`Cluster::close`] is called here, or in
    /// this worker's master, or the master is gone.
    ///
    /// A worker in which this was called ends by itself: it stops what it does, while its stores
    /// are still in sync, and calls [`Cluster::close`] or exits. For a worker in which it was not,
    /// the library waits until the dispatches that are under way are resolved, and ends its link
    /// to the master, and so, after [`Cluster::join`], the process.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # use samestate::{Cluster, Store};
    /// # async fn work(cluster: Cluster, store: Store<u64, u64>) -> samestate::Result<()> {
    /// let mut beats = tokio::time::interval(Duration::from_secs(1));
    /// let ending = cluster.ending();
    /// tokio::pin!(ending);
    /// loop {
    ///     tokio::select! {
    ///         () = &mut ending => return cluster.close(Duration::from_secs(5)).await,
    ///         _ = beats.tick() => drop(store.dispatch(1)),
    ///     }
    /// }
    /// # }
    /// ```
    pub fn ending(&self) -> impl Future<Output = ()> + Send + 'static {
        self.inner.heeded.store(true, Ordering::Relaxed);
        let mut ending = self.inner.ending.subscribe();
        async move {
            // An error means that the cluster is gone.
            let _ = ending.wait_for(|ending| *ending).await;
        }
    }

    /// Returns whether [`Cluster::ending`] would return at once.
    pub fn is_ending(&self) -> bool {
        *self.inner.ending.borrow()
    }

    /// Closes the cluster in this process, `within` this time:
    ///
    /// 1. A master tells its workers, and waits until they have left it. They see
    ///    [`Cluster::ending`], and have time for what they do: the stores are still in sync.
    /// 2. The servers of the cluster are closed.
    /// 3. Its stores are closed, as by [`Store::close`](crate::Store::close): dispatches under way
    ///    are resolved, and all that was ordered is on disk.
    /// 4. The links between master and workers end. A dispatch of a worker that is still unresolved
    ///    resolves as `OutcomeUnknown`.
    /// 5. A master waits for the processes of its workers, and kills those that have not ended when
    ///    the time is up.
    ///
    /// A worker that calls this does the same for itself, and its process continues. Some last
    /// bytes may be written to connections and disks after the time is up, for half a second or for
    /// as long as a disk takes. A disk that hangs is not waited for, as by
    /// [`Store::close`](crate::Store::close).
    ///
    /// # Errors
    ///
    /// As [`Store::close`](crate::Store::close): the first error of a store. All is closed all the
    /// same.
    pub async fn close(&self, within: Duration) -> Result<()> {
        let deadline = Deadline::new(within);
        let inner = &self.inner;
        inner.leaving.store(true, Ordering::Relaxed);
        inner.ending.send_replace(true);
        let links = inner.links();
        let leave_within = within - (within / 4).min(RESERVE_MAX);
        links.iter().for_each(|link| link.tell_to_end(leave_within));
        let left = async {
            for link in &links {
                link.ended().await;
            }
        };
        // Who has not left by then is cut off.
        let _ = tokio::time::timeout(leave_within, left).await;
        inner.house.close_servers().await;
        let closed = inner.house.close_stores(deadline.left()).await;
        if let Some(link) = &inner.to_master {
            link.close().await;
        }
        links.iter().for_each(|link| link.stop());
        for link in &links {
            link.close().await;
        }
        inner.end_workers(deadline.left()).await;
        closed
    }
}

impl Inner {
    /// Waits for the processes of the workers, and kills those that have not ended in time.
    async fn end_workers(&self, within: Duration) {
        if tokio::time::timeout(within, self.all_ended()).await.is_err() {
            self.kill_workers();
            self.all_ended().await;
        }
    }
}

/// The behaviour of a worker after its master is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AfterMaster {
    /// The process exits.
    Exit,
    /// The worker continues without its master.
    Stay,
}

/// In a worker: leaves the cluster when the master ends, unless the user's program does.
pub(crate) async fn leave_with_the_master(inner: Arc<Inner>, after: AfterMaster) {
    let Some(link) = &inner.to_master else { return };
    let within = link.told_to_end().await;
    inner.ending.send_replace(true);
    let Some(within) = within.filter(|_| !inner.heeded.load(Ordering::Relaxed)) else { return };
    // What is not resolved by then stays unknown.
    let _ = tokio::time::timeout(within, inner.house.drained()).await;
    match after {
        AfterMaster::Exit => std::process::exit(0),
        AfterMaster::Stay => link.close().await,
    }
}

/// In a worker: what becomes of it when the link to the master has ended.
pub(crate) async fn outlive_the_master(inner: Arc<Inner>, after: AfterMaster) {
    let Some(link) = &inner.to_master else { return };
    link.ended().await;
    if after == AfterMaster::Exit && !inner.leaving.load(Ordering::Relaxed) {
        std::process::exit(0);
    }
    inner.house.linked.lose_upstream();
}

/// A moment to be done by.
struct Deadline(Option<Instant>);

impl Deadline {
    fn new(within: Duration) -> Self {
        Deadline(Instant::now().checked_add(within))
    }

    fn left(&self) -> Duration {
        self.0.map_or(Duration::MAX, |at| at.saturating_duration_since(Instant::now()))
    }
}

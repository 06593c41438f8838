//! The time from an action's dispatch until a client has applied it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use samestate::{Change, Subscription};

use crate::node::Sum;

/// One delay in so many is kept.
const KEPT: u64 = 16;

/// The delays of all clients of a process.
#[derive(Default)]
pub(crate) struct Delays {
    seen: AtomicU64,
    kept: Mutex<Vec<u64>>,
}

impl Delays {
    /// Notes those of a store.
    pub(crate) fn of(self: &Arc<Self>, store: &Sum) -> Subscription {
        let delays = Arc::clone(self);
        store.subscribe(move |change| {
            if let Change::Applied { action, .. } = change
                && delays.seen.fetch_add(1, Ordering::Relaxed).is_multiple_of(KEPT)
            {
                let delay = now_ns().saturating_sub(**action);
                delays.kept.lock().expect("nobody panics").push(delay);
            }
        })
    }

    /// Takes those that were kept, in nanoseconds.
    pub(crate) fn take(&self) -> String {
        let kept = std::mem::take(&mut *self.kept.lock().expect("nobody panics"));
        kept.iter().map(u64::to_string).collect::<Vec<_>>().join(" ")
    }
}

/// Nanoseconds that all processes of a machine agree on.
pub(crate) fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos() as u64)
}

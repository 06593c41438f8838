//! Observation of a replica, for measurements and checks.

use crate::Version;
use crate::wire::{Entries, Entry};

/// Told synchronously, under the replica's lock, of all that happens to its state. For the
/// simulator's checker and the runner's instruments; a user wants a subscription.
pub trait Observer: Send {
    /// Entries `first..=last.seq` were applied; `history` is the rolling hash after them.
    fn applied(&mut self, first: u64, last: Version, history: u64, entries: Entries<'_>);

    /// The state was replaced by a snapshot cut at `to`.
    fn jumped(&mut self, from: Version, to: Version, history: u64);
}

/// The observer of a replica, if there is one, and the entries that it is told of next.
#[derive(Default)]
pub(super) struct Observed {
    observer: Option<Box<dyn Observer>>,
    /// The entries applied since it was last told.
    entries: Vec<u8>,
}

impl Observed {
    /// Tells `observer` of all that happens from now on.
    pub(super) fn by(&mut self, observer: Box<dyn Observer>) {
        self.observer = Some(observer);
    }

    /// An entry was applied.
    pub(super) fn entry(&mut self, entry: &Entry<'_>) {
        if self.observer.is_some() {
            self.entries.extend_from_slice(entry.bytes());
        }
    }

    /// A batch of entries was applied, the first of which was `first`.
    pub(super) fn applied(&mut self, first: u64, last: Version, history: u64) {
        if let Some(observer) = &mut self.observer {
            observer.applied(first, last, history, Entries::new(&self.entries));
            self.entries.clear();
        }
    }

    /// The state was replaced.
    pub(super) fn jumped(&mut self, from: Version, to: Version, history: u64) {
        if let Some(observer) = &mut self.observer {
            observer.jumped(from, to, history);
        }
    }
}

//! A window on a replica for those who measure and check it.

use crate::Version;
use crate::wire::Entries;

/// Told synchronously, under the replica's lock, of all that happens to its state. For the
/// simulator's checker and the runner's instruments; a user wants a subscription.
pub trait Observer: Send {
    /// Entries `first..=last.seq` were applied; `history` is the rolling hash after them.
    fn applied(&mut self, first: u64, last: Version, history: u64, entries: Entries<'_>);

    /// The state was replaced by a snapshot cut at `to`.
    fn jumped(&mut self, from: Version, to: Version, history: u64);
}

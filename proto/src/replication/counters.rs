//! The counters of a replica.

use std::ops::AddAssign;

use serde::Serialize;

use crate::mutant::mutant;

/// Declares the counters, each once.
macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $field:ident,)*) => {
        /// The counts of events. Bytes and system calls are counted where they happen, in `link`.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
        pub struct Counters {
            $($(#[doc = $doc])+ pub $field: u64,)*
        }

        impl Counters {
            /// Adds the counts of another replica, or of this one before a restart.
            pub fn add(&mut self, other: &Counters) {
                $(self.$field += other.$field;)*
                self.resent -= if mutant!(ResentNotAdded) { other.resent } else { 0 };
            }

            /// Each counter with its name.
            pub fn named(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($field), self.$field)),*].into_iter()
            }

            /// Lists each counter's name with its description, in the order of [`Counters::named`].
            pub fn described() -> impl Iterator<Item = (&'static str, &'static str)> {
                [$((stringify!($field), concat!($($doc),+).trim())),*].into_iter()
            }
        }
    };
}

counters! {
    /// Snapshots sent because a cursor fell off the log.
    snapshots_forced,
    /// Entries that such a link did not get.
    entries_skipped,
    /// Actions that were applied here by their patch, without the reducer.
    patches_applied,
    /// Actions for which a link in mode `delta` got a snapshot, because their patch was too large.
    patches_too_large,
    /// Snapshots begun on a link, for whatever reason.
    snapshots_sent,
    /// Snapshots that went on where their link had ended before.
    snapshots_resumed,
    /// Of those begun, the ones that `Resync::Snapshot` asked for.
    resyncs,
    /// Snapshots cut from the state.
    snapshots_cut,
    /// States put in place here.
    snapshots_installed,
    /// Digests that were the same as the sequencer's.
    verified,
    /// Digests that differed.
    divergences,
    /// Copies that a snapshot healed.
    healed,
    /// Requests of copies below to be healed that reached this node while it was a relay.
    heals_through_relay,
    /// Of these, the ones for which it had to heal first: it did not know its own copy to be right.
    heals_deferred,
    /// Requests to be healed at a version where no digest was told, or that this copy had right.
    heals_unfounded,
    /// Batches of dispatches in a session that their sender could not prove to be its own.
    claims_unproved,
    /// Requests for a session that a relay did not pass on, since too many came over that link.
    requests_dropped,
    /// Dispatches dropped because they bore the number of an old attachment.
    stale_hops,
    /// Dispatches of this node that were sent again, since their way up was remade or their answer
    /// did not come.
    resent,
    /// Dispatches that came before and got their first answer again.
    deduplicated,
    /// Dispatches behind a missing one.
    gaps,
    /// Links resumed by entries.
    resumed,
    /// Of these, the ones that asked while a snapshot was being cut or sent here.
    resumed_beside_snapshot,
    /// The sequencer's life changed while dispatches of this node were under way.
    epochs_changed_in_flight,
    /// This node's session had expired when a dispatch in it arrived.
    sessions_expired,
    /// The state gave way to that of a store with another history while dispatches of this node
    /// were under way.
    rebased_in_flight,
    /// Entries applied here.
    applied,
}

impl AddAssign for Counters {
    fn add_assign(&mut self, other: Counters) {
        self.add(&other);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_is_added_and_named() {
        let one = Counters { resent: 2, applied: 5, ..Counters::default() };
        let mut sum = one;
        sum += one;
        let counted: Vec<_> = sum.named().filter(|named| named.1 > 0).collect();
        assert_eq!(counted, [("resent", 4), ("applied", 10)]);
    }
}

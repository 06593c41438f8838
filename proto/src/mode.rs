//! The content of a link from a node to the nodes below it, and what follows from it.
//!
//! All that a mode decides is decided here: what a link is sent next, what it needs of the log, and
//! where it can go on.

use crate::mutant::mutant;

/// The content that a node sends downstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Mode {
    /// The whole state at each change. While the link is busy, the states in between are skipped.
    Snapshot = 0,
    /// The actions, and a check of the state at intervals.
    #[default]
    Action = 1,
    /// The actions and what they changed, as patches of the state, so that only the sender runs the
    /// reducer. A patch of more than half of the state is replaced with a snapshot. The state is
    /// checked at intervals, as in mode `action`.
    Delta = 2,
}

/// The next content of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing until something changes.
    Nothing,
    /// A snapshot that was cut at this seq or later.
    Snapshot {
        /// The lowest seq that will do.
        min: u64,
    },
    /// Entries of the log after the cursor.
    Entries,
}

impl Mode {
    /// Returns the mode with this number on the wire.
    pub(crate) fn from_wire(number: u8) -> Option<Self> {
        [Mode::Snapshot, Mode::Action, Mode::Delta]
            .into_iter()
            .find(|mode| mode.to_wire() == number)
    }

    /// Returns the number of this mode on the wire.
    pub(crate) fn to_wire(self) -> u8 {
        self as u8
    }

    /// Returns the mode in which a node sends that is configured to this one and gets `upstream`.
    /// A node cannot pass on entries that it does not get.
    pub(crate) fn below(self, upstream: Option<Mode>) -> Mode {
        if upstream.is_none_or(Mode::reads_log) { self } else { Mode::Snapshot }
    }

    /// Returns whether a link in this mode reads the log: each entry goes over it, and digests do.
    pub(crate) fn reads_log(self) -> bool {
        match self {
            Mode::Snapshot => false,
            Mode::Action | Mode::Delta => true,
        }
    }

    /// Returns whether a link in this mode carries patches beside the entries.
    pub(crate) fn sends_patches(self) -> bool {
        self == Mode::Delta
    }

    /// Returns the mode of a link to a node that takes patches or not.
    pub(crate) fn towards(self, takes_patches: bool) -> Mode {
        if self.sends_patches() && !takes_patches { Mode::Action } else { self }
    }

    /// Returns what a link is sent next that has got everything up to `cursor`, where others may
    /// see everything up to `shown`.
    pub(crate) fn next(self, cursor: u64, shown: u64) -> Next {
        match self {
            Mode::Action | Mode::Delta => Next::Entries,
            Mode::Snapshot if cursor < shown => Next::Snapshot { min: shown },
            Mode::Snapshot => Next::Nothing,
        }
    }

    /// Returns whether a link goes on after `seq` without a snapshot. `in_log`: the log has the
    /// entries after it. `head`: the seq of this node, which may lie behind.
    pub(crate) fn goes_on(self, seq: u64, in_log: bool, head: u64) -> bool {
        !self.reads_log() || in_log || seq > head
    }

    /// Returns whether a link can go on from a snapshot. `in_log`: the log has the entries after
    /// it.
    pub(crate) fn goes_on_from_snapshot(self, in_log: bool) -> bool {
        !self.reads_log() || in_log
    }

    /// Returns the cursor of a link that got the snapshot at `seq`.
    pub(crate) fn cursor_after_snapshot(self, seq: u64, in_log: impl Fn(u64) -> bool) -> u64 {
        let raced = mutant!(SnapshotRaced) && self.reads_log() && seq > 0 && in_log(seq - 1);
        seq - u64::from(raced)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_passes_on_entries_only_if_it_gets_them() {
        for mode in [Mode::Snapshot, Mode::Action, Mode::Delta] {
            assert_eq!(mode.below(None), mode);
            assert_eq!(mode.below(Some(Mode::Action)), mode);
            assert_eq!(mode.below(Some(Mode::Delta)), mode);
            assert_eq!(mode.below(Some(Mode::Snapshot)), Mode::Snapshot);
            assert_eq!(Mode::from_wire(mode.to_wire()), Some(mode));
        }
        assert_eq!(Mode::from_wire(200), None);
    }

    #[test]
    fn patches_go_only_to_nodes_that_take_them() {
        for mode in [Mode::Snapshot, Mode::Action, Mode::Delta] {
            assert_eq!(mode.towards(true), mode);
        }
        assert_eq!(Mode::Delta.towards(false), Mode::Action);
        assert_eq!(Mode::Snapshot.towards(false), Mode::Snapshot);
    }

    #[test]
    fn a_link_is_sent_states_or_entries() {
        assert_eq!(Mode::Action.next(3, 3), Next::Entries);
        assert_eq!(Mode::Snapshot.next(3, 3), Next::Nothing);
        assert_eq!(Mode::Snapshot.next(3, 5), Next::Snapshot { min: 5 });
        assert!(Mode::Snapshot.goes_on(3, false, 5) && !Mode::Action.goes_on(3, false, 5));
        assert!(Mode::Action.goes_on(7, false, 5), "this node is behind");
        assert!(!Mode::Action.goes_on_from_snapshot(false));
    }
}

//! The changes for subscribers, in a bounded ring.

use std::collections::VecDeque;

use crate::Version;
use crate::mutant::mutant;

/// The reason for a change of a replica's state otherwise than by the next action; the gravest
/// last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Jump {
    /// A snapshot, a heal, or a subscriber that fell behind.
    Jumped,
    /// A sequencer died with actions that this node had applied; they are undone.
    HistoryLost,
    /// The store became a client of another sequencer.
    Rebased,
}

/// One change of the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change<A> {
    /// The next action was applied.
    Applied {
        /// The version after it.
        version: Version,
        /// The action.
        action: A,
    },
    /// The state was replaced.
    Jumped {
        /// The reason.
        why: Jump,
        /// The version before.
        from: Version,
        /// The version after.
        to: Version,
    },
}

impl<A> Change<A> {
    /// The version after it.
    pub fn to(&self) -> Version {
        match self {
            Change::Applied { version, .. } => *version,
            Change::Jumped { to, .. } => *to,
        }
    }
}

/// Changes that the notifier has not taken yet, bounded in number and in bytes. The oldest give
/// way to a jump.
#[derive(Debug)]
pub struct Changes<A> {
    /// Changes, and how many bytes each is held to be.
    ring: VecDeque<(Change<A>, usize)>,
    capacity: usize,
    bytes: usize,
    bytes_max: usize,
    pushed: u64,
    wanted: bool,
    /// The version of a subscriber that has taken all changes offered so far.
    told: Version,
    /// The changes up to here were dropped; the gravest of their reasons.
    dropped: Option<(Jump, Version)>,
}

impl<A> Changes<A> {
    /// Creates a ring without a subscriber, which keeps at most `capacity` changes of `bytes_max`
    /// bytes in all.
    pub fn new(capacity: usize, bytes_max: usize) -> Self {
        Changes {
            ring: VecDeque::new(),
            capacity: capacity.max(1),
            bytes: 0,
            bytes_max,
            pushed: 0,
            wanted: false,
            told: Version::default(),
            dropped: None,
        }
    }

    /// Sets whether there is a subscriber from version `at` on. Changes without a subscriber are
    /// not kept.
    pub fn set_wanted(&mut self, wanted: bool, at: Version) {
        if self.wanted != wanted {
            self.ring.clear();
            self.bytes = 0;
            self.dropped = None;
            self.told = at;
        }
        self.wanted = wanted;
    }

    /// Returns the number of changes ever added, which is the number of the newest.
    pub fn pushed(&self) -> u64 {
        self.pushed
    }

    /// The number of the newest change that was taken.
    pub fn taken(&self) -> u64 {
        self.pushed - self.ring.len() as u64
    }

    /// Returns whether a change at `until` or before waits for subscribers.
    pub fn is_due(&self, until: u64) -> bool {
        match (self.dropped, self.ring.front()) {
            (Some((_, to)), _) => to.seq <= until,
            (None, Some((change, _))) => change.to().seq <= until,
            (None, None) => false,
        }
    }

    /// Adds a change, held to be of `bytes` bytes.
    pub fn push(&mut self, change: Change<A>, bytes: usize) {
        if !self.wanted || mutant!(ChangesUntold) {
            return;
        }
        let capacity = self.capacity + usize::from(mutant!(RingOneLonger));
        while self.ring.len() >= capacity || self.bytes + bytes > self.bytes_max {
            let Some((oldest, bytes)) = self.ring.pop_front() else { break };
            self.bytes -= bytes;
            let before = self.dropped.map_or(Jump::Jumped, |dropped| dropped.0);
            let why = match oldest {
                Change::Jumped { why, .. } if mutant!(LastReasonTold) => why,
                Change::Jumped { why, .. } => why.max(before),
                Change::Applied { .. } => before,
            };
            self.dropped = Some((why, oldest.to()));
        }
        self.pushed += 1;
        self.bytes += bytes;
        self.ring.push_back((change, bytes));
    }

    /// The oldest that waits, if it lies at `until` or before, and how many bytes it is held to be;
    /// what was dropped comes first, as one jump.
    pub fn pop(&mut self, until: u64) -> Option<(Change<A>, usize)> {
        if !self.is_due(until) {
            return None;
        }
        let (change, bytes) = match self.dropped.take() {
            Some((why, to)) => (Change::Jumped { why, from: self.told, to }, 0),
            None => self.ring.pop_front()?,
        };
        self.bytes -= bytes;
        self.told = change.to();
        Some((change, bytes))
    }

    /// Everything that waits and lies at `until` or before, oldest first.
    pub fn take(&mut self, until: u64) -> VecDeque<Change<A>> {
        std::iter::from_fn(|| self.pop(until)).map(|(change, _)| change).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seq: u64) -> Version {
        Version { seq, ..Version::default() }
    }

    #[test]
    fn a_subscriber_that_falls_behind_is_told_of_one_jump_and_then_every_action() {
        let mut changes = Changes::new(3, 100);
        changes.set_wanted(true, at(0));
        for seq in 1..=10 {
            changes.push(Change::Applied { version: at(seq), action: seq }, 1);
        }
        let told: Vec<_> = changes.take(u64::MAX).into();
        assert_eq!(told[0], Change::Jumped { why: Jump::Jumped, from: at(0), to: at(7) });
        assert_eq!(told[1], Change::Applied { version: at(8), action: 8 });
        assert_eq!(told.len(), 4);
        assert!(!changes.is_due(u64::MAX));
    }

    #[test]
    fn what_waits_is_bounded_in_bytes_too() {
        let mut changes = Changes::new(100, 10);
        changes.set_wanted(true, at(0));
        for seq in 1..=10 {
            changes.push(Change::Applied { version: at(seq), action: seq }, 4);
        }
        assert_eq!(changes.take(u64::MAX).len(), 3, "a jump and two actions");
    }

    #[test]
    fn a_dropped_loss_of_history_is_told_as_one_from_where_the_subscriber_stands() {
        let in_epoch = |number, seq| {
            let epoch = crate::Epoch { number, id: u64::from(number) };
            Version { epoch, seq }
        };
        let mut changes = Changes::new(1, 100);
        changes.set_wanted(true, in_epoch(1, 4));
        let (from, to) = (in_epoch(1, 4), in_epoch(1, 2));
        changes.push(Change::Jumped { why: Jump::HistoryLost, from, to }, 0);
        for seq in [3, 4] {
            changes.push(Change::Applied { version: in_epoch(2, seq), action: seq }, 1);
        }
        let to = in_epoch(2, 3);
        let told: Vec<_> = changes.take(u64::MAX).into();
        assert_eq!(told[0], Change::Jumped { why: Jump::HistoryLost, from, to });
        changes.push(Change::Applied { version: in_epoch(2, 5), action: 5 }, 1);
        changes.push(Change::Applied { version: in_epoch(2, 6), action: 6 }, 1);
        let (from, to) = (in_epoch(2, 4), in_epoch(2, 5));
        assert_eq!(changes.take(u64::MAX)[0], Change::Jumped { why: Jump::Jumped, from, to });
    }
}

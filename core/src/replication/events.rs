//! What subscribers are told, in a bounded ring.

use std::collections::VecDeque;

use super::Version;

/// Why a replica's state changed otherwise than by the next action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
        /// Why.
        why: Jump,
        /// The version before.
        from: Version,
        /// The version after.
        to: Version,
    },
}

/// Changes that the notifier has not taken yet. The oldest give way to a jump.
#[derive(Debug)]
pub struct Changes<A> {
    ring: VecDeque<Change<A>>,
    capacity: usize,
    wanted: bool,
    /// The version before the first change in the ring, once something was dropped.
    dropped: Option<(Version, Version)>,
}

impl<A> Changes<A> {
    /// Nobody listens yet; at most `capacity` changes are kept.
    pub fn new(capacity: usize) -> Self {
        Changes { ring: VecDeque::new(), capacity: capacity.max(1), wanted: false, dropped: None }
    }

    /// Whether somebody listens; what happens while nobody does is not kept.
    pub fn set_wanted(&mut self, wanted: bool) {
        self.wanted = wanted;
        if !wanted {
            self.ring.clear();
            self.dropped = None;
        }
    }

    /// Whether anything waits to be told.
    pub fn is_empty(&self) -> bool {
        self.ring.is_empty() && self.dropped.is_none()
    }

    /// Adds a change.
    pub fn push(&mut self, change: Change<A>) {
        if !self.wanted {
            return;
        }
        if self.ring.len() >= self.capacity
            && let Some(oldest) = self.ring.pop_front()
        {
            let (from, to) = match oldest {
                Change::Applied { version, .. } => {
                    (Version { seq: version.seq - 1, ..version }, version)
                }
                Change::Jumped { from, to, .. } => (from, to),
            };
            self.dropped = Some((self.dropped.map_or(from, |dropped| dropped.0), to));
        }
        self.ring.push_back(change);
    }

    /// Everything that waits, oldest first; what was dropped comes first, as one jump.
    pub fn take(&mut self) -> VecDeque<Change<A>> {
        let mut taken = std::mem::take(&mut self.ring);
        if let Some((from, to)) = self.dropped.take() {
            taken.push_front(Change::Jumped { why: Jump::Jumped, from, to });
        }
        taken
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
        let mut changes = Changes::new(3);
        changes.set_wanted(true);
        for seq in 1..=10 {
            changes.push(Change::Applied { version: at(seq), action: seq });
        }
        let told: Vec<_> = changes.take().into();
        assert_eq!(told[0], Change::Jumped { why: Jump::Jumped, from: at(0), to: at(7) });
        assert_eq!(told[1], Change::Applied { version: at(8), action: 8 });
        assert_eq!(told.len(), 4);
        assert!(changes.is_empty());
    }
}

//! No gap, and no jump that is not told: at a replica (I1), and in what a subscriber hears (I10).

use samestate_proto::Version;
use serde::{Deserialize, Serialize};

use super::violation::{Invariant, Violations};

/// Follows the versions of one replica, or of one subscriber, through one incarnation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Continuity {
    invariant: Invariant,
    at: String,
    version: Option<Version>,
    applied: u64,
    jumps: u64,
    violations: Violations,
}

impl Continuity {
    /// For the replica of node `name`.
    pub fn of_replica(name: impl Into<String>) -> Self {
        Continuity::of(Invariant::I1, name.into())
    }

    /// For a subscriber at node `name`; it may begin to listen at any version.
    pub fn of_subscriber(name: impl Into<String>) -> Self {
        Continuity::of(Invariant::I10, name.into())
    }

    fn of(invariant: Invariant, at: String) -> Self {
        let violations = Violations::default();
        Continuity { invariant, at, version: None, applied: 0, jumps: 0, violations }
    }

    /// The entries from `first_seq` to `last` were applied, or told; one entry has its own seq.
    pub fn applied(&mut self, first_seq: u64, last: Version) {
        let next = self.version.map(|version| version.seq + 1);
        if next.is_some_and(|next| next != first_seq) || last.seq < first_seq {
            let before = self.version.unwrap_or_default();
            self.violates(format!("after {before} came {first_seq} to {last}, without a jump"));
        }
        self.applied += (last.seq + 1).saturating_sub(first_seq);
        self.version = Some(last);
    }

    /// A jump was made, or told.
    pub fn jumped(&mut self, from: Version, to: Version) {
        // The seq alone: one that fell behind is told where the first change that it missed began,
        // and an epoch of the sequencer may have ended just there.
        if let Some(before) = self.version.filter(|before| before.seq != from.seq) {
            self.violates(format!("at {before} came a jump from {from} to {to}"));
        }
        self.jumps += 1;
        self.version = Some(to);
    }

    /// The replica's incarnation, or the subscription, ended; another may begin anywhere.
    pub fn ended(&mut self) {
        self.version = None;
    }

    /// Takes out what was found since the last call, to be handed to [`Continuity::absorb`].
    pub fn take(&mut self) -> Continuity {
        let rest =
            Continuity { version: self.version, ..Continuity::of(self.invariant, self.at.clone()) };
        std::mem::replace(self, rest)
    }

    /// Adds what was found in a part.
    pub fn absorb(&mut self, part: Continuity) {
        self.version = part.version;
        self.applied += part.applied;
        self.jumps += part.jumps;
        self.violations.merge(part.violations);
    }

    fn violates(&mut self, detail: String) {
        self.violations.add(self.invariant, &self.at, detail);
    }

    /// Returns the number of entries that were applied, or told.
    pub fn applied_total(&self) -> u64 {
        self.applied
    }

    /// Returns the number of jumps.
    pub fn jumps_total(&self) -> u64 {
        self.jumps
    }

    /// Returns the violations.
    pub fn violations(&self) -> &Violations {
        &self.violations
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::timeline::tests::v;

    #[test]
    fn a_gap_at_a_replica_is_found_and_a_told_jump_is_none() {
        let mut replica = Continuity::of_replica("beta.master");
        replica.applied(1, v(4));
        replica.jumped(v(4), v(9));
        replica.applied(10, v(10));
        assert!(replica.violations().is_empty());
        replica.applied(12, v(12));
        assert!(replica.violations().of(Invariant::I1));
        assert_eq!((replica.applied_total(), replica.jumps_total()), (6, 1));
    }

    #[test]
    fn a_gap_in_a_part_or_between_two_is_found_in_the_whole() {
        for (second, third) in [(4, 5), (3, 5)] {
            let mut node = Continuity::of_replica("beta.master");
            let mut whole = Continuity::of_replica("beta.master");
            node.applied(1, v(2));
            whole.absorb(node.take());
            assert!(whole.violations().is_empty());
            node.applied(second, v(second));
            node.applied(third, v(third));
            whole.absorb(node.take());
            assert_eq!(whole.violations().total(), 1);
            assert_eq!(whole.applied_total(), 4);
        }
    }

    #[test]
    fn a_subscriber_that_is_told_one_twice_or_jumps_from_elsewhere_is_found() {
        let mut twice = Continuity::of_subscriber("beta.master");
        twice.applied(7, v(7));
        twice.applied(7, v(7));
        assert!(twice.violations().of(Invariant::I10));
        let mut elsewhere = Continuity::of_subscriber("beta.master");
        elsewhere.applied(7, v(7));
        elsewhere.jumped(v(6), v(9));
        assert!(elsewhere.violations().of(Invariant::I10));
    }
}

//! Violations of invariants, and their places.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The number of violations that a list describes. The rest are only counted.
pub const VIOLATIONS_MAX: usize = 64;

/// The number of violations of one invariant at one place that a list describes, so that many of
/// one kind do not hide another.
const ALIKE_MAX: usize = 16;

/// The invariants of Samestate, by their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Invariant {
    /// All replicas apply the same entries in the same order, with no gap.
    I1,
    /// Two replicas at the same version have the same state.
    I2,
    /// Nothing accepted is lost, nothing applies twice.
    I3,
    /// A refused dispatch never applies.
    I4,
    /// Dispatches of one handle apply in the order of the calls.
    I5,
    /// The state of a node includes each dispatch that resolved `Ok` there.
    I6,
    /// Once faults and load stop, all replicas become equal in time.
    I7,
    /// No peer makes another's memory grow past its bounds.
    I8,
    /// Without the password a peer reads nothing and changes nothing.
    I9,
    /// Subscribers are told every action in order, or that there was a jump.
    I10,
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// An invariant that did not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// The invariant that is violated.
    pub invariant: Invariant,
    /// The node, as the scenario names it, or the store where no single node is to blame.
    pub at: String,
    /// The evidence, in words.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}: {}", self.invariant, self.at, self.detail)
    }
}

impl From<Violation> for samestate_report::Violation {
    fn from(violation: Violation) -> Self {
        Self::new(violation.invariant.to_string(), violation.at, violation.detail)
    }
}

/// Violations, bounded: the first are described, all are counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violations {
    described: Vec<Violation>,
    total: u64,
}

impl Violations {
    /// One more.
    pub fn add(&mut self, invariant: Invariant, at: &str, detail: impl fmt::Display) {
        self.total += 1;
        let is_alike = |known: &&Violation| known.invariant == invariant && known.at == at;
        let alike = self.described.iter().filter(is_alike).count();
        if self.described.len() < VIOLATIONS_MAX && alike < ALIKE_MAX {
            let (at, detail) = (at.to_owned(), detail.to_string());
            self.described.push(Violation { invariant, at, detail });
        }
    }

    /// One more, as it was found.
    pub fn push(&mut self, violation: Violation) {
        self.add(violation.invariant, &violation.at, violation.detail);
    }

    /// Those of `other` too.
    pub fn merge(&mut self, other: Violations) {
        let undescribed = other.total - other.described.len() as u64;
        for violation in other.described {
            self.push(violation);
        }
        self.total += undescribed;
    }

    /// The first [`VIOLATIONS_MAX`] and not more than 16 alike, in the order they were found.
    pub fn described(&self) -> &[Violation] {
        &self.described
    }

    /// Returns the number of violations.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Returns whether there is no violation.
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// Returns whether one of these violates `invariant`.
    pub fn of(&self, invariant: Invariant) -> bool {
        self.described.iter().any(|violation| violation.invariant == invariant)
    }
}

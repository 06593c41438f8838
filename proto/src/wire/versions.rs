//! The range of protocol versions that a process knows, and the choice of the version that two
//! processes use.

use std::fmt;

use super::{PROTOCOL_OLDEST, PROTOCOL_VERSION, Reader, WireError};

/// The versions of the protocol that one process knows: all from the lowest to the highest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    lowest: u16,
    highest: u16,
}

impl Versions {
    /// Those of this library.
    pub const OURS: Versions = Versions { lowest: PROTOCOL_OLDEST, highest: PROTOCOL_VERSION };

    /// From the lowest to the highest; `None` if these are the wrong way round.
    pub fn new(lowest: u16, highest: u16) -> Option<Self> {
        (lowest <= highest).then_some(Versions { lowest, highest })
    }

    /// Returns the highest version that both know.
    pub fn common(self, other: Versions) -> Option<u16> {
        let (lowest, highest) = (self.lowest.max(other.lowest), self.highest.min(other.highest));
        (lowest <= highest).then_some(highest)
    }

    /// Returns whether this version is one of them.
    pub(crate) fn contains(self, version: u16) -> bool {
        (self.lowest..=self.highest).contains(&version)
    }

    /// Returns whether all of these versions are older than all of `other`.
    pub fn are_older_than(self, other: Versions) -> bool {
        self.highest < other.lowest
    }

    /// Appends the lowest and the highest, two bytes each.
    pub fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.lowest.to_le_bytes());
        out.extend_from_slice(&self.highest.to_le_bytes());
    }

    /// Takes what [`write`](Versions::write) appended.
    ///
    /// # Errors
    ///
    /// If bytes are missing, or the lowest is above the highest.
    pub fn read(body: &mut Reader<'_>) -> Result<Self, WireError> {
        let (lowest, highest) = (body.u16("version")?, body.u16("version")?);
        Versions::new(lowest, highest).ok_or(WireError::Malformed("range of versions"))
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.lowest == self.highest {
            true => write!(f, "version {}", self.highest),
            false => write!(f, "versions {} to {}", self.lowest, self.highest),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_range_contains_its_ends_comes_back_and_is_written_as_it_is_read() {
        let (one, two) = (Versions::new(2, 2).expect("a range"), Versions::new(2, 4));
        let two = two.expect("a range");
        let within: Vec<_> = (0..7).filter(|version| two.contains(*version)).collect();
        assert_eq!(within, [2, 3, 4]);
        let mut bytes = Vec::new();
        two.write(&mut bytes);
        assert_eq!(Versions::read(&mut Reader::new(&bytes)), Ok(two));
        assert!(one.to_string() != two.to_string(), "{one}, {two}");
    }

    proptest! {
        #[test]
        fn both_sides_find_the_same_version_and_it_is_the_highest_that_both_speak(
            a in 0u16..12, b in 0u16..12, c in 0u16..12, d in 0u16..12,
        ) {
            let (Some(ours), Some(theirs)) = (Versions::new(a, b), Versions::new(c, d)) else {
                return Ok(());
            };
            let by_hand = (0..12).rev().find(|version| {
                (a..=b).contains(version) && (c..=d).contains(version)
            });
            prop_assert_eq!(ours.common(theirs), by_hand);
            prop_assert_eq!(theirs.common(ours), by_hand);
            let apart = ours.are_older_than(theirs) || theirs.are_older_than(ours);
            prop_assert_eq!(apart, by_hand.is_none());
        }
    }
}

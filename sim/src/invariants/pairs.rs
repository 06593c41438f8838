//! Which version a dispatch got, for a sample of dispatches that is the same wherever it is
//! taken.
//!
//! All are kept at first. When there are too many, only those stay whose hash ends in one more
//! zero bit. Two samples taken apart, at the sequencer and at an origin, therefore hold the same
//! dispatches once the finer is thinned like the coarser.

use std::collections::BTreeMap;

use samestate::replication::Version;
use serde::{Deserialize, Serialize};

/// How many dispatches a sample keeps: some 6 MB.
pub(crate) const PAIRS_MAX: usize = 1 << 16;

/// The versions of a sample of dispatches.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Listed", from = "Listed")]
pub(crate) struct Pairs {
    kept: BTreeMap<(u64, u64), Version>,
    zero_bits: u32,
}

impl Pairs {
    /// Dispatch `counter` of `session` was ordered as `version`.
    pub(crate) fn insert(&mut self, session: u64, counter: u64, version: Version) {
        if in_sample(session, counter, self.zero_bits) {
            self.kept.insert((session, counter), version);
            while self.kept.len() > PAIRS_MAX {
                self.thin(self.zero_bits + 1);
            }
        }
    }

    /// Adds those of a part.
    pub(crate) fn absorb(&mut self, part: Pairs) {
        if part.zero_bits > self.zero_bits {
            self.thin(part.zero_bits);
        }
        for ((session, counter), version) in part.kept {
            self.insert(session, counter, version);
        }
    }

    /// Keeps the versions that `stays` says.
    pub(crate) fn retain(&mut self, mut stays: impl FnMut(u64, Version) -> bool) {
        self.kept.retain(|key, version| stays(key.0, *version));
    }

    fn thin(&mut self, zero_bits: u32) {
        self.zero_bits = zero_bits;
        self.kept.retain(|key, _| in_sample(key.0, key.1, zero_bits));
    }

    /// Whether every dispatch is in the sample.
    pub(crate) fn complete(&self) -> bool {
        self.zero_bits == 0
    }

    pub(crate) fn get(&self, session: u64, counter: u64) -> Option<Version> {
        self.kept.get(&(session, counter)).copied()
    }

    /// The counters of `session` in `first..=last`, in order, with their versions.
    pub(crate) fn within(
        &self,
        session: u64,
        first: u64,
        last: u64,
    ) -> impl Iterator<Item = (u64, Version)> + '_ {
        let range = (session, first)..=(session, last.max(first));
        self.kept.range(range).map(|(key, version)| (key.1, *version))
    }

    /// All, by session and counter.
    pub(crate) fn iter(&self) -> impl Iterator<Item = ((u64, u64), Version)> + '_ {
        self.kept.iter().map(|(key, version)| (*key, *version))
    }
}

/// As JSON has it: its maps are keyed by strings alone.
#[derive(Serialize, Deserialize)]
struct Listed {
    zero_bits: u32,
    kept: Vec<(u64, u64, Version)>,
}

impl From<Pairs> for Listed {
    fn from(pairs: Pairs) -> Self {
        let kept = pairs.kept.iter().map(|(key, version)| (key.0, key.1, *version)).collect();
        Listed { zero_bits: pairs.zero_bits, kept }
    }
}

impl From<Listed> for Pairs {
    fn from(listed: Listed) -> Self {
        let mut pairs = Pairs { zero_bits: listed.zero_bits.min(64), ..Pairs::default() };
        for (session, counter, version) in listed.kept {
            pairs.insert(session, counter, version);
        }
        pairs
    }
}

/// Whether a dispatch's hash ends in so many zero bits. The mixing is SplitMix64's finaliser.
fn in_sample(session: u64, counter: u64, zero_bits: u32) -> bool {
    let mut hash = session.rotate_left(32) ^ counter.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (hash ^ (hash >> 31)).trailing_zeros() >= zero_bits
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::timeline::tests::v;

    #[test]
    fn samples_taken_apart_hold_the_same_dispatches() {
        let (mut all, mut some) = (Pairs::default(), Pairs::default());
        for n in 0..200_000u64 {
            all.insert(n % 3, n, v(n));
            if n % 3 == 1 {
                some.insert(1, n, v(n));
            }
        }
        assert!(all.kept.len() <= PAIRS_MAX && !all.complete());
        some.thin(all.zero_bits);
        let ours: Vec<_> = all.within(1, 0, u64::MAX).collect();
        assert!(ours.len() > 5_000);
        assert_eq!(ours, some.within(1, 0, u64::MAX).collect::<Vec<_>>());
    }
}

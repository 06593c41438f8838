//! A bounded map over the same sample of keys wherever it is taken.
//!
//! All keys are kept at first. When there are too many, only those stay whose hash ends in one
//! more zero bit. Two samples taken apart, at the sequencer and at an origin, therefore hold the
//! same keys once the finer is thinned like the coarser.

use std::collections::BTreeMap;

use samestate_proto::Epoch;
use serde::{Deserialize, Serialize};

/// The number of keys that a sample keeps: some 6 MB.
pub(crate) const SAMPLE_MAX: usize = 1 << 16;

/// The approximate number of keys of a part that is sent.
const PART_MAX: usize = 1 << 12;

/// A key of a sample.
pub(crate) trait Key: Copy + Ord {
    /// Two words that tell one key from another.
    fn words(&self) -> (u64, u64);
}

/// A dispatch: its session and counter.
impl Key for (u64, u64) {
    fn words(&self) -> (u64, u64) {
        *self
    }
}

/// A version, whose type has no order of its own.
impl Key for (Epoch, u64) {
    fn words(&self) -> (u64, u64) {
        (self.0.id, self.1)
    }
}

/// Values of a sample of keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Listed<K, V>", from = "Listed<K, V>")]
#[serde(bound(
    serialize = "K: Key + Serialize, V: Clone + Serialize",
    deserialize = "K: Key + Deserialize<'de>, V: Deserialize<'de>"
))]
pub(crate) struct Sample<K, V> {
    kept: BTreeMap<K, V>,
    zero_bits: u32,
}

impl<K, V> Default for Sample<K, V> {
    fn default() -> Self {
        Sample { kept: BTreeMap::new(), zero_bits: 0 }
    }
}

impl<K: Key, V> Sample<K, V> {
    /// Takes the value of `key`, if it belongs to the sample.
    pub(crate) fn insert(&mut self, key: K, value: impl FnOnce() -> V) {
        if in_sample(key, self.zero_bits) {
            self.kept.insert(key, value());
            while self.kept.len() > SAMPLE_MAX {
                self.thin(self.zero_bits + 1);
            }
        }
    }

    /// Takes out what was sampled since the last call. What comes next is thinned so that a part
    /// like this one has no more than [`PART_MAX`] keys.
    pub(crate) fn take(&mut self) -> Sample<K, V> {
        let mut zero_bits = self.zero_bits;
        while self.kept.len() >> (zero_bits - self.zero_bits) > PART_MAX {
            zero_bits += 1;
        }
        std::mem::replace(self, Sample { zero_bits, ..Sample::default() })
    }

    /// Adds those of a part.
    pub(crate) fn absorb(&mut self, part: Sample<K, V>) {
        if part.zero_bits > self.zero_bits {
            self.thin(part.zero_bits);
        }
        for (key, value) in part.kept {
            self.insert(key, || value);
        }
    }

    /// Keeps what `stays` says.
    pub(crate) fn retain(&mut self, mut stays: impl FnMut(&V) -> bool) {
        self.kept.retain(|_, value| stays(value));
    }

    fn thin(&mut self, zero_bits: u32) {
        self.zero_bits = zero_bits;
        self.kept.retain(|key, _| in_sample(*key, zero_bits));
    }

    pub(crate) fn get(&self, key: K) -> Option<&V> {
        self.kept.get(&key)
    }

    /// From `first` to `last`, in order.
    pub(crate) fn within(&self, first: K, last: K) -> impl Iterator<Item = (&K, &V)> {
        self.kept.range(first..=last.max(first))
    }

    /// All, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.kept.iter()
    }
}

/// As JSON has it: its maps are keyed by strings alone.
#[derive(Serialize, Deserialize)]
struct Listed<K, V> {
    zero_bits: u32,
    kept: Vec<(K, V)>,
}

impl<K, V> From<Sample<K, V>> for Listed<K, V> {
    fn from(sample: Sample<K, V>) -> Self {
        Listed { zero_bits: sample.zero_bits, kept: sample.kept.into_iter().collect() }
    }
}

impl<K: Key, V> From<Listed<K, V>> for Sample<K, V> {
    fn from(listed: Listed<K, V>) -> Self {
        let mut sample = Sample { zero_bits: listed.zero_bits, ..Sample::default() };
        for (key, value) in listed.kept {
            sample.insert(key, || value);
        }
        sample
    }
}

/// Returns whether a key's hash ends in so many zero bits. The mixing is SplitMix64's finaliser.
fn in_sample(key: impl Key, zero_bits: u32) -> bool {
    let (one, other) = key.words();
    let mut hash = one.rotate_left(32) ^ other.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (hash ^ (hash >> 31)).trailing_zeros() >= zero_bits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_taken_apart_hold_the_same_keys() {
        let (mut all, mut some) = (Sample::default(), Sample::default());
        for n in 0..200_000u64 {
            all.insert((n % 3, n), || n);
            if n % 3 == 1 {
                some.insert((1, n), || n);
            }
        }
        assert!(all.kept.len() <= SAMPLE_MAX && all.zero_bits > 0);
        some.thin(all.zero_bits);
        let ours: Vec<_> = all.within((1, 0), (1, u64::MAX)).collect();
        assert!(ours.len() > 5_000);
        assert_eq!(ours, some.within((1, 0), (1, u64::MAX)).collect::<Vec<_>>());
    }

    #[test]
    fn parts_stay_small_and_add_up_to_the_same_sample() {
        let (mut whole, mut node, mut runner) =
            (Sample::default(), Sample::default(), Sample::default());
        for n in 0..400_000u64 {
            whole.insert((1, n), || n);
            node.insert((1, n), || n);
            if n % 100_000 == 99_999 {
                let part = node.take();
                assert!(n < 100_000 || part.kept.len() < 2 * PART_MAX, "{}", part.kept.len());
                runner.absorb(part);
            }
        }
        whole.thin(runner.zero_bits);
        assert_eq!(whole, runner);
    }
}

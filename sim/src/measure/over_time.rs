//! Measures over time, in bounded memory.
//!
//! [`Windows`] divides the clock that all processes share into windows whose width is a power of
//! two, and keeps one value for each. When there are too many, the width doubles and neighbours are
//! merged. So windows of different processes can be added up: both are merged to the coarser width
//! first, and the borders fall together. [`Thinned`] keeps every n-th reading of a gauge, and n
//! doubles.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

/// The most windows that are kept.
pub const WINDOWS_MAX: u64 = 480;

/// The first width of a window: 2^23 ns, some 8 ms.
const BITS_FIRST: u32 = 23;

/// The widest window: 2^63 ns.
const BITS_MAX: u32 = 63;

/// The most readings of a gauge that are kept.
const READINGS_MAX: usize = 1024;

/// A value that can be merged with that of a neighbouring window.
pub trait Merge: Default {
    /// Adds the value of another window.
    fn merge(&mut self, other: Self);
}

/// One value for each window of time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Windows<V> {
    bits: u32,
    values: BTreeMap<u64, V>,
}

impl<V> Default for Windows<V> {
    fn default() -> Self {
        Windows { bits: BITS_FIRST, values: BTreeMap::new() }
    }
}

impl<V: Merge> Windows<V> {
    /// The value of the window that contains an instant.
    pub fn at(&mut self, t_ns: u64) -> &mut V {
        if !self.values.contains_key(&(t_ns >> self.bits)) {
            self.values.entry(t_ns >> self.bits).or_default();
            self.bound();
        }
        self.values.entry(t_ns >> self.bits).or_default()
    }

    /// Takes out what was recorded since the last call, to be handed to [`Windows::absorb`].
    pub fn take(&mut self) -> Self {
        let rest = Windows { bits: self.bits, values: BTreeMap::new() };
        std::mem::replace(self, rest)
    }

    /// Adds the values of another part, or of another process.
    pub fn absorb(&mut self, part: Self) {
        let bits = part.bits.min(BITS_MAX);
        self.widen(bits);
        for (index, value) in part.values {
            let at = self.values.entry(index >> (self.bits - bits)).or_default();
            at.merge(value);
            self.bound();
        }
    }

    /// Merges windows until they are at least 2^`bits` ns wide.
    pub fn widen(&mut self, bits: u32) {
        let bits = bits.min(BITS_MAX);
        if bits > self.bits {
            let narrow = std::mem::take(&mut self.values);
            for (index, value) in narrow {
                self.values.entry(index >> (bits - self.bits)).or_default().merge(value);
            }
            self.bits = bits;
        }
    }

    /// The width of a window, as a power of two of nanoseconds.
    pub fn bits(&self) -> u32 {
        self.bits
    }

    /// Each window by its number, which is its begin divided by the width, with its value.
    pub fn values(&self) -> impl Iterator<Item = (u64, &V)> {
        self.values.iter().map(|(index, value)| (*index, value))
    }

    fn bound(&mut self) {
        while let (Some((first, _)), Some((last, _))) =
            (self.values.first_key_value(), self.values.last_key_value())
        {
            if last - first < WINDOWS_MAX || self.bits == BITS_MAX {
                break;
            }
            self.widen(self.bits + 1);
        }
    }
}

/// The dispatches of one window.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dispatches {
    /// The number of dispatches that were intended in it.
    pub intended: u64,
    /// The number of dispatches that were made in it.
    pub issued: u64,
    /// The latency of those that were intended in it, and accepted.
    pub local: Spread,
}

impl Merge for Dispatches {
    fn merge(&mut self, other: Self) {
        self.intended += other.intended;
        self.issued += other.issued;
        self.local.merge(other.local);
    }
}

/// A small distribution of durations: exact to 3 %, with an exact maximum.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spread {
    /// The number of durations, by the four bits that follow the highest bit that is set.
    counts: BTreeMap<u16, u64>,
    max_ns: u64,
}

impl Spread {
    /// One more duration.
    pub fn record(&mut self, ns: u64) {
        *self.counts.entry(Self::bin(ns)).or_default() += 1;
        self.max_ns = self.max_ns.max(ns);
    }

    /// Returns the duration that the share `q` of the durations did not exceed: `None` if there are
    /// none.
    pub fn quantile_ns(&self, q: f64) -> Option<u64> {
        let total: u64 = self.counts.values().sum();
        let wanted = ((total as f64 * q).ceil() as u64).clamp(1, total.max(1));
        let mut passed = 0;
        let found = self.counts.iter().find(|(_, count)| {
            passed += **count;
            passed >= wanted
        });
        found.map(|(bin, _)| Self::middle(*bin).min(self.max_ns))
    }

    /// The largest duration: `None` if there is none.
    pub fn max_ns(&self) -> Option<u64> {
        (!self.counts.is_empty()).then_some(self.max_ns)
    }

    fn bin(ns: u64) -> u16 {
        match ns.checked_ilog2() {
            Some(octave) if octave >= 4 => (octave as u16) << 4 | (ns >> (octave - 4) & 15) as u16,
            _ => ns as u16,
        }
    }

    fn middle(bin: u16) -> u64 {
        if bin < 16 {
            return u64::from(bin);
        }
        let shift = u32::from(bin >> 4).clamp(4, 63) - 4;
        (u64::from(16 | bin & 15) << shift) + (1 << shift) / 2
    }
}

impl Merge for Spread {
    fn merge(&mut self, other: Self) {
        for (bin, count) in other.counts {
            *self.counts.entry(bin).or_default() += count;
        }
        self.max_ns = self.max_ns.max(other.max_ns);
    }
}

/// Readings of a gauge over time: every n-th, and the newest.
#[derive(Clone, Debug)]
pub struct Thinned<T> {
    kept: VecDeque<T>,
    newest: Option<T>,
    stride: u64,
    seen: u64,
}

impl<T> Default for Thinned<T> {
    fn default() -> Self {
        Thinned { kept: VecDeque::new(), newest: None, stride: 1, seen: 0 }
    }
}

impl<T: Copy> Thinned<T> {
    /// One more reading.
    pub fn push(&mut self, reading: T) {
        if self.seen.is_multiple_of(self.stride) {
            self.kept.push_back(reading);
            self.newest = None;
        } else {
            self.newest = Some(reading);
        }
        self.seen += 1;
        if self.kept.len() > READINGS_MAX {
            let mut at = 0;
            self.kept.retain(|_| {
                at += 1;
                at % 2 == 1
            });
            self.stride *= 2;
        }
    }

    /// The readings that were kept, oldest first.
    pub fn readings(&self) -> impl Iterator<Item = T> + '_ {
        self.kept.iter().copied().chain(self.newest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, Default, PartialEq)]
    struct Sum(u64);

    impl Merge for Sum {
        fn merge(&mut self, other: Self) {
            self.0 += other.0;
        }
    }

    #[test]
    fn windows_stay_bounded_and_lose_nothing_however_long_it_goes_on() {
        let mut windows = Windows::<Sum>::default();
        for second in 0..100_000_u64 {
            windows.at(second * 1_000_000_000).0 += 1;
        }
        assert!((WINDOWS_MAX / 2..=WINDOWS_MAX).contains(&(windows.values().count() as u64)));
        assert_eq!(windows.values().map(|(_, sum)| sum.0).sum::<u64>(), 100_000);
        windows.at(u64::MAX).0 += 1;
        windows.at(0).0 += 1;
        assert_eq!(windows.values().map(|(_, sum)| sum.0).sum::<u64>(), 100_002);
    }

    #[test]
    fn parts_of_different_widths_add_up_to_the_whole() {
        let mut whole = Windows::<Sum>::default();
        let mut parts = [Windows::<Sum>::default(), Windows::default()];
        for at in 0..5_000_u64 {
            whole.at(at << 22).0 += 1;
            parts[usize::from(at % 7 == 0)].at(at << 22).0 += 1;
        }
        let mut sum = Windows::<Sum>::default();
        for part in &mut parts {
            sum.absorb(part.take());
            assert_eq!(part.values().count(), 0);
        }
        assert_eq!(sum, whole);
    }

    #[test]
    fn quantiles_are_exact_to_three_percent() {
        let mut spread = Spread::default();
        (1..=100_000_u64).for_each(|ns| spread.record(ns * 10));
        for (q, expected) in [(0.5, 500_000), (0.99, 990_000)] {
            let found = spread.quantile_ns(q).expect("some were recorded");
            assert!(found.abs_diff(expected) * 100 <= expected * 3, "{q}: {found}");
        }
        assert_eq!(spread.max_ns(), Some(1_000_000));
        assert_eq!(Spread::default().quantile_ns(0.5), None);
        for ns in [0, 1, 7, 15, 16, 17, 31, 32, u64::MAX] {
            let mut one = Spread::default();
            one.record(ns);
            let found = one.quantile_ns(0.5).expect("one was recorded");
            assert!(found.abs_diff(ns) <= ns / 32, "{ns}: {found}");
        }
    }

    #[test]
    fn a_gauge_keeps_its_first_and_its_newest_reading() {
        let mut gauge = Thinned::default();
        (0..100_000_u64).for_each(|reading| gauge.push(reading));
        let kept: Vec<u64> = gauge.readings().collect();
        assert!(kept.len() <= READINGS_MAX + 1 && kept.len() > READINGS_MAX / 2);
        assert_eq!((kept[0], kept[kept.len() - 1]), (0, 99_999));
        assert!(kept.is_sorted());
    }
}

//! Everything that is left to chance, from one seed.

use std::time::Duration;

use rand_pcg::Pcg64;
use rand_pcg::rand_core::Rng;

/// A stream of random numbers, the same on every machine.
#[derive(Clone, Debug)]
pub(crate) struct SeededRng(Pcg64);

impl SeededRng {
    /// The stream of this seed. Streams of one seed are independent of each other, so that one more
    /// draw for one purpose changes nothing for another.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        SeededRng(Pcg64::new(u128::from(seed), u128::from(stream)))
    }

    /// Any number.
    pub(crate) fn any(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `limit`, which is not 0.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        ((u128::from(self.any()) * u128::from(limit)) >> 64) as u64
    }

    /// A number in `first..=last`.
    pub(crate) fn within(&mut self, first: u64, last: u64) -> u64 {
        first + self.below(last - first + 1)
    }

    /// A position in a list of `count` things, of which there has to be one.
    pub(crate) fn pick(&mut self, count: usize) -> usize {
        self.below(count as u64) as usize
    }

    /// One of these, of which there has to be one.
    pub(crate) fn one_of<T: Copy>(&mut self, these: &[T]) -> T {
        these[self.pick(these.len())]
    }

    /// True this often.
    pub(crate) fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// A length of time in `first..=last`, in microseconds.
    pub(crate) fn micros(&mut self, first: u64, last: u64) -> Duration {
        Duration::from_micros(self.within(first, last))
    }
}

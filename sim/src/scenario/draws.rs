//! Random numbers from a scenario's seed, the same on every machine.

use std::time::Duration;

use rand_pcg::Pcg64;
use rand_pcg::rand_core::Rng;

/// A stream of random numbers. Two streams of one seed are independent of each other, so that
/// one more draw for one purpose changes nothing for another.
#[derive(Clone, Debug)]
pub(crate) struct Draws(Pcg64);

/// The purpose of a stream. Each purpose has streams of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    Arrivals = 1,
    Sampling = 2,
    Faults = 3,
    /// Jitter of a link in `run`.
    Jitter = 4,
    /// Bits that are flipped in `run`.
    Flips = 5,
}

impl Draws {
    pub(crate) fn new(seed: u64, purpose: Purpose, stream: u64) -> Self {
        let stream = (u128::from(purpose as u8) << 64) | u128::from(stream);
        Self(Pcg64::new(u128::from(seed), stream))
    }

    /// A number from 0 up to, but not including, 1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A length of time shorter than `limit`; zero if `limit` is.
    pub(crate) fn below(&mut self, limit: Duration) -> Duration {
        let nanos = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos((nanos as f64 * self.unit()) as u64)
    }

    /// A position in a list of `count` things, of which there has to be one.
    pub(crate) fn pick(&mut self, count: usize) -> usize {
        ((count as f64 * self.unit()) as usize).min(count.saturating_sub(1))
    }
}

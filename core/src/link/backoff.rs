//! The delay before the next attempt to connect.

use std::time::Duration;

/// The first retry comes within this.
const FIRST: Duration = Duration::from_millis(100);

/// Doubles from try to try up to a limit; the upper half of each wait is drawn at random, so that
/// many clients of one server do not come back at once.
#[derive(Clone, Debug)]
pub(super) struct Backoff {
    max: Duration,
    ceiling: Duration,
}

impl Backoff {
    /// Waits of at most `max`; the first at most 100 ms.
    pub(super) fn new(max: Duration) -> Self {
        Backoff { max, ceiling: FIRST.min(max) }
    }

    /// The next wait. `random` is any number, drawn anew each time.
    pub(super) fn next(&mut self, random: u64) -> Duration {
        let half = self.ceiling / 2;
        let part = (random >> 32) as u32;
        // Within half a second of `Duration::MAX` it would not fit.
        let jitter = half.as_secs_f64() * f64::from(part) / f64::from(u32::MAX);
        let jitter = Duration::try_from_secs_f64(jitter).unwrap_or(half).min(half);
        self.ceiling = self.ceiling.saturating_mul(2).min(self.max);
        half + jitter
    }

    /// All is well again: begins anew.
    pub(super) fn reset(&mut self) {
        *self = Backoff::new(self.max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: Duration = Duration::from_secs(5);

    #[test]
    fn the_first_retry_comes_within_100_ms_and_the_waits_grow_to_the_limit() {
        let mut backoff = Backoff::new(MAX);
        let waits: Vec<_> = (0..10).map(|_| backoff.next(u64::MAX)).collect();
        assert_eq!(waits[0], Duration::from_millis(100));
        assert!(waits.is_sorted());
        assert_eq!(waits[9], MAX);
    }

    #[test]
    fn jitter_never_leaves_the_upper_half() {
        let mut backoff = Backoff::new(MAX);
        let (mut low, mut high) = (backoff.clone(), backoff.clone());
        for random in [3, u64::MAX / 3, u64::MAX / 2, u64::MAX - 9, 0, 1 << 60] {
            let (low, wait, high) = (low.next(0), backoff.next(random), high.next(u64::MAX));
            assert!((low..=high).contains(&wait), "{wait:?} of {low:?} to {high:?}");
            assert!(low * 2 == high);
        }
    }

    #[test]
    fn a_login_resets_it_and_a_small_limit_holds_from_the_first_wait() {
        let mut backoff = Backoff::new(Duration::from_millis(30));
        assert!(backoff.next(u64::MAX) <= Duration::from_millis(30));
        let mut backoff = Backoff::new(MAX);
        for _ in 0..9 {
            backoff.next(0);
        }
        backoff.reset();
        assert!(backoff.next(u64::MAX) <= FIRST);
    }
}

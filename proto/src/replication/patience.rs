//! For how long those who dispatch wait for a link that is about to fall off the log.

use std::time::Duration;

/// A link that carries this many bytes a second sets the pace, for as long as it takes; the wait
/// for a slower one is bounded.
const PACE_BYTES: u64 = 4 << 20;

/// What was spent comes back at this part of the time that passes.
const REGAINED_OVER: u32 = 100;

/// The wait for one link: at most a grace period at once, and that much again only once a hundred
/// times as long has passed. The time that a link of [`PACE_BYTES`] a second would have taken for
/// what the link carried does not count.
#[derive(Debug, Default)]
pub(super) struct Patience {
    spent: Duration,
    looked_at: Duration,
    carried: u64,
    waits: bool,
    exhausted: bool,
}

impl Patience {
    /// Whether those who dispatch wait now. `near`: the link moves, and is about to fall off.
    /// `carried`: how many bytes it has carried since it began.
    pub(super) fn waits(
        &mut self,
        near: bool,
        carried: u64,
        now: Duration,
        grace: Duration,
    ) -> bool {
        let passed = now.saturating_sub(std::mem::replace(&mut self.looked_at, now));
        let moved = carried.saturating_sub(std::mem::replace(&mut self.carried, carried));
        let paced = Duration::from_nanos(moved.saturating_mul(1_000_000_000 / PACE_BYTES));
        self.spent = match self.waits {
            true => (self.spent + passed).saturating_sub(paced),
            false => self.spent.saturating_sub(passed / REGAINED_OVER),
        };
        self.exhausted = self.spent >= grace || (self.exhausted && !self.spent.is_zero());
        self.waits = near && !self.exhausted;
        self.waits
    }

    /// Returns whether they have waited for as long as they do.
    pub(super) fn is_exhausted(&self) -> bool {
        self.exhausted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(1);

    #[test]
    fn writers_wait_for_a_slow_link_no_longer_than_the_grace_period_in_a_hundred_of_them() {
        let mut patience = Patience::default();
        let (step, mut waited) = (Duration::from_millis(10), Duration::ZERO);
        for at in 0..10_000 {
            if patience.waits(true, 0, step * at, GRACE) {
                waited += step;
            }
        }
        assert_eq!(waited, GRACE);
        assert!(patience.is_exhausted());
        assert!(!patience.waits(true, 0, GRACE * 100, GRACE));
        assert!(patience.waits(true, 0, GRACE * 102, GRACE), "all of it has come back");
    }

    #[test]
    fn the_wait_ends_when_the_link_has_moved_on() {
        let mut patience = Patience::default();
        assert!(patience.waits(true, 0, GRACE, GRACE));
        assert!(!patience.waits(false, 0, GRACE + GRACE / 2, GRACE));
        assert!(patience.waits(true, 0, GRACE * 2, GRACE), "half of it is left");
        assert!(!patience.waits(true, 0, GRACE * 3, GRACE));
    }

    #[test]
    fn a_fast_link_sets_the_pace_and_one_of_half_that_speed_does_not() {
        for (speed, waits) in [(PACE_BYTES, true), (PACE_BYTES / 2, false)] {
            let mut patience = Patience::default();
            for second in 0..10 {
                patience.waits(true, speed * second, GRACE * second as u32, GRACE * 2);
            }
            assert_eq!(patience.waits(true, speed * 10, GRACE * 10, GRACE * 2), waits, "{speed}");
        }
    }
}

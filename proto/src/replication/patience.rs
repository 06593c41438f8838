//! The time that dispatches wait for links that are about to fall off the log.

use std::time::Duration;

/// A link that carries this many bytes a second sets the pace, for as long as it takes; the wait
/// for a slower one is bounded.
const PACE_BYTES: u64 = 4 << 20;

/// The divisor of the time that passes, as a share of which the spent budget comes back.
const REGAINED_OVER: u32 = 100;

/// The speed of a link is measured over this time.
const MEASURED_OVER: Duration = Duration::from_millis(250);

/// A wait: at most a grace period at once, and that much again only once a hundred times as long
/// has passed.
#[derive(Debug, Default)]
struct Budget {
    spent: Duration,
    exhausted: bool,
}

impl Budget {
    /// Adds to what was spent, and takes from it.
    fn spend(&mut self, more: Duration, less: Duration, grace: Duration) {
        self.spent = (self.spent + more).saturating_sub(less);
        self.exhausted = self.spent >= grace || (self.exhausted && !self.spent.is_zero());
    }

    /// Gives back what is regained while no dispatch waits.
    fn regain(&mut self, passed: Duration, grace: Duration) {
        self.spend(Duration::ZERO, passed / REGAINED_OVER, grace);
    }
}

/// The wait for one link. The time that a link of [`PACE_BYTES`] a second would have taken for what
/// the link carried does not count.
#[derive(Debug, Default)]
pub(super) struct Patience {
    budget: Budget,
    looked_at: Duration,
    carried: u64,
    waits: bool,
    /// The time added to the budget at the last look, and the time taken from it for the bytes that
    /// went over the link. `None` if no dispatch waited for the link.
    spent: Option<(Duration, Duration)>,
    measured_at: Duration,
    measured: u64,
    is_fast: bool,
}

impl Patience {
    /// Returns whether dispatches have to wait now. `near`: the link moves, and is about to fall
    /// off. `carried`: how many bytes it has carried since it began.
    pub(super) fn waits(
        &mut self,
        near: bool,
        carried: u64,
        now: Duration,
        grace: Duration,
    ) -> bool {
        let passed = now.saturating_sub(std::mem::replace(&mut self.looked_at, now));
        let moved = carried.saturating_sub(std::mem::replace(&mut self.carried, carried));
        self.measure(now);
        self.spent = self.waits.then_some((passed, paced(moved)));
        match self.spent {
            Some((more, less)) => self.budget.spend(more, less, grace),
            None => self.budget.regain(passed, grace),
        }
        self.waits = near && !self.budget.exhausted;
        self.waits
    }

    fn measure(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.measured_at);
        if passed >= MEASURED_OVER {
            self.is_fast = paced(self.carried.saturating_sub(self.measured)) >= passed;
            (self.measured_at, self.measured) = (now, self.carried);
        }
    }

    /// Returns whether they have waited for as long as they do.
    pub(super) fn is_exhausted(&self) -> bool {
        self.budget.exhausted
    }
}

/// The time that a link which sets the pace takes for so many bytes.
fn paced(bytes: u64) -> Duration {
    Duration::from_nanos(bytes.saturating_mul(1_000_000_000 / PACE_BYTES))
}

/// The wait for all slow links of a node together, those that have ended included: however many
/// links are slow, and however often they come back, it is bounded as that for one.
#[derive(Debug, Default)]
pub(super) struct SharedPatience {
    budget: Budget,
    looked_at: Duration,
    waits: bool,
}

impl SharedPatience {
    /// Returns whether dispatches have to wait now, by the last look at each link.
    pub(super) fn waits<'a>(
        &mut self,
        links: impl Iterator<Item = &'a Patience>,
        now: Duration,
        grace: Duration,
    ) -> bool {
        let passed = now.saturating_sub(std::mem::replace(&mut self.looked_at, now));
        let (mut fast, mut slow) = (false, false);
        let (mut more, mut less, mut waited_for) = (Duration::ZERO, Duration::ZERO, 0_u32);
        for link in links {
            fast |= link.waits && link.is_fast;
            slow |= link.waits && !link.is_fast;
            if let Some((passed, paced)) = link.spent.filter(|_| !link.is_fast) {
                (more, less, waited_for) = (more + passed, less + paced, waited_for + 1);
            }
        }
        match (self.waits, waited_for) {
            (true, 1..) => self.budget.spend(more / waited_for, less / waited_for, grace),
            // Its link has ended meanwhile, or has become fast.
            (true, 0) => {}
            (false, _) => self.budget.regain(passed, grace),
        }
        self.waits = slow && !fast && !self.budget.exhausted;
        self.waits || fast
    }

    /// Returns whether they have waited for as long as they do.
    pub(super) fn is_exhausted(&self) -> bool {
        self.budget.exhausted
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

    /// Looks every 10 ms for so long, and returns the time that dispatches waited. The links carry
    /// so many bytes a second, and each is replaced by a new one after such a time.
    fn waited(speeds: &[u64], replaced_after: Duration, looks: u32) -> (Duration, SharedPatience) {
        let step = Duration::from_millis(10);
        let mut links: Vec<_> = speeds.iter().map(|_| (Patience::default(), 0)).collect();
        let (mut shared, mut waited) = (SharedPatience::default(), Duration::ZERO);
        for look in 1..=looks {
            let now = step * look;
            for (number, (link, carried)) in links.iter_mut().enumerate() {
                let age = now + replaced_after / speeds.len() as u32 * number as u32;
                if age.as_millis() % replaced_after.as_millis() < step.as_millis() {
                    (*link, *carried) = (Patience::default(), 0);
                    link.waits(false, 0, now, GRACE);
                }
                // In bursts: a link is idle at every other look.
                *carried += speeds[number] / 50 * u64::from(look % 2);
                link.waits(true, *carried, now, GRACE);
            }
            if shared.waits(links.iter().map(|(link, _)| link), now, GRACE) {
                waited += step;
            }
        }
        (waited, shared)
    }

    #[test]
    fn writers_wait_for_many_slow_links_as_long_as_for_one() {
        let never = Duration::from_secs(100_000);
        let (slow, fast) = (PACE_BYTES / 100, PACE_BYTES * 2);
        for links in [1, 2, 30] {
            let (waited, shared) = waited(&vec![slow; links], never, 10_000);
            assert!(shared.is_exhausted());
            assert!(waited <= GRACE * 11 / 10, "{links}: {waited:?}");
        }
        // Links that come back: each is waited for anew, all together are not.
        let (waited_for, _) = waited(&[slow; 30], GRACE * 3, 10_000);
        assert!(waited_for <= GRACE * 21 / 10, "{waited_for:?}");
        // Fast ones set the pace all the time.
        let (waited_for, shared) = waited(&[fast; 8], never, 10_000);
        assert!(waited_for >= GRACE * 99 && !shared.is_exhausted(), "{waited_for:?}");
        let (waited_for, _) = waited(&[slow, fast, slow], never, 10_000);
        assert!(waited_for >= GRACE * 98, "{waited_for:?}");
        let (_, shared) = waited(&[slow, fast, slow], never, 1_000);
        assert!(!shared.is_exhausted(), "slow ones are not waited for beside a fast one");
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

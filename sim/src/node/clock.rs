//! Waiting for an instant, closely.
//!
//! A dispatch is timed from the instant at which it was intended, so that a generator that sleeps
//! too long would be measured along with the library. Generators therefore wait on threads of
//! their own, with the kernel's timer slack turned off; the runtime's timer counts in whole
//! milliseconds.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::control::now_ns;

/// The longest part of a wait, after which it checks whether the load was stopped.
const SLICE: Duration = Duration::from_millis(50);

/// The time at which the load was stopped, if it was.
#[derive(Debug)]
pub(super) struct Stop(AtomicU64);

impl Default for Stop {
    fn default() -> Self {
        Stop(AtomicU64::new(u64::MAX))
    }
}

impl Stop {
    /// The load ends now.
    pub(super) fn stop(&self) {
        self.0.fetch_min(now_ns(), Ordering::AcqRel);
    }

    /// Returns whether a dispatch that was intended at this instant is not to be made any more.
    pub(super) fn before(&self, instant_ns: u64) -> bool {
        self.0.load(Ordering::Acquire) < instant_ns
    }

    /// Returns whether the load was stopped.
    pub(super) fn stopped(&self) -> bool {
        self.before(u64::MAX)
    }
}

/// Lets this thread wake up when it asks to, rather than when it suits the kernel.
pub(super) fn wake_on_time() {
    #[cfg(target_os = "linux")]
    {
        // Where this is refused the load is a little later, and says so in its lag.
        let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
    }
}

/// Waits for an instant on this thread. False: the load was stopped before it.
pub(super) fn wait_until(instant_ns: u64, stop: &Stop) -> bool {
    loop {
        if stop.before(instant_ns) {
            return false;
        }
        let now = now_ns();
        if now >= instant_ns {
            return true;
        }
        thread::sleep(Duration::from_nanos(instant_ns - now).min(SLICE));
    }
}

/// Waits for an instant on the runtime, within its millisecond.
pub(super) async fn sleep_until(instant_ns: u64) {
    let left = instant_ns.saturating_sub(now_ns());
    if left > 0 {
        tokio::time::sleep(Duration::from_nanos(left)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_intended_before_the_stop_is_still_made() {
        let stop = Stop::default();
        assert!(!stop.stopped());
        stop.stop();
        assert!(stop.stopped());
        assert!(wait_until(1, &stop));
        assert!(!wait_until(u64::MAX, &stop));
    }

    #[test]
    fn a_wait_never_ends_early() {
        let stop = Stop::default();
        let instant_ns = now_ns() + 2_000_000;
        assert!(wait_until(instant_ns, &stop));
        assert!(now_ns() >= instant_ns);
    }
}

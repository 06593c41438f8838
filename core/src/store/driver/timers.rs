//! The task that passes the time to a replica: it sleeps until something is due.
//!
//! A timer that is over waits for the next pulse, so that several timers share one wake-up. While
//! nothing is due, the task does not wake up.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::store::driver::shared::Shared;
use crate::store::reducer::machine::{Action, State};

/// The limits of a pulse, which is an eighth of a heartbeat.
const PULSE_MIN: Duration = Duration::from_millis(1);
const PULSE_MAX: Duration = Duration::from_millis(250);

/// The next tick of a store, in nanoseconds since the store began.
#[derive(Debug)]
pub(crate) struct Timers {
    pulse: u64,
    /// The number of the pulse of the last tick.
    last: AtomicU64,
    until: AtomicU64,
    notify: Notify,
}

impl Timers {
    pub(crate) fn new(heartbeat: Duration) -> Arc<Self> {
        let pulse = (heartbeat / 8).clamp(PULSE_MIN, PULSE_MAX).as_nanos() as u64;
        let (last, until, notify) = (AtomicU64::new(0), AtomicU64::new(u64::MAX), Notify::new());
        Arc::new(Timers { pulse, last, until, notify })
    }

    /// Has the task look at what is due.
    pub(crate) fn wake(&self) {
        self.notify.notify_one();
    }

    /// Plans the next tick, at the first pulse from `due` on. Returns whether the task has to learn
    /// of that. It is called under the lock of the store.
    pub(crate) fn plan(&self, due: Duration) -> bool {
        let until = if due == Duration::MAX {
            u64::MAX
        } else {
            let due = u64::try_from(due.as_nanos()).unwrap_or(u64::MAX);
            let next = self.last.load(Ordering::Relaxed) + 1;
            due.div_ceil(self.pulse).max(next).saturating_mul(self.pulse)
        };
        self.until.swap(until, Ordering::Relaxed) != until
    }

    /// Returns whether the planned tick is due, which then is the last one.
    fn take(&self, now: Duration) -> bool {
        let now = now.as_nanos() as u64;
        let due = self.until.load(Ordering::Relaxed) <= now;
        if due {
            self.last.store(now / self.pulse, Ordering::Relaxed);
        }
        due
    }

    /// The time from the store's beginning to the next tick; `None` if none is planned.
    fn until(&self) -> Option<Duration> {
        let until = self.until.load(Ordering::Relaxed);
        (until != u64::MAX).then(|| Duration::from_nanos(until))
    }
}

impl<S: State, A: Action> Shared<S, A> {
    /// Drives time until the store is closed or gone.
    pub(crate) fn drive_time(self: &Arc<Self>) -> impl Future<Output = ()> + Send + use<S, A> {
        let (weak, timers) = (Arc::downgrade(self), Arc::clone(&self.timers));
        async move {
            loop {
                let Some(shared) = weak.upgrade() else { return };
                if shared.is_closed() {
                    return;
                }
                let next = shared.pass_time();
                drop(shared);
                let sleep = async {
                    match next {
                        Some(at) => tokio::time::sleep_until(at.into()).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    () = sleep => {}
                    () = timers.notify.notified() => {}
                }
            }
        }
    }

    /// Does what is due, and returns when the next look is.
    fn pass_time(&self) -> Option<Instant> {
        if self.timers.take(self.now()) {
            self.with(|inner, now| {
                inner.replan();
                inner.replica.tick(now);
            });
        }
        let disk = self.watch_disk();
        let tick = self.timers.until().and_then(|until| self.began().checked_add(until));
        [disk, tick].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_tick_waits_for_the_next_pulse_and_no_pulse_has_two() {
        let timers = Timers::new(MS * 80);
        assert!(timers.until().is_none() && !timers.take(MS * 1000));
        assert!(timers.plan(MS * 31));
        assert!(!timers.plan(MS * 40), "it shares the wake-up");
        assert_eq!(timers.until(), Some(MS * 40));
        assert!(!timers.take(MS * 39) && timers.take(MS * 41));
        assert!(timers.plan(MS * 40), "it is due at once");
        assert_eq!(timers.until(), Some(MS * 50));
        assert!(timers.plan(Duration::MAX) && timers.until().is_none());
    }
}

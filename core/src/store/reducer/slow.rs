//! A handicap: each application of an action takes a tenth longer.
//!
//! `scripts/false-alarms` compares a program with it with one without it, to see that comparisons
//! find a regression of this size. `--cfg samestate_slow_apply` compiles it in, which only that
//! script sets.

use rustix::time::{ClockId, clock_gettime};

/// The CPU time that an application has taken since it began: another thread may run meanwhile.
#[derive(Debug)]
pub(super) struct Handicap {
    begun_ns: i64,
}

impl Handicap {
    /// An application begins.
    pub(super) fn begin() -> Self {
        Self { begun_ns: cpu_ns() }
    }
}

impl Drop for Handicap {
    fn drop(&mut self) {
        let ended_ns = cpu_ns();
        let until_ns = ended_ns + (ended_ns - self.begun_ns) / 10;
        while cpu_ns() < until_ns {
            std::hint::spin_loop();
        }
    }
}

/// The CPU time of this thread.
fn cpu_ns() -> i64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

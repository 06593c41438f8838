//! The processor time of an action, in short slices of a run.
//!
//! A machine that others share is slow for some milliseconds and fast for the next: on one such
//! machine, equal work took 47 us in the fastest slices of each minute, within 3 %, and 52 to 89 us
//! on average. So the cheapest slices of two runs can be compared where averages cannot.

use serde::{Deserialize, Serialize};

use super::Latencies;

/// The share of slices that count as undisturbed.
const QUIET: f64 = 0.1;

/// The number of slices without which no share of them is known.
const SLICES_MIN: u64 = 20;

/// The parts of a nanosecond in which an action's processor time is kept.
const PARTS_OF_NS: u64 = 100;

/// The slices of one process.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct CpuSlices {
    /// The processor time of an action in each slice, in hundredths of a nanosecond.
    per_action: Latencies,
    cpu_ns: u64,
    actions: u64,
}

impl CpuSlices {
    /// One more slice, in which the process used that processor time and applied so many actions.
    pub fn record(&mut self, cpu_ns: u64, actions: u64) {
        let Some(each) = cpu_ns.saturating_mul(PARTS_OF_NS).checked_div(actions) else { return };
        self.per_action.record(each);
        self.cpu_ns += cpu_ns;
        self.actions += actions;
    }

    /// Those of `other` too.
    pub fn merge(&mut self, other: &CpuSlices) {
        self.per_action.merge(&other.per_action);
        self.cpu_ns += other.cpu_ns;
        self.actions += other.actions;
    }

    /// Returns the processor time of an action in the cheapest slices, as a share of that in all:
    /// `None` if there are too few slices.
    pub fn quiet_share(&self) -> Option<f64> {
        let quiet = self.per_action.quantile_ns(QUIET)? as f64 / PARTS_OF_NS as f64;
        let mean = self.cpu_ns as f64 / self.actions as f64;
        (self.per_action.len() >= SLICES_MIN && mean > 0.0).then(|| (quiet / mean).min(1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disturbance_of_most_slices_does_not_change_what_the_cheapest_cost() {
        let quiet_us = |disturbed: u64| {
            let mut slices = CpuSlices::default();
            for n in 0..100 {
                let us = if n < disturbed { 70 } else { 50 };
                slices.record(us * 1_000 * 400, 400);
            }
            let mut merged = CpuSlices::default();
            merged.merge(&slices);
            let mean = merged.cpu_ns as f64 / 1e3 / merged.actions as f64;
            mean * merged.quiet_share().expect("there are enough")
        };
        for disturbed in [0, 40, 85] {
            let us = quiet_us(disturbed);
            assert!((us - 50.0).abs() < 0.1, "{disturbed}: {us}");
        }
    }

    #[test]
    fn few_slices_and_those_without_actions_say_nothing() {
        let mut slices = CpuSlices::default();
        (0..19).for_each(|_| slices.record(1_000, 10));
        slices.record(1_000, 0);
        assert_eq!(slices.quiet_share(), None);
        slices.record(1_000, 10);
        assert_eq!(slices.quiet_share(), Some(1.0));
    }
}

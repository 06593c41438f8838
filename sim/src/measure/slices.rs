//! The processor time of an action, relative to that of a reference work at the same moments.
//!
//! A machine that others share is slow for some milliseconds and fast for the next: the other
//! thread of a core takes part of its units, and its clock changes. This slows any work of a
//! process, so the ratio of two works done in turns says more than the time of one. On one such
//! machine that was busy now and then, the processor time of equal work varied by 14 % from run to
//! run and this ratio by 4 %. While it was equally busy all the time, both varied by 5 %.

use std::hint::black_box;

use serde::{Deserialize, Serialize};

use super::Latencies;

/// The number of slices without which nothing is known.
const SLICES_MIN: u64 = 20;

/// The parts of a pass in which an action's processor time is kept.
const PARTS_OF_PASS: f64 = 10_000.0;

/// The slices of one process.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct CpuSlices {
    /// The processor time of an action in each slice, in ten-thousandths of a pass.
    per_action: Latencies,
    cpu_ns: u64,
    actions: u64,
}

impl CpuSlices {
    /// One more slice, in which the process used that processor time and applied so many actions,
    /// while a pass of the reference work took `pass_ns`.
    pub fn record(&mut self, cpu_ns: u64, actions: u64, pass_ns: f64) {
        if actions == 0 || pass_ns <= 0.0 {
            return;
        }
        let passes = cpu_ns as f64 / actions as f64 / pass_ns;
        self.per_action.record((passes * PARTS_OF_PASS).round() as u64);
        self.cpu_ns += cpu_ns;
        self.actions += actions;
    }

    /// Those of `other` too.
    pub fn merge(&mut self, other: &CpuSlices) {
        self.per_action.merge(&other.per_action);
        self.cpu_ns += other.cpu_ns;
        self.actions += other.actions;
    }

    /// Returns the processor time of an action of the median slice in passes, for each nanosecond
    /// of the average one: `None` if there are too few slices.
    pub fn passes_per_ns(&self) -> Option<f64> {
        let median = self.per_action.quantile_ns(0.5)? as f64 / PARTS_OF_PASS;
        let mean_ns = self.cpu_ns as f64 / self.actions as f64;
        (self.per_action.len() >= SLICES_MIN && mean_ns > 0.0).then(|| median / mean_ns)
    }
}

/// The document of the reference work.
const DOCUMENT: &str = r#"{"players":[
    {"name":"ada","points":12,"tags":["new","red"]},
    {"name":"brouwer","points":1233,"tags":["away","blue"]},
    {"name":"cantor","points":-12.5,"tags":[null,true]}]}"#;

/// One pass of the reference work: parses a JSON document of 170 bytes, and prints it. That is
/// like most programs in that it branches, allocates and copies.
pub fn reference_pass() {
    let parsed: Option<serde_json::Value> = serde_json::from_str(black_box(DOCUMENT)).ok();
    black_box(parsed.map(|parsed| parsed.to_string()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disturbance_that_slows_both_works_changes_nothing() {
        let passes = |disturbed: u64| {
            let mut slices = CpuSlices::default();
            for n in 0..100 {
                let slower = if n < disturbed { 2 } else { 1 };
                slices.record(50_000 * slower * 400, 400, (5_000 * slower) as f64);
            }
            let mut merged = CpuSlices::default();
            merged.merge(&slices);
            merged.cpu_ns as f64 * merged.passes_per_ns().expect("there are enough") / 40_000.0
        };
        for disturbed in [0, 40, 85] {
            let passes = passes(disturbed);
            assert!((passes - 10.0).abs() < 0.02, "{disturbed}: {passes}");
        }
    }

    #[test]
    fn few_slices_and_those_without_actions_say_nothing() {
        let mut slices = CpuSlices::default();
        (0..19).for_each(|_| slices.record(1_000, 10, 100.0));
        slices.record(1_000, 0, 100.0);
        assert_eq!(slices.passes_per_ns(), None);
        slices.record(1_000, 10, 100.0);
        let passes = slices.passes_per_ns().expect("there are enough");
        assert!((passes - 0.01).abs() < 1e-4, "{passes}");
    }
}

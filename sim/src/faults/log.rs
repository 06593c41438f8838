//! Planned and injected faults, with the evidence of each.

use std::time::Duration;

use samestate_report::FaultDone;

use super::Target;
use crate::scenario::Plan;

/// The evidence of a fault of which nothing has come yet.
const NOT_YET: &str = "not done: the run ended before";

/// The faults of a run: each as planned, and what came of it.
///
/// Faults go by their position in [`Plan::faults`]; instants count from the run's start.
#[derive(Clone, Debug)]
pub struct FaultLog {
    faults: Vec<FaultDone>,
}

impl FaultLog {
    /// The log of a plan of which nothing has been done yet.
    pub fn new(plan: &Plan) -> Self {
        let faults = plan.faults.iter().map(|timed| {
            let target = timed.fault.target();
            let name = target.name(plan);
            let at = match target {
                Target::Link(_) | Target::Node(_) => name.to_owned(),
                Target::Replica(_, store) => format!("{store} at {name}"),
            };
            FaultDone {
                kind: timed.fault.kind().to_owned(),
                at,
                planned_at_seconds: timed.at.as_secs_f64(),
                evidence: NOT_YET.to_owned(),
                ..FaultDone::default()
            }
        });
        Self { faults: faults.collect() }
    }

    /// The fault was injected, as `evidence` shows.
    pub fn injected(&mut self, fault: usize, at: Duration, evidence: impl Into<String>) {
        let fault = &mut self.faults[fault];
        fault.injected_at_seconds = Some(at.as_secs_f64());
        fault.evidence = evidence.into();
    }

    /// The fault could not be injected.
    pub fn not_injected(&mut self, fault: usize, why: impl std::fmt::Display) {
        self.faults[fault].evidence = format!("not done: {why}");
    }

    /// Returns whether the fault could not be injected.
    pub fn was_refused(&self, fault: usize) -> bool {
        let known = self.faults.get(fault);
        known.is_some_and(|one| one.injected_at_seconds.is_none() && one.evidence != NOT_YET)
    }

    /// There is more to show that it was injected.
    pub fn more_evidence(&mut self, fault: usize, evidence: impl std::fmt::Display) {
        let known = &mut self.faults[fault].evidence;
        *known = format!("{known}; {evidence}");
    }

    /// The fault is over: the link carries bytes again, the process runs again.
    pub fn ended(&mut self, fault: usize, at: Duration) {
        self.faults[fault].ended_at_seconds = Some(at.as_secs_f64());
    }

    /// Returns the number of planned faults.
    pub fn planned(&self) -> usize {
        self.faults.len()
    }

    /// Returns the number of injected faults.
    pub fn injected_count(&self) -> usize {
        self.faults.iter().filter(|fault| fault.injected_at_seconds.is_some()).count()
    }

    /// Each of them, in the order planned, as the record shows them. How long the replicas then
    /// took to be equal is not known here.
    pub fn list(&self) -> &[FaultDone] {
        &self.faults
    }
}

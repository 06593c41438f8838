//! The measures of one value of the matrix.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Cost, Dispatches, Expectation, Faults, Identical, Interval, Latency, Outcome, Phase, Rate,
    Repeat, Series, Staleness, Topology, Verdict, Violation,
};

/// One value of the matrix, run once or several times.
///
/// Of several repeats, costs, times and rates are the medians, figures that have to be perfect are
/// the worst, and everything else is that of one repeat.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Case {
    /// The values of the matrix this case ran with, by the path they were set at. Empty where
    /// there is no matrix.
    pub with: BTreeMap<String, Value>,
    /// The verdict of the case. A case with violations that the scenario does not demand has
    /// failed.
    pub verdict: Verdict,
    /// Reasons why the verdict is not `pass`, if no expectation and no violation gives one: a load
    /// generator that could not keep up, faults that were never injected.
    pub because: Vec<String>,
    /// The duration of the measurement, in seconds; virtual ones in a simulation.
    pub seconds: Option<f64>,
    /// Identity of the replicas of all stores.
    pub identical: Identical,
    /// Outcomes of the dispatches of all stores.
    pub dispatches: Dispatches,
    /// Rate of the load.
    pub rate: Rate,
    /// Latency of dispatches.
    pub latency_us: Latency,
    /// Staleness of replicas.
    pub staleness: Staleness,
    /// Cost of the case, over all processes.
    pub cost: Cost,
    /// Faults of the case.
    pub faults: Faults,
    /// The invariants that did not hold.
    pub violations: Vec<Violation>,
    /// The scenario's expectations, in its order.
    pub expectations: Vec<Expectation>,
    /// Results of the scenario's `observe`.
    pub observations: Vec<Observation>,
    /// The same measures for each store by itself.
    pub stores: BTreeMap<String, StoreMeasures>,
    /// Every process. A node that was killed and started again has one for each life.
    pub processes: Vec<Process>,
    /// The phases of the scenario, in order; empty in the records of older versions.
    pub phases: Vec<Phase>,
    /// The trees of each store: at the start, and after each event that changed them.
    pub topologies: Vec<Topology>,
    /// The measures over time; null if the load never began, and in the records of older versions.
    pub series: Option<Series>,
    /// The runs of the case, in their order; empty if it was run once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub repeats: Vec<Repeat>,
    /// The 95 % intervals of the medians, by the names of the metrics; one is missing if there are
    /// too few repeats.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub intervals: BTreeMap<String, Interval>,
    /// The repeat, from 1, that everything besides the medians was taken from; null if the case
    /// was run once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shown_repeat: Option<u64>,
}

impl Case {
    /// Returns whether the case ended before anything could be measured; `because` gives the
    /// reason.
    pub fn was_not_run(&self) -> bool {
        let nothing = self.stores.is_empty() && self.processes.is_empty();
        nothing && self.dispatches.intended == 0 && !self.because.is_empty()
    }

    /// The case's name among those of its matrix, such as `stores.tasks.mode=action`; empty
    /// where there is no matrix.
    pub fn name(&self) -> String {
        let pairs: Vec<String> =
            self.with.iter().map(|(path, value)| format!("{path}={}", plain(value))).collect();
        pairs.join(" ")
    }

    /// The expectations that failed.
    pub fn failed_expectations(&self) -> impl Iterator<Item = &Expectation> {
        self.expectations.iter().filter(|one| one.outcome == Outcome::Failed)
    }

    /// The expectations that have no sample, and are not optional.
    pub fn unmeasured_expectations(&self) -> impl Iterator<Item = &Expectation> {
        self.expectations.iter().filter(|one| one.is_unmeasured())
    }

    /// The reasons why the case did not pass, a line each: those of the runner, then expectations,
    /// violations, and expectations without a sample. Empty if it passed.
    pub fn reasons(&self) -> Vec<String> {
        let mut reasons = self.because.clone();
        reasons.extend(self.failed_expectations().map(Expectation::in_a_line));
        reasons.extend(
            self.unwanted_violations().map(|one| {
                format!("{} violated at {}: {}", one.invariant, one.at, one.detail_text())
            }),
        );
        reasons.extend(self.unmeasured_expectations().map(Expectation::in_a_line));
        reasons
    }

    /// The violations that the scenario does not demand.
    pub fn unwanted_violations(&self) -> impl Iterator<Item = &Violation> {
        self.violations.iter().filter(|one| !one.demanded)
    }
}

/// A JSON value as a person writes it: a string without its quotes.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// One line of the scenario's `observe`: states compared deeply, at an interval.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Observation {
    /// The node that compared two of its stores; null where all replicas of one were compared.
    pub at: Option<String>,
    /// The stores.
    pub stores: Vec<String>,
    /// The interval between samples, in milliseconds.
    pub every_ms: f64,
    /// The number of samples.
    pub samples: u64,
    /// The number of those in which all states were deeply equal.
    pub identical: u64,
}

impl Observation {
    /// The share of samples that were identical, in percent; none without a sample.
    pub fn identical_percent(&self) -> Option<f64> {
        (self.samples > 0).then(|| 100.0 * self.identical as f64 / self.samples as f64)
    }
}

/// The measures of one store.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct StoreMeasures {
    /// The reducer, by its scenario name.
    pub reducer: Option<String>,
    /// The mode its nodes sent in; `mixed` where they differ.
    pub mode: Option<String>,
    /// The transports of its links, such as `ipc, tcp+tls`; null in a simulation, which has none.
    pub transport: Option<String>,
    /// Its resynchronisation, such as `verify 100`.
    pub resync: Option<String>,
    /// The number of replicas, the sequencer's included.
    pub replicas: Option<u64>,
    /// The encoded size of its state at the end, in bytes.
    pub state_bytes: Option<u64>,
    /// Identity of its replicas.
    pub identical: Identical,
    /// Outcomes of its dispatches.
    pub dispatches: Dispatches,
    /// Rate of its load.
    pub rate: Rate,
    /// Latency of its dispatches.
    pub latency_us: Latency,
    /// Staleness of its replicas.
    pub staleness: Staleness,
    /// Its cost, as far as that can be told apart from the cost of other stores.
    pub cost: Cost,
}

/// The resources that one process used.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Process {
    /// The node, such as `alpha.worker[1]`.
    pub name: String,
    /// Its process id; null in a simulation.
    pub pid: Option<u32>,
    /// CPU spent in user mode, in seconds.
    pub cpu_user_seconds: Option<f64>,
    /// CPU spent in the kernel, in seconds.
    pub cpu_system_seconds: Option<f64>,
    /// Resident memory at its largest.
    pub rss_bytes_max: Option<u64>,
    /// Bytes sent on links.
    pub wire_bytes: Option<u64>,
    /// Bytes received on links.
    pub wire_bytes_received: Option<u64>,
    /// System calls made to send and receive on links.
    pub syscalls: Option<u64>,
    /// The cause of an unplanned end, such as `killed by signal 9`.
    pub ended: Option<String>,
}

impl Process {
    /// User and system CPU together, in seconds, of what was measured.
    pub fn cpu_seconds(&self) -> Option<f64> {
        match (self.cpu_user_seconds, self.cpu_system_seconds) {
            (None, None) => None,
            (user, system) => Some(user.unwrap_or(0.0) + system.unwrap_or(0.0)),
        }
    }
}

//! The lines of a run that goes on, and their form as JSON.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::record::{Phase, Topology, Verdict};

/// The version of the shape of a [`Line`] that this version writes.
pub const LIVE: u32 = 1;

/// One line of a run that goes on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Line {
    /// The version of this shape: [`LIVE`]. Later versions of samestate may add fields and kinds of
    /// events to it; any other change has a new number.
    pub version: u32,
    /// The scenario's name: its file's, without the ending.
    pub scenario: String,
    /// The number of the case within the run, from 1: there are several if the file has a matrix.
    pub case: usize,
    /// The number of the repeat of the case that the event belongs to, from 1; missing at the end
    /// of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat: Option<u32>,
    /// The time of the event, in seconds since the load of the case began; null before that.
    pub at_seconds: Option<f64>,
    /// The event.
    pub event: Event,
}

/// An event of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Event {
    /// A case begins: its processes are about to be started.
    Start(CaseStart),
    /// A phase begins.
    Phase(PhaseBegin),
    /// Something came of a planned fault.
    Fault(FaultNews),
    /// A process began or ended.
    Process(ProcessNews),
    /// The measures of a stretch of time, which ends at `at_seconds`.
    Sample(Sample),
    /// The case is judged.
    Verdict(CaseVerdict),
    /// The run is over, and its results are written. The last line of a run.
    End(RunEnd),
}

/// The begin of a case.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CaseStart {
    /// The scenario's file, as it was given.
    pub file: String,
    /// The description of the scenario; empty if it has none.
    pub about: String,
    /// The time of day, in the format of RFC 3339.
    pub started: String,
    /// The version of samestate.
    pub samestate: String,
    /// The seed everything random is drawn from.
    pub seed: u64,
    /// The number of cases of the run.
    pub cases: usize,
    /// The number of this repeat of the case, from 1.
    pub repeat: u32,
    /// The number of repeats of each case.
    pub repeats: u32,
    /// The values of the matrix that the case runs with, by the path they are set at.
    pub with: BTreeMap<String, Value>,
    /// The planned length of the load, in seconds.
    pub planned_seconds: f64,
    /// The time between two samples, in seconds.
    pub sample_seconds: f64,
    /// The planned phases.
    pub phases: Vec<Phase>,
    /// The number of planned faults.
    pub faults_planned: u64,
    /// The nodes.
    pub nodes: Vec<String>,
    /// The trees of each store: at the start, and after each planned event that changes them.
    pub topologies: Vec<Topology>,
}

/// The begin of a phase.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PhaseBegin {
    /// The name of the phase. Around those of the scenario there are `starting`, `settling`,
    /// `collecting`, `interrupted` and, for the measurement of what the instruments cost,
    /// `null case`.
    pub name: String,
    /// True for a phase of the scenario, false for the work around them.
    pub of_scenario: bool,
}

/// News of a planned fault.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct FaultNews {
    /// The number of the fault among those of the case, from 1, in their planned order.
    pub fault: usize,
    /// The kind of the fault: `cut`, `kill`, …
    pub fault_kind: String,
    /// The target of the fault: a node or a link.
    pub target: String,
    /// The state of the fault from now on.
    pub state: FaultState,
    /// Evidence of the injection, or the reason why there was none.
    pub evidence: String,
}

/// The state of a planned fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FaultState {
    /// It was injected, and its effect goes on.
    #[default]
    Injected,
    /// It is over: the link carries bytes again, the process runs again.
    Ended,
    /// It could not be injected.
    NotInjected,
}

/// News of a process.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ProcessNews {
    /// The node, such as `alpha.worker[1]`.
    pub name: String,
    /// Its process id.
    pub pid: u32,
    /// The state of the process from now on.
    pub state: ProcessState,
    /// The cause of an end that was not planned; null otherwise.
    pub unplanned: Option<String>,
}

/// The state of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProcessState {
    /// It began to speak for its node.
    #[default]
    Began,
    /// It is gone.
    Ended,
}

/// The measures of a stretch of time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Sample {
    /// The length of the stretch, in seconds.
    pub seconds: f64,
    /// The number of replicas that are in sync now.
    pub replicas_in_sync: u64,
    /// The number of replicas of all stores.
    pub replicas: u64,
    /// The number of faults that have been injected.
    pub faults_injected: u64,
    /// The number of those whose effect goes on.
    pub faults_active: u64,
    /// Each store.
    pub stores: BTreeMap<String, LiveStore>,
    /// Each process that is there, in the order of their start.
    pub processes: Vec<LiveProcess>,
}

/// The measures of one store in a stretch of time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LiveStore {
    /// The share of the time in which all replicas were at one version, in percent; null if none
    /// existed.
    pub identical_percent: Option<f64>,
    /// The most versions by which a replica was behind the sequencer.
    pub versions_behind_max: Option<u64>,
    /// Dispatches a second that the scenario asked for; null if a load is a closed loop.
    pub intended_per_s: Option<f64>,
    /// Dispatches a second that the load generator made.
    pub issued_per_s: Option<f64>,
    /// Actions a second that every replica had applied.
    pub achieved_per_s: Option<f64>,
    /// Latency until the answer at the origin, in microseconds, of the dispatches that were
    /// answered in this time. Exact to 3 %.
    pub local_us: Option<LiveQuantiles>,
    /// Latency until each other replica had applied it, in microseconds, of a sample of these
    /// dispatches, as far as they had arrived.
    pub replica_us: Option<LiveQuantiles>,
    /// The number of actions that the newest replica has applied since the store was empty.
    pub version: u64,
    /// Outcomes since the case began.
    pub dispatches: LiveDispatches,
}

/// Quantiles of a stretch of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LiveQuantiles {
    /// The median.
    pub p50: f64,
    /// The 99th percentile.
    pub p99: f64,
    /// The largest value.
    pub max: f64,
}

/// Dispatches of loads and mirrors since the case began, by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LiveDispatches {
    /// Ordered, and applied at their origin.
    pub ok: u64,
    /// Refused at their origin: not in sync, no room in the window, or an action that cannot be
    /// sent.
    pub refused: u64,
    /// Refused by the reducer.
    pub rejected: u64,
    /// Without a known outcome.
    pub unknown: u64,
}

/// The measures of one process in a stretch of time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LiveProcess {
    /// The node, such as `alpha.worker[1]`.
    pub name: String,
    /// Its process id.
    pub pid: u32,
    /// User and system CPU, in percent of one core.
    pub cpu_percent: Option<f64>,
    /// User and system CPU since the process began, in seconds.
    pub cpu_seconds: Option<f64>,
    /// Resident memory, in bytes.
    pub rss_bytes: Option<u64>,
    /// Bytes a second sent on links.
    pub sent_bytes_per_s: Option<f64>,
    /// Bytes a second received on links.
    pub received_bytes_per_s: Option<f64>,
    /// System calls a second made to send and receive on links; null if they are not counted.
    pub syscalls_per_s: Option<f64>,
    /// Bytes sent on links since the process began.
    pub sent_bytes: Option<u64>,
    /// Bytes received on links since the process began.
    pub received_bytes: Option<u64>,
}

/// The verdict on a case.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CaseVerdict {
    /// The verdict.
    pub verdict: Verdict,
    /// The reasons why it is not `pass`, a line each: expectations, violations, and any other.
    pub because: Vec<String>,
    /// The number of expectations.
    pub expectations: usize,
    /// The number of those that were met.
    pub expectations_met: usize,
}

/// The end of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RunEnd {
    /// The verdict over all cases.
    pub verdict: Verdict,
    /// The exit code of this run alone; that of the program is the worst of all its runs.
    pub exit_code: u8,
    /// The duration of the run, in seconds of the machine's own clock.
    pub wall_seconds: f64,
    /// The path of the record; null if it could not be written.
    pub record: Option<String>,
    /// The path of the page; null if it could not be written.
    pub report: Option<String>,
}

impl Line {
    /// The line as JSON, without the newline at its end.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a line has string keys and no type that refuses")
    }

    /// The JSON Schema of a line, as published in `reports/live.schema.json`.
    pub fn json_schema() -> Value {
        schemars::schema_for!(Line).to_value()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_is_one_line_whatever_its_texts_hold() {
        let news = FaultNews { evidence: "one\ntwo".to_owned(), ..FaultNews::default() };
        let line = Line {
            version: LIVE,
            scenario: "a\r\nb".to_owned(),
            case: 1,
            repeat: Some(2),
            at_seconds: Some(1.5),
            event: Event::Fault(news),
        };
        let json = line.to_json();
        assert!(!json.contains(['\n', '\r']), "{json}");
        let value: Value = serde_json::from_str(&json).expect("it is JSON");
        assert_eq!(value["event"]["kind"], json!("fault"));
        assert_eq!(value["event"]["state"], json!("injected"));
        assert_eq!(serde_json::from_str::<Line>(&json).expect("as it was written"), line);
    }

    #[test]
    fn the_published_schema_of_lines_is_the_one_the_types_have() {
        crate::published::assert_published("live.schema.json", &Line::json_schema());
    }
}

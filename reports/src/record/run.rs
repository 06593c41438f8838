//! One run of one scenario.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Case, Seeds, layout};

/// The schema this version writes, and the only one it reads.
pub const SCHEMA: u32 = 1;

/// The record of one run of one scenario: the contract that scripts read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Record {
    /// The version of this shape: [`SCHEMA`].
    pub schema: u32,
    /// The scenario's name: its file's, without the ending.
    pub scenario: String,
    /// The scenario's file, as it was given; null where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// A digest of the scenario as it was resolved, overrides included, but for its description,
    /// its seed and the number of repeats; null if it is not known. Records of one scenario compare
    /// if their digests are the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scenario_digest: Option<String>,
    /// The description of the scenario, from its file; empty where there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub about: String,
    /// The command line that made the record, word by word, with passwords blanked; empty if it is
    /// not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// The seed everything random was drawn from; of a search the first.
    pub seed: u64,
    /// The kind of the run: real processes, or a simulation.
    pub kind: Kind,
    /// The verdict over all cases; see [`Verdict::over`].
    pub verdict: Verdict,
    /// The duration of the run, in seconds of the machine's own clock.
    pub wall_seconds: f64,
    /// The virtual time that passed, in seconds; null for real processes.
    #[serde(default)]
    pub virtual_seconds: Option<f64>,
    /// The start of the run, in the format of RFC 3339.
    #[serde(default)]
    pub started: Option<String>,
    /// The machine that it ran on.
    #[serde(default)]
    pub machine: Machine,
    /// One case for each value of the matrix; a single one where there is no matrix.
    pub cases: Vec<Case>,
    /// The result of a search over many seeds; null for a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seeds: Option<Seeds>,
}

impl Record {
    /// A record of `cases`, its verdict drawn from theirs.
    pub fn new(scenario: impl Into<String>, seed: u64, kind: Kind, cases: Vec<Case>) -> Self {
        Self {
            schema: SCHEMA,
            scenario: scenario.into(),
            file: None,
            scenario_digest: None,
            about: String::new(),
            command: Vec::new(),
            seed,
            kind,
            verdict: Verdict::over(cases.iter().map(|case| case.verdict)),
            wall_seconds: 0.0,
            virtual_seconds: None,
            started: None,
            machine: Machine::default(),
            cases,
            seeds: None,
        }
    }

    /// The record as JSON, indented, with a newline at its end.
    pub fn to_json(&self) -> String {
        layout::to_json(self)
    }

    /// Several records as JSON: a list of them, but for a single one.
    pub fn to_json_all(records: &[Self]) -> String {
        if let [only] = records { only.to_json() } else { layout::to_json(&records) }
    }

    /// The JSON Schema of a record, as published in `reports/record.schema.json`.
    pub fn json_schema() -> serde_json::Value {
        schemars::schema_for!(Record).to_value()
    }
}

/// The kind of nodes that a run had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Real processes, on real sockets and real time.
    Processes,
    /// A simulation in one thread, on virtual time.
    Virtual,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Processes => "processes",
            Self::Virtual => "virtual",
        })
    }
}

/// The verdict on a run or a case. A case that has not been judged yet is `Interrupted`.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every expectation and every invariant held.
    Pass,
    /// The measurement cannot be trusted, so nothing is said: the load generator was the
    /// bottleneck, for one.
    Inconclusive,
    /// An expectation or an invariant did not hold.
    Fail,
    /// The run was stopped before its end: what was measured until then is kept, and not judged.
    #[default]
    Interrupted,
}

impl Verdict {
    /// The verdict over several: interrupted if any was, else failed if any did, else
    /// inconclusive if any was. Nothing at all is interrupted.
    pub fn over(verdicts: impl IntoIterator<Item = Verdict>) -> Self {
        verdicts.into_iter().max().unwrap_or_default()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pass => "pass",
            Self::Inconclusive => "inconclusive",
            Self::Fail => "fail",
            Self::Interrupted => "interrupted",
        })
    }
}

/// The machine a run was measured on: figures of two machines do not compare.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Machine {
    /// The number of cores that the run could use.
    pub cores: u32,
    /// The model of the processor.
    pub cpu: String,
    /// The operating system and its version.
    pub os: String,
    /// The version of Samestate.
    pub samestate: String,
    /// True if the programs were built without optimisation, which makes every cost meaningless.
    pub debug_build: bool,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::Violation;

    #[test]
    fn the_worst_case_gives_the_run_its_verdict() {
        use Verdict::*;
        assert_eq!(Verdict::over([Pass, Pass]), Pass);
        assert_eq!(Verdict::over([Pass, Inconclusive]), Inconclusive);
        assert_eq!(Verdict::over([Fail, Inconclusive, Pass]), Fail);
        assert_eq!(Verdict::over([Fail, Interrupted]), Interrupted);
        assert_eq!(Verdict::over([]), Interrupted);
    }

    /// Asserts that `written` says at `path` all that `contract` does. Numbers compare by value:
    /// JSON has no integers.
    fn assert_says(written: &Value, contract: &Value, path: &str) {
        match (written, contract) {
            (Value::Object(written), Value::Object(contract)) => {
                for (name, value) in contract.iter().filter(|(name, _)| *name != "…") {
                    let path = format!("{path}.{name}");
                    let found = written.get(name).unwrap_or_else(|| panic!("{path} is missing"));
                    assert_says(found, value, &path);
                }
            }
            (Value::Array(written), Value::Array(contract)) => {
                assert_eq!(written.len(), contract.len(), "{path}");
                for (at, (written, contract)) in written.iter().zip(contract).enumerate() {
                    assert_says(written, contract, &format!("{path}[{at}]"));
                }
            }
            (Value::Number(written), Value::Number(contract)) => {
                assert_eq!(written.as_f64(), contract.as_f64(), "{path}");
            }
            _ => assert_eq!(written, contract, "{path}"),
        }
    }

    #[test]
    fn the_contracts_own_example_is_read_and_written_again_whole() {
        let contract = include_str!("contract.json");
        let record = Record::from_json(contract.as_bytes(), "the contract").expect("it is one");
        let contract: Value = serde_json::from_str(contract).expect("it is JSON");
        let written: Value = serde_json::from_str(&record.to_json()).expect("it is JSON");
        assert_says(&written, &contract, "record");
        assert!(record.cases[0].dispatches.balanced());
        assert_eq!(record.cases[0].metric("latency_us.replica.p999"), Some(Some(160.0)));
    }

    #[test]
    fn a_violation_is_written_as_the_contract_shows_it() {
        let violation = Violation::new("I2", "beta.worker[1]", "digests differ");
        assert_eq!(
            serde_json::to_value(violation).expect("plain JSON"),
            json!({ "invariant": "I2", "at": "beta.worker[1]", "detail": "digests differ" })
        );
    }

    #[test]
    fn the_published_schema_is_the_one_the_types_have() {
        crate::published::assert_published("record.schema.json", &Record::json_schema());
    }
}

//! Findings of a case: expectations that held or not, invariants that were violated, faults that
//! were injected.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Case, Metric};

/// One expectation of the scenario, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Expectation {
    /// The subject of the expectation: a metric's name, or words such as `connected at
    /// beta.master`.
    pub what: String,
    /// The expected value, such as `at least 100 %`.
    pub expected: String,
    /// The measured value, in the same words; `not measured`, or `never`.
    pub measured: String,
    /// The outcome of the expectation.
    pub outcome: Outcome,
    /// True if the case may pass without a sample of it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub optional: bool,
    /// The line of the scenario's file on which it stands, from 1; null if it came from the command
    /// line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// The outcome of an expectation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It held.
    Held,
    /// It did not.
    Failed,
    /// The run has no sample of it. The case is then inconclusive, unless the expectation is
    /// optional.
    NotMeasured,
}

impl Expectation {
    /// An expectation in words, for what is no metric: roles, `connected`, a violation demanded.
    pub fn in_words(
        what: impl Into<String>,
        expected: impl Into<String>,
        measured: impl Into<String>,
        held: bool,
    ) -> Self {
        let outcome = if held { Outcome::Held } else { Outcome::Failed };
        Self {
            what: what.into(),
            expected: expected.into(),
            measured: measured.into(),
            outcome,
            optional: false,
            line: None,
        }
    }

    /// Holds `metric` of `case`, or of one of its stores, against bounds that are both included.
    ///
    /// An expectation that was not measured neither holds nor fails, with one exception: a
    /// `converged_within_ms` of null means that the replicas never became equal. Returns `None`
    /// where the case or the store has no such metric, or the case no such store: validation should
    /// have caught that before.
    pub fn of_metric(
        case: &Case,
        store: Option<&str>,
        metric: &str,
        min: Option<f64>,
        max: Option<f64>,
    ) -> Option<Self> {
        let measured = match store {
            Some(name) => case.stores.get(name)?.metric(metric)?,
            None => case.metric(metric)?,
        };
        let known = Metric::named(metric)?;
        let outcome = match measured {
            Some(value)
                if min.is_none_or(|min| value >= min) && max.is_none_or(|max| value <= max) =>
            {
                Outcome::Held
            }
            Some(_) => Outcome::Failed,
            None if known.is_null_never() => Outcome::Failed,
            None => Outcome::NotMeasured,
        };
        let measured = match measured {
            Some(value) => known.exactly(value),
            None if known.is_null_never() => "never".to_owned(),
            None => "not measured".to_owned(),
        };
        let what = match store {
            Some(name) => format!("{metric} of {name}"),
            None => metric.to_owned(),
        };
        let expected = bounds(known, min, max);
        Some(Self { what, expected, measured, outcome, optional: false, line: None })
    }

    /// Returns whether nothing can be said of it, and the case has to be inconclusive therefore.
    pub fn is_unmeasured(&self) -> bool {
        self.outcome == Outcome::NotMeasured && !self.optional
    }

    /// Renders the expected and the measured value on one line.
    pub fn in_a_line(&self) -> String {
        match self.outcome {
            Outcome::NotMeasured => {
                format!("{}: expected {}, and there is no sample", self.what, self.expected)
            }
            _ => format!("{}: expected {}, measured {}", self.what, self.expected, self.measured),
        }
    }
}

/// Two bounds in words.
fn bounds(metric: &Metric, min: Option<f64>, max: Option<f64>) -> String {
    match (min, max) {
        (Some(min), Some(max)) if min == max => format!("exactly {}", metric.exactly(min)),
        (Some(min), Some(max)) => format!("{} to {}", metric.exactly(min), metric.exactly(max)),
        (Some(min), None) => format!("at least {}", metric.exactly(min)),
        (None, Some(max)) => format!("at most {}", metric.exactly(max)),
        (None, None) => "anything".to_owned(),
    }
}

/// An invariant that did not hold: always a bug, unless the scenario demands it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Violation {
    /// The name of the invariant: `I1` to `I10`.
    pub invariant: String,
    /// The node it was seen at.
    pub at: String,
    /// The evidence of the violation: words, or any JSON.
    pub detail: Value,
    /// The time of the violation, in seconds since the case began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_seconds: Option<f64>,
    /// A way to reproduce it: a command, or the path of a scenario file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reproduce: Option<String>,
    /// True if the scenario demands the violation, so that it does not fail the case.
    #[serde(default, skip_serializing_if = "is_false")]
    pub demanded: bool,
}

impl Violation {
    /// A violation of `invariant` (`I1` to `I10`) at a node.
    pub fn new(
        invariant: impl Into<String>,
        at: impl Into<String>,
        detail: impl Into<Value>,
    ) -> Self {
        Self {
            invariant: invariant.into(),
            at: at.into(),
            detail: detail.into(),
            after_seconds: None,
            reproduce: None,
            demanded: false,
        }
    }

    /// The detail as text on one line.
    pub fn detail_text(&self) -> String {
        match &self.detail {
            Value::String(words) => words.split_whitespace().collect::<Vec<_>>().join(" "),
            other => other.to_string(),
        }
    }
}

/// The planned faults, and those that were injected.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Faults {
    /// The number of faults that the scenario planned.
    pub planned: u64,
    /// The number of faults that were injected, with evidence.
    pub injected: u64,
    /// Each of them, in the order planned.
    pub list: Vec<FaultDone>,
}

/// One fault: planned, and done or not.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct FaultDone {
    /// The kind of the fault: `cut`, `kill`, …
    pub kind: String,
    /// The target of the fault: a node or a link.
    pub at: String,
    /// The planned time, in seconds since the case began.
    pub planned_at_seconds: f64,
    /// The time of the injection; null if it was not injected.
    pub injected_at_seconds: Option<f64>,
    /// The time of its end: the link may carry bytes again, the process runs again.
    pub ended_at_seconds: Option<f64>,
    /// The time until the replicas were equal again, in milliseconds; null if they were not before
    /// the next fault or the end.
    pub converged_within_ms: Option<f64>,
    /// Evidence of the injection, such as `pid 4711 ended by signal 9`; or the reason why there was
    /// none.
    pub evidence: String,
}

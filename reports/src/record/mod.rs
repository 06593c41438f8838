//! The record's types: the contract that scripts read.
//!
//! | module | subject |
//! |---|---|
//! | `run` | [`Record`]: one scenario, one run, and the machine it ran on |
//! | `case` | [`Case`]: the measures of one value of the matrix, per store and per process too |
//! | `findings` | findings: [`Expectation`], [`Violation`], [`Faults`] |
//! | `measures` | the measures themselves: identity, dispatches, rate, latency, staleness, cost |
//! | `metric` | [`Metric`]: every measure under its dotted name |
//! | `repeats` | [`Repeat`]: one of several runs of a case, and the case made of them |
//! | `series` | [`Series`]: the measures over time |
//! | `baseline` | a record as a baseline to commit |
//! | `course` | [`Phase`], [`Topology`]: the plan of a case, as far as a report shows it |
//! | `seeds` | [`Seeds`]: the result of a search over many seeds |
//! | `file` | records to files and back |
//! | `layout` | the layout of the JSON |
//!
//! Three rules hold throughout. What was not measured is `None`, and `null` in the JSON: a zero
//! is always a measured zero. A unit comes last in a name. And reading is lenient: a field this
//! version does not know is skipped, one that is missing takes its default, so that the records of
//! older and newer versions of one schema can be read.

mod baseline;
mod case;
mod course;
mod file;
mod findings;
mod layout;
mod measures;
mod metric;
mod repeats;
mod run;
mod seeds;
mod series;

#[cfg(test)]
pub(crate) mod sample;

pub(crate) use case::plain;
pub use case::{Case, Observation, Process, StoreMeasures};
pub use course::{Phase, Topology, TopologyNode};
pub use file::{RecordError, write_whole};
pub use findings::{Expectation, FaultDone, Faults, Outcome, Violation};
pub use measures::{Cost, Dispatches, Identical, Latency, Quantiles, Rate, Staleness};
pub use metric::{Better, Metric, Unit};
pub use repeats::{Interval, Repeat};
pub use run::{Kind, Machine, Record, SCHEMA, Verdict};
pub use seeds::{SeedFailure, Seeds};
pub use series::{Points, ProcessSeries, QuantileSeries, SERIES, Series, StoreSeries};

//! The record of a run, and the reports made of it.
//!
//! A run of `samestate` leaves one [`Record`]: a JSON file whose schema is a contract with scripts.
//! This crate defines the types of the record, and measures nothing: the runner fills a record in,
//! and reports are made from it here.
//!
//! - [`Record`] and [`Case`], what a run and each value of its matrix measured; [`Metric`], every
//!   measure under its dotted name, as a scenario's `expect` spells it.
//! - [`terminal::summary`], for the person who waits for the run.
//! - [`junit::to_xml`], for a CI's list of tests; [`markdown::to_markdown`], for a page or a
//!   comment on a change.
//! - [`html::page`], for everybody else: one file with the verdict, charts over time and all
//!   figures.
//! - [`live::Line`], for those who watch a run that goes on.
//! - [`spacetime::html`], for the question who sent what to whom when: a run of the simulator,
//!   drawn.
//! - [`perfetto::Timeline`], for the question where the time went: a run in a profiler's viewer.
//! - [`compare::compare`], for the question whether today's run is worse than the last good one.
//!
//! Nothing here reads a clock, an environment variable or a terminal: the same record and the
//! same [`terminal::Style`] always give the same text.
#![forbid(unsafe_code)]
#![warn(clippy::print_stderr, clippy::print_stdout)]

pub mod compare;
pub mod html;
pub mod junit;
pub mod live;
pub mod markdown;
mod overview;
pub mod perfetto;
mod printable;
#[cfg(test)]
mod published;
mod record;
pub mod spacetime;
pub mod stats;
pub mod terminal;
mod units;
mod winners;

pub use printable::{printable, printable_json, printable_line};
pub use record::{
    Better, Case, Cost, Dispatches, Expectation, FaultDone, Faults, Identical, Interval, Kind,
    Latency, Machine, Metric, Observation, Outcome, Phase, Points, Process, ProcessSeries,
    QuantileSeries, Quantiles, Rate, Record, RecordError, Repeat, SCHEMA, SERIES, SeedFailure,
    Seeds, Series, Staleness, StoreMeasures, StoreSeries, Topology, TopologyNode, Unit, Verdict,
    Violation, write_whole,
};

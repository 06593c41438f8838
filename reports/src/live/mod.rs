//! A run that goes on, told as it happens.
//!
//! The runner tells a run as a sequence of [`Line`]s: its start, phases, faults and processes, a
//! sample of all measures twice a second, and the verdict. Everything that shows a run before its
//! end is made from these lines alone:
//!
//! - [`Line::to_json`], for other programs: one JSON object a line, whose schema is a contract
//!   with scripts as that of the record is;
//! - [`RunMetrics`], for Prometheus;
//! - [`Board`], the case so far, for [`html::live_page`](crate::html::live_page).

mod board;
mod line;
mod open_metrics;

pub use board::Board;
pub use line::{
    CaseStart, CaseVerdict, Event, FaultNews, FaultState, LIVE, Line, LiveDispatches, LiveProcess,
    LiveQuantiles, LiveStore, PhaseBegin, ProcessNews, ProcessState, RunEnd, Sample,
};
pub use open_metrics::RunMetrics;

//! The comparison of runs with a baseline: is today's build worse than the last good one?
//!
//! | file | subject |
//! |---|---|
//! | `samples` | the repeats of both sides, and whether they make pairs |
//! | `judge` | the judgement of all measures together |
//! | `render` | the comparison on a terminal |
//!
//! A cost or a time is called worse only if the repeats prove it. Figures of two different machines
//! are not compared: there, the ratio of each case to the first case of the same run is.

mod judge;
mod render;
mod samples;

pub(crate) use judge::is_judged;
pub use judge::{CaseComparison, Comparison, Finding, Line, Refusal, compare};

//! Two records held against each other: is the new run worse than the baseline?
//!
//! Only what a later run can be blamed for is judged: maxima and far quantiles differ from run to
//! run by chance, and are not. What has to be perfect (identity at equal versions, lost, twice,
//! violations, the verdict) has no tolerance. Cases are paired by their values of the matrix.

mod judge;
mod render;

pub use judge::{CaseComparison, Change, Comparison, Line, compare};

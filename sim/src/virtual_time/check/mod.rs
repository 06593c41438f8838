//! One canonical history, and every replica, origin and subscriber held against it at each step.
//!
//! - `tap`: what a replica's observer is told
//! - `canon`: the tree of all that was ever ordered, and the states that follow from it
//! - `checker`: where each replica is, and whether it may be there (I1, I2)
//! - `origins`: what each dispatch came to (I3, I4, I5, I6)
//! - `subscribers`: what each was told (I10)
//!
//! It knows what the runner's [`invariants`](crate::invariants) have to infer: which dispatch each
//! entry is, and what was on its way when a process died. Where a case has a record, those judge it
//! too.

mod canon;
mod checker;
mod origins;
mod subscribers;
mod tap;

pub(crate) use checker::Checker;
pub use origins::{Fate, Tally};
pub(crate) use tap::{Seen, Tap, Told};

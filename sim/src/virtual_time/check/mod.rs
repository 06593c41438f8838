//! One canonical history, and every replica, origin and subscriber held against it at each step.
//!
//! - `canon`: the tree of all that was ever ordered, and the states that follow from it
//! - `replicas`: where each replica is, and whether it may be there (I1, I2)
//! - `origins`: what each dispatch came to (I3, I4, I5, I6)
//! - `subscribers`: what each was told (I10)

mod canon;
mod checker;
mod origins;
mod subscribers;

pub(crate) use checker::{Checker, Seen, Tap};
pub use origins::{Fate, Tally};

//! One canonical history, and every replica, origin and subscriber held against it at each step.
//!
//! - `tap`: what a replica's observer is told
//! - `canon`: the tree of all that was ever ordered, and the states that follow from it
//! - `checker`: where each replica is, and whether it may be there (I1, I2)
//! - `steps`: what each sends, hears and asks for
//! - `sync`, `links`: how each stands to its upstream, and what it tells the nodes below
//! - `commit`: nothing that leaves a sequencer passes what is committed
//! - `marks`: when a sequencer marks an action to be verified
//! - `counts`: what each counts, and holds in memory (I8)
//! - `causes`: why an outcome may be unknown
//! - `origins`: what each dispatch came to (I3, I4, I5, I6)
//! - `subscribers`: what each was told (I10)
//!
//! It knows what the runner's [`invariants`](crate::invariants) have to infer: which dispatch each
//! entry is, and what was on its way when a process died. Where a case has a record, those judge it
//! too.

mod canon;
mod causes;
mod checker;
mod commit;
mod counts;
mod links;
mod marks;
mod origins;
mod steps;
mod subscribers;
mod sync;
mod tap;

pub use causes::Cause;
pub(crate) use checker::{Checker, Verdict};
pub(crate) use commit::View;
pub use origins::{Fate, Tally};
pub(crate) use tap::{Seen, Tap, Told};

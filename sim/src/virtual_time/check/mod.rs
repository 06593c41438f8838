//! One canonical history, and every replica, origin and subscriber held against it at each step.
//!
//! - `tap`: calls to a replica's observer
//! - `canon`: the tree of all that was ever ordered, and the states that follow from it
//! - `checker`: the version of each replica, held against the history (I1, I2)
//! - `steps`: the messages and requests of each replica
//! - `sync`, `links`: how each stands to its upstream, and what it tells the nodes below
//! - `commit`: nothing that leaves a sequencer passes what is committed
//! - `marks`: when a sequencer marks an action to be verified
//! - `counts`: the counters and the memory of each replica (I8)
//! - `causes`: the causes of unknown outcomes
//! - `origins`: the fate of each dispatch (I3, I4, I5, I6)
//! - `subscribers`: the changes that each was told (I10)
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

//! The data that a case leaves, and the record made of it: for real processes and virtual ones.
//!
//! A store's nodes form trees (see [`Topology`](crate::scenario::Topology)), and what is judged
//! is a tree: its replicas, the history that its sequencers ordered, and what its origins were
//! answered. A store sums up its trees, and a case its stores. An event may move nodes from one
//! tree to another: identity is then judged over the trees as they are at the end, from the event
//! on.
//!
//! | file | holds |
//! |---|---|
//! | `delta` | what is measured at a node, in the parts in which it is handed over |
//! | `recorder` | what a store's dispatches came to, until the next delta takes it |
//! | `taken` | all that a case leaves behind |
//! | `gather` | the parts that each process handed over, put together |
//! | `tree` | one tree of one store: what was seen of it, and whether the invariants held |
//! | `replay` | the history through the reducer alone, compared with every final state |
//! | `sums` | measures that add up: of trees, of stores, of phases |
//! | `costs` | what the processes used |
//! | `series`, `axis` | the measures over time, and their time axis |
//! | `course` | the phases and the topology of the plan |
//! | `faults` | how soon all were equal after each fault |
//! | `expect` | the scenario's expectations |
//! | `lost_cause` | why a case that goes on cannot pass any more |
//! | `verdict` | the verdict of a case, and the rules by which it is given |
//! | `rounds` | the repeats of the cases of a run |
//! | `case` | all of it: measures, findings and verdict |
//! | `profile` | a trace for profiler viewers |
//! | `machine` | where it ran, and when |

mod axis;
mod case;
mod costs;
mod course;
mod delta;
#[cfg(test)]
mod endurance;
mod expect;
mod faults;
mod gather;
mod lost_cause;
mod machine;
mod profile;
mod recorder;
mod replay;
mod rounds;
mod series;
mod sums;
mod taken;
#[cfg(test)]
mod tests;
mod tree;
mod verdict;

pub(crate) use axis::{percent, short};
pub(crate) use case::{assemble, transports};
pub(crate) use course::{phases, topologies};
pub use delta::{Figures, FinalState, LinkFigures, LoadDelta, NodeDelta, StoreDelta};
pub(crate) use gather::Gathered;
pub(crate) use lost_cause::lost_cause;
pub use machine::{this_machine, utc, utc_exactly};
pub(crate) use profile::profile;
pub(crate) use recorder::{Recorder, Source};
pub(crate) use replay::add_reducers;
pub(crate) use rounds::Rounds;
pub(crate) use taken::{IncarnationSeen, Taken};
pub(crate) use verdict::{Findings, not_done};

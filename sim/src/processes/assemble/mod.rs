//! What a case's processes handed over, as the record shows it.
//!
//! A store's nodes form trees (see [`Topology`](crate::scenario::Topology)), and what is judged
//! is a tree: its replicas, the history that its sequencers ordered, and what its origins were
//! answered. A store sums up its trees, and a case its stores. An event may move nodes from one
//! tree to another: identity is then judged over the trees as they are at the end, from the event
//! on.
//!
//! | file | holds |
//! |---|---|
//! | `gather` | the parts that each process handed over, put together |
//! | `tree` | one tree of one store: what was seen of it, and whether the invariants held |
//! | `replay` | the history through the reducer alone, compared with every final state |
//! | `sums` | measures that add up: of trees, of stores, of phases |
//! | `costs` | what the processes used |
//! | `faults` | how soon all were equal after each fault |
//! | `expect` | the scenario's expectations |
//! | `case` | all of it: measures, findings and verdict |

mod case;
mod costs;
mod expect;
mod faults;
mod gather;
mod replay;
mod sums;
#[cfg(test)]
mod tests;
mod tree;

pub(crate) use case::assemble;
pub(crate) use gather::Gathered;

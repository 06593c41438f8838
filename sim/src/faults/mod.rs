//! Faults, and the record of those that were injected.
//!
//! A fault is planned by the scenario ([`Fault`](crate::scenario::Fault)) and injected by a
//! runner. What counts as done is what left evidence: a process that a signal ended, connections
//! that were open and then were not. [`FaultLog`] keeps both sides, fault by fault.

mod log;

pub use log::FaultLog;

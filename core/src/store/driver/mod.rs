//! The driver of a replica: inputs, outputs, the disk, and what is logged and measured.
//!
//! - `shared`: the replica behind its lock, and the handling of its outputs
//! - `backing`: a store that is kept on disk
//! - `disk`: reports about a disk that hangs
//! - `random`: random numbers from the operating system
//! - `timers`: the time, which is passed to the replica when something is due
//! - `trace`: the log events of a store
//! - `metrics`: the metrics of a store

pub(crate) mod backing;
pub(crate) mod disk;
pub(crate) mod metrics;
pub(crate) mod random;
pub(crate) mod shared;
pub(crate) mod timers;
pub(crate) mod trace;

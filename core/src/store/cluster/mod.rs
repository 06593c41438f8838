//! The processes of a cluster.
//!
//! - `exits`: the ends of workers, as a stream
//! - `process`: this process and its workers
//! - `shared`: the state that the stores of one cluster share in a process
//! - `closing`: the closing of a cluster

pub(crate) mod closing;
pub(crate) mod exits;
pub(crate) mod process;
pub(crate) mod shared;

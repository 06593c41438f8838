//! The real thing: clusters as processes, driven over a control channel.
//!
//! - [`control`]: what the runner and the node processes tell each other;
//! - [`node`]: the program that each node process is.

pub mod control;
pub mod node;

//! The real thing: clusters as processes, driven over a control channel.
//!
//! - [`control`]: what the runner and the node processes tell each other.

pub mod control;

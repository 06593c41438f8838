//! The protocol as a state machine: no sockets, no clocks, no randomness of its own.

mod version;

pub use version::{Epoch, Lineage, NodeId, Version};

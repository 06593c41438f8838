//! The control channel between the runner and its node processes.
//!
//! | module | holds |
//! |---|---|
//! | `messages` | the briefing that a node reads, and the messages of both sides |
//! | `certificates` | the run's own CA, and the files that it signs for the nodes that speak TLS |

pub(crate) mod certificates;
mod messages;

pub use messages::{
    BRIEFING, Briefing, ControlError, LOGS, MESSAGE_BYTES_MAX, SOCKET, ToNode, ToRunner, now_ns,
    receive, send,
};

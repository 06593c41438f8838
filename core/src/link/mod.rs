//! Tokio drivers that move bytes between stores: ipc, tcp, unix.

mod port;

pub use port::{Handle, Port, Side};

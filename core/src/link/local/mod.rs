//! Sockets that never leave this machine: a socket file on Unix, a named pipe on Windows. Both have
//! the same interface, so that other modules need not distinguish them.

#[cfg(unix)]
mod halves;
#[cfg(windows)]
mod pipe;
#[cfg(unix)]
mod unix;

#[cfg(unix)]
pub(super) use halves::split;
#[cfg(windows)]
pub(super) use pipe::{Listener, Stream, connect, first, is_busy, open, split};
#[cfg(unix)]
pub(super) use unix::{Listener, Stream, connect};

use crate::auth::PeerAddress;

/// A connection as it was accepted.
pub(super) struct Visitor {
    pub(super) stream: Stream,
    pub(super) address: PeerAddress,
    /// For the operator.
    pub(super) name: String,
}

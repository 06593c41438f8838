//! The ends of connections, and their meaning for the side that connected.

use std::io;
use std::time::Duration;

use samestate_proto::replication::LinkFault;
use samestate_proto::wire::WireError;
use thiserror::Error;

use super::RefusalReason;
use super::attached::is_refusal;
use super::setback::reason_of_fault;
use crate::task::Panicked;

/// The reason for the end of a connection.
#[derive(Debug, Error)]
pub(super) enum CloseReason {
    /// The peer closed it, between two frames.
    #[error("the peer closed the connection")]
    Closed,
    /// The peer closed it in the middle of a frame.
    #[error("the peer closed the connection in the middle of a frame")]
    Truncated,
    /// This side closed it.
    #[error("closed here")]
    ClosedHere,
    /// The socket failed.
    #[error("the connection broke")]
    Io(#[from] io::Error),
    /// The peer takes nothing any more.
    #[error("{0}")]
    Stalled(io::Error),
    /// Bytes that are no frames.
    #[error("the peer sent garbage: {0}")]
    Garbage(WireError),
    /// A message of a store that this connection does not carry.
    #[error("the peer sent a message of a store that it had not asked for (channel {channel:#x})")]
    Stray {
        /// The store's channel.
        channel: u32,
    },
    /// The peer asks for one store after the other that is not here.
    #[error("the peer asked for too many stores that are not here")]
    TooManyMissing,
    /// The peer asks faster than it takes the answers.
    #[error("the peer lets answers pile up that it asked for")]
    Flooded,
    /// The peer wants nothing.
    #[error("the peer followed no store for {0:?}")]
    Idle(Duration),
    /// The peer waits for a store that is not open here, and does not say that it lives.
    #[error("the peer waits for a store, and said nothing for {0:?}")]
    Silent(Duration),
    /// A store cannot go on with this peer.
    #[error("store {store:?}: {fault}")]
    Fault {
        /// Its name.
        store: String,
        /// The fault of the peer.
        fault: LinkFault,
    },
    /// A task of the connection panicked, maybe in a store.
    #[error("a bug: {0}")]
    Panicked(Panicked),
}

impl CloseReason {
    /// Returns whether the peer broke the protocol or cannot be served.
    pub(super) fn is_fault(&self) -> bool {
        !matches!(self, Self::Closed | Self::ClosedHere | Self::Io(_))
    }

    /// Returns whether the upstream refused a store.
    pub(super) fn is_refused(&self) -> bool {
        matches!(self, Self::Fault { fault: LinkFault::Refused(_), .. })
    }

    /// Returns the reason of the peer's refusal, if it refused the store of this name.
    pub(super) fn refusal(&self, name: &str) -> Option<RefusalReason> {
        match self {
            Self::Fault { store, fault } if store == name => reason_of_fault(fault),
            _ => None,
        }
    }

    /// Returns whether an immediate retry would be refused again. A store that is not served yet
    /// may be in a moment.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self, Self::Fault { fault, .. } if is_refusal(fault))
    }

    /// From a write that failed; a peer that left shows itself that way too.
    pub(super) fn of_write(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Self::Closed,
            // One of the system has a number.
            io::ErrorKind::TimedOut if error.raw_os_error().is_none() => Self::Stalled(error),
            _ => Self::Io(error),
        }
    }
}

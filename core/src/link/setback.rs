//! The reasons why a store is not attached to its upstream, as its links see it.

use samestate_proto::replication::LinkFault;
use samestate_proto::wire::RefusalKind;
use samestate_proto::with_causes;
use thiserror::Error;

use super::close_reason::CloseReason;
use super::hello::HelloError;

/// The reason of an upstream to refuse a store. To try again is of no use until something is
/// changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefusalReason {
    /// The login: a wrong password, no such login, a login where none is asked for or none where
    /// one is, or an address that is locked out.
    Login,
    /// One side uses TLS and the other does not, or a certificate is not accepted.
    Tls,
    /// No version of the protocol is common to both, or the peer is another program.
    Protocol,
    /// The server serves no store of this name.
    Store,
    /// The stores have different schema versions.
    Schema,
    /// The stores have different codecs.
    Codec,
    /// The store would follow itself, by way of other nodes.
    Loop,
    /// The upstream's state cannot be restored from its encoding.
    State,
    /// The link to the upstream has ended and is never made again: a worker's master is gone.
    UpstreamGone,
}

impl RefusalReason {
    /// Returns the reason that a message names.
    pub(crate) fn from_wire(kind: RefusalKind) -> Self {
        match kind {
            RefusalKind::Protocol => RefusalReason::Protocol,
            RefusalKind::Store => RefusalReason::Store,
            RefusalKind::Schema => RefusalReason::Schema,
            RefusalKind::Codec => RefusalReason::Codec,
            RefusalKind::Loop => RefusalReason::Loop,
            RefusalKind::State => RefusalReason::State,
        }
    }
}

/// The reason why a store is not attached to its upstream.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub(crate) enum Setback {
    /// The upstream was not reached, or the connection to it was lost.
    #[error("{0}")]
    Unreachable(String),
    /// The upstream refused.
    #[error("{upstream}: {text}")]
    Refused {
        /// The reason.
        reason: RefusalReason,
        /// The peer that refused.
        upstream: String,
        /// The reason in words.
        text: String,
    },
    /// A snapshot came that cannot be used.
    #[error("{0}")]
    Snapshot(String),
    /// The link was cut because of this store.
    #[error("{0}")]
    Cut(String),
}

impl Setback {
    /// Returns the setback that a failed handshake means for the stores of a connection.
    pub(super) fn of_hello(peer: &str, error: &HelloError) -> Self {
        match reason_of_hello(error) {
            Some(reason) => Setback::refused(reason, peer, with_causes(error)),
            None => Setback::Unreachable(format!("{peer}: {}", with_causes(error))),
        }
    }

    /// Returns the setback that a fault of one store means for this store.
    pub(super) fn of_fault(peer: &str, fault: &LinkFault) -> Self {
        let text = format!("{peer}: {fault}");
        if let Some(reason) = reason_of_fault(fault) {
            return Setback::refused(reason, peer, fault.to_string());
        }
        match fault {
            LinkFault::Undecodable(_)
            | LinkFault::SnapshotTooLong { .. }
            | LinkFault::SnapshotChecksum => Setback::Snapshot(text),
            _ => Setback::Cut(text),
        }
    }

    /// Returns the setback that the end of a connection means for the store of this name.
    pub(super) fn of_ending(peer: &str, ending: &CloseReason, name: &str) -> Self {
        match ending {
            CloseReason::Fault { store, fault } if store == name => Setback::of_fault(peer, fault),
            _ => Setback::Unreachable(format!("{peer}: {}", with_causes(ending))),
        }
    }

    /// The link to the upstream has ended, and is never made again.
    pub(crate) fn upstream_gone() -> Self {
        let text = "the link to it has ended, and is never made again".to_owned();
        Setback::refused(RefusalReason::UpstreamGone, "its upstream", text)
    }

    fn refused(reason: RefusalReason, upstream: &str, text: String) -> Self {
        Setback::Refused { reason, upstream: upstream.to_owned(), text }
    }

    /// Returns the reason of the upstream's refusal, if it refused the store.
    pub(crate) fn refusal(&self) -> Option<RefusalReason> {
        match self {
            Setback::Refused { reason, .. } => Some(*reason),
            _ => None,
        }
    }
}

/// Returns the reason of the peer's refusal, if the fault is one.
pub(super) fn reason_of_fault(fault: &LinkFault) -> Option<RefusalReason> {
    match fault {
        LinkFault::Refused(refusal) => Some(RefusalReason::from_wire(refusal.kind)),
        LinkFault::Loop(_) => Some(RefusalReason::Loop),
        _ => None,
    }
}

/// Returns the reason of a refusal, on either side, if the exchange failed by one.
pub(super) fn reason_of_hello(error: &HelloError) -> Option<RefusalReason> {
    match error {
        HelloError::Login(_)
        | HelloError::Refused(_)
        | HelloError::LoginNeeded
        | HelloError::LoginNotAsked
        | HelloError::Ticket(_) => Some(RefusalReason::Login),
        HelloError::TlsOnly | HelloError::NoTlsHere => Some(RefusalReason::Tls),
        HelloError::UnexpectedFrame(_) | HelloError::Version { .. } => {
            Some(RefusalReason::Protocol)
        }
        #[cfg(feature = "tls")]
        HelloError::Tls(error) if error.is_refusal() => Some(RefusalReason::Tls),
        _ => None,
    }
}

//! Log events of connections and servers; `docs/observability.md` lists them.
//!
//! Each connection has a span, named `link`. The span is the explicit parent of its events, and is
//! never entered: a frame costs no more with a subscriber than without. Levels: `warn` if an
//! operator may have to act, `info` if this process's own links and servers change, `debug` for
//! actions of clients of its servers, which may be many, and for single attempts. Fields hold no
//! password, ticket, action or state, nor a message of the user's code that may quote one.

use std::fmt::Display;
use std::io;
use std::time::Duration;

use samestate_proto::replication::LinkFault;
use samestate_proto::with_causes;
use tracing::{Span, debug, field, info, info_span, warn};

use super::close_reason::CloseReason;
use super::hello::HelloError;
use super::{Address, LinkError, Side};
use crate::auth::{LockedOut, Refused};

const LINK: &str = "samestate::link";
const SERVER: &str = "samestate::server";

/// A client's connection, from the first try to its end.
pub(super) fn to_server(store: &str, address: &Address) -> Span {
    let (side, peer) = ("upstream", "the server");
    info_span!(target: LINK, parent: None, "link", side, store, peer, %address)
}

/// A client at a server. Its stores come later, if any; events about one name it.
pub(super) fn to_client(peer: &str, address: impl Display) -> Span {
    let login = field::Empty;
    info_span!(target: LINK, parent: None, "link", side = "downstream", peer, %address, login)
}

/// The link between a master and a worker.
pub(super) fn to_relative(side: Side, peer: &str) -> Span {
    let side = match side {
        Side::Upstream => "upstream",
        Side::Downstream => "downstream",
    };
    info_span!(target: LINK, parent: None, "link", side, peer, address = "ipc")
}

pub(super) fn connecting(span: &Span) {
    debug!(target: LINK, parent: span, "connecting");
}

pub(super) fn connected(span: &Span) {
    debug!(target: LINK, parent: span, "connected");
}

/// Logs that the server accepted this client's login.
pub(super) fn logged_in(span: &Span) {
    info!(target: LINK, parent: span, "logged in");
}

/// This client did not get in. `again`: for the same reason as the last time.
pub(super) fn not_let_in(span: &Span, error: &HelloError, again: bool) {
    match (is_about_login(error), again) {
        (true, false) => {
            warn!(target: LINK, parent: span, reason = with_causes(error), "login refused")
        }
        (true, true) => {
            debug!(target: LINK, parent: span, reason = with_causes(error), "login refused")
        }
        (false, false) => {
            warn!(target: LINK, parent: span, reason = with_causes(error), "connection failed")
        }
        (false, true) => {
            debug!(target: LINK, parent: span, reason = with_causes(error), "connection failed")
        }
    }
}

pub(super) fn backing_off(span: &Span, wait: Duration) {
    let wait_ms = wait.as_millis() as u64;
    debug!(target: LINK, parent: span, wait_ms, "backing off");
}

/// A connection to the server, or to a relative, has ended.
pub(super) fn lost(span: &Span, ending: &CloseReason) {
    match ending {
        CloseReason::ClosedHere => debug!(target: LINK, parent: span, "closed"),
        ending => warn!(target: LINK, parent: span, reason = why(ending), "lost"),
    }
}

/// A server let a client in.
pub(super) fn let_in(span: &Span, login: Option<&str>) {
    span.record("login", login);
    debug!(target: LINK, parent: span, "logged in");
}

/// A server did not let a client in.
pub(super) fn refused(span: &Span, error: &HelloError) {
    match is_about_login(error) {
        true => warn!(target: LINK, parent: span, reason = with_causes(error), "login refused"),
        false => {
            warn!(target: LINK, parent: span, reason = with_causes(error), "connection failed")
        }
    }
}

/// Returns the address or user that this failure locked out, if any.
pub(super) fn lock_out(error: &HelloError) -> Option<LockedOut> {
    match error {
        HelloError::Refused(Refused::Failed { locked_out, .. }) => *locked_out,
        _ => None,
    }
}

pub(super) fn locked_out(span: &Span, locked_out: LockedOut) {
    let seconds = locked_out.remaining.as_secs();
    let address = locked_out.address;
    warn!(target: LINK, parent: span, %address, seconds, "locked out");
}

pub(super) fn turned_away(span: &Span) {
    debug!(target: LINK, parent: span, "turned away");
}

/// A client left, in good order.
pub(super) fn left(span: &Span, ending: &CloseReason) {
    debug!(target: LINK, parent: span, reason = why(ending), "left");
}

/// A client was cut, or broke.
pub(super) fn cut(span: &Span, ending: &CloseReason) {
    warn!(target: LINK, parent: span, reason = why(ending), "lost");
}

/// One store of a connection cannot go on with the peer, the others can.
pub(super) fn store_lost(span: &Span, store: &str, fault: &LinkFault) {
    warn!(target: LINK, parent: span, store, reason = reason(fault), "lost");
}

/// The peer took one store off a connection.
pub(super) fn store_left(span: &Span, store: &str) {
    debug!(target: LINK, parent: span, store, "left");
}

/// A peer asked for a store that is not served here.
pub(super) fn store_refused(span: &Span, store: &str) {
    warn!(target: LINK, parent: span, store, reason = "not served here", "store refused");
}

pub(super) fn server_started(address: &Address, logins: usize) {
    info!(target: SERVER, parent: None, %address, logins, "started");
}

pub(super) fn server_in_plaintext(address: &Address) {
    warn!(target: SERVER, parent: None, %address, "in plaintext");
}

pub(super) fn server_without_logins(address: &Address) {
    warn!(target: SERVER, parent: None, %address, "without logins");
}

pub(super) fn server_fell_over(address: &Address, why: &io::Error) {
    warn!(target: SERVER, parent: None, %address, reason = %why, "fell over");
}

/// Listening was tried again, and failed; said once.
pub(super) fn server_is_down(address: &Address, error: &LinkError) {
    warn!(target: SERVER, parent: None, %address, reason = with_causes(error), "still down");
}

pub(super) fn server_came_back(address: &Address) {
    info!(target: SERVER, parent: None, %address, "came back");
}

/// The system gives no more connections for now.
pub(super) fn server_exhausted(error: &io::Error) {
    warn!(target: SERVER, parent: None, reason = %error, "exhausted");
}

pub(super) fn server_closed(address: &Address) {
    info!(target: SERVER, parent: None, %address, "closed");
}

fn is_about_login(error: &HelloError) -> bool {
    use HelloError as E;
    matches!(error, E::Login(_) | E::Refused(_) | E::LoginNeeded | E::LoginNotAsked | E::Ticket(_))
}

fn why(ending: &CloseReason) -> String {
    match ending {
        CloseReason::Fault { fault, .. } => reason(fault),
        ending => with_causes(ending),
    }
}

/// Describes the reason to cut a link, without the message of a user's decoder, which may quote the
/// state.
fn reason(fault: &LinkFault) -> String {
    match fault {
        LinkFault::Undecodable(_) => "the snapshot cannot be decoded".to_owned(),
        fault => fault.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_decoder_said_of_a_state_is_not_logged() {
        let fault = LinkFault::Undecodable("invalid type: string \"hunter2\"".into());
        let ending = CloseReason::Fault { store: "tasks".into(), fault };
        assert_eq!(why(&ending), "the snapshot cannot be decoded");
    }
}

//! Proof of passwords, and the lock-out of addresses that guess.
//!
//! Everything here is a value: no socket, no runtime, no clock, no randomness of its own. Nonces,
//! the server's secret and `now` (monotonic, counted from the server's start) are passed in.
//!
//! | module | subject |
//! |---|---|
//! | `gate` | the entry for servers: one [`Visit`] a connection, over the modules below |
//! | [`scram`] | SCRAM-SHA-256, both sides, as two state machines |
//! | `lockout` | failed logins, and the addresses that are locked out |
//! | `tickets` | tickets, which let known clients in despite the lock-out of their neighbours |
//! | `secret` | the server's one secret, and the keys derived from it |
//!
//! A server draws 32 random bytes, builds a [`Gate`] and calls [`Gate::visit`] for each connection;
//! a client keeps one [`Credentials`] and makes a [`scram::ClientHandshake`] for each connection.
//!
//! The module promises: the password never travels and is never kept by a server; each side proves
//! itself to the other; the bytes of a client that is not logged in cost a bounded amount of memory
//! and no password derivation; no input makes it panic. It cannot promise privacy without TLS: an
//! attacker *on the path* can read what follows a login, and can try passwords against a recorded
//! conversation.

mod gate;
mod lockout;
pub mod scram;
mod secret;
mod tickets;

pub use gate::{Gate, Refused, Visit, VisitStep};
pub use lockout::{Attempt, LockOut, LockOutPolicy, LockedOut, PeerAddress};
pub use scram::{
    AuthError, ClientHandshake, ClientStep, Credentials, CredentialsError, Iterations, Logins,
    NONCE_BYTES, Nonce, Refusal, ServerHandshake, ServerStep,
};
pub use secret::ServerSecret;
pub use tickets::{ProvenTicket, TICKET_BYTES, Ticket, TicketError, Tickets};

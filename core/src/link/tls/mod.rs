//! TLS for TCP, with certificates of one's own CA: rustls, TLS 1.3 (RFC 8446) and nothing older.
//!
//! TLS keeps others on the way from reading and changing; who may come in is still decided by the
//! login (SCRAM) inside it, and by client certificates where they are asked for. Trust comes from
//! the CA file that a client is given, and from nowhere else: with the platform's roots any public
//! CA could vouch for a server.
//!
//! - `options`: what a user says: [`Tls`], [`ServerTls`], [`ClientTls`]
//! - `files`: certificates and keys, from PEM files to something that can shake hands
//! - `handshake`: how a connected stream becomes a secure one
//! - `error`: what is wrong with a file, and what came of a handshake
//!
//! Handshakes are never resumed: a connection is made seldom, and each one checks the certificates
//! as they are then.

mod error;
mod files;
mod handshake;
mod options;

pub use error::{TlsError, TlsSetupError};
pub(super) use handshake::{Acceptor, Connector};
pub use options::{ClientTls, ServerTls, Tls};

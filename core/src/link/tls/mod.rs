//! TLS for TCP, with certificates of one's own CA: rustls, TLS 1.3 (RFC 8446) and nothing older.
//!
//! TLS keeps others from reading and changing bytes in transit. The login (SCRAM) inside TLS still
//! decides which clients are accepted, and so do client certificates if the server asks for them. A
//! client trusts only the CA file that it is given: with the platform's root certificates, any
//! public CA could sign a certificate for a server.
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

pub(super) use error::TlsError;
pub use error::TlsSetupError;
pub(super) use handshake::{Acceptor, Connector};
pub use options::{ClientTls, ServerTls, Tls};

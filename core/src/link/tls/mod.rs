//! TLS for TCP, with certificates of one's own CA: rustls, TLS 1.3 (RFC 8446) and nothing older.
//!
//! TLS keeps others from reading and changing bytes in transit. The login (SCRAM) inside TLS still
//! decides which clients are accepted, and so do client certificates if the server asks for them. A
//! client trusts only the CA file that it is given: with the platform's root certificates, any
//! public CA could sign a certificate for a server.
//!
//! - `options`: the options of a user: [`Tls`], [`ServerTls`], [`ClientTls`]
//! - `files`: certificates and keys, from PEM files to something that can shake hands
//! - `handshake`: the TLS handshake on a connected stream
//! - `error`: errors of files and of handshakes
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

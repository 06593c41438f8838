//! SCRAM-SHA-256 (RFC 5802, RFC 7677): a password proved to a server, and the server to its client.
//!
//! Two state machines, fed with the bytes of one message at a time:
//!
//! ```text
//! ClientHandshake::start   n,,n=app,r=<nonce>          ->
//!                      <-  r=<nonce><nonce>,s=<salt>,i=<iterations>    ServerHandshake::step
//! ClientHandshake::step    c=biws,r=<both>,p=<proof>   ->
//!                      <-  v=<signature>, or e=<why not>               ServerHandshake::step
//! ClientHandshake::step    checks the signature
//! ```
//!
//! - A password is prepared as RFC 8265 has it (`OpaqueString`, without its refusals): its Unicode
//!   forms are one password. A login is used as the UTF-8 bytes that it is; its `,` and `=` travel
//!   as `=2C`, `=3D`.
//! - No channel binding and no authorization id: the header is `n,,` and nothing else.
//! - Messages are read strictly: the fields of the grammar, in its order, each once, no extension.
//! - A server answers an unknown login as it does a known one, with a salt made from its secret,
//!   and refuses it at the end with the same words.
//! - A message longer than [`MESSAGE_BYTES_MAX`] is refused unread.

mod client;
mod credentials;
mod error;
mod logins;
mod message;
mod server;

pub use client::{ClientHandshake, ClientStep};
pub use credentials::{
    Credentials, CredentialsError, Iterations, LOGIN_BYTES_MAX, PASSWORD_BYTES_MAX,
};
pub use error::{AuthError, Refusal};
pub use logins::Logins;
pub use message::{MESSAGE_BYTES_MAX, NONCE_BYTES, Nonce};
pub use server::{ServerHandshake, ServerStep};

#[cfg(test)]
mod tests;

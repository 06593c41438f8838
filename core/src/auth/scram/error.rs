//! Errors of a handshake, on either side.

use std::fmt;

use super::credentials::Iterations;
use super::message::MESSAGE_BYTES_MAX;

/// An error that ends a handshake. The connection is to be closed, after [`AuthError::reply`] where
/// there is one; the handshake takes no further message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// More bytes than any message of the handshake has.
    #[error(
        "a login message of {bytes} bytes came; {MESSAGE_BYTES_MAX} are allowed: the peer speaks \
         another protocol"
    )]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// Bytes that are not the message whose turn it is.
    #[error(
        "the {message} of the login is malformed: {expected} was expected; check that both ends \
         run compatible versions"
    )]
    Malformed {
        /// The message whose turn it was, in the words of RFC 5802.
        message: &'static str,
        /// The part that was expected.
        expected: &'static str,
    },
    /// The peer wants channel binding or an authorization id.
    #[error(
        "the client asks for channel binding or an authorization id, which this server does not \
         offer"
    )]
    Unsupported,
    /// A message of another conversation: a replay, or a server that made up its nonce.
    #[error("the login message belongs to another conversation: its nonce is not this one's")]
    NonceMismatch,
    /// A server that asks its client for too little work, or for too much.
    #[error(
        "the server asks for {asked} iterations; a client accepts {} to {}",
        Iterations::MIN,
        Iterations::MAX
    )]
    Iterations {
        /// The number of rounds that the server asked for.
        asked: u32,
    },
    /// This server refuses: the login is unknown, or the proof wrong. Which, only it knows.
    #[error("login {login:?} is refused: unknown, or its password is wrong")]
    WrongProof {
        /// The login as the client gave it.
        login: String,
    },
    /// The server refuses this client.
    #[error("the server refuses login {login:?}: {refusal}")]
    Refused {
        /// The login that was tried.
        login: String,
        /// The refusal that the server sent.
        refusal: Refusal,
    },
    /// The server does not know the password either: an impostor.
    #[error(
        "the server did not prove that it knows the password of {login:?}: it is not the one this \
         password is for"
    )]
    ServerNotProved {
        /// The login that was tried.
        login: String,
    },
    /// A message came after the handshake had ended.
    #[error("a login message came after the login had ended")]
    Over,
}

impl AuthError {
    /// Returns the message that a server sends before it closes (RFC 5802, server-error). The same
    /// for an unknown login and for a wrong password.
    pub fn reply(&self) -> Vec<u8> {
        let refusal = match self {
            Self::WrongProof { .. } => Refusal::WrongLogin,
            Self::Unsupported => Refusal::Other("channel-binding-not-supported".into()),
            _ => Refusal::Other("other-error".into()),
        };
        refusal.reply()
    }
}

/// A reason of a server to refuse a login, as far as it tells its client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The login is unknown or the password wrong.
    WrongLogin,
    /// Too many failures came from the client's address.
    LockedOut,
    /// Any other reason, in the server's words: at most 64 printable characters.
    Other(String),
}

const WRONG_LOGIN: &str = "invalid-proof";
const LOCKED_OUT: &str = "locked-out";

impl Refusal {
    /// Reads the value of `e=`.
    pub(super) fn parse(value: &str) -> Self {
        match value {
            WRONG_LOGIN | "unknown-user" => Self::WrongLogin,
            LOCKED_OUT => Self::LockedOut,
            other => Self::Other(other.to_owned()),
        }
    }

    /// The server's last message, `e=` and the reason.
    pub fn reply(&self) -> Vec<u8> {
        let value = match self {
            Self::WrongLogin => WRONG_LOGIN,
            Self::LockedOut => LOCKED_OUT,
            Self::Other(value) => value,
        };
        format!("e={value}").into_bytes()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongLogin => f.write_str("unknown, or the password is wrong; check both"),
            Self::LockedOut => f.write_str(
                "this address is locked out after too many failed logins; wait, or ask the \
                 server's operator to unlock it",
            ),
            Self::Other(value) => write!(f, "it says {value:?}"),
        }
    }
}

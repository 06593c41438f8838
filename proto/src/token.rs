//! The proof that a session was issued to the node that dispatches in it.
//!
//! The sequencer issues a [`Token`] with each session. It goes down to the origin alone, and each
//! dispatch carries it back; relays pass both on and keep for themselves where they came from. A
//! session's number is no secret, for it stands in every entry of the log; its token stands in
//! none, nor in a snapshot, an event or any text.
//!
//! A token is HMAC-SHA-256 (RFC 2104, FIPS 180-4) of a number that is used once, under a
//! [`TokenKey`] that exists as long as the sequencer's process, cut to 128 bits. The token is kept
//! in the table of sessions, and so in the backup, where the next process finds it; the key is not.
//!
//! The number of a session is the beginning of SHA-256 of its token. So a standby that becomes the
//! sequencer, and knows the sessions from the log alone, can check a token too. For a reader of the
//! log, to find a token of one of `N` sessions takes 2^64 / `N` hashes. It is of use only at such a
//! standby, and only until the session's own node has been there.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::mutant::mutant;

/// The length of a token, in bytes.
pub const TOKEN_BYTES: usize = 16;

/// The length of a key, in bytes.
pub const TOKEN_KEY_BYTES: usize = 32;

/// A block of SHA-256: HMAC pads a shorter key with zeros to this many bytes.
const BLOCK_BYTES: usize = 64;

/// The key with which one epoch of a sequencer makes its tokens. It never leaves the sequencer.
#[derive(Clone)]
pub struct TokenKey(Zeroizing<[u8; BLOCK_BYTES]>);

impl TokenKey {
    /// From random bytes that were drawn for this process alone.
    pub fn new(random: [u8; TOKEN_KEY_BYTES]) -> Self {
        let mut block = Zeroizing::new([0; BLOCK_BYTES]);
        block[..TOKEN_KEY_BYTES].copy_from_slice(&random);
        TokenKey(block)
    }

    /// The token of a session that this process issues; `number` is given once.
    pub(super) fn token(&self, number: u64) -> Token {
        let mut mac = Hmac::<Sha256>::new((&*self.0).into());
        if !mutant!(OneTokenForAll) {
            mac.update(&number.to_le_bytes());
        }
        let mut token = [0; TOKEN_BYTES];
        token.copy_from_slice(&mac.finalize().into_bytes()[..TOKEN_BYTES]);
        Token(token)
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenKey")
    }
}

/// A secret that the sequencer gave to the origin of one session, and to no other node.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Token([u8; TOKEN_BYTES]);

impl Token {
    /// As it came.
    pub const fn from_bytes(bytes: [u8; TOKEN_BYTES]) -> Self {
        Token(bytes)
    }

    /// As it goes.
    pub const fn to_bytes(self) -> [u8; TOKEN_BYTES] {
        self.0
    }

    /// The number of the session that this token is of.
    pub(super) fn session(&self) -> u64 {
        let digest: [u8; 32] = Sha256::digest(self.0).into();
        let mut number = [0; 8];
        number.copy_from_slice(&digest[..8]);
        u64::from_le_bytes(number)
    }

    /// Compares two tokens in constant time.
    pub(super) fn is(&self, other: &Token) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

/// A session, and the proof that it is the claimant's own.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim {
    /// The number of the session.
    pub session: u64,
    /// The token that was issued with the session.
    pub token: Token,
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "session {:x}", self.session)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_of_one_session_and_one_life() {
        let [one, other] = [1, 2].map(|byte| TokenKey::new([byte; TOKEN_KEY_BYTES]));
        assert!(one.token(7).is(&one.token(7)));
        assert!(!one.token(7).is(&one.token(8)) && !one.token(7).is(&other.token(7)));
    }

    #[test]
    fn a_token_names_its_session() {
        let key = TokenKey::new([7; TOKEN_KEY_BYTES]);
        assert_eq!(key.token(1).session(), key.token(1).session());
        assert_ne!(key.token(1).session(), key.token(2).session());
        assert_eq!(Token::from_bytes([0; TOKEN_BYTES]).session(), 0xd59d_71f7_ff08_4737);
    }

    #[test]
    fn no_text_shows_a_token_or_a_key() {
        let key = TokenKey::new([0xab; TOKEN_KEY_BYTES]);
        let claim = Claim { session: 7, token: key.token(7) };
        let text = format!("{key:?} {:?} {claim:?}", claim.token);
        assert_eq!(text, "TokenKey Token session 7");
    }
}

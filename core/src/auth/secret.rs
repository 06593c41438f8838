//! The server's one secret, and a key of its own for each purpose.
//!
//! A key is HMAC-SHA-256 of the secret over a label, and a value is HMAC-SHA-256 of such a key over
//! the fields it depends on, each preceded by its length so that no two lists of fields are alike.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Bytes of a SHA-256 hash, and of every key here.
pub(super) const KEY_BYTES: usize = 32;

/// A secret of 32 bytes: erased when dropped, compared in constant time.
#[derive(Clone)]
pub(super) struct Key(Zeroizing<[u8; KEY_BYTES]>);

impl Key {
    pub(super) fn new(bytes: [u8; KEY_BYTES]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// HMAC-SHA-256 under this key.
    pub(super) fn mac(&self, message: &[u8]) -> Key {
        let mut mac = self.hmac();
        mac.update(message);
        Key::new(mac.finalize().into_bytes().into())
    }

    /// HMAC-SHA-256 under this key over fields whose borders count.
    pub(super) fn mac_fields(&self, fields: &[&[u8]]) -> Key {
        let mut mac = self.hmac();
        for field in fields {
            mac.update(&(field.len() as u64).to_be_bytes());
            mac.update(field);
        }
        Key::new(mac.finalize().into_bytes().into())
    }

    pub(super) fn xor(&self, other: &Key) -> Key {
        let mut key = self.clone();
        for (byte, other) in key.0.iter_mut().zip(other.bytes()) {
            *byte ^= other;
        }
        key
    }

    pub(super) fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8; KEY_BYTES] {
        &mut self.0
    }

    fn hmac(&self) -> Hmac<Sha256> {
        Hmac::<Sha256>::new_from_slice(&self.0[..]).expect("HMAC takes a key of any length")
    }
}

impl PartialEq for Key {
    /// In constant time, so that the time taken tells nothing of how much was right.
    fn eq(&self, other: &Self) -> bool {
        self.0[..].ct_eq(&other.0[..]).into()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(hidden)")
    }
}

/// A secret of one epoch of a server. Drawn at random when the server starts; a new one makes the
/// tickets of the old worthless, and costs each client one more derivation.
#[derive(Clone, Debug)]
pub struct ServerSecret(Key);

impl ServerSecret {
    /// From 32 bytes of a generator fit for cryptography.
    pub fn new(random: [u8; 32]) -> Self {
        Self(Key::new(random))
    }

    /// The key for one purpose.
    pub(super) fn key(&self, purpose: &str) -> Key {
        self.0.mac_fields(&[purpose.as_bytes()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_borders_of_fields_count() {
        let key = Key::new([7; KEY_BYTES]);
        assert_ne!(key.mac_fields(&[b"ab", b"c"]), key.mac_fields(&[b"a", b"bc"]));
        assert_ne!(key.mac_fields(&[b"ab"]), key.mac_fields(&[b"ab", b""]));
    }

    #[test]
    fn each_purpose_has_a_key_of_its_own_and_debug_hides_them() {
        let secret = ServerSecret::new([7; 32]);
        assert_ne!(secret.key("salts"), secret.key("tickets"));
        assert_eq!(format!("{secret:?}"), "ServerSecret(Key(hidden))");
    }
}

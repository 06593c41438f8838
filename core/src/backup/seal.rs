//! Protection of bytes on disk from being read or changed: encryption with authentication, or,
//! without a key, a checksum.
//!
//! Sealed bytes are `nonce, body, tag`. Keyed: XChaCha20-Poly1305 with a random nonce of 24 bytes
//! and a tag of 16 (RFC 8439; draft-irtf-cfrg-xchacha-03), under the first half of 64 bytes of
//! Argon2id (RFC 9106), version 19. Plain: no nonce, and the first 16 bytes of a SHA-256.

use std::path::Path;

use sha2::{Digest, Sha256};

use super::BackupError;

pub(super) const TAG_BYTES: usize = 16;
#[cfg(feature = "encryption")]
const NONCE_BYTES: usize = 24;

/// The parameters that a key is derived with. They stand in the file, and are no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct Recipe {
    /// Memory in KiB, passes, lanes; all zero: not encrypted.
    pub(super) cost: [u32; 3],
    pub(super) salt: [u8; 16],
    /// Tells a wrong key from damage.
    pub(super) check: [u8; 16],
}

impl Recipe {
    pub(super) fn is_keyed(&self) -> bool {
        self.cost != [0; 3]
    }
}

/// The way in which bytes are sealed.
#[derive(Clone)]
pub(super) enum Seal {
    /// By a checksum.
    Plain,
    /// By a key.
    #[cfg(feature = "encryption")]
    Keyed(Box<chacha20poly1305::XChaCha20Poly1305>),
}

impl Seal {
    /// For a new backup. Takes tens of milliseconds if there is a passphrase.
    pub(super) fn begin(
        passphrase: Option<&[u8]>,
        path: &Path,
    ) -> Result<(Seal, Recipe), BackupError> {
        match passphrase {
            None => Ok((Seal::Plain, Recipe::default())),
            #[cfg(feature = "encryption")]
            Some(passphrase) => keyed::begin(passphrase, path),
            #[cfg(not(feature = "encryption"))]
            Some(_) => Err(BackupError::EncryptionMissing(path.to_path_buf())),
        }
    }

    /// For the backup that bears this recipe.
    pub(super) fn resume(
        passphrase: Option<&[u8]>,
        recipe: &Recipe,
        path: &Path,
    ) -> Result<Seal, BackupError> {
        match passphrase {
            _ if !recipe.is_keyed() => Ok(Seal::Plain),
            #[cfg(feature = "encryption")]
            Some(passphrase) => keyed::resume(passphrase, recipe, path),
            #[cfg(feature = "encryption")]
            None => Err(BackupError::KeyNeeded(path.to_path_buf())),
            #[cfg(not(feature = "encryption"))]
            _ => Err(BackupError::EncryptionMissing(path.to_path_buf())),
        }
    }

    /// Returns the number of bytes that sealing adds.
    pub(super) fn overhead(&self) -> usize {
        match self {
            Seal::Plain => TAG_BYTES,
            #[cfg(feature = "encryption")]
            Seal::Keyed(_) => NONCE_BYTES + TAG_BYTES,
        }
    }

    /// Appends what goes before a body to `out`, and says where the body begins.
    pub(super) fn open_body(&self, out: &mut Vec<u8>) -> Result<usize, String> {
        out.extend_from_slice(&self.nonce()?);
        Ok(out.len())
    }

    fn nonce(&self) -> Result<Vec<u8>, String> {
        match self {
            Seal::Plain => Ok(Vec::new()),
            #[cfg(feature = "encryption")]
            Seal::Keyed(_) => {
                let mut nonce = vec![0; NONCE_BYTES];
                getrandom::fill(&mut nonce).map_err(|error| error.to_string())?;
                Ok(nonce)
            }
        }
    }

    /// Seals the body, which is all of `out` from `body` on, together with `context`.
    pub(super) fn close_body(
        &self,
        context: &[u8],
        out: &mut Vec<u8>,
        body: usize,
    ) -> Result<(), String> {
        let tag = match self {
            Seal::Plain => checksum(context, &out[body..]),
            #[cfg(feature = "encryption")]
            Seal::Keyed(cipher) => keyed::encrypt(cipher, context, out, body)?,
        };
        out.extend_from_slice(&tag);
        Ok(())
    }

    /// The body of sealed bytes; `None` if they, or the context, are not what was sealed.
    pub(super) fn unseal<'a>(&self, context: &[u8], sealed: &'a mut [u8]) -> Option<&'a [u8]> {
        match self {
            Seal::Plain => {
                let (body, tag) = sealed.split_last_chunk::<TAG_BYTES>()?;
                (checksum(context, body) == *tag).then_some(body)
            }
            #[cfg(feature = "encryption")]
            Seal::Keyed(cipher) => keyed::decrypt(cipher, context, sealed),
        }
    }
}

fn checksum(context: &[u8], body: &[u8]) -> [u8; TAG_BYTES] {
    let mut hasher = Sha256::new();
    hasher.update((context.len() as u64).to_le_bytes());
    hasher.update(context);
    hasher.update(body);
    let mut tag = [0; TAG_BYTES];
    tag.iter_mut().zip(hasher.finalize()).for_each(|(to, from)| *to = from);
    tag
}

#[cfg(feature = "encryption")]
mod keyed {
    use std::path::Path;

    use argon2::{Algorithm, Argon2, Params, Version};
    use chacha20poly1305::aead::AeadInOut;
    use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
    use subtle::ConstantTimeEq;
    use zeroize::Zeroizing;

    use super::{NONCE_BYTES, Recipe, Seal, TAG_BYTES};
    use crate::backup::BackupError;

    /// The least that OWASP's Password Storage Cheat Sheet asks for: 19 MiB, two passes, one lane.
    const COST: [u32; 3] = [19 << 10, 2, 1];

    /// A file may ask for this much at most: 256 MiB, 16 passes, 16 lanes.
    const COST_MAX: [u32; 3] = [256 << 10, 16, 16];

    pub(super) fn begin(passphrase: &[u8], path: &Path) -> Result<(Seal, Recipe), BackupError> {
        let mut salt = [0; 16];
        let failed = |why: String| BackupError::Key { path: path.to_path_buf(), why };
        getrandom::fill(&mut salt).map_err(|error| failed(error.to_string()))?;
        let (seal, check) = derive(passphrase, COST, &salt).map_err(failed)?;
        Ok((seal, Recipe { cost: COST, salt, check }))
    }

    pub(super) fn resume(
        passphrase: &[u8],
        recipe: &Recipe,
        path: &Path,
    ) -> Result<Seal, BackupError> {
        let failed = |why: String| BackupError::Key { path: path.to_path_buf(), why };
        if recipe.cost.iter().zip(COST_MAX).any(|(cost, max)| *cost > max) {
            return Err(failed("its header asks for more memory or time than is allowed".into()));
        }
        let (seal, check) = derive(passphrase, recipe.cost, &recipe.salt).map_err(failed)?;
        match bool::from(check.ct_eq(&recipe.check)) {
            true => Ok(seal),
            false => Err(BackupError::WrongKey(path.to_path_buf())),
        }
    }

    /// 64 bytes: the key, 16 that show whether the key is right, and 16 that are not used.
    fn derive(
        passphrase: &[u8],
        cost: [u32; 3],
        salt: &[u8; 16],
    ) -> Result<(Seal, [u8; 16]), String> {
        let [memory, passes, lanes] = cost;
        let mut bytes = Zeroizing::new([0; 64]);
        let params = Params::new(memory, passes, lanes, Some(bytes.len()));
        let params = params.map_err(|error| error.to_string())?;
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase, salt, &mut *bytes)
            .map_err(|error| error.to_string())?;
        let (key, rest) = bytes.split_at(32);
        let mut check = [0; 16];
        check.copy_from_slice(&rest[..16]);
        let cipher = XChaCha20Poly1305::new_from_slice(key).map_err(|error| error.to_string())?;
        Ok((Seal::Keyed(Box::new(cipher)), check))
    }

    pub(super) fn encrypt(
        cipher: &XChaCha20Poly1305,
        context: &[u8],
        out: &mut [u8],
        body: usize,
    ) -> Result<[u8; TAG_BYTES], String> {
        let (before, plain) = out.split_at_mut(body);
        let nonce = before.last_chunk::<NONCE_BYTES>().ok_or("there is no nonce")?;
        let tag = cipher.encrypt_inout_detached(&XNonce::from(*nonce), context, plain.into());
        tag.map(Into::into).map_err(|_| "it is too long".into())
    }

    pub(super) fn decrypt<'a>(
        cipher: &XChaCha20Poly1305,
        context: &[u8],
        sealed: &'a mut [u8],
    ) -> Option<&'a [u8]> {
        let (nonce, rest) = sealed.split_first_chunk_mut::<NONCE_BYTES>()?;
        let (body, tag) = rest.split_last_chunk_mut::<TAG_BYTES>()?;
        let (nonce, tag) = (XNonce::from(*nonce), (*tag).into());
        let opened = cipher.decrypt_inout_detached(&nonce, context, (&mut *body).into(), &tag);
        opened.ok().map(|()| &*body)
    }
}

//! The check that a value survives its codec, and the path of what does not.

use samestate_proto::wire::Codec;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::bytes::{Misfit, decode, misfit, roomy, write};
use super::outline::{Outline, Path};
use super::walk::Trail;
use crate::state::digest;

/// The parts of a value that are tried as the cause of a decoder's error.
const TRIES_MAX: usize = 256;

/// The bytes that all of these tries together may encode.
const TRIED_BYTES_MAX: usize = 64 << 20;

/// Decodes `bytes`, the encoded `value`.
///
/// # Errors
///
/// In words: the path of the part that cannot be decoded, and why.
pub(crate) fn decode_own<T: Serialize + DeserializeOwned + Send + Sync>(
    codec: Codec,
    value: &T,
    bytes: &[u8],
) -> Result<T, String> {
    decode(codec, bytes).map_err(|why| {
        let blamed = roomy(|| Ok(blamed(codec, value, bytes)));
        blamed.ok().flatten().unwrap_or(why)
    })
}

/// Checks that `bytes`, the encoded value, decode to a value with the same digest, and returns
/// that.
///
/// # Errors
///
/// In words: the path of the part that does not come back, and why.
pub(crate) fn check<T: Serialize + DeserializeOwned + Send + Sync>(
    codec: Codec,
    value: &T,
    bytes: &[u8],
) -> Result<T, String> {
    let back = decode_own(codec, value, bytes)?;
    let digest = |value: &T| digest(value).map_err(|error| error.to_string());
    if digest(value)? == digest(&back)? {
        return Ok(back);
    }
    match outline(value).difference(&outline(&back)) {
        None => Ok(back),
        Some(path) => Err(path.of("the value that comes back from its encoding is another")),
    }
}

/// Returns the path of the first part in which two values differ, as a text; `None` if they have
/// the same digest.
///
/// # Errors
///
/// In words: the part of a value that has no digest.
pub(crate) fn difference<T: Serialize>(one: &T, other: &T) -> Result<Option<String>, String> {
    let digest = |value: &T| digest(value).map_err(|error| error.to_string());
    if digest(one)? == digest(other)? {
        return Ok(None);
    }
    let path = outline(one).difference(&outline(other)).unwrap_or_default();
    Ok(Some(path.to_string()))
}

/// The parts of a value as its digest sees them.
fn outline<T: Serialize>(value: &T) -> Outline {
    let trail = Trail::recording(Codec::MessagePack, None);
    // What cannot be serialised has no digest either, and is not compared.
    let _ = write(Codec::MessagePack, value, std::io::sink(), &trail);
    let mut outline = trail.into_outline();
    outline.is_of::<T>();
    outline
}

/// Returns the decoder's message, with the path of the part that it concerns.
fn blamed<T: Serialize + DeserializeOwned>(
    codec: Codec,
    value: &T,
    bytes: &[u8],
) -> Option<String> {
    let Misfit { path, why } = misfit::<T>(codec, bytes)?;
    let part = culprit(codec, value, &path, &why, bytes.len());
    Some(part.unwrap_or(path).of(&why))
}

/// The part inside of `path` that the decoder means.
///
/// The path of an error ends where serde holds parts back (`flatten`, `untagged`, `tag`). So each
/// part inside is replaced by nothing in turn: for the one that is meant, the decoder goes on to
/// expect the same and to find another thing, or has no objection left.
fn culprit<T: Serialize + DeserializeOwned>(
    codec: Codec,
    value: &T,
    path: &Path,
    why: &str,
    len: usize,
) -> Option<Path> {
    let expected = why.split_once(", expected ")?.1;
    let record = |blank| {
        let (mut bytes, trail) = (Vec::new(), Trail::recording(codec, blank));
        let written = write(codec, value, &mut bytes, &trail);
        written.ok().map(|()| (bytes, trail.into_outline()))
    };
    let (_, outline) = record(None)?;
    let tries = TRIES_MAX.min(TRIED_BYTES_MAX / len.max(1));
    let mut parts = outline.inside(path).take(tries);
    let meant = parts.find(|part| {
        let Some((bytes, _)) = record(Some(*part)) else { return false };
        match misfit::<T>(codec, &bytes) {
            None => true,
            Some(other) => other.why != why && other.why.ends_with(expected),
        }
    });
    meant.map(|part| outline.path_to(part))
}

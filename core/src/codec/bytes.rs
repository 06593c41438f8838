//! Encoding and decoding.
//!
//! Both recurse as deep as a value nests, so both are bounded, and by the same number: the levels
//! that the codec's decoder reads back.

use std::panic::resume_unwind;
use std::thread;

use samestate_proto::wire::Codec;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::nesting;
use super::outline::Path;
use super::walk::{Trail, Walk};

/// The levels of sequences, maps and enums that `serde_json` decodes.
const JSON_LEVELS_MAX: u16 = 127;

/// The levels that `rmp_serde` decodes.
const MESSAGE_PACK_LEVELS_MAX: u16 = 1023;

/// Values with more levels are encoded and decoded on a thread of their own: without optimisation
/// a level takes about 2 KiB of stack, and threads commonly have 2 MiB.
const SHALLOW_LEVELS: u16 = 128;

/// The stack of such a thread: 1,023 levels, and as much again to find out where an error lies.
const STACK_BYTES: usize = 64 << 20;

/// The levels of sequences, maps and enums that a codec decodes.
pub(super) fn levels_max(codec: Codec) -> u16 {
    match codec {
        Codec::MessagePack => MESSAGE_PACK_LEVELS_MAX,
        Codec::Json => JSON_LEVELS_MAX,
    }
}

/// Returns the message for a value that nests deeper than the limit.
pub(super) fn too_deep(levels_max: u16) -> String {
    format!("it nests deeper than the {levels_max} levels that its codec decodes")
}

/// Appends the encoded value to `out`.
///
/// # Errors
///
/// In words: where the value has something that the codec cannot express, and what.
pub(crate) fn encode<T: Serialize + Sync + ?Sized>(
    codec: Codec,
    value: &T,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    let written = out.len();
    let trail = Trail::counting(SHALLOW_LEVELS.min(levels_max(codec)));
    let shallow = write(codec, value, &mut *out, &trail);
    if shallow.is_ok() {
        return Ok(());
    }
    out.truncate(written);
    let exceeded = trail.is_exceeded();
    roomy(|| {
        let trail = Trail::counting(levels_max(codec));
        if exceeded && write(codec, value, &mut *out, &trail).is_ok() {
            return Ok(());
        }
        out.truncate(written);
        // Once more, to learn where: the path costs too much to be kept every time.
        let trail = Trail::recording(codec, None);
        match write(codec, value, std::io::sink(), &trail) {
            Err(why) => Err(trail.into_outline().failed().of(&why)),
            Ok(()) => Err("it cannot be encoded every time".to_owned()),
        }
    })
}

/// As [`encode`], but at most `bytes_max` bytes, and without a search for what failed.
///
/// # Errors
///
/// In words: why the value is not written.
pub(crate) fn encode_within<T: Serialize + Sync + ?Sized>(
    codec: Codec,
    value: &T,
    bytes_max: usize,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    let written = out.len();
    let trail = Trail::counting(SHALLOW_LEVELS.min(levels_max(codec)));
    let mut result = write(codec, value, Within { out: &mut *out, room: bytes_max }, &trail);
    if result.is_err() && trail.is_exceeded() && SHALLOW_LEVELS < levels_max(codec) {
        out.truncate(written);
        result = roomy(|| {
            let trail = Trail::counting(levels_max(codec));
            write(codec, value, Within { out: &mut *out, room: bytes_max }, &trail)
        });
    }
    if result.is_err() {
        out.truncate(written);
    }
    result
}

/// Passes a number of bytes on, and refuses more.
struct Within<W> {
    out: W,
    room: usize,
}

impl<W: std::io::Write> std::io::Write for Within<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let left = self.room.checked_sub(bytes.len());
        self.room = left.ok_or(std::io::ErrorKind::StorageFull)?;
        self.out.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Returns the size of the encoded value, in bytes. Returns `None` if the value has more than
/// `bytes_max`, cannot be encoded, or nests deeper than an ordinary stack allows.
pub(crate) fn encoded_bytes<T: Serialize + ?Sized>(
    codec: Codec,
    value: &T,
    bytes_max: usize,
) -> Option<usize> {
    let mut counted = Within { out: std::io::sink(), room: bytes_max };
    write_shallow(codec, value, &mut counted).ok()?;
    Some(bytes_max - counted.room)
}

/// Writes the encoded value.
///
/// # Errors
///
/// If the value cannot be encoded, or nests deeper than an ordinary stack allows.
pub(crate) fn write_shallow<T: Serialize + ?Sized>(
    codec: Codec,
    value: &T,
    out: impl std::io::Write,
) -> Result<(), String> {
    let trail = Trail::counting(SHALLOW_LEVELS.min(levels_max(codec)));
    write(codec, value, out, &trail)
}

/// Writes the value by way of `trail`.
pub(super) fn write<T: Serialize + ?Sized>(
    codec: Codec,
    value: &T,
    out: impl std::io::Write,
    trail: &Trail,
) -> Result<(), String> {
    match codec {
        Codec::MessagePack => {
            let mut serializer = rmp_serde::Serializer::new(out).with_struct_map();
            let walked = value.serialize(Walk::new(&mut serializer, trail));
            walked.map_err(|error| error.to_string())
        }
        Codec::Json => {
            let mut serializer = serde_json::Serializer::new(out);
            let walked = value.serialize(Walk::new(&mut serializer, trail));
            walked.map_err(|error| without_place(error.to_string()))
        }
    }
}

/// Decodes a value.
///
/// # Errors
///
/// In words: where the bytes are not such a value, and why.
pub(crate) fn decode<T: DeserializeOwned + Send>(codec: Codec, bytes: &[u8]) -> Result<T, String> {
    let levels_max = usize::from(levels_max(codec));
    let levels = match codec {
        Codec::MessagePack => nesting::levels(bytes, levels_max),
        // This decoder counts all levels by itself.
        Codec::Json => 0,
    };
    if levels > levels_max {
        Err(too_deep(MESSAGE_PACK_LEVELS_MAX))
    } else if levels > usize::from(SHALLOW_LEVELS) {
        roomy(|| decode_here(codec, bytes))
    } else {
        decode_here(codec, bytes)
    }
}

fn decode_here<T: DeserializeOwned>(codec: Codec, bytes: &[u8]) -> Result<T, String> {
    let decoded = match codec {
        Codec::MessagePack => rmp_serde::from_slice(bytes).ok(),
        Codec::Json => serde_json::from_slice(bytes).ok(),
    };
    decoded.ok_or_else(|| match misfit::<T>(codec, bytes) {
        Some(Misfit { path, why }) => path.of(&why),
        None => "it cannot be decoded every time".to_owned(),
    })
}

/// Runs `work` on a thread with a big stack. A panic continues in the calling thread.
///
/// # Errors
///
/// Those of `work`, and if the system has no thread.
pub(super) fn roomy<R: Send>(work: impl FnOnce() -> Result<R, String> + Send) -> Result<R, String> {
    let mut result = Err("it did not end".to_owned());
    on_big_stack(Box::new(|| result = work()))?;
    result
}

/// Not generic, so that the code that starts a thread is compiled once.
fn on_big_stack(work: Box<dyn FnOnce() + Send + '_>) -> Result<(), String> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, work);
        let thread = thread.map_err(|error| format!("failed to start a thread for it: {error}"))?;
        thread.join().map_err(|panic| resume_unwind(panic))
    })
}

/// A place at which bytes do not decode to the expected value, and the reason.
pub(super) struct Misfit {
    pub(super) path: Path,
    pub(super) why: String,
}

/// Decodes once more, to learn where it fails.
pub(super) fn misfit<T: DeserializeOwned>(codec: Codec, bytes: &[u8]) -> Option<Misfit> {
    use serde_path_to_error::{Error, deserialize};
    fn split<E: std::fmt::Display>(error: Error<E>) -> Misfit {
        let why = without_place(error.inner().to_string());
        Misfit { path: Path::from(error.path()), why }
    }
    match codec {
        Codec::MessagePack => {
            let mut deserializer = rmp_serde::Deserializer::from_read_ref(bytes);
            deserialize::<_, T>(&mut deserializer).err().map(split)
        }
        Codec::Json => {
            let mut deserializer = serde_json::Deserializer::from_slice(bytes);
            let decoded = deserialize::<_, T>(&mut deserializer);
            decoded.err().map(split).or_else(|| {
                let why = without_place(deserializer.end().err()?.to_string());
                Some(Misfit { path: Path::default(), why })
            })
        }
    }
}

/// Removes the offset in the bytes from a message of `serde_json`, because users never see the
/// bytes.
fn without_place(error: String) -> String {
    match error.rfind(" at line ") {
        Some(place) => error[..place].to_owned(),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::state::digest;

    #[derive(Debug, Serialize, Deserialize)]
    enum Tree {
        Leaf,
        Reply(Box<Tree>),
    }

    #[derive(Serialize)]
    struct Wrapped(Option<Box<Wrapped>>);

    const ENDLESS: usize = 100_000;

    fn refused<T: Serialize + Sync>(codec: Codec, value: &T) -> String {
        let mut out = b"before".to_vec();
        let refused = encode(codec, value, &mut out).expect_err("it is too deep");
        assert_eq!(out, b"before");
        refused
    }

    #[test]
    fn bytes_that_nest_without_end_are_refused_and_exhaust_no_stack() {
        for packed in [&b"\x81\xa5Reply"[..], b"\x91", b"\xdc\x00\x01", b"\x81\x01"] {
            let packed = packed.repeat(ENDLESS);
            let error = decode::<Tree>(Codec::MessagePack, &packed).expect_err("too deep");
            assert!(error.contains("1023 levels"), "{error}");
            assert!(decode::<serde_json::Value>(Codec::MessagePack, &packed).is_err());
        }
        for json in ["{\"Reply\":", "["] {
            let json = json.repeat(ENDLESS);
            assert!(decode::<Tree>(Codec::Json, json.as_bytes()).is_err());
            assert!(decode::<serde_json::Value>(Codec::Json, json.as_bytes()).is_err());
        }
    }

    #[test]
    fn a_value_that_nests_without_end_is_refused_and_exhausts_no_stack() {
        let mut tree = (0..ENDLESS).fold(Tree::Leaf, |tree, _| Tree::Reply(Box::new(tree)));
        let mut wrapped =
            (0..ENDLESS).fold(Wrapped(None), |inner, _| Wrapped(Some(Box::new(inner))));
        for codec in [Codec::MessagePack, Codec::Json] {
            for error in [refused(codec, &tree), refused(codec, &wrapped)] {
                assert!(error.contains("nests deeper"), "{error}");
            }
        }
        assert!(digest(&tree).is_err() && digest(&wrapped).is_err());
        // Dropping them at once would recurse.
        while let Tree::Reply(inner) = tree {
            tree = *inner;
        }
        while let Some(inner) = wrapped.0.take() {
            wrapped = *inner;
        }
    }

    #[test]
    fn what_fits_survives_at_the_limit_and_not_a_level_beyond() {
        for codec in [Codec::MessagePack, Codec::Json] {
            let tree = |levels| (0..levels).fold(Tree::Leaf, |tree, _| Tree::Reply(Box::new(tree)));
            let levels_max = usize::from(levels_max(codec));
            let mut bytes = Vec::new();
            encode(codec, &tree(levels_max), &mut bytes).expect("it fits");
            let back: Tree = decode(codec, &bytes).expect("it fits");
            assert_eq!(digest(&back), digest(&tree(levels_max)));
            let error = refused(codec, &tree(levels_max + 1));
            assert!(error.contains(&format!("{levels_max} levels")), "{error}");
        }
    }
}

//! The file of a whole state.
//!
//! ```text
//! magic            8   "SAMESTBK"
//! format           u16
//! reserved         u16
//! key's recipe         memory u32, passes u32, lanes u32, salt 16, check 16; zeros: not encrypted
//! id               16  random; the journal that goes on from here bears it
//! length           u64 of what follows the header
//! CRC-32           u32 of the header up to here
//! sealed               length u32, head (MessagePack), state; the header is sealed with it
//! ```

use std::path::Path;

use samestate_proto::replication::Image;
use samestate_proto::wire::{COUNT_MAX, Codec};
use serde::{Deserialize, Serialize};

use super::BackupError;
use super::seal::{Recipe, Seal};

/// The format that this release writes, and the newest that it reads.
pub(super) const FORMAT: u16 = 1;

const MAGIC: &[u8; 8] = b"SAMESTBK";
pub(super) const HEADER_BYTES: usize = 84;
const CRC_AT: usize = HEADER_BYTES - 4;

/// Tells one whole backup from another.
pub(super) type Id = [u8; 16];

/// The identity of the store that a backup belongs to.
#[derive(Clone, Debug)]
pub(crate) struct About {
    pub(crate) store: String,
    pub(crate) schema_version: u32,
    pub(crate) codec: Codec,
}

/// The header before the state.
#[derive(Serialize, Deserialize)]
struct Head {
    store: String,
    schema_version: u32,
    json: bool,
    /// Its store was closed: there is nothing that this does not hold.
    #[serde(default)]
    closed: bool,
    image: Image,
}

/// A whole backup that was read.
pub(super) struct Whole {
    pub(super) id: Id,
    pub(super) closed: bool,
    pub(super) image: Image,
    pub(super) state: Vec<u8>,
    pub(super) recipe: Recipe,
}

/// The contents of a whole backup that is to be written.
pub(super) struct Draft<'a> {
    pub(super) about: &'a About,
    pub(super) id: Id,
    pub(super) closed: bool,
    pub(super) image: &'a Image,
    pub(super) state: &'a [u8],
}

impl Draft<'_> {
    /// All bytes of the file.
    pub(super) fn bytes(self, seal: &Seal, recipe: &Recipe) -> Result<Vec<u8>, String> {
        let head = Head {
            store: self.about.store.clone(),
            schema_version: self.about.schema_version,
            json: self.about.codec == Codec::Json,
            closed: self.closed,
            image: self.image.clone(),
        };
        let head = rmp_serde::to_vec_named(&head).map_err(|error| error.to_string())?;
        let head_len = u32::try_from(head.len()).map_err(|_| "there are too many sessions")?;
        let sealed_len = 4 + head.len() + self.state.len() + seal.overhead();
        let mut out = Vec::with_capacity(HEADER_BYTES + sealed_len);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&FORMAT.to_le_bytes());
        out.extend_from_slice(&[0; 2]);
        recipe.cost.iter().for_each(|cost| out.extend_from_slice(&cost.to_le_bytes()));
        out.extend_from_slice(&recipe.salt);
        out.extend_from_slice(&recipe.check);
        out.extend_from_slice(&self.id);
        out.extend_from_slice(&(sealed_len as u64).to_le_bytes());
        out.extend_from_slice(&crc32fast::hash(&out).to_le_bytes());
        let context = out.clone();
        let body = seal.open_body(&mut out)?;
        out.extend_from_slice(&head_len.to_le_bytes());
        out.extend_from_slice(&head);
        out.extend_from_slice(self.state);
        seal.close_body(&context, &mut out, body)?;
        Ok(out)
    }
}

/// The id and the length of the file that begins so; `None` if that is no whole backup.
pub(super) fn begun(start: &[u8]) -> Option<(Id, u64)> {
    let header = start.get(..HEADER_BYTES).filter(|header| header.starts_with(MAGIC))?;
    let intact = crc32fast::hash(&header[..CRC_AT]).to_le_bytes() == header[CRC_AT..];
    let sealed = u64::from_le_bytes(part(header, 72));
    intact.then(|| (part(header, 56), sealed.saturating_add(HEADER_BYTES as u64)))
}

/// Reads the bytes of a file. `seal` makes what opens it of its recipe.
pub(super) fn read(
    mut bytes: Vec<u8>,
    path: &Path,
    about: &About,
    seal: impl FnOnce(&Recipe) -> Result<Seal, BackupError>,
) -> Result<(Whole, Seal), BackupError> {
    let (have, owned) = (bytes.len() as u64, || path.to_path_buf());
    let damaged = |part| BackupError::Damaged { path: owned(), part };
    let short = |want: u64| BackupError::Truncated { path: owned(), have, want };
    check(&bytes, path)?;
    let (header, sealed) =
        bytes.split_at_mut_checked(HEADER_BYTES).ok_or_else(|| short(HEADER_BYTES as u64))?;
    if crc32fast::hash(&header[..CRC_AT]).to_le_bytes() != header[CRC_AT..] {
        return Err(damaged("its header"));
    }
    let u32_at = |at: usize| u32::from_le_bytes(part(header, at));
    let recipe = Recipe {
        cost: [u32_at(12), u32_at(16), u32_at(20)],
        salt: part(header, 24),
        check: part(header, 40),
    };
    let (id, len) = (part(header, 56), u64::from_le_bytes(part(header, 72)));
    match (sealed.len() as u64).cmp(&len) {
        std::cmp::Ordering::Less => return Err(short(len.saturating_add(HEADER_BYTES as u64))),
        std::cmp::Ordering::Greater => return Err(damaged("bytes follow its end")),
        std::cmp::Ordering::Equal => {}
    }
    let seal = seal(&recipe)?;
    let body = seal.unseal(header, sealed).ok_or_else(|| damaged("its content"))?;
    let (head_len, rest) = body.split_first_chunk::<4>().ok_or_else(|| damaged("its head"))?;
    let head_len = u32::from_le_bytes(*head_len) as usize;
    let (head, state) = rest.split_at_checked(head_len).ok_or_else(|| damaged("its head"))?;
    let head: Head = rmp_serde::from_slice(head).map_err(|_| damaged("its head"))?;
    let Head { closed, image, .. } = head.checked(path, about)?;
    // What a checksum cannot say: whether who wrote it meant well.
    if image.version.seq > COUNT_MAX || !image.lineage.contains(image.version) {
        return Err(damaged("its head"));
    }
    Ok((Whole { id, closed, image, state: state.to_vec(), recipe }, seal))
}

impl Head {
    fn checked(self, path: &Path, about: &About) -> Result<Self, BackupError> {
        let path = path.to_path_buf();
        let found = if self.json { Codec::Json } else { Codec::MessagePack };
        if self.store != about.store {
            let (found, ours) = (self.store, about.store.clone());
            return Err(BackupError::OtherStore { path, found, ours });
        }
        if self.schema_version != about.schema_version {
            let (found, ours) = (self.schema_version, about.schema_version);
            return Err(BackupError::OtherSchema { path, found, ours });
        }
        if found != about.codec {
            return Err(BackupError::OtherCodec { path, found, ours: about.codec });
        }
        Ok(self)
    }
}

/// Checks that these are the first bytes of a whole backup, in a known format.
pub(super) fn check(bytes: &[u8], path: &Path) -> Result<(), BackupError> {
    check_kind(bytes, MAGIC, path, HEADER_BYTES as u64)
}

/// Checks that these are the bytes of such a file, in a known format.
pub(super) fn check_kind(
    bytes: &[u8],
    magic: &[u8; 8],
    path: &Path,
    want: u64,
) -> Result<(), BackupError> {
    let path = || path.to_path_buf();
    let begins = bytes.iter().zip(magic).all(|(byte, magic)| byte == magic);
    if !begins {
        return Err(BackupError::Foreign(path()));
    }
    let Some(format) = bytes.get(8..10) else {
        return Err(BackupError::Truncated { path: path(), have: bytes.len() as u64, want });
    };
    let found = u16::from_le_bytes(part(format, 0));
    match found > FORMAT {
        true => Err(BackupError::NewerFormat { path: path(), found, known: FORMAT }),
        false => Ok(()),
    }
}

/// `N` bytes at a place that is known to be there; zeros otherwise.
pub(super) fn part<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..).and_then(|rest| rest.first_chunk::<N>()).copied().unwrap_or([0; N])
}

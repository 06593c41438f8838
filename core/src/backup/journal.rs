//! The file of what was ordered since a whole backup.
//!
//! ```text
//! magic      8   "SAMESTJL"
//! format     u16
//! reserved   u16
//! base       16  the id of the whole backup that it goes on from
//! CRC-32     u32 of the header up to here
//!
//! then blocks:
//! magic      u32
//! number     u64 from 0
//! length     u32 of what is sealed
//! CRC-32     u32 of the base's id and the block's header up to here
//! sealed         the seq before its first action u64, records;
//!                the base's id and the number are sealed with it
//! ```
//!
//! A block is begun only after the one before it is synced. So whatever a crash leaves half written
//! is the last block, and is dropped; a block that is wrong with another anywhere behind it was
//! changed.

use std::path::{Path, PathBuf};

use super::BackupError;
use super::file_system::NewFile;
use super::files::Files;
use super::seal::Seal;
use super::whole::{FORMAT, Id, check_kind, part};

const MAGIC: &[u8; 8] = b"SAMESTJL";
pub(super) const HEADER_BYTES: usize = 32;
const BLOCK_MAGIC: [u8; 4] = *b"blk\x01";
const BLOCK_HEADER_BYTES: usize = 20;

/// A journal that is being written.
pub(super) struct Journal {
    file: Box<dyn NewFile>,
    path: PathBuf,
    base: Id,
    number: u64,
    bytes: u64,
    block: Vec<u8>,
}

impl Journal {
    /// A journal without blocks, on disk when this returns.
    pub(super) fn create(files: &Files, path: &Path, base: Id) -> Result<Self, BackupError> {
        let mut header = Vec::with_capacity(HEADER_BYTES);
        header.extend_from_slice(MAGIC);
        header.extend_from_slice(&FORMAT.to_le_bytes());
        header.extend_from_slice(&[0; 2]);
        header.extend_from_slice(&base);
        header.extend_from_slice(&crc32fast::hash(&header).to_le_bytes());
        let mut file = files.create(path)?;
        let written = file.write_all(&header).and_then(|()| file.sync());
        written.map_err(|source| BackupError::from_io("write", path, source))?;
        let (path, bytes) = (path.to_path_buf(), HEADER_BYTES as u64);
        Ok(Journal { file, path, base, number: 0, bytes, block: Vec::new() })
    }

    /// Appends a block of records that begin after action `before`. After an error the end of the
    /// file is not known, and nothing may be appended any more.
    pub(super) fn append(
        &mut self,
        seal: &Seal,
        before: u64,
        records: &[u8],
    ) -> Result<(), BackupError> {
        let path = self.path.clone();
        let sealed = 8 + records.len() + seal.overhead();
        let too_long = |_| BackupError::Unencodable { path: path.clone(), why: "too long".into() };
        let sealed = u32::try_from(sealed).map_err(too_long)?;
        let header = block_header(&self.base, self.number, sealed);
        self.block.clear();
        self.block.extend_from_slice(&header);
        let failed = |why: String| BackupError::Unencodable { path: path.clone(), why };
        let body = seal.open_body(&mut self.block).map_err(failed)?;
        self.block.extend_from_slice(&before.to_le_bytes());
        self.block.extend_from_slice(records);
        let context = context_of(&self.base, self.number);
        seal.close_body(&context, &mut self.block, body).map_err(failed)?;
        let written = self.file.write_all(&self.block);
        written.map_err(|source| BackupError::from_io("write", &path, source))?;
        self.number += 1;
        self.bytes += self.block.len() as u64;
        Ok(())
    }

    /// All blocks are on disk when this returns.
    pub(super) fn sync(&mut self) -> Result<(), BackupError> {
        let synced = self.file.sync();
        synced.map_err(|source| BackupError::from_io("sync", &self.path, source))
    }

    /// It was renamed.
    pub(super) fn moved(&mut self, path: &Path) {
        self.path = path.to_path_buf();
    }

    pub(super) fn base(&self) -> Id {
        self.base
    }

    /// Its length on disk.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// A journal that was read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Blocks {
    pub(super) base: Id,
    /// The seq before the first action of each block, and its records.
    pub(super) blocks: Vec<(u64, Vec<u8>)>,
    /// The number of bytes at the end that are no whole block.
    pub(super) torn: usize,
}

/// Returns the id of the whole backup that a journal continues.
pub(super) fn base_of(bytes: &[u8], path: &Path) -> Result<Id, BackupError> {
    check_kind(bytes, MAGIC, path, HEADER_BYTES as u64)?;
    let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else {
        let (have, want) = (bytes.len() as u64, HEADER_BYTES as u64);
        return Err(BackupError::Truncated { path: path.to_path_buf(), have, want });
    };
    match crc32fast::hash(&header[..28]) == u32::from_le_bytes(part(header, 28)) {
        true => Ok(part(header, 12)),
        false => Err(BackupError::Damaged { path: path.to_path_buf(), part: "its header" }),
    }
}

/// Reads the bytes of a journal.
pub(super) fn read(mut bytes: Vec<u8>, path: &Path, seal: &Seal) -> Result<Blocks, BackupError> {
    let base = base_of(&bytes, path)?;
    let damaged = || BackupError::Damaged { path: path.to_path_buf(), part: "a block" };
    let (mut at, len) = (HEADER_BYTES, bytes.len());
    let mut blocks = Vec::new();
    while at < len {
        let number = blocks.len() as u64;
        let Some((block, end)) = block_at(&mut bytes, at, &base, number, seal) else {
            // A forger may have changed the length in its header, so all that follows is searched.
            let ends = length_of(&base, number, &bytes[at..])
                .map(|sealed| at.saturating_add(BLOCK_HEADER_BYTES).saturating_add(sealed));
            let shorter = ends.is_some_and(|end| end < len);
            if shorter || (at..len).any(|from| begins_later(&base, number, &bytes[from..])) {
                return Err(damaged());
            }
            break;
        };
        blocks.push(block);
        at = end;
    }
    Ok(Blocks { base, blocks, torn: len - at })
}

/// The block of this number that begins at `at`, and where it ends; `None` if it is not whole.
fn block_at(
    bytes: &mut [u8],
    at: usize,
    base: &Id,
    number: u64,
    seal: &Seal,
) -> Option<((u64, Vec<u8>), usize)> {
    let sealed = length_of(base, number, &bytes[at..])?;
    let body = at + BLOCK_HEADER_BYTES;
    let end = body.saturating_add(sealed);
    let opened = seal.unseal(&context_of(base, number), bytes.get_mut(body..end)?)?;
    let (before, records) = opened.split_first_chunk::<8>()?;
    Some(((u64::from_le_bytes(*before), records.to_vec()), end))
}

fn context_of(base: &Id, number: u64) -> [u8; 24] {
    let mut context = [0; 24];
    context[..16].copy_from_slice(base);
    context[16..].copy_from_slice(&number.to_le_bytes());
    context
}

fn block_header(base: &Id, number: u64, sealed: u32) -> [u8; BLOCK_HEADER_BYTES] {
    let mut header = [0; BLOCK_HEADER_BYTES];
    header[..4].copy_from_slice(&BLOCK_MAGIC);
    header[4..12].copy_from_slice(&number.to_le_bytes());
    header[12..16].copy_from_slice(&sealed.to_le_bytes());
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(base);
    hasher.update(&header[..16]);
    header[16..].copy_from_slice(&hasher.finalize().to_le_bytes());
    header
}

/// The length of what is sealed, if `bytes` begin with the header of block `number`.
fn length_of(base: &Id, number: u64, bytes: &[u8]) -> Option<usize> {
    let header = bytes.first_chunk::<BLOCK_HEADER_BYTES>()?;
    let sealed = u32::from_le_bytes(part(header, 12));
    (*header == block_header(base, number, sealed)).then_some(sealed as usize)
}

/// Returns whether `bytes` begin with the header of a block of this journal after `number`.
fn begins_later(base: &Id, number: u64, bytes: &[u8]) -> bool {
    bytes.starts_with(&BLOCK_MAGIC) && {
        let later = u64::from_le_bytes(part(bytes, 4));
        later > number && length_of(base, later, bytes).is_some()
    }
}

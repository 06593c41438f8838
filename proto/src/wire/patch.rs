//! Patches: the changes that an action made to the state, sent beside its entry in mode `delta`.
//!
//! ```text
//! length of the patch  u32
//! CRC-32               u32   over the entry's checksum and the patch
//! patch                encoded by the state
//! ```
//!
//! An empty patch means that the action changed nothing. A relay passes a patch on unchanged, with
//! the checksum that the maker of the patch wrote.

use super::WireError;

/// The length of a patch's header, in bytes.
pub const PATCH_HEADER_BYTES: usize = 8;

/// Writes the header of a patch into its first bytes, which the caller has reserved for it. The
/// checksum needs that of the entry.
pub fn finish_patch(patch: &mut [u8], entry_crc: u32) {
    let Some((header, content)) = patch.split_first_chunk_mut::<PATCH_HEADER_BYTES>() else {
        return;
    };
    header[..4].copy_from_slice(&(content.len() as u32).to_le_bytes());
    header[4..].copy_from_slice(&checksum(entry_crc, content).to_le_bytes());
}

fn checksum(entry_crc: u32, content: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&entry_crc.to_le_bytes());
    hasher.update(content);
    hasher.finalize()
}

/// The consecutive patches in a slice.
#[derive(Clone, Debug)]
pub struct Patches<'a> {
    rest: &'a [u8],
}

impl<'a> Patches<'a> {
    /// Reads from received or logged bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Patches { rest: bytes }
    }

    /// Returns whether no patch is left.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Takes the next patch, which belongs to the entry with this checksum. Returns all bytes of
    /// the patch, the header included.
    ///
    /// # Errors
    ///
    /// If bytes are missing, or the checksum is wrong or that of another entry's patch.
    pub fn take(&mut self, entry_crc: u32) -> Result<&'a [u8], WireError> {
        let header = self.rest.first_chunk::<PATCH_HEADER_BYTES>();
        let header = header.ok_or(WireError::Truncated("patch's header"))?;
        let [a, b, c, d, e, f, g, h] = *header;
        let (len, crc) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
        let end = PATCH_HEADER_BYTES + len as usize;
        let (patch, rest) = self.rest.split_at_checked(end).ok_or(WireError::Truncated("patch"))?;
        if checksum(entry_crc, &patch[PATCH_HEADER_BYTES..]) != crc {
            return Err(WireError::PatchChecksum);
        }
        self.rest = rest;
        Ok(patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patch(content: &[u8], entry_crc: u32) -> Vec<u8> {
        let mut patch = [&[0; PATCH_HEADER_BYTES], content].concat();
        finish_patch(&mut patch, entry_crc);
        patch
    }

    #[test]
    fn patches_come_back_as_they_were_written_each_with_its_entry() {
        let (one, two) = (patch(b"one", 1), patch(b"", 2));
        let bytes = [&one[..], &two].concat();
        let mut patches = Patches::new(&bytes);
        assert_eq!(patches.take(1), Ok(&one[..]));
        assert_eq!(patches.clone().take(1), Err(WireError::PatchChecksum), "it is of another");
        assert_eq!(patches.take(2), Ok(&two[..]));
        assert!(patches.is_empty() && patches.take(3).is_err());
    }

    #[test]
    fn a_flipped_bit_or_a_missing_byte_never_passes() {
        let bytes = patch(b"content", 7);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Patches::new(&flipped).take(7).is_err(), "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert!(Patches::new(&bytes[..len]).take(7).is_err(), "{len} bytes");
        }
    }
}

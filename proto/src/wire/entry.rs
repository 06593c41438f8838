//! An action on its way: the bytes that the origin wrote, unchanged in every log and on every link.
//!
//! ```text
//! length of the payload  u32
//! CRC-32                 u32   over session, counter and payload: written by the origin
//! session                u64
//! counter                u64
//! flags                  u8    the sequencer's; outside of the origin's checksum
//! payload                the encoded action
//! ```
//!
//! An entry does not hold its own seq: entries stand in their order, and what carries them says
//! where the first one stands.

use super::WireError;
use super::reader::COUNT_MAX;

/// The bytes of an entry before its payload.
pub const ENTRY_HEADER_BYTES: usize = 25;

const FLAGS_AT: usize = 24;

/// Every node keeps the digest of its state after this entry.
pub const FLAG_DIGEST: u8 = 1;

/// A dispatch given up by its origin: it takes its counter and does nothing.
pub const FLAG_VOID: u8 = 2;

/// One entry, borrowed from where its bytes lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The dispatching handle.
    pub session: u64,
    /// The number of dispatches of the session before this one, plus one.
    pub counter: u64,
    /// [`FLAG_DIGEST`], [`FLAG_VOID`].
    pub flags: u8,
    /// The origin's checksum.
    pub crc: u32,
    /// The encoded action.
    pub payload: &'a [u8],
    bytes: &'a [u8],
}

impl<'a> Entry<'a> {
    /// Appends a new entry to `out`, as its origin, and returns it.
    pub fn write(
        out: &'a mut Vec<u8>,
        session: u64,
        counter: u64,
        flags: u8,
        payload: &[u8],
    ) -> Entry<'a> {
        let (start, crc) = (out.len(), checksum(session, counter, payload));
        out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        out.extend_from_slice(&crc.to_le_bytes());
        out.extend_from_slice(&session.to_le_bytes());
        out.extend_from_slice(&counter.to_le_bytes());
        out.push(flags);
        out.extend_from_slice(payload);
        let bytes = &out[start..];
        Entry { session, counter, flags, crc, payload: &bytes[ENTRY_HEADER_BYTES..], bytes }
    }

    /// The whole entry as bytes.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Returns whether the bytes are those that the origin wrote.
    pub fn intact(&self) -> bool {
        checksum(self.session, self.counter, self.payload) == self.crc
    }

    /// Appends this entry to `out` with other flags.
    pub fn write_flagged(&self, out: &mut Vec<u8>, flags: u8) {
        let start = out.len();
        out.extend_from_slice(self.bytes);
        out[start + FLAGS_AT] = flags;
    }
}

fn checksum(session: u64, counter: u64, payload: &[u8]) -> u32 {
    let mut head = [0; 16];
    head[..8].copy_from_slice(&session.to_le_bytes());
    head[8..].copy_from_slice(&counter.to_le_bytes());
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&head);
    hasher.update(payload);
    hasher.finalize()
}

/// The entries that stand one after another in a slice. Checks lengths and checksums as it goes,
/// and ends at the first that is wrong.
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    rest: &'a [u8],
}

impl<'a> Entries<'a> {
    /// Over received or logged bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Entries { rest: bytes }
    }

    /// The entry that `bytes` begin with, and what follows it.
    ///
    /// # Errors
    ///
    /// If they are too few, or its checksum is wrong.
    pub fn first(bytes: &'a [u8]) -> Result<(Entry<'a>, &'a [u8]), WireError> {
        let mut entries = Entries::new(bytes);
        Ok((entries.take_one()?, entries.rest))
    }

    fn take_one(&mut self) -> Result<Entry<'a>, WireError> {
        let header = self
            .rest
            .first_chunk::<ENTRY_HEADER_BYTES>()
            .ok_or(WireError::Truncated("entry's header"))?;
        let u32_at = |at: usize| {
            u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
        };
        let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
        let end = ENTRY_HEADER_BYTES + u32_at(0) as usize;
        let (bytes, rest) =
            self.rest.split_at_checked(end).ok_or(WireError::Truncated("entry's payload"))?;
        self.rest = rest;
        let entry = Entry {
            session: u64_at(8),
            counter: u64_at(16),
            flags: header[FLAGS_AT],
            crc: u32_at(4),
            payload: &bytes[ENTRY_HEADER_BYTES..],
            bytes,
        };
        match entry.intact() {
            true if entry.counter <= COUNT_MAX => Ok(entry),
            true => Err(WireError::Malformed("counter")),
            false => Err(WireError::EntryChecksum),
        }
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry<'a>, WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let taken = self.take_one();
        if taken.is_err() {
            self.rest = &[];
        }
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_back_as_they_were_written() {
        let mut bytes = Vec::new();
        Entry::write(&mut bytes, 5, 1, 0, b"one");
        Entry::write(&mut bytes, 5, 2, FLAG_VOID, b"");
        let entries: Vec<_> = Entries::new(&bytes).collect::<Result<_, _>>().unwrap();
        assert_eq!((entries[0].counter, entries[0].payload), (1, &b"one"[..]));
        assert_eq!((entries[1].counter, entries[1].flags), (2, FLAG_VOID));
    }

    #[test]
    fn the_sequencers_flags_leave_the_origins_checksum_whole() {
        let mut bytes = Vec::new();
        Entry::write(&mut bytes, 5, 1, 0, b"one");
        let entry = Entries::new(&bytes).next().unwrap().unwrap();
        let mut flagged = Vec::new();
        entry.write_flagged(&mut flagged, FLAG_DIGEST);
        let flagged = Entries::new(&flagged).next().unwrap().unwrap();
        assert_eq!((flagged.flags, flagged.payload), (FLAG_DIGEST, &b"one"[..]));
    }

    #[test]
    fn a_counter_beyond_all_counting_is_no_entry() {
        for (counter, fits) in [(COUNT_MAX, true), (COUNT_MAX + 1, false)] {
            let mut bytes = Vec::new();
            Entry::write(&mut bytes, 5, counter, 0, b"one");
            assert_eq!(Entries::new(&bytes).next().unwrap().is_ok(), fits);
        }
    }

    #[test]
    fn a_flipped_byte_of_an_entry_never_passes() {
        let mut bytes = Vec::new();
        Entry::write(&mut bytes, 5, 1, 0, b"payload");
        for at in (0..bytes.len()).filter(|at| *at != FLAGS_AT) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x10;
            assert!(Entries::new(&flipped).next().unwrap().is_err(), "byte {at}");
        }
    }
}

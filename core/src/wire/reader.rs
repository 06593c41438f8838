//! Reading integers and byte strings off a slice, and what can be wrong with them.

use thiserror::Error;

/// Why bytes from a peer are not a message. The link they came on is cut.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WireError {
    /// A frame longer than this side accepts; nothing was allocated for it.
    #[error("a frame of {len} bytes exceeds the limit of {limit} bytes")]
    TooLong {
        /// What the peer claimed, in bytes.
        len: usize,
        /// What this side accepts, in bytes.
        limit: usize,
    },
    /// A frame whose bytes are not those that were sent.
    #[error("the checksum of a frame does not match its bytes")]
    FrameChecksum,
    /// An action whose bytes are not those that its origin sent.
    #[error("the checksum of an entry does not match its bytes")]
    EntryChecksum,
    /// The frame ended in the middle of a value.
    #[error("a frame ends inside its {0}")]
    Truncated(&'static str),
    /// A kind of frame that this version does not know.
    #[error("unknown kind of frame: {0}")]
    UnknownKind(u8),
    /// A value outside of what its field may hold.
    #[error("a frame holds an impossible {0}")]
    Malformed(&'static str),
}

/// No store lives for so many actions: 2^62 of them, at ten million a second, take 14,000 years.
pub(crate) const COUNT_MAX: u64 = 1 << 62;

/// A cursor over received bytes.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(rest: &'a [u8]) -> Self {
        Reader { rest }
    }

    pub(crate) fn bytes(&mut self, len: usize, what: &'static str) -> Result<&'a [u8], WireError> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or(WireError::Truncated(what))?;
        self.rest = rest;
        Ok(head)
    }

    pub(crate) fn array<const N: usize>(
        &mut self,
        what: &'static str,
    ) -> Result<[u8; N], WireError> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(WireError::Truncated(what))?;
        self.rest = rest;
        Ok(*head)
    }

    pub(crate) fn u8(&mut self, what: &'static str) -> Result<u8, WireError> {
        Ok(self.array::<1>(what)?[0])
    }

    pub(crate) fn u16(&mut self, what: &'static str) -> Result<u16, WireError> {
        Ok(u16::from_le_bytes(self.array(what)?))
    }

    pub(crate) fn u32(&mut self, what: &'static str) -> Result<u32, WireError> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    pub(crate) fn u64(&mut self, what: &'static str) -> Result<u64, WireError> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    /// A seq or a counter: far enough from the end of its type that adding to it is safe.
    pub(crate) fn count(&mut self, what: &'static str) -> Result<u64, WireError> {
        let count = self.u64(what)?;
        if count <= COUNT_MAX { Ok(count) } else { Err(WireError::Malformed(what)) }
    }

    /// A `u16` length and that many bytes of UTF-8.
    pub(crate) fn text(&mut self, what: &'static str) -> Result<String, WireError> {
        let len = self.u16(what)?;
        let bytes = self.bytes(usize::from(len), what)?;
        String::from_utf8(bytes.to_vec()).map_err(|_| WireError::Malformed(what))
    }

    pub(crate) fn flag(&mut self, what: &'static str) -> Result<bool, WireError> {
        match self.u8(what)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(WireError::Malformed(what)),
        }
    }

    /// How many bytes are left.
    pub(crate) fn remaining(&self) -> usize {
        self.rest.len()
    }

    pub(crate) fn done(&self, what: &'static str) -> Result<(), WireError> {
        if self.rest.is_empty() { Ok(()) } else { Err(WireError::Malformed(what)) }
    }
}

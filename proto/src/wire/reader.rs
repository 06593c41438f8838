//! Reading integers and byte strings off a slice, and what can be wrong with them.

use thiserror::Error;

/// An error of bytes from a peer that are not a message. The link they came on is cut.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WireError {
    /// A frame longer than this side accepts; nothing was allocated for it.
    #[error("a frame of {len} bytes exceeds the limit of {limit} bytes")]
    TooLong {
        /// The length that the peer claimed, in bytes.
        len: usize,
        /// The longest length that this side accepts, in bytes.
        limit: usize,
    },
    /// A frame whose bytes are not those that were sent.
    #[error("the checksum of a frame does not match its bytes")]
    FrameChecksum,
    /// An action whose bytes are not those that its origin sent.
    #[error("the checksum of an entry does not match its bytes")]
    EntryChecksum,
    /// A patch whose bytes are not those that its maker sent with this action.
    #[error("the checksum of a patch does not match its bytes")]
    PatchChecksum,
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
pub const COUNT_MAX: u64 = 1 << 62;

/// A cursor over received bytes.
///
/// Each method takes one field off the front and names it in its error. Integers are little-endian.
#[derive(Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Begins at the first of these bytes.
    pub fn new(rest: &'a [u8]) -> Self {
        Reader { rest }
    }

    /// Takes that many bytes.
    ///
    /// # Errors
    ///
    /// If fewer bytes are left.
    pub fn bytes(&mut self, len: usize, what: &'static str) -> Result<&'a [u8], WireError> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or(WireError::Truncated(what))?;
        self.rest = rest;
        Ok(head)
    }

    /// Takes as many bytes as the array has.
    ///
    /// # Errors
    ///
    /// If fewer bytes are left.
    pub fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], WireError> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(WireError::Truncated(what))?;
        self.rest = rest;
        Ok(*head)
    }

    /// Takes one byte.
    ///
    /// # Errors
    ///
    /// If fewer bytes are left.
    pub fn u8(&mut self, what: &'static str) -> Result<u8, WireError> {
        Ok(self.array::<1>(what)?[0])
    }

    /// Takes a `u16`.
    ///
    /// # Errors
    ///
    /// If fewer bytes are left.
    pub fn u16(&mut self, what: &'static str) -> Result<u16, WireError> {
        Ok(u16::from_le_bytes(self.array(what)?))
    }

    /// Takes a `u32`.
    ///
    /// # Errors
    ///
    /// If fewer bytes are left.
    pub fn u32(&mut self, what: &'static str) -> Result<u32, WireError> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    /// Takes a `u64`.
    ///
    /// # Errors
    ///
    /// If fewer bytes are left.
    pub fn u64(&mut self, what: &'static str) -> Result<u64, WireError> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    /// Takes a seq or a counter: at most [`COUNT_MAX`], so that adding to it is safe.
    ///
    /// # Errors
    ///
    /// If fewer bytes are left, or the number is greater.
    pub fn count(&mut self, what: &'static str) -> Result<u64, WireError> {
        let count = self.u64(what)?;
        if count <= COUNT_MAX { Ok(count) } else { Err(WireError::Malformed(what)) }
    }

    /// Takes a `u16` length and that many bytes of UTF-8.
    ///
    /// # Errors
    ///
    /// If fewer bytes are left, or they are not UTF-8.
    pub fn text(&mut self, what: &'static str) -> Result<String, WireError> {
        let len = self.u16(what)?;
        let bytes = self.bytes(usize::from(len), what)?;
        String::from_utf8(bytes.to_vec()).map_err(|_| WireError::Malformed(what))
    }

    /// Takes a byte that is 0 or 1.
    ///
    /// # Errors
    ///
    /// If no byte is left, or it is neither 0 nor 1.
    pub fn flag(&mut self, what: &'static str) -> Result<bool, WireError> {
        match self.u8(what)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(WireError::Malformed(what)),
        }
    }

    /// The number of bytes left.
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Ends the message `what`.
    ///
    /// # Errors
    ///
    /// If bytes are left.
    pub fn done(&self, what: &'static str) -> Result<(), WireError> {
        if self.rest.is_empty() { Ok(()) } else { Err(WireError::Malformed(what)) }
    }
}

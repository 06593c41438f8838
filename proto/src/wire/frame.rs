//! The envelope of everything on a link.
//!
//! ```text
//! length of the body  u32
//! CRC-32              u32   over all that follows
//! channel             u32   which store; 0 is the link itself
//! kind                u8
//! header check        3 bytes  the low bytes of the CRC-32 over length, channel and kind
//! body
//! ```

use bytes::{Buf, Bytes, BytesMut};

use super::WireError;

/// The bytes of a frame before its body.
pub const FRAME_HEADER_BYTES: usize = 16;

const CHECKED_FROM: usize = 8;

/// The offset of the header's own checksum. Without one, a reader whose length was garbled would
/// wait for bytes that never come.
const HEADER_CHECK_AT: usize = 13;

fn header_check(header: &[u8]) -> [u8; 3] {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&header[..4]);
    hasher.update(&header[CHECKED_FROM..HEADER_CHECK_AT]);
    let [a, b, c, _] = hasher.finalize().to_le_bytes();
    [a, b, c]
}

/// One frame as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The store of the link that the frame is for; 0 is the link itself.
    pub channel: u32,
    /// The kind of the body.
    pub kind: u8,
    /// The rest.
    pub body: Bytes,
}

/// The channel of a store on its links: a hash of its name, never 0.
pub fn channel_of(name: &str) -> u32 {
    crc32fast::hash(name.as_bytes()).max(1)
}

/// Begins a frame at the end of `out`; the body is what the caller appends before
/// [`finish_frame`], to which it hands the position that this returns.
pub fn begin_frame(out: &mut Vec<u8>, channel: u32, kind: u8) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0; CHECKED_FROM]);
    out.extend_from_slice(&channel.to_le_bytes());
    out.extend_from_slice(&[kind, 0, 0, 0]);
    start
}

/// Ends the frame that begins at `start`: writes its length and checksum.
pub fn finish_frame(out: &mut [u8], start: usize) {
    let frame = &mut out[start..];
    let len = (frame.len() - FRAME_HEADER_BYTES) as u32;
    frame[..4].copy_from_slice(&len.to_le_bytes());
    let check = header_check(frame);
    frame[HEADER_CHECK_AT..FRAME_HEADER_BYTES].copy_from_slice(&check);
    let crc = crc32fast::hash(&frame[CHECKED_FROM..]);
    frame[4..8].copy_from_slice(&crc.to_le_bytes());
}

/// Cuts a stream of bytes into frames.
#[derive(Clone, Copy, Debug)]
pub struct Decoder {
    body_bytes_max: usize,
}

impl Decoder {
    /// Refuses bodies of more than `body_bytes_max` bytes as soon as their header is there.
    pub fn new(body_bytes_max: usize) -> Self {
        Decoder { body_bytes_max }
    }

    /// The next frame, taken off the front of `buffer`; `None` until it is whole.
    ///
    /// # Errors
    ///
    /// If a header or checksum is wrong, or a body is announced that is too long. The stream cannot
    /// be read on.
    pub fn decode(&self, buffer: &mut BytesMut) -> Result<Option<Frame>, WireError> {
        let Some(header) = buffer.first_chunk::<FRAME_HEADER_BYTES>() else {
            return Ok(None);
        };
        let word = |at: usize| {
            u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
        };
        let (len, crc, channel, kind) = (word(0) as usize, word(4), word(8), header[12]);
        if len > self.body_bytes_max {
            return Err(WireError::TooLong { len, limit: self.body_bytes_max });
        }
        if header_check(header) != header[HEADER_CHECK_AT..] {
            return Err(WireError::FrameChecksum);
        }
        if buffer.len() < FRAME_HEADER_BYTES + len {
            return Ok(None);
        }
        let mut frame = buffer.split_to(FRAME_HEADER_BYTES + len);
        if crc32fast::hash(&frame[CHECKED_FROM..]) != crc {
            return Err(WireError::FrameChecksum);
        }
        frame.advance(FRAME_HEADER_BYTES);
        Ok(Some(Frame { channel, kind, body: frame.freeze() }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn framed(body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let start = begin_frame(&mut out, 7, 3);
        out.extend_from_slice(body);
        finish_frame(&mut out, start);
        out
    }

    #[test]
    fn each_store_has_a_channel_of_its_own_and_none_that_of_the_link() {
        let channels = ["tasks", "flags", ""].map(channel_of);
        assert!(channels.iter().all(|channel| *channel != 0));
        assert!(channels.is_sorted_by(|one, other| one != other) && channels[0] != channels[2]);
    }

    #[test]
    fn an_oversized_length_is_refused_before_its_body_arrives() {
        let mut bytes = framed(b"x");
        bytes[..4].copy_from_slice(&u32::MAX.to_le_bytes());
        let mut buffer = BytesMut::from(&bytes[..]);
        let refused = Decoder::new(1024).decode(&mut buffer);
        assert_eq!(refused, Err(WireError::TooLong { len: u32::MAX as usize, limit: 1024 }));
    }

    #[test]
    fn a_garbled_length_is_found_before_the_body_arrives() {
        for bit in 0..32 {
            let mut bytes = framed(b"body");
            bytes[bit / 8] ^= 1 << (bit % 8);
            let mut buffer = BytesMut::from(&bytes[..FRAME_HEADER_BYTES]);
            assert!(Decoder::new(usize::MAX).decode(&mut buffer).is_err(), "bit {bit}");
        }
    }

    proptest! {
        #[test]
        fn a_frame_survives_any_split(
            body in prop::collection::vec(any::<u8>(), 0..300),
            cut in 0usize..316,
        ) {
            let bytes = framed(&body);
            let cut = cut.min(bytes.len() - 1);
            let mut buffer = BytesMut::from(&bytes[..cut]);
            prop_assert_eq!(Decoder::new(1024).decode(&mut buffer).unwrap(), None);
            buffer.extend_from_slice(&bytes[cut..]);
            let frame = Decoder::new(1024).decode(&mut buffer).unwrap().unwrap();
            prop_assert_eq!((frame.channel, frame.kind, &frame.body[..]), (7, 3, &body[..]));
            prop_assert!(buffer.is_empty());
        }

        #[test]
        fn a_flipped_bit_never_passes(
            body in prop::collection::vec(any::<u8>(), 0..200),
            at in any::<prop::sample::Index>(),
            bit in 0u8..8,
        ) {
            let mut bytes = framed(&body);
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            let mut buffer = BytesMut::from(&bytes[..]);
            let decoded = Decoder::new(1024).decode(&mut buffer);
            prop_assert!(!matches!(decoded, Ok(Some(_))), "{decoded:?}");
        }
    }
}

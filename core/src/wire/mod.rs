//! Frames and messages: bytes to values and back, and nothing else.
//!
//! A link is a sequence of [`Frame`]s. Each names a channel (which store of the link it is about)
//! and a kind, and carries its own checksum. What a frame says to a store is a [`Message`]. An
//! action on its way is an [`Entry`], with a checksum of its own that travels from the origin to
//! every replica. All integers are little-endian.
//!
//! Nothing here allocates by a length that a peer claims: a frame's length is held against a limit
//! first, and every count inside it against the bytes that are really there.

mod entry;
mod frame;
mod message;
mod reader;

pub use entry::{ENTRY_HEADER_BYTES, Entries, Entry, FLAG_DIGEST, FLAG_VOID};
pub use frame::{Decoder, FRAME_HEADER_BYTES, Frame, begin_frame, channel_of, finish_frame};
pub use message::{
    Answer, Attach, Codec, LinkMode, Message, Outcome, Refusal, RefusalKind, SnapshotHead, Status,
};
pub(crate) use reader::Reader;
pub use reader::WireError;

/// The version of this protocol. Two nodes of different versions refuse each other by name.
pub const PROTOCOL_VERSION: u16 = 1;

/// The longest path of node ids from a node to its sequencer.
pub const PATH_MAX: usize = 64;

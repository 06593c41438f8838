//! Frames and messages: bytes to values and back, and nothing else.
//!
//! A link is a sequence of [`Frame`]s. Each names a channel (which store of the link it is about)
//! and a kind, and carries its own checksum. What a frame says to a store is a [`Message`]. An
//! action on its way is an [`Entry`], with a checksum of its own that travels from the origin to
//! every replica. All integers are little-endian; CRC-32 is that of IEEE 802.3.
//!
//! Two nodes agree on a version of the protocol before any other message: each names the lowest and
//! the highest version that it knows, and the highest common one is used. A version is closed: an
//! unknown kind, or bytes after a message's last field, cut the link. Any addition needs a new
//! version, and is never sent to a node that does not know this version. Only the hello, which
//! comes before, may be longer than its reader expects.
//!
//! Nothing here allocates by a length that a peer claims: a frame's length is held against a limit
//! first, and every count inside it against the bytes that are really there.

mod entry;
mod frame;
mod message;
mod patch;
mod reader;
mod request;
mod versions;

pub use entry::{ENTRY_HEADER_BYTES, Entries, Entry, FLAG_DIGEST, FLAG_VOID};
pub use frame::{Decoder, FRAME_HEADER_BYTES, Frame, begin_frame, channel_of, finish_frame};
pub use message::{
    Answer, Attach, Codec, Message, Outcome, PartialSnapshot, Refusal, RefusalKind, SnapshotHead,
    Status,
};
pub use patch::{PATCH_HEADER_BYTES, Patches, finish_patch};
pub use reader::{COUNT_MAX, Reader, WireError};
pub use request::{Reply, Request, RequestKind};

pub use versions::Versions;

/// The newest version of the protocol that this library knows.
pub const PROTOCOL_VERSION: u16 = 4;

/// The first version in which an interrupted snapshot is resumed.
pub(crate) const PROTOCOL_RESUMES_SNAPSHOTS: u16 = 2;

/// The first version in which a node says that it takes patches, and gets them.
pub(crate) const PROTOCOL_PATCHES: u16 = 3;

/// The first version in which a process takes a [`Request`].
pub const PROTOCOL_REQUESTS: u16 = 4;

/// The oldest version that it still knows.
pub const PROTOCOL_OLDEST: u16 = 1;

/// The longest path of node ids from a node to its sequencer.
pub const PATH_MAX: usize = 64;

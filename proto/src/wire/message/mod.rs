//! Messages between two replicas of a store.
//!
//! Towards the sequencer: `Attach`, `Detach`, `SessionOpen`, `Dispatch`, `Heal`, `Fetch`. Away from
//! it: `Status`, `Refused`, `Lineage`, `SnapshotHead`, `SnapshotChunk` (in version 1 of the
//! protocol; `SnapshotPart` from version 2 on), `Entries`, `Answers`, `SessionOpened`, `Digest`,
//! `Credit`. Both ways: `Heartbeat`.

mod body;
mod parts;
#[cfg(test)]
mod tests;

use body::{
    put_answer, put_claim, put_u32, put_u64, read_answer, read_attach, read_claim, read_refusal,
    read_status, write_attach, write_status,
};
pub(super) use body::{put_lineage, put_text, put_version, read_lineage, read_version};
use bytes::Bytes;

use super::{Frame, PROTOCOL_VERSION, Reader, WireError, begin_frame, finish_frame};
use crate::{Claim, Lineage, Version};
pub use parts::{
    Answer, Attach, Codec, Outcome, PartialSnapshot, Refusal, RefusalKind, SnapshotHead, Status,
};

/// A message: the content of one frame of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are described where their types are")]
pub enum Message {
    /// Serve me this store.
    Attach(Attach),
    /// I no longer follow you.
    Detach,
    /// Issue a session; `request` finds the way back.
    SessionOpen { hop: u32, request: u64 },
    /// Dispatches of one session, in order. `oldest` is the lowest counter still awaited.
    Dispatch { hop: u32, claim: Claim, oldest: u64, entries: Bytes },
    /// My state is wrong: send a snapshot. `seq` is where a digest differed; 0: for another reason.
    Heal { seq: u64 },
    /// I cannot run the actions: send a snapshot too, where it belongs among them.
    Fetch,
    /// Reports the status of the sender.
    Status(Status),
    /// I will not serve you.
    Refused(Refusal),
    /// Confirms that the receiver's version lies on this lineage, as do the versions that follow.
    Lineage(Lineage),
    /// A snapshot begins.
    SnapshotHead(SnapshotHead),
    /// The next bytes of it, in version 1 of the protocol.
    SnapshotChunk(Bytes),
    /// The bytes of it from `offset` on. The frame's checksum is theirs.
    SnapshotPart { offset: u64, bytes: Bytes },
    /// Actions, the first of them at `first`, ordered in `epoch`. In mode `delta` with the patch of
    /// each: from version 3 of the protocol.
    Entries { epoch: u64, first: u64, entries: Bytes, patches: Option<Bytes> },
    /// Carries the outcomes of dispatches to the node that made this very claim of the session.
    Answers { claim: Claim, answers: Vec<Answer> },
    /// The session that was asked for with its token, and the version at which it was issued.
    SessionOpened { request: u64, claim: Claim, at: Version },
    /// The sequencer's digest after action `seq`.
    Digest { seq: u64, digest: u64 },
    /// Dispatches may be sent up to this many bytes since the attachment began.
    Credit { bytes: u64 },
    /// I am alive, and show every action up to `seq` to others.
    Heartbeat { seq: u64 },
}

mod kind {
    pub(super) const ATTACH: u8 = 1;
    pub(super) const DETACH: u8 = 2;
    pub(super) const SESSION_OPEN: u8 = 3;
    pub(super) const DISPATCH: u8 = 4;
    pub(super) const HEAL: u8 = 5;
    pub(super) const FETCH: u8 = 6;
    pub(super) const STATUS: u8 = 16;
    pub(super) const REFUSED: u8 = 17;
    pub(super) const LINEAGE: u8 = 18;
    pub(super) const SNAPSHOT_HEAD: u8 = 19;
    pub(super) const SNAPSHOT_CHUNK: u8 = 20;
    pub(super) const ENTRIES: u8 = 21;
    pub(super) const ANSWERS: u8 = 22;
    pub(super) const SESSION_OPENED: u8 = 23;
    pub(super) const DIGEST: u8 = 24;
    pub(super) const CREDIT: u8 = 25;
    pub(super) const SNAPSHOT_PART: u8 = 26;
    pub(super) const PATCHED_ENTRIES: u8 = 27;
    pub(super) const HEARTBEAT: u8 = 32;
}

impl Message {
    /// The kind of a frame of dispatches, for code that writes one in place.
    pub const DISPATCH: u8 = kind::DISPATCH;

    /// The kind of a frame of entries, for code that writes one in place.
    pub const ENTRIES: u8 = kind::ENTRIES;

    /// The kind of a frame of entries with their patches, for code that writes one in place.
    pub const PATCHED_ENTRIES: u8 = kind::PATCHED_ENTRIES;

    /// The kind of a frame with a part of a snapshot in version 1, for code that writes one in
    /// place.
    pub const SNAPSHOT_CHUNK: u8 = kind::SNAPSHOT_CHUNK;

    /// The kind of a frame with a part of a snapshot, for code that writes one in place.
    pub const SNAPSHOT_PART: u8 = kind::SNAPSHOT_PART;

    fn kind(&self) -> u8 {
        match self {
            Message::Attach(_) => kind::ATTACH,
            Message::Detach => kind::DETACH,
            Message::SessionOpen { .. } => kind::SESSION_OPEN,
            Message::Dispatch { .. } => kind::DISPATCH,
            Message::Heal { .. } => kind::HEAL,
            Message::Fetch => kind::FETCH,
            Message::Status(_) => kind::STATUS,
            Message::Refused(_) => kind::REFUSED,
            Message::Lineage(_) => kind::LINEAGE,
            Message::SnapshotHead(_) => kind::SNAPSHOT_HEAD,
            Message::SnapshotChunk(_) => kind::SNAPSHOT_CHUNK,
            Message::SnapshotPart { .. } => kind::SNAPSHOT_PART,
            Message::Entries { patches: None, .. } => kind::ENTRIES,
            Message::Entries { patches: Some(_), .. } => kind::PATCHED_ENTRIES,
            Message::Answers { .. } => kind::ANSWERS,
            Message::SessionOpened { .. } => kind::SESSION_OPENED,
            Message::Digest { .. } => kind::DIGEST,
            Message::Credit { .. } => kind::CREDIT,
            Message::Heartbeat { .. } => kind::HEARTBEAT,
        }
    }

    /// Returns whether messages of this kind come all the time while a store is used.
    pub fn is_frequent(&self) -> bool {
        matches!(
            self,
            Message::Entries { .. }
                | Message::Dispatch { .. }
                | Message::Answers { .. }
                | Message::Credit { .. }
                | Message::Digest { .. }
                | Message::Heartbeat { .. }
        )
    }

    /// Appends this message to `out`, framed.
    pub fn write(&self, out: &mut Vec<u8>, channel: u32) {
        let start = begin_frame(out, channel, self.kind());
        self.write_body(out);
        finish_frame(out, start);
    }

    /// Writes the body of a frame of dispatches up to its entries, for code that writes one in
    /// place.
    pub(crate) fn begin_dispatch(out: &mut Vec<u8>, hop: u32, claim: Claim, oldest: u64) {
        put_u32(out, hop);
        put_claim(out, claim);
        put_u64(out, oldest);
    }

    /// Writes the body of a frame of entries with their patches, for code that writes one in place.
    pub(crate) fn write_patched(
        out: &mut Vec<u8>,
        epoch: u64,
        first: u64,
        entries: &[u8],
        patches: &[u8],
    ) {
        put_u64(out, epoch);
        put_u64(out, first);
        put_patched(out, entries, patches);
    }

    fn write_body(&self, out: &mut Vec<u8>) {
        match self {
            Message::Attach(attach) => write_attach(out, attach),
            Message::Detach | Message::Fetch => {}
            Message::SessionOpen { hop, request } => {
                put_u32(out, *hop);
                put_u64(out, *request);
            }
            Message::Dispatch { hop, claim, oldest, entries } => {
                Message::begin_dispatch(out, *hop, *claim, *oldest);
                out.extend_from_slice(entries);
            }
            Message::Heal { seq } | Message::Heartbeat { seq } => put_u64(out, *seq),
            Message::Status(status) => write_status(out, status),
            Message::Refused(refusal) => {
                out.push(refusal.kind as u8);
                put_text(out, &refusal.text);
            }
            Message::Lineage(lineage) => put_lineage(out, lineage),
            Message::SnapshotHead(head) => {
                put_version(out, head.version);
                put_u64(out, head.history);
                put_u64(out, head.len);
                put_u32(out, head.crc);
                put_lineage(out, &head.lineage);
            }
            Message::SnapshotChunk(bytes) => out.extend_from_slice(bytes),
            Message::SnapshotPart { offset, bytes } => {
                put_u64(out, *offset);
                out.extend_from_slice(bytes);
            }
            Message::Entries { epoch, first, entries, patches } => {
                put_u64(out, *epoch);
                put_u64(out, *first);
                match patches {
                    None => out.extend_from_slice(entries),
                    Some(patches) => put_patched(out, entries, patches),
                }
            }
            Message::Answers { claim, answers } => {
                put_claim(out, *claim);
                answers.iter().for_each(|answer| put_answer(out, answer));
            }
            Message::SessionOpened { request, claim, at } => {
                put_u64(out, *request);
                put_claim(out, *claim);
                put_version(out, *at);
            }
            Message::Digest { seq, digest } => {
                put_u64(out, *seq);
                put_u64(out, *digest);
            }
            Message::Credit { bytes } => put_u64(out, *bytes),
        }
    }

    /// Decodes the message in a frame.
    ///
    /// # Errors
    ///
    /// If the kind is unknown, or the body is not as that kind has it.
    pub fn read(frame: &Frame) -> Result<Message, WireError> {
        let mut body = Reader::new(&frame.body);
        let rest = |body: &Reader<'_>| frame.body.slice(frame.body.len() - body.remaining()..);
        let message = match frame.kind {
            kind::DISPATCH => {
                let hop = body.u32("hop")?;
                let (claim, oldest) = (read_claim(&mut body)?, body.count("oldest")?);
                return Ok(Message::Dispatch { hop, claim, oldest, entries: rest(&body) });
            }
            kind::ENTRIES => {
                let (epoch, first) = (body.u64("epoch")?, body.count("first seq")?);
                return Ok(Message::Entries { epoch, first, entries: rest(&body), patches: None });
            }
            kind::PATCHED_ENTRIES => {
                let (epoch, first) = (body.u64("epoch")?, body.count("first seq")?);
                let len = body.u32("length")? as usize;
                let mut entries = rest(&body);
                if len > entries.len() {
                    return Err(WireError::Truncated("entries"));
                }
                let patches = Some(entries.split_off(len));
                return Ok(Message::Entries { epoch, first, entries, patches });
            }
            kind::SNAPSHOT_CHUNK => return Ok(Message::SnapshotChunk(frame.body.clone())),
            kind::SNAPSHOT_PART => {
                let offset = body.u64("offset")?;
                return Ok(Message::SnapshotPart { offset, bytes: rest(&body) });
            }
            kind::ATTACH => {
                let attach = read_attach(&mut body)?;
                if attach.protocol > PROTOCOL_VERSION {
                    // It may be longer in a version to come, and is to be refused in words.
                    return Ok(Message::Attach(attach));
                }
                Message::Attach(attach)
            }
            kind::DETACH => Message::Detach,
            kind::SESSION_OPEN => {
                Message::SessionOpen { hop: body.u32("hop")?, request: body.u64("request")? }
            }
            kind::HEAL => Message::Heal { seq: body.count("seq")? },
            kind::FETCH => Message::Fetch,
            kind::STATUS => Message::Status(read_status(&mut body)?),
            kind::REFUSED => Message::Refused(read_refusal(&mut body)?),
            kind::LINEAGE => Message::Lineage(read_lineage(&mut body)?),
            kind::SNAPSHOT_HEAD => Message::SnapshotHead(SnapshotHead {
                version: read_version(&mut body)?,
                history: body.u64("history")?,
                len: body.u64("length")?,
                crc: body.u32("checksum")?,
                lineage: read_lineage(&mut body)?,
            }),
            kind::ANSWERS => {
                let claim = read_claim(&mut body)?;
                let mut answers = Vec::new();
                while body.remaining() > 0 {
                    answers.push(read_answer(&mut body)?);
                }
                Message::Answers { claim, answers }
            }
            kind::SESSION_OPENED => Message::SessionOpened {
                request: body.u64("request")?,
                claim: read_claim(&mut body)?,
                at: read_version(&mut body)?,
            },
            kind::DIGEST => {
                Message::Digest { seq: body.count("seq")?, digest: body.u64("digest")? }
            }
            kind::CREDIT => Message::Credit { bytes: body.u64("credit")? },
            kind::HEARTBEAT => Message::Heartbeat { seq: body.count("seq")? },
            unknown => return Err(WireError::UnknownKind(unknown)),
        };
        body.done("length")?;
        Ok(message)
    }
}

/// The entries behind their length, and their patches.
fn put_patched(out: &mut Vec<u8>, entries: &[u8], patches: &[u8]) {
    put_u32(out, entries.len() as u32);
    out.extend_from_slice(entries);
    out.extend_from_slice(patches);
}

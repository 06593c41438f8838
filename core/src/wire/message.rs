//! What two replicas of a store say to each other.
//!
//! Towards the sequencer: `Attach`, `Detach`, `SessionOpen`, `Dispatch`, `Heal`, `Fetch`. Away from it:
//! `Status`, `Refused`, `Lineage`, `SnapshotHead`, `SnapshotChunk`, `Entries`, `Answers`,
//! `SessionOpened`, `Digest`, `Credit`. Both ways: `Heartbeat`.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Frame, PATH_MAX, PROTOCOL_VERSION, Reader, WireError, begin_frame, finish_frame};
use crate::replication::{Claim, Epoch, Lineage, NodeId, TOKEN_BYTES, Token, Version};

/// How actions and states are encoded; one per store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Codec {
    /// MessagePack with field names.
    #[default]
    MessagePack,
    /// JSON.
    Json,
}

/// What a link carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkMode {
    /// The newest state at each change.
    Snapshot,
    /// The actions.
    Action,
}

/// A node asks its upstream for a store. Begins alike in every version of the protocol, so that it
/// can be refused in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attach {
    /// The version of the protocol in which the sender speaks: the one agreed on, or the newest that
    /// it speaks where nothing was agreed, as between a master and its workers.
    pub protocol: u16,
    /// The sender.
    pub node: NodeId,
    /// The store's declared name.
    pub store: String,
    /// The version of the state's and action's shape, as the user declared it.
    pub schema_version: u32,
    /// How payloads are encoded.
    pub codec: Codec,
    /// Where the sender stands, unless it has never heard from a sequencer.
    pub resume: Option<Version>,
}

/// Why an upstream will not serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// Another version of the protocol.
    Protocol,
    /// Another name on the same channel.
    Store,
    /// Another schema version.
    Schema,
    /// Another codec.
    Codec,
    /// The node asks itself, by way of others.
    Loop,
}

/// An upstream's refusal, in words for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Which kind.
    pub kind: RefusalKind,
    /// What differs.
    pub text: String,
}

/// How the sender of a downstream link stands; the first one answers `Attach`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The number of the sender's own upstream attachment. Dispatches bear it; on a change they
    /// are sent again from the oldest.
    pub hop: u32,
    /// The sender is in sync with its sequencer.
    pub connected: bool,
    /// What this link carries.
    pub mode: LinkMode,
    /// The sender's own version, unless it has none yet.
    pub version: Option<Version>,
    /// From the sender to the sequencer, as far as known.
    pub path: Vec<NodeId>,
}

/// What precedes the chunks of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotHead {
    /// Where it was cut.
    pub version: Version,
    /// The rolling hash of the history up to there.
    pub history: u64,
    /// The length of the encoded state, in bytes.
    pub len: u64,
    /// CRC-32 of the encoded state.
    pub crc: u32,
    /// The lineage that `version` lies on.
    pub lineage: Lineage,
}

/// What became of a dispatch at the sequencer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Ordered, at this version.
    Applied(Version),
    /// The reducer refused it, with these words.
    Rejected(String),
    /// The sequencer no longer knows.
    Unknown,
    /// The session is not in the sequencer's table.
    Expired,
}

/// The outcome of one dispatch of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Which dispatch.
    pub counter: u64,
    /// What became of it.
    pub outcome: Outcome,
}

/// What one frame says to a store.
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
    /// How I stand.
    Status(Status),
    /// I will not serve you.
    Refused(Refusal),
    /// What you have lies on this lineage; what follows does too.
    Lineage(Lineage),
    /// A snapshot begins.
    SnapshotHead(SnapshotHead),
    /// The next bytes of it.
    SnapshotChunk(Bytes),
    /// Actions, the first of them at `first`, ordered in the life `epoch`.
    Entries { epoch: u64, first: u64, entries: Bytes },
    /// What became of dispatches; to whoever claimed the session in just that way.
    Answers { claim: Claim, answers: Vec<Answer> },
    /// The session that was asked for with its token, and the version at which it was issued.
    SessionOpened { request: u64, claim: Claim, at: Version },
    /// The sequencer's digest after action `seq`.
    Digest { seq: u64, digest: u64 },
    /// Dispatches may be sent up to this many bytes since the attachment began.
    Credit { bytes: u64 },
    /// I live, and stand here.
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
    pub(super) const HEARTBEAT: u8 = 32;
}

impl Message {
    /// The kind of a frame of dispatches, for those who write one in place.
    pub const DISPATCH: u8 = kind::DISPATCH;

    /// The kind of a frame of entries, for those who write one in place.
    pub const ENTRIES: u8 = kind::ENTRIES;

    /// The kind of a frame with a part of a snapshot, for those who write one in place.
    pub const SNAPSHOT_CHUNK: u8 = kind::SNAPSHOT_CHUNK;

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
            Message::Entries { .. } => kind::ENTRIES,
            Message::Answers { .. } => kind::ANSWERS,
            Message::SessionOpened { .. } => kind::SESSION_OPENED,
            Message::Digest { .. } => kind::DIGEST,
            Message::Credit { .. } => kind::CREDIT,
            Message::Heartbeat { .. } => kind::HEARTBEAT,
        }
    }

    /// Appends this message to `out`, framed.
    pub fn write(&self, out: &mut Vec<u8>, channel: u32) {
        let start = begin_frame(out, channel, self.kind());
        self.write_body(out);
        finish_frame(out, start);
    }

    /// The body of a frame of dispatches up to its entries, for those who write one in place.
    pub(crate) fn begin_dispatch(out: &mut Vec<u8>, hop: u32, claim: Claim, oldest: u64) {
        put_u32(out, hop);
        put_claim(out, claim);
        put_u64(out, oldest);
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
            Message::Entries { epoch, first, entries } => {
                put_u64(out, *epoch);
                put_u64(out, *first);
                out.extend_from_slice(entries);
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

    /// What a frame says.
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
                return Ok(Message::Entries { epoch, first, entries: rest(&body) });
            }
            kind::SNAPSHOT_CHUNK => return Ok(Message::SnapshotChunk(frame.body.clone())),
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

fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_le_bytes());
}

fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// Text longer than its length field can say is cut at a character.
fn put_text(out: &mut Vec<u8>, text: &str) {
    let text = &text[..text.floor_char_boundary(usize::from(u16::MAX))];
    out.extend_from_slice(&(text.len() as u16).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn put_claim(out: &mut Vec<u8>, claim: Claim) {
    put_u64(out, claim.session);
    out.extend_from_slice(&claim.token.to_bytes());
}

fn read_claim(body: &mut Reader<'_>) -> Result<Claim, WireError> {
    let session = body.u64("session")?;
    let token = Token::from_bytes(body.array::<TOKEN_BYTES>("token")?);
    Ok(Claim { session, token })
}

fn put_version(out: &mut Vec<u8>, version: Version) {
    put_u32(out, version.epoch.number);
    put_u64(out, version.epoch.id);
    put_u64(out, version.seq);
}

fn read_version(body: &mut Reader<'_>) -> Result<Version, WireError> {
    let epoch = Epoch { number: body.u32("version")?, id: body.u64("version")? };
    Ok(Version { epoch, seq: body.count("version")? })
}

fn put_maybe_version(out: &mut Vec<u8>, version: Option<Version>) {
    out.push(u8::from(version.is_some()));
    if let Some(version) = version {
        put_version(out, version);
    }
}

fn read_maybe_version(body: &mut Reader<'_>) -> Result<Option<Version>, WireError> {
    body.flag("version")?.then(|| read_version(body)).transpose()
}

fn put_lineage(out: &mut Vec<u8>, lineage: &Lineage) {
    out.push(lineage.lives().len() as u8);
    for (epoch, began) in lineage.lives() {
        put_version(out, Version { epoch: *epoch, seq: *began });
    }
}

fn read_lineage(body: &mut Reader<'_>) -> Result<Lineage, WireError> {
    let count = body.u8("lineage")?;
    let lives = (0..count)
        .map(|_| read_version(body).map(|life| (life.epoch, life.seq)))
        .collect::<Result<Vec<_>, _>>()?;
    Lineage::from_lives(lives)
        .filter(|lineage| !lineage.is_empty())
        .ok_or(WireError::Malformed("lineage"))
}

fn write_attach(out: &mut Vec<u8>, attach: &Attach) {
    out.extend_from_slice(&attach.protocol.to_le_bytes());
    put_u64(out, attach.node.0);
    put_u32(out, attach.schema_version);
    out.push(attach.codec as u8);
    put_maybe_version(out, attach.resume);
    put_text(out, &attach.store);
}

fn read_attach(body: &mut Reader<'_>) -> Result<Attach, WireError> {
    let (protocol, node) = (body.u16("protocol version")?, NodeId(body.u64("node")?));
    let schema_version = body.u32("schema version")?;
    let codec = match body.u8("codec")? {
        0 => Codec::MessagePack,
        1 => Codec::Json,
        _ => return Err(WireError::Malformed("codec")),
    };
    let resume = read_maybe_version(body)?;
    Ok(Attach { protocol, node, store: body.text("store")?, schema_version, codec, resume })
}

fn write_status(out: &mut Vec<u8>, status: &Status) {
    put_u32(out, status.hop);
    out.push(u8::from(status.connected));
    out.push(status.mode as u8);
    put_maybe_version(out, status.version);
    out.push(status.path.len() as u8);
    status.path.iter().for_each(|node| put_u64(out, node.0));
}

fn read_status(body: &mut Reader<'_>) -> Result<Status, WireError> {
    let (hop, connected) = (body.u32("hop")?, body.flag("status")?);
    let mode = match body.u8("mode")? {
        0 => LinkMode::Snapshot,
        1 => LinkMode::Action,
        _ => return Err(WireError::Malformed("mode")),
    };
    let version = read_maybe_version(body)?;
    let len = usize::from(body.u8("path")?);
    if len > PATH_MAX {
        return Err(WireError::Malformed("path"));
    }
    let path = (0..len).map(|_| body.u64("path").map(NodeId)).collect::<Result<_, _>>()?;
    Ok(Status { hop, connected, mode, version, path })
}

fn read_refusal(body: &mut Reader<'_>) -> Result<Refusal, WireError> {
    let kind = match body.u8("refusal")? {
        0 => RefusalKind::Protocol,
        1 => RefusalKind::Store,
        2 => RefusalKind::Schema,
        3 => RefusalKind::Codec,
        4 => RefusalKind::Loop,
        _ => return Err(WireError::Malformed("refusal")),
    };
    Ok(Refusal { kind, text: body.text("refusal")? })
}

fn put_answer(out: &mut Vec<u8>, answer: &Answer) {
    put_u64(out, answer.counter);
    match &answer.outcome {
        Outcome::Applied(version) => {
            out.push(0);
            put_version(out, *version);
        }
        Outcome::Rejected(reason) => {
            out.push(1);
            put_text(out, reason);
        }
        Outcome::Unknown => out.push(2),
        Outcome::Expired => out.push(3),
    }
}

fn read_answer(body: &mut Reader<'_>) -> Result<Answer, WireError> {
    let counter = body.count("counter")?;
    let outcome = match body.u8("outcome")? {
        0 => Outcome::Applied(read_version(body)?),
        1 => Outcome::Rejected(body.text("reason")?),
        2 => Outcome::Unknown,
        3 => Outcome::Expired,
        _ => return Err(WireError::Malformed("outcome")),
    };
    Ok(Answer { counter, outcome })
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use proptest::prelude::*;

    use super::*;
    use crate::wire::Decoder;

    fn there_and_back(message: &Message) -> Message {
        let mut out = Vec::new();
        message.write(&mut out, 9);
        let frame = Decoder::new(1 << 20).decode(&mut BytesMut::from(&out[..])).unwrap().unwrap();
        Message::read(&frame).unwrap()
    }

    fn examples() -> Vec<Message> {
        let epoch = Epoch { number: 2, id: 77 };
        let version = Version { epoch, seq: 40 };
        let lineage = Lineage::founded(Epoch { number: 1, id: 3 }).continued(epoch, 30);
        let claim = Claim { session: 5, token: Token::from_bytes([9; TOKEN_BYTES]) };
        vec![
            Message::Attach(Attach {
                protocol: 1,
                node: NodeId(4),
                store: "tasks".into(),
                schema_version: 3,
                codec: Codec::Json,
                resume: Some(version),
            }),
            Message::Detach,
            Message::SessionOpen { hop: 2, request: 8 },
            Message::Dispatch { hop: 1, claim, oldest: 3, entries: Bytes::from_static(b"e") },
            Message::Heal { seq: 9 },
            Message::Status(Status {
                hop: 3,
                connected: true,
                mode: LinkMode::Action,
                version: None,
                path: vec![NodeId(1), NodeId(2)],
            }),
            Message::Refused(Refusal { kind: RefusalKind::Schema, text: "3, not 4".into() }),
            Message::Lineage(lineage.clone()),
            Message::SnapshotHead(SnapshotHead { version, history: 1, len: 10, crc: 5, lineage }),
            Message::SnapshotChunk(Bytes::from_static(b"chunk")),
            Message::Entries { epoch: 77, first: 41, entries: Bytes::from_static(b"e") },
            Message::Answers {
                claim,
                answers: vec![
                    Answer { counter: 1, outcome: Outcome::Applied(version) },
                    Answer { counter: 2, outcome: Outcome::Rejected("full".into()) },
                    Answer { counter: 3, outcome: Outcome::Unknown },
                    Answer { counter: 4, outcome: Outcome::Expired },
                ],
            },
            Message::SessionOpened { request: 8, claim, at: version },
            Message::Digest { seq: 100, digest: 6 },
            Message::Credit { bytes: 65536 },
            Message::Heartbeat { seq: 40 },
        ]
    }

    #[test]
    fn every_message_comes_back_as_it_was() {
        for message in examples() {
            assert_eq!(there_and_back(&message), message);
        }
    }

    #[test]
    fn a_truncated_message_is_an_error_and_never_a_panic() {
        for message in examples() {
            let mut out = Vec::new();
            message.write(&mut out, 9);
            let frame =
                Decoder::new(1 << 20).decode(&mut BytesMut::from(&out[..])).unwrap().unwrap();
            for len in 0..frame.body.len() {
                let cut = Frame { body: frame.body.slice(..len), ..frame.clone() };
                let _ = Message::read(&cut);
            }
        }
    }

    #[test]
    fn bytes_after_the_last_field_are_an_error_but_in_the_request_of_a_newer_version() {
        let longer = |message: &Message| {
            let mut out = Vec::new();
            message.write(&mut out, 9);
            let frame =
                Decoder::new(1 << 20).decode(&mut BytesMut::from(&out[..])).unwrap().unwrap();
            let body = [&frame.body[..], &[7]].concat().into();
            Message::read(&Frame { body, ..frame })
        };
        let open = [Message::DISPATCH, Message::ENTRIES, Message::SNAPSHOT_CHUNK];
        for message in examples() {
            let read = longer(&message);
            assert_eq!(read.is_ok(), open.contains(&message.kind()), "{message:?}: {read:?}");
        }
        let Some(Message::Attach(attach)) = examples().into_iter().next() else { panic!("first") };
        let newer = Message::Attach(Attach { protocol: PROTOCOL_VERSION + 1, ..attach });
        assert_eq!(longer(&newer), Ok(newer));
    }

    proptest! {
        #[test]
        fn random_bodies_never_panic(kind in any::<u8>(), body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Message::read(&Frame { channel: 1, kind, body: body.into() });
        }
    }
}

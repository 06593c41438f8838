//! Frames and messages.

use bytes::{Bytes, BytesMut};
use samestate_proto::wire::{
    Answer, Attach, Codec, Decoder, Entries, Entry, FLAG_DIGEST, FLAG_VOID, Frame, Message,
    Outcome, PATCH_HEADER_BYTES, PROTOCOL_VERSION, Patches, Refusal, RefusalKind, Reply, Request,
    RequestKind, SnapshotHead, Status, WireError, begin_frame, finish_frame, finish_patch,
};
use samestate_proto::{Claim, Epoch, Lineage, Mode, NodeId, TOKEN_BYTES, Token, Version};

use super::script::{Script, put};

const BODY_BYTES_MAX: usize = 1024;

/// A stream of bytes comes to the same frames however it is cut, each is what was sent, and nothing
/// is allocated by a length that a peer claims. The first byte says how the stream is cut; if it is
/// odd, the rest is a script of frames with the right checksums.
pub(super) fn frames(data: &[u8]) {
    let Some((cut, rest)) = data.split_first() else { return };
    let mut stream = rest.to_vec();
    if cut & 1 == 1 {
        stream.clear();
        Script(rest).for_each(|(kind, body)| append(&mut stream, kind, body));
    }
    let whole = decoded(&stream, stream.len().max(1));
    assert_eq!(decoded(&stream, usize::from(cut >> 1) + 1), whole, "the cuts made a difference");
    let mut again = Vec::new();
    for frame in &whole.0 {
        assert!(frame.body.len() <= BODY_BYTES_MAX);
        let start = begin_frame(&mut again, frame.channel, frame.kind);
        again.extend_from_slice(&frame.body);
        finish_frame(&mut again, start);
    }
    assert!(stream.starts_with(&again), "a frame is not what was sent");
}

fn append(out: &mut Vec<u8>, kind: u8, body: &[u8]) {
    let start = begin_frame(out, 7, kind);
    out.extend_from_slice(body);
    finish_frame(out, start);
}

/// Returns the frames that a decoder finds in a stream that arrives in pieces of `step` bytes.
fn decoded(stream: &[u8], step: usize) -> (Vec<Frame>, Option<WireError>) {
    let (mut frames, mut buffer) = (Vec::new(), BytesMut::with_capacity(stream.len()));
    for piece in stream.chunks(step) {
        buffer.extend_from_slice(piece);
        loop {
            match Decoder::new(BODY_BYTES_MAX).decode(&mut buffer) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
        assert!(buffer.capacity() <= stream.len(), "the decoder made room by itself");
    }
    (frames, None)
}

/// The fewest bytes of an answer: its counter and what became of it.
const ANSWER_BYTES_MIN: usize = 9;

/// A body that is taken for a message is the very body that this message is written as; the entries
/// in it are too. The first byte is the kind of the frame.
pub(super) fn messages(data: &[u8]) {
    let Some((kind, body)) = data.split_first() else { return };
    let frame = Frame { channel: 7, kind: *kind, body: Bytes::copy_from_slice(body) };
    requests(&frame);
    let Ok(message) = Message::read(&frame) else { return };
    // One of a version to come may say more than this one knows.
    if matches!(&message, Message::Attach(attach) if attach.protocol > PROTOCOL_VERSION) {
        return;
    }
    let mut out = Vec::new();
    message.write(&mut out, 7);
    let written = Decoder::new(body.len()).decode(&mut BytesMut::from(&out[..]));
    assert_eq!(written, Ok(Some(frame)), "{message:?} is not written as it was read");
    match message {
        Message::Dispatch { entries, .. } => walk(&entries),
        Message::Entries { entries, patches, .. } => {
            walk(&entries);
            let mut patches = Patches::new(patches.as_deref().unwrap_or_default());
            for entry in Entries::new(&entries).flatten() {
                let Ok(patch) = patches.take(entry.crc) else { break };
                assert!(patch.len() <= body.len(), "more of a patch than bytes");
            }
        }
        Message::Answers { answers, .. } => {
            assert!(answers.len() <= body.len() / ANSWER_BYTES_MIN, "more answers than bytes");
        }
        _ => {}
    }
}

/// A body that is taken for a request or a reply is the very body that it is written as.
fn requests(frame: &Frame) {
    let same = |out: Vec<u8>| {
        let written = Decoder::new(frame.body.len()).decode(&mut BytesMut::from(&out[..]));
        let written = written.expect("it is a frame").expect("it is whole");
        assert_eq!(written.body, frame.body, "it is not written as it was read");
    };
    let mut out = Vec::new();
    if let Ok(request) = Request::read(frame) {
        request.write(&mut out, 0);
        same(std::mem::take(&mut out));
    }
    if let Ok(reply) = Reply::read(frame) {
        reply.write(&mut out, 0);
        same(out);
    }
}

/// The first bytes of entries with a checksum that is made right, and of bytes as they are.
fn walk(bytes: &[u8]) {
    let mut mended = Vec::new();
    if let Some((flags, payload)) = bytes.split_first() {
        Entry::write(&mut mended, 5, 1, *flags, payload);
    }
    assert!(Entries::new(&mended).all(|entry| entry.is_ok()), "an entry does not come back");
    let mut again = Vec::new();
    for entry in Entries::new(bytes).map_while(Result::ok) {
        assert!(entry.intact());
        Entry::write(&mut again, entry.session, entry.counter, entry.flags, entry.payload);
    }
    assert!(bytes.starts_with(&again), "an entry is not what was sent");
}

pub(super) fn frame_seeds() -> Vec<(&'static str, Vec<u8>)> {
    let (mut sound, mut script) = (vec![6], vec![7]);
    for (_, message) in examples() {
        message.write(&mut sound, 7);
    }
    append(&mut sound, 99, b"");
    put(&mut script, 1, b"one");
    put(&mut script, 2, &[0xab; 300]);
    let mut long = vec![2];
    append(&mut long, 1, &[0; BODY_BYTES_MAX + 1]);
    let torn = sound[..sound.len() / 2].to_vec();
    vec![("sound", sound), ("script", script), ("torn", torn), ("too-long", long)]
}

pub(super) fn message_seeds() -> Vec<(&'static str, Vec<u8>)> {
    let seed = |write: &dyn Fn(&mut Vec<u8>)| {
        let mut out = Vec::new();
        write(&mut out);
        let frame = Decoder::new(usize::MAX).decode(&mut BytesMut::from(&out[..]));
        let frame = frame.ok().flatten().expect("one frame");
        [&[frame.kind], &frame.body[..]].concat()
    };
    let request = Request { kind: RequestKind::Promote, store: "tasks".into() };
    let lineage = Lineage::founded(Epoch { number: 1, id: 3 });
    let reply = Reply::Lineage { orders: false, lineage };
    let messages =
        examples().into_iter().map(|(name, message)| (name, seed(&|out| message.write(out, 7))));
    let requests = [
        ("request", seed(&|out| request.write(out, 0))),
        ("reply", seed(&|out| reply.write(out, 0))),
    ];
    messages.chain(requests).collect()
}

/// One message of each kind.
fn examples() -> Vec<(&'static str, Message)> {
    let epoch = Epoch { number: 2, id: 77 };
    let version = Version { epoch, seq: 40 };
    let lineage = Lineage::founded(Epoch { number: 1, id: 3 }).continued(epoch, 30);
    let claim = Claim { session: 5, token: Token::from_bytes([9; TOKEN_BYTES]) };
    let mut entries = Vec::new();
    Entry::write(&mut entries, 5, 1, FLAG_DIGEST, b"\x81\xa3Put\x92\xa1k\x01");
    Entry::write(&mut entries, 5, 2, FLAG_VOID, b"");
    let entries = Bytes::from(entries);
    let mut patches = Vec::new();
    for entry in Entries::new(&entries).flatten() {
        let mut patch = [&[0; PATCH_HEADER_BYTES][..], b"\x81\xa6insert\x90"].concat();
        finish_patch(&mut patch, entry.crc);
        patches.append(&mut patch);
    }
    let patches = Some(Bytes::from(patches));
    let patched = Message::Entries { epoch: 77, first: 41, entries: entries.clone(), patches };
    let attach = Attach {
        protocol: 1,
        node: NodeId(4),
        store: "tasks".into(),
        schema_version: 3,
        codec: Codec::Json,
        resume: Some(version),
        partial: None,
        takes_patches: false,
    };
    let status = Status {
        hop: 3,
        connected: true,
        mode: Mode::Action,
        version: Some(version),
        path: vec![NodeId(1), NodeId(2)],
    };
    let outcomes = [
        Outcome::Applied(version),
        Outcome::Rejected("full".into()),
        Outcome::Unknown,
        Outcome::Expired,
    ];
    let answers = (1..).zip(outcomes).map(|(counter, outcome)| Answer { counter, outcome });
    let refusal = Refusal { kind: RefusalKind::Schema, text: "3, not 4".into() };
    let head = SnapshotHead { version, history: 1, len: 10, crc: 5, lineage: lineage.clone() };
    vec![
        ("attach", Message::Attach(attach)),
        ("detach", Message::Detach),
        ("session-open", Message::SessionOpen { hop: 2, request: 8 }),
        ("dispatch", Message::Dispatch { hop: 1, claim, oldest: 1, entries: entries.clone() }),
        ("heal", Message::Heal { seq: 9 }),
        ("status", Message::Status(status)),
        ("refused", Message::Refused(refusal)),
        ("lineage", Message::Lineage(lineage)),
        ("snapshot-head", Message::SnapshotHead(head)),
        ("snapshot-chunk", Message::SnapshotChunk(Bytes::from_static(b"chunk"))),
        ("snapshot-part", Message::SnapshotPart { offset: 3, bytes: Bytes::from_static(b"part") }),
        ("entries", Message::Entries { epoch: 77, first: 41, entries, patches: None }),
        ("entries-patched", patched),
        ("answers", Message::Answers { claim, answers: answers.collect() }),
        ("session-opened", Message::SessionOpened { request: 8, claim, at: version }),
        ("digest", Message::Digest { seq: 100, digest: 6 }),
        ("credit", Message::Credit { bytes: 65536 }),
        ("heartbeat", Message::Heartbeat { seq: 40 }),
    ]
}

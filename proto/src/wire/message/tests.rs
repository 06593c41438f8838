//! Every message there and back, cut, lengthened and at random.

use bytes::BytesMut;
use proptest::prelude::*;

use super::*;
use crate::Mode;
use crate::wire::Decoder;
use crate::{Epoch, NodeId, TOKEN_BYTES, Token};

fn there_and_back(message: &Message) -> Message {
    let mut out = Vec::new();
    message.write(&mut out, 9);
    let frame = Decoder::new(1 << 20).decode(&mut BytesMut::from(&out[..])).unwrap().unwrap();
    Message::read(&frame).unwrap()
}

#[test]
fn a_path_that_is_too_long_is_no_status() {
    let status = |len| {
        let (mode, path) = (Mode::Action, vec![NodeId(1); len]);
        Message::Status(Status { hop: 0, connected: true, mode, version: None, path })
    };
    for (len, fits) in [(crate::wire::PATH_MAX, true), (crate::wire::PATH_MAX + 1, false)] {
        let mut out = Vec::new();
        status(len).write(&mut out, 9);
        let frame = Decoder::new(1 << 20).decode(&mut BytesMut::from(&out[..])).unwrap().unwrap();
        assert_eq!(Message::read(&frame).is_ok(), fits, "{len}");
    }
}

fn entries(patches: Option<Bytes>) -> Message {
    Message::Entries { epoch: 77, first: 41, entries: Bytes::from_static(b"e"), patches }
}

fn examples() -> Vec<Message> {
    let epoch = Epoch { number: 2, id: 77 };
    let version = Version { epoch, seq: 40 };
    let lineage = Lineage::founded(Epoch { number: 1, id: 3 }).continued(epoch, 30);
    let claim = Claim { session: 5, token: Token::from_bytes([9; TOKEN_BYTES]) };
    vec![
        Message::Attach(Attach {
            protocol: PROTOCOL_VERSION,
            node: NodeId(4),
            store: "tasks".into(),
            schema_version: 3,
            codec: Codec::Json,
            resume: Some(version),
            partial: Some(PartialSnapshot { version, history: 1, len: 10, crc: 5, have: 4 }),
            takes_patches: true,
        }),
        Message::Detach,
        Message::SessionOpen { hop: 2, request: 8 },
        Message::Dispatch { hop: 1, claim, oldest: 3, entries: Bytes::from_static(b"e") },
        Message::Heal { seq: 9 },
        Message::Fetch,
        Message::Status(Status {
            hop: 3,
            connected: true,
            mode: Mode::Action,
            version: None,
            path: vec![NodeId(1), NodeId(2)],
        }),
        Message::Refused(Refusal { kind: RefusalKind::Schema, text: "3, not 4".into() }),
        Message::Lineage(lineage.clone()),
        Message::SnapshotHead(SnapshotHead { version, history: 1, len: 10, crc: 5, lineage }),
        Message::SnapshotChunk(Bytes::from_static(b"chunk")),
        entries(None),
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
        Message::SnapshotPart { offset: 3, bytes: Bytes::from_static(b"part") },
        entries(Some(Bytes::from_static(b"p"))),
        Message::Heartbeat { seq: 40 },
    ]
}

#[test]
fn the_examples_are_of_every_kind_there_is() {
    let is_known = |kind: &u8| {
        let read = Message::read(&Frame { channel: 1, kind: *kind, body: Bytes::new() });
        read != Err(WireError::UnknownKind(*kind))
    };
    let known: Vec<u8> = (0..=u8::MAX).filter(is_known).collect();
    assert_eq!(known, examples().iter().map(Message::kind).collect::<Vec<_>>());
}

#[test]
fn every_message_comes_back_as_it_was() {
    for message in examples() {
        assert_eq!(there_and_back(&message), message);
    }
}

#[test]
fn a_refusal_of_each_kind_comes_back_and_no_other_kind_is_one() {
    use RefusalKind::{Codec, Loop, Protocol, Schema, State, Store};
    for kind in [Protocol, Store, Schema, Codec, Loop, State] {
        let message = Message::Refused(Refusal { kind, text: "no".into() });
        assert_eq!(there_and_back(&message), message);
    }
    let kind = Message::Refused(Refusal { kind: State, text: String::new() }).kind();
    let body = [&[6, 2, 0][..], b"no"].concat().into();
    let read = Message::read(&Frame { channel: 1, kind, body });
    assert_eq!(read, Err(WireError::Malformed("refusal")));
}

#[test]
fn a_truncated_message_is_an_error_and_never_a_panic() {
    for message in examples() {
        let mut out = Vec::new();
        message.write(&mut out, 9);
        let frame = Decoder::new(1 << 20).decode(&mut BytesMut::from(&out[..])).unwrap().unwrap();
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
        let frame = Decoder::new(1 << 20).decode(&mut BytesMut::from(&out[..])).unwrap().unwrap();
        let body = [&frame.body[..], &[7]].concat().into();
        Message::read(&Frame { body, ..frame })
    };
    let (chunk, part) = (Message::SNAPSHOT_CHUNK, Message::SNAPSHOT_PART);
    let open = [Message::DISPATCH, Message::ENTRIES, Message::PATCHED_ENTRIES, chunk, part];
    for message in examples() {
        let read = longer(&message);
        assert_eq!(read.is_ok(), open.contains(&message.kind()), "{message:?}: {read:?}");
    }
    let Some(Message::Attach(attach)) = examples().into_iter().next() else { panic!("first") };
    let newer = Message::Attach(Attach {
        protocol: PROTOCOL_VERSION + 1,
        partial: None,
        takes_patches: false,
        ..attach
    });
    assert_eq!(longer(&newer), Ok(newer));
}

proptest! {
    #[test]
    fn random_bodies_never_panic(
        kind in any::<u8>(),
        body in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let _ = Message::read(&Frame { channel: 1, kind, body: body.into() });
    }
}

//! Synthetic peers of an older and a newer release, over real sockets.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::BytesMut;
use samestate::{
    ClientConfig, DispatchError, Mode, ServerConfig, Store, StoreBuilder, create_store,
};
use samestate_proto::NodeId;
use samestate_proto::wire::{
    Attach, Codec, Decoder, Frame, Message, Outcome, PROTOCOL_OLDEST, PROTOCOL_VERSION, Status,
    begin_frame, channel_of, finish_frame,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

pub(super) const DEADLINE: Duration = Duration::from_secs(10);

pub(super) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("it happens in time")
}

pub(super) type List = Store<Vec<u32>, u32>;

/// The reports of a store.
pub(super) struct Reports(UnboundedReceiver<String>);

impl Reports {
    /// Waits for the report with these words.
    pub(super) async fn say(&mut self, words: &str) -> String {
        within(async {
            loop {
                let text = self.0.recv().await.expect("the store lives");
                if text.contains(words) {
                    return text;
                }
            }
        })
        .await
    }
}

pub(super) fn list() -> (StoreBuilder<Vec<u32>, u32>, Reports) {
    let (sender, reports) = unbounded_channel();
    let push = |list: &mut Vec<u32>, item: &u32| list.push(*item);
    let store = create_store("list", push).mode(Mode::Action);
    (store.on_error(move |event| drop(sender.send(event.to_string()))), Reports(reports))
}

/// A folder for a socket, gone with it.
pub(super) struct Place(tempfile::TempDir);

impl Place {
    pub(super) fn new() -> Self {
        Place(tempfile::tempdir().expect("a temporary folder"))
    }

    pub(super) fn path(&self) -> PathBuf {
        self.0.path().join("s")
    }

    pub(super) fn client(&self) -> ClientConfig {
        ClientConfig::unix(self.path()).backoff_max(Duration::from_millis(20))
    }

    pub(super) async fn served(&self) -> (List, Reports) {
        let (store, reports) = list();
        let store = store.preloaded(vec![1]).open().await.expect("it opens");
        store.create_server(ServerConfig::unix(self.path())).await.expect("it listens");
        (store, reports)
    }
}

/// One end of a connection of another release.
struct Peer {
    stream: UnixStream,
    buffer: BytesMut,
}

impl Peer {
    async fn connect(path: &Path) -> Self {
        let stream = UnixStream::connect(path).await.expect("it connects");
        Peer { stream, buffer: BytesMut::new() }
    }

    async fn accept(listener: &UnixListener) -> Self {
        let stream = within(listener.accept()).await.expect("somebody comes").0;
        Peer { stream, buffer: BytesMut::new() }
    }

    async fn send(&mut self, bytes: &[u8]) {
        within(self.stream.write_all(bytes)).await.expect("it is taken");
    }

    async fn say(&mut self, message: &Message) {
        let mut out = Vec::new();
        message.write(&mut out, channel_of("list"));
        self.send(&out).await;
    }

    /// The next frame; `None` at the end of the connection.
    async fn frame(&mut self) -> Option<Frame> {
        within(async {
            loop {
                let frame = Decoder::new(1 << 20).decode(&mut self.buffer).expect("good frames");
                if frame.is_some() {
                    return frame;
                }
                if !matches!(self.stream.read_buf(&mut self.buffer).await, Ok(1..)) {
                    return None;
                }
            }
        })
        .await
    }

    async fn hears<T>(&mut self, pick: impl Fn(Message) -> Option<T>) -> T {
        loop {
            let frame = self.frame().await.expect("the connection goes on");
            if let Some(picked) = pick(Message::read(&frame).expect("a message")) {
                return picked;
            }
        }
    }

    /// The versions that the other side's hello names.
    async fn versions(&mut self) -> [u16; 2] {
        let hello = self.frame().await.expect("a hello");
        assert_eq!((hello.channel, hello.kind, &hello.body[..8]), (0, 1, &b"samestat"[..]));
        [8, 10].map(|at| u16::from_le_bytes([hello.body[at], hello.body[at + 1]]))
    }
}

/// A hello of a release that speaks these versions, and adds something that we do not know.
fn hello(lowest: u16, highest: u16, added: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let start = begin_frame(&mut out, 0, 1);
    out.extend_from_slice(b"samestat");
    out.extend_from_slice(&lowest.to_le_bytes());
    out.extend_from_slice(&highest.to_le_bytes());
    out.extend_from_slice(&[0; 11]);
    out.extend_from_slice(added);
    finish_frame(&mut out, start);
    out
}

/// Releases with which no version is in common, and what is to be said of each.
const STRANGERS: [(u16, u16, &str); 3] = [
    (
        0,
        0,
        "the peer speaks version 0 of the protocol, this process versions 1 to 4: none in common; \
            upgrade the peer",
    ),
    (
        6,
        9,
        "the peer speaks versions 6 to 9 of the protocol, this process versions 1 to 4: none in \
            common; upgrade this process",
    ),
    (
        5,
        5,
        "the peer speaks version 5 of the protocol, this process versions 1 to 4: none in common; \
            upgrade this process",
    ),
];

#[tokio::test]
async fn a_client_with_no_version_in_common_is_told_ours_and_named() {
    let place = Place::new();
    let (_server, mut reports) = place.served().await;
    for (lowest, highest, words) in STRANGERS {
        let mut client = Peer::connect(&place.path()).await;
        client.send(&hello(lowest, highest, b"")).await;
        assert_eq!(client.versions().await, [PROTOCOL_OLDEST, PROTOCOL_VERSION]);
        assert_eq!(client.frame().await, None, "and no more than that");
        reports.say(words).await;
    }
}

#[tokio::test]
async fn a_server_with_no_version_in_common_is_named_and_tried_again_slowly() {
    for (lowest, highest, words) in STRANGERS {
        let place = Place::new();
        let listener = UnixListener::bind(place.path()).expect("it listens");
        let (store, mut reports) = list();
        let store = store.client(place.client()).start().expect("it starts");
        let mut server = Peer::accept(&listener).await;
        assert_eq!(server.versions().await, [PROTOCOL_OLDEST, PROTOCOL_VERSION]);
        server.send(&hello(lowest, highest, b"")).await;
        let report = reports.say(words).await;
        assert!(
            report.contains("again in 30000 ms"),
            "not after 20 ms, as for a server that is gone: {report}"
        );
        assert_eq!(server.frame().await, None, "it asks for nothing");
        assert_eq!(store.dispatch(1).await, Err(DispatchError::NotConnected));
    }
}

fn attach() -> Message {
    Message::Attach(Attach {
        protocol: PROTOCOL_VERSION,
        node: NodeId(9),
        store: "list".into(),
        schema_version: 1,
        codec: Codec::MessagePack,
        resume: None,
        partial: None,
        takes_patches: false,
    })
}

#[tokio::test]
async fn a_newer_client_that_still_speaks_our_version_is_served_in_it() {
    serves_in(PROTOCOL_VERSION, &hello(1, 9, b"what version 9 adds"), Message::SNAPSHOT_PART).await;
}

#[tokio::test]
async fn an_older_client_is_served_in_its_version() {
    serves_in(1, &hello(1, 1, b""), Message::SNAPSHOT_CHUNK).await;
}

/// A client that says this hello is served, in this version: its first state comes in such frames.
async fn serves_in(version: u16, hello: &[u8], part: u8) {
    let place = Place::new();
    let (server, _reports) = place.served().await;
    let mut client = Peer::connect(&place.path()).await;
    client.send(hello).await;
    assert_eq!(client.versions().await, [PROTOCOL_OLDEST, PROTOCOL_VERSION]);
    let Message::Attach(newest) = attach() else { panic!("it is a request") };
    client.say(&Message::Attach(Attach { protocol: version, ..newest })).await;
    let hop = client.hears(|message| match message {
        Message::Status(status) => Some(status.hop),
        _ => None,
    });
    let hop = hop.await;
    while client.frame().await.expect("a state comes").kind != part {}
    client.say(&Message::SessionOpen { hop, request: 3 }).await;
    let claim = client.hears(|message| match message {
        Message::SessionOpened { request: 3, claim, .. } => Some(claim),
        _ => None,
    });
    let claim = claim.await;
    let mut entries = Vec::new();
    samestate_proto::wire::Entry::write(&mut entries, claim.session, 1, 0, &[2]);
    client.say(&Message::Dispatch { hop, claim, oldest: 1, entries: entries.into() }).await;
    let answers = client.hears(|message| match message {
        Message::Answers { answers, .. } => Some(answers),
        _ => None,
    });
    assert!(matches!(answers.await[0].outcome, Outcome::Applied(_)));
    assert_eq!(*server.state(), [1, 2]);
}

#[tokio::test]
async fn a_newer_server_that_still_speaks_our_version_is_followed_in_it() {
    let hello = hello(1, 9, b"what version 9 adds");
    let part = |bytes| Message::SnapshotPart { offset: 0, bytes };
    follows_in(PROTOCOL_VERSION, &hello, part).await;
}

#[tokio::test]
async fn an_older_server_is_followed_in_its_version() {
    follows_in(1, &hello(1, 1, b""), Message::SnapshotChunk).await;
}

/// A client follows a server that says this hello, in this version.
async fn follows_in(version: u16, hello: &[u8], part: impl Fn(bytes::Bytes) -> Message) {
    let place = Place::new();
    let listener = UnixListener::bind(place.path()).expect("it listens");
    let (store, _reports) = list();
    let store = store.client(place.client()).start().expect("it starts");
    let mut server = Peer::accept(&listener).await;
    assert_eq!(server.versions().await, [PROTOCOL_OLDEST, PROTOCOL_VERSION]);
    server.send(hello).await;
    let attach = server.hears(|message| match message {
        Message::Attach(attach) => Some(attach),
        other => panic!("it asks first, and not {other:?}"),
    });
    assert_eq!(attach.await.protocol, version);
    let status = Status {
        hop: 1,
        connected: true,
        mode: Mode::Action,
        version: Some(store.version()),
        path: vec![NodeId(9)],
    };
    server.say(&Message::Status(status)).await;
    let lineage = samestate_proto::Lineage::founded(samestate_proto::Epoch { number: 1, id: 77 });
    let epoch = lineage.head().expect("one");
    let version = samestate::Version { epoch, seq: 0 };
    let state = [b'M', 0x91, 4];
    let crc = crc32fast::hash(&state);
    let head = samestate_proto::wire::SnapshotHead { version, history: 0, len: 3, crc, lineage };
    server.say(&Message::SnapshotHead(head)).await;
    server.say(&part(state.to_vec().into())).await;
    let mut versions = store.watch();
    within(async {
        while *store.state() != [4] {
            versions.changed().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_request_in_a_version_that_was_not_agreed_is_refused_in_words() {
    let place = Place::new();
    let (_server, mut reports) = place.served().await;
    let mut client = Peer::connect(&place.path()).await;
    client.send(&hello(1, 9, b"")).await;
    client.versions().await;
    let Message::Attach(newer) = attach() else { return };
    client.say(&Message::Attach(Attach { protocol: 9, ..newer })).await;
    let refusal = client.hears(|message| match message {
        Message::Refused(refusal) => Some(refusal.text),
        other => panic!("served with {other:?}"),
    });
    let words = "store `list`: protocol version 9 at the client, versions 1 to 4 at the server";
    let refusal = refusal.await;
    assert!(refusal.contains(words), "{refusal}");
    reports.say(words).await;
}

#[tokio::test]
async fn what_a_version_does_not_have_cuts_the_link_and_is_named() {
    let place = Place::new();
    let (server, mut reports) = place.served().await;
    let mut longer = Vec::new();
    Message::Heartbeat { seq: 1 }.write(&mut longer, channel_of("list"));
    let start = 0;
    longer.push(7);
    finish_frame(&mut longer, start);
    let mut unknown = Vec::new();
    let start = begin_frame(&mut unknown, channel_of("list"), 99);
    finish_frame(&mut unknown, start);
    for (bytes, words) in [(longer, "impossible length"), (unknown, "unknown kind of frame: 99")] {
        let mut client = Peer::connect(&place.path()).await;
        client.send(&hello(1, 9, b"")).await;
        client.versions().await;
        client.say(&attach()).await;
        client.send(&bytes).await;
        while client.frame().await.is_some() {}
        reports.say(words).await;
    }
    assert_eq!(*server.state(), [1]);
}

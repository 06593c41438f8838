//! One end of a connection, in raw bytes.

use std::path::Path;

use bytes::{Bytes, BytesMut};
use samestate::Version;
use samestate::internals::{ClientHandshake, ClientStep, Credentials, NONCE_BYTES, Nonce};
use samestate_proto::wire::{
    Answer, Attach, Codec, Decoder, Entry, Frame, Message, PROTOCOL_VERSION, Status, begin_frame,
    channel_of, finish_frame,
};
use samestate_proto::{Claim, NodeId};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;

use super::scene::{LOGIN, PASSWORD, STORE, within};

const HELLO: u8 = 1;
const LOG_IN: u8 = 2;
const TICKET: u8 = 3;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection and what was read of it.
pub(super) struct Peer {
    stream: Box<dyn Stream>,
    buffer: BytesMut,
}

/// A session of a peer that dispatches by hand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Session {
    pub(super) hop: u32,
    pub(super) claim: Claim,
}

impl Peer {
    pub(super) async fn connect(path: &Path) -> Self {
        Peer::over(UnixStream::connect(path).await.expect("it connects"))
    }

    pub(super) fn over(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        Peer { stream: Box::new(stream), buffer: BytesMut::new() }
    }

    /// A peer that was cut may be unable to say all it wants.
    pub(super) async fn send(&mut self, bytes: &[u8]) {
        let _ = self.try_send(bytes).await;
    }

    /// Returns whether the peer takes these bytes.
    pub(super) async fn try_send(&mut self, bytes: &[u8]) -> bool {
        within(self.stream.write_all(bytes)).await.is_ok()
    }

    pub(super) async fn say(&mut self, message: &Message) {
        self.send(&framed(message)).await;
    }

    /// Says no more, and still listens.
    pub(super) async fn half_close(&mut self) {
        let _ = self.stream.shutdown().await;
    }

    /// The next frame; `None` at the end of the connection.
    pub(super) async fn frame(&mut self) -> Option<Frame> {
        within(async {
            loop {
                let frame = Decoder::new(64 << 20).decode(&mut self.buffer).expect("good frames");
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

    /// Returns whether the peer ends the connection, whatever it sends before.
    pub(super) async fn is_dropped(&mut self) -> bool {
        while self.frame().await.is_some() {}
        true
    }

    /// Returns the content of the first message that `pick` accepts. Other messages, and those
    /// about the connection itself, are skipped.
    pub(super) async fn hears<T>(&mut self, pick: impl Fn(Message) -> Option<T>) -> T {
        loop {
            let frame = self.frame().await.expect("the connection goes on");
            if frame.channel == 0 {
                continue;
            }
            let message = Message::read(&frame).expect("a message");
            if let Some(picked) = pick(message) {
                return picked;
            }
        }
    }

    /// Greets as either side does; `asks` is what a server says.
    pub(super) async fn greet(&mut self, version: u16, asks: bool) {
        self.send(&hello(version, asks)).await;
        let frame = self.frame().await.expect("a hello");
        assert_eq!((frame.channel, frame.kind), (0, HELLO));
    }

    /// Sends a step of a login and returns the other side's.
    pub(super) async fn log_in_step(&mut self, body: &[u8]) -> Bytes {
        self.send(&raw(0, LOG_IN, body)).await;
        self.frame().await.expect("a step of the login").body
    }

    /// Greets and proves a password. An error: what the server said at the end.
    pub(super) async fn log_in(&mut self, password: &str) -> Result<(), String> {
        self.greet(PROTOCOL_VERSION, false).await;
        let credentials = Credentials::new(LOGIN, password).expect("valid");
        let mut random = [0; NONCE_BYTES];
        getrandom::fill(&mut random).expect("random bytes");
        let mut handshake = ClientHandshake::new(credentials, Nonce::new(random));
        let mut said = self.log_in_step(&handshake.start()).await;
        loop {
            match handshake.step(&said).map_err(|error| error.to_string())? {
                ClientStep::Reply(reply) => said = self.log_in_step(&reply).await,
                ClientStep::Accepted => {
                    assert_eq!(self.frame().await.expect("a ticket").kind, TICKET);
                    return Ok(());
                }
            }
        }
    }

    /// A client that logged in.
    pub(super) async fn guest(path: &Path) -> Self {
        let mut peer = Peer::connect(path).await;
        peer.log_in(PASSWORD).await.expect("it is let in");
        peer
    }

    /// A client that logged in, was given the store and a session, and may dispatch.
    pub(super) async fn dispatcher(path: &Path) -> (Self, Session) {
        let mut peer = Peer::guest(path).await;
        let session = peer.open_session().await;
        (peer, session)
    }

    async fn open_session(&mut self) -> Session {
        let hop = self.attached().await;
        self.say(&Message::SessionOpen { hop, request: 1 }).await;
        let claim = self
            .hears(|message| match message {
                Message::SessionOpened { request: 1, claim, .. } => Some(claim),
                _ => None,
            })
            .await;
        Session { hop, claim }
    }

    /// Asks for the store, and returns the number of the hop.
    pub(super) async fn attached(&mut self) -> u32 {
        self.say(&Message::Attach(attach(STORE))).await;
        loop {
            let status = self.status().await;
            if status.connected {
                return status.hop;
            }
        }
    }

    pub(super) async fn status(&mut self) -> Status {
        self.hears(|message| match message {
            Message::Status(status) => Some(status),
            _ => None,
        })
        .await
    }

    /// The version of the first snapshot after this seq.
    pub(super) async fn snapshot_past(&mut self, seq: u64) -> Version {
        self.hears(|message| match message {
            Message::SnapshotHead(head) => Some(head.version).filter(|at| at.seq > seq),
            _ => None,
        })
        .await
    }

    /// The next answers to a session's dispatches.
    pub(super) async fn answers(&mut self, of: Claim) -> Vec<Answer> {
        self.hears(|message| match message {
            Message::Answers { claim, answers } if claim == of => Some(answers),
            _ => None,
        })
        .await
    }
}

/// A request for a store, as an honest client of it makes it.
pub(super) fn attach(store: &str) -> Attach {
    Attach {
        protocol: PROTOCOL_VERSION,
        node: NodeId(getrandom::u64().expect("random bytes")),
        store: store.to_owned(),
        schema_version: 1,
        codec: Codec::default(),
        resume: None,
        partial: None,
        takes_patches: false,
    }
}

impl Session {
    /// A dispatch of one payload.
    pub(super) fn dispatch(self, counter: u64, payload: &[u8]) -> Message {
        let mut entries = Vec::new();
        Entry::write(&mut entries, self.claim.session, counter, 0, payload);
        self.dispatch_bytes(counter, entries)
    }

    /// A dispatch of these bytes.
    pub(super) fn dispatch_bytes(self, oldest: u64, entries: Vec<u8>) -> Message {
        let Session { hop, claim } = self;
        Message::Dispatch { hop, claim, oldest, entries: entries.into() }
    }
}

/// An action of the scene's store, encoded.
pub(super) fn action(item: u32) -> Vec<u8> {
    rmp_serde::to_vec_named(&item).expect("it encodes")
}

pub(super) fn framed(message: &Message) -> Vec<u8> {
    let mut out = Vec::new();
    message.write(&mut out, channel_of(STORE));
    out
}

pub(super) fn raw(channel: u32, kind: u8, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let start = begin_frame(&mut out, channel, kind);
    out.extend_from_slice(body);
    finish_frame(&mut out, start);
    out
}

pub(super) fn hello(version: u16, asks: bool) -> Vec<u8> {
    let mut body = b"samestat".to_vec();
    body.extend_from_slice(&version.to_le_bytes());
    body.extend_from_slice(&version.to_le_bytes());
    body.push(u8::from(asks));
    body.extend_from_slice(&getrandom::u64().expect("random bytes").to_le_bytes());
    body.extend_from_slice(&0u16.to_le_bytes());
    raw(0, HELLO, &body)
}

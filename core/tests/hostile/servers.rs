//! Servers that mislead our client.

use std::path::Path;
use std::time::Duration;

use samestate::{ClientConfig, DispatchError, ServerConfig, Version};
use samestate_proto::wire::{Entry, Message, PROTOCOL_VERSION, SnapshotHead, Status, channel_of};
use samestate_proto::{Epoch, Lineage, Mode};
use tokio::net::UnixListener;

use super::peer::{Peer, action, attach, framed, raw};
use super::scene::{List, Place, Reports, STORE, list, within};

/// Someone who listens where a client expects its server.
struct Impostor(UnixListener);

impl Impostor {
    fn listen(path: &Path) -> Self {
        Impostor(UnixListener::bind(path).expect("it listens"))
    }

    async fn accept(&self) -> Peer {
        Peer::over(within(self.0.accept()).await.expect("the client comes").0)
    }

    /// A client that has greeted and asked for the store; where it says it stands.
    async fn follower(&self) -> (Peer, Version) {
        let mut peer = self.accept().await;
        peer.greet(PROTOCOL_VERSION, false).await;
        let resume = peer
            .hears(|message| match message {
                Message::Attach(attach) => attach.resume,
                other => panic!("it asks first, and not {other:?}"),
            })
            .await;
        (peer, resume)
    }
}

/// A client that holds `[1, 2]`, and whose server has been replaced.
struct Misled {
    client: List,
    reports: Reports,
    impostor: Impostor,
    place: Place,
}

impl Misled {
    async fn new() -> Self {
        let place = Place::new();
        let server = list().open().await.expect("it opens");
        server.create_server(ServerConfig::unix(place.path())).await.expect("it listens");
        let (reports, on_error) = Reports::new();
        let client = list()
            .on_error(on_error)
            .liveness(Duration::from_millis(50), Duration::from_millis(500))
            .client(ClientConfig::unix(place.path()).backoff_max(Duration::from_millis(20)))
            .open()
            .await
            .expect("it comes in sync");
        within(client.dispatch(1)).await.expect("it applies");
        within(client.dispatch(2)).await.expect("it applies");
        within(server.close(Duration::from_secs(5))).await.expect("it closes");
        let impostor = Impostor::listen(&place.path());
        Misled { client, reports, impostor, place }
    }

    /// Checks that the client is unharmed after an attempt.
    async fn unmoved(&mut self, words: &str) {
        self.reports.say(words).await;
        assert!(!self.client.is_connected(), "{words}");
        assert_eq!(*self.client.state(), [1, 2], "{words}");
        assert_eq!(self.client.dispatch(3).await, Err(DispatchError::NotConnected), "{words}");
    }

    /// The true server comes back, and the client with it.
    async fn ends_well(self) {
        let Misled { client, impostor, place, .. } = self;
        drop(impostor);
        let server = list().preloaded(vec![7]).open().await.expect("it opens");
        server.create_server(ServerConfig::unix(place.path())).await.expect("it listens");
        within(client.until_connected(true)).await;
        within(client.dispatch(8)).await.expect("it applies");
        assert_eq!(*client.state(), [7, 8]);
    }
}

/// Promises a higher version than the server has, so that it does not count as in sync.
fn status(at: Version) -> Message {
    Message::Status(Status {
        hop: 77,
        connected: true,
        mode: Mode::Action,
        version: Some(Version { seq: at.seq + 100, ..at }),
        path: Vec::new(),
    })
}

fn head(version: Version, len: u64, crc: u32) -> Message {
    let lineage = Lineage::founded(version.epoch);
    Message::SnapshotHead(SnapshotHead { version, history: 1, len, crc, lineage })
}

fn entries(epoch: Epoch, first: u64, damage: bool) -> Message {
    let mut entries = Vec::new();
    Entry::write(&mut entries, 5, 1, 0, &action(9));
    if damage {
        *entries.last_mut().expect("a payload") ^= 1;
    }
    Message::Entries { epoch: epoch.id, first, entries: entries.into(), patches: None }
}

/// Lists messages that a lying server sends after its status, with the client's report of each.
fn lies(at: Version) -> Vec<(Vec<Message>, &'static str)> {
    let next = Version { seq: at.seq + 1, ..at };
    let stranger = Epoch { number: at.epoch.number, id: at.epoch.id ^ 1 };
    let lineage = Message::Lineage(Lineage::founded(at.epoch));
    let part = |offset, bytes: &'static [u8]| {
        let bytes = bytes.into();
        Message::SnapshotPart { offset, bytes }
    };
    let chunk = |bytes| part(0, bytes);
    vec![
        (vec![head(next, 4, 0), chunk(b"1234")], "the checksum of a snapshot"),
        (vec![head(next, 3, 0), chunk(b"1234")], "more of a snapshot than announced"),
        (vec![chunk(b"1234")], "a part of a snapshot"),
        (
            vec![head(next, 4, 0), chunk(b"12"), part(3, b"4")],
            "a part of a snapshot out of its order",
        ),
        (vec![head(next, 4, 0), entries(at.epoch, 3, false)], "entries inside a snapshot"),
        (
            vec![lineage.clone(), entries(at.epoch, at.seq + 5, false)],
            "entries begin at 7; expected 3",
        ),
        (vec![lineage.clone(), entries(at.epoch, at.seq, false)], "entries begin at 2; expected 3"),
        (
            vec![lineage.clone(), entries(stranger, 3, false)],
            "another epoch than the one announced",
        ),
        (vec![lineage, entries(at.epoch, 3, true)], "the checksum of an entry"),
        (
            vec![Message::Lineage(Lineage::founded(stranger))],
            "the lineage of the peer does not contain version",
        ),
        (vec![Message::Attach(attach(STORE))], "a request from upstream"),
        (
            vec![head(Version { seq: u64::MAX, ..at }, 4, 0), chunk(b"1234")],
            "an impossible version",
        ),
    ]
}

#[tokio::test]
async fn a_client_drops_a_server_that_lies_reports_it_and_tries_again_with_its_state_as_it_was() {
    let mut misled = Misled::new().await;
    let (_, at) = misled.impostor.follower().await;
    for (messages, words) in lies(at) {
        let (mut peer, stands) = misled.impostor.follower().await;
        assert_eq!(stands, at, "it asks for what it asked for before");
        peer.say(&status(at)).await;
        for message in messages {
            peer.say(&message).await;
        }
        misled.unmoved(words).await;
        assert!(peer.is_dropped().await);
    }
    misled.ends_well().await;
}

#[tokio::test]
async fn a_client_that_cannot_use_a_snapshot_drops_its_server_and_rests() {
    let part = Message::SnapshotPart { offset: 0, bytes: b"1234"[..].into() };
    let snapshots = [
        (4, crc32fast::hash(b"1234"), "the snapshot cannot be decoded"),
        (u64::MAX, 0, "exceeds the limit of 1073741824 bytes"),
    ];
    for (len, crc, words) in snapshots {
        let mut misled = Misled::new().await;
        let (mut peer, at) = misled.impostor.follower().await;
        peer.say(&status(at)).await;
        peer.say(&head(Version { seq: at.seq + 1, ..at }, len, crc)).await;
        peer.say(&part).await;
        misled.unmoved(words).await;
        assert!(peer.is_dropped().await);
    }
}

#[tokio::test]
async fn a_client_drops_a_server_that_sends_garbage() {
    let mut misled = Misled::new().await;
    let mut flipped = framed(&Message::Credit { bytes: 1 });
    *flipped.last_mut().expect("a body") ^= 1;
    let mut oversized = framed(&Message::Credit { bytes: 1 });
    oversized[..4].copy_from_slice(&u32::MAX.to_le_bytes());
    let cases = [
        (flipped, "the checksum of a frame"),
        (oversized, "exceeds the limit"),
        (raw(channel_of(STORE), 99, b"?"), "unknown kind of frame: 99"),
        (raw(channel_of("other"), 32, &[0; 8]), "that it had not asked for"),
        (framed(&Message::Credit { bytes: 1 }), "a message before its status"),
    ];
    for (bytes, words) in cases {
        let (mut peer, _) = misled.impostor.follower().await;
        peer.send(&bytes).await;
        misled.unmoved(words).await;
        assert!(peer.is_dropped().await);
    }
    let mut peer = misled.impostor.accept().await;
    peer.send(&[0xff; 4096]).await;
    misled.unmoved("does not speak samestate").await;
    misled.ends_well().await;
}

#[tokio::test]
async fn a_client_leaves_a_server_that_never_answers_or_falls_silent() {
    let mut misled = Misled::new().await;
    let (mut peer, _) = misled.impostor.follower().await;
    misled.unmoved("the request for the store was not answered for").await;
    assert!(peer.is_dropped().await);
    let (mut peer, at) = misled.impostor.follower().await;
    peer.say(&status(at)).await;
    misled.unmoved("nothing was heard for").await;
    assert!(peer.is_dropped().await);
    misled.ends_well().await;
}

#[tokio::test]
async fn a_client_with_a_password_gives_nothing_to_a_server_that_does_not_ask_for_it() {
    let place = Place::new();
    let impostor = Impostor::listen(&place.path());
    let (mut reports, on_error) = Reports::new();
    let client = list().on_error(on_error).client(place.client()).start().expect("it starts");
    let mut peer = impostor.accept().await;
    peer.greet(PROTOCOL_VERSION, false).await;
    assert_eq!(peer.frame().await, None, "not a word of the login");
    reports.say("the server requires no login").await;
    assert!(!client.is_connected());
}

//! The targets `guest` and `snapshot`: a sequencer that receives the messages of a client, and a
//! follower that receives those of a server.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use samestate_proto::replication::{
    Config, LinkFault, LinkId, Output, Received, Replica, StateMachine, StateView,
};
use samestate_proto::wire::{
    Attach, Codec, Decoder, Entry, Frame, Message, PROTOCOL_VERSION, SnapshotHead, Status,
};
use samestate_proto::{Claim, Epoch, Lineage, Mode, NodeId, TOKEN_KEY_BYTES, TokenKey, Version};
use serde::{Deserialize, Serialize};

use super::script::{Script, put};
use crate::state::{List, Map};
use crate::store::ReducerMachine;

/// A state with a field of each shape that serde knows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Shelf {
    map: Map<String, u64>,
    list: List<u32>,
    plain: BTreeMap<u8, String>,
    newest: Option<Put>,
    taken: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Put {
    Map(String, u64),
    List(u32),
    Plain { key: u8, text: String },
    Nothing,
    Refused,
}

pub(crate) type Shelved = ReducerMachine<Shelf, Put>;

fn reduce(shelf: &mut Shelf, put: &Put) -> Result<(), crate::Reject> {
    match put.clone() {
        Put::Map(key, value) => drop(shelf.map.insert(key, value)),
        Put::List(item) => shelf.list.push_back(item),
        Put::Plain { key, text } => drop(shelf.plain.insert(key, text)),
        Put::Nothing => {}
        Put::Refused => return Err("refused".into()),
    }
    shelf.newest = Some(put.clone());
    shelf.taken = shelf.taken.wrapping_add(1);
    Ok(())
}

pub(crate) fn machine() -> Shelved {
    ReducerMachine::new(Shelf::default(), reduce, Codec::MessagePack)
}

pub(crate) fn key() -> TokenKey {
    TokenKey::new([7; TOKEN_KEY_BYTES])
}

/// Small bounds, so that a short input can reach them.
pub(crate) fn config() -> Config {
    Config {
        mode: Mode::Action,
        log_bytes_max: 4096,
        action_bytes_max: 1024,
        snapshot_bytes_max: 64 << 10,
        window: 8,
        window_bytes: 4096,
        sessions_max: 4,
        events_max: 8,
        events_bytes_max: 4096,
        ..Config::new("shelf")
    }
}

pub(crate) const EPOCH: Epoch = Epoch { number: 1, id: 77 };
const UP: LinkId = LinkId(1);
const DOWN: LinkId = LinkId(2);
const BUDGET: usize = 16 << 10;
/// The largest number of bytes that one `fill` may write: its budget, one more frame, and the
/// answers that waited.
const FILL_BYTES_MAX: usize = 10 << 20;

/// Kinds of steps of a script that are not frames as they stand in it.
const FILL: u8 = 0xf1;
const TICK: u8 = 0xf2;
const AGAIN: u8 = 0xf3;
/// A dispatch, or an entry, with the right numbers and checksum around the payload.
const ENTRY: u8 = 0xf4;
/// A snapshot with the right length and checksum around the state.
const SNAPSHOT: u8 = 0xf5;

/// A replica and the time.
struct Node {
    replica: Replica<Shelved>,
    now: Duration,
}

impl Node {
    /// Carries out the outputs of the replica. Returns whether one of them cut this link.
    fn settle(&mut self, link: LinkId) -> bool {
        let mut cut = false;
        while self.replica.has_outputs() {
            for output in self.replica.take_outputs() {
                match output {
                    Output::Run(job) => {
                        self.replica.finish(job.run(), Duration::from_micros(1), self.now);
                    }
                    Output::Cut(at, _) => {
                        cut |= at == link;
                        self.replica.link_down(at, self.now);
                    }
                    _ => {}
                }
            }
        }
        let _ = self.replica.take_changes();
        cut
    }

    fn fill(&mut self, link: LinkId) -> Vec<u8> {
        let mut out = Vec::new();
        self.replica.fill(link, &mut out, BUDGET, self.now);
        assert!(out.len() <= FILL_BYTES_MAX, "{} bytes at once", out.len());
        out
    }

    fn hear(&mut self, link: LinkId, frame: &Frame) -> Result<(), LinkFault> {
        match self.replica.receive(link, frame, self.now)? {
            Received::Done => Ok(()),
            Received::Decode(decode) => {
                let decoded = decode.run::<Shelved>();
                self.replica.install(link, decoded, self.now)
            }
        }
    }

    /// Feeds a message of a peer; returns false if it ends the link.
    fn takes(&mut self, link: LinkId, kind: u8, body: &[u8]) -> bool {
        let (channel, body) = (self.replica.channel(), Bytes::copy_from_slice(body));
        let heard = self.hear(link, &Frame { channel, kind, body });
        let cut = self.settle(link);
        heard.is_ok() && !cut
    }

    fn says(&mut self, link: LinkId, message: &Message) -> bool {
        let (kind, body) = parts(message);
        self.takes(link, kind, &body)
    }

    fn version(&self) -> Version {
        self.replica.version()
    }
}

/// The kind and body of the frame of a message.
fn parts(message: &Message) -> (u8, Bytes) {
    let mut out = Vec::new();
    message.write(&mut out, 1);
    let frame = Decoder::new(usize::MAX).decode(&mut BytesMut::from(&out[..]));
    let frame = frame.ok().flatten().expect("one frame");
    (frame.kind, frame.body)
}

fn attach() -> Message {
    Message::Attach(Attach {
        protocol: PROTOCOL_VERSION,
        node: NodeId(9),
        store: "shelf".into(),
        schema_version: 1,
        codec: Codec::MessagePack,
        resume: None,
        partial: None,
        takes_patches: false,
    })
}

/// Feeds arbitrary messages of a logged-in client to a sequencer. Checks that nothing panics, and
/// that each step orders at most as many actions as its bytes can hold.
pub(super) fn guest(data: &[u8]) {
    let now = Duration::from_secs(1);
    let replica = Replica::sequencer(config(), NodeId(1), machine(), EPOCH, key(), now);
    let mut node = Node { replica, now };
    let (mut claim, mut hop, mut counter) = (Claim::default(), 0, 0);
    node.replica.downstream_up(DOWN, now);
    for (kind, body) in Script(data) {
        let before = node.version();
        let goes_on = match kind {
            FILL => {
                let out = node.fill(DOWN);
                learn(&out, &mut claim, &mut hop);
                true
            }
            TICK => {
                node.now += Duration::from_millis(100 * body.len() as u64);
                node.replica.tick(node.now);
                !node.settle(DOWN)
            }
            AGAIN => false,
            ENTRY => {
                counter += 1;
                let mut entries = Vec::new();
                Entry::write(&mut entries, claim.session, counter, 0, body);
                let entries = entries.into();
                node.says(DOWN, &Message::Dispatch { hop, claim, oldest: 1, entries })
            }
            kind => node.takes(DOWN, kind, body),
        };
        let ordered = node.version().seq - before.seq;
        assert!(ordered <= 1 + body.len() as u64, "{ordered} actions of {} bytes", body.len());
        assert_eq!(node.version().seq, node.replica.machine().state().taken);
        if !goes_on {
            node.replica.link_down(DOWN, node.now);
            node.replica.downstream_up(DOWN, node.now);
            node.settle(DOWN);
            counter = 0;
        }
    }
}

/// Reads the session and the number of the hop from the messages of a sequencer.
fn learn(out: &[u8], claim: &mut Claim, hop: &mut u32) {
    let mut buffer = BytesMut::from(out);
    while let Ok(Some(frame)) = Decoder::new(usize::MAX).decode(&mut buffer) {
        match Message::read(&frame).expect("a replica says what it would read") {
            Message::Status(status) => *hop = status.hop,
            Message::SessionOpened { claim: issued, .. } => *claim = issued,
            _ => {}
        }
    }
    assert!(buffer.is_empty(), "a replica writes whole frames");
}

/// Feeds arbitrary messages of a server to a follower, which serves another. Checks that nothing
/// panics, that no state is larger than the limit, and that a follower of the follower has the same
/// state at the same version.
pub(super) fn snapshot(data: &[u8]) {
    let now = Duration::from_secs(1);
    let follower = |id| Replica::follower(config(), NodeId(id), machine(), now);
    let (mut node, mut below) =
        (Node { replica: follower(1), now }, Node { replica: follower(2), now });
    let mut history = 0;
    for (kind, body) in Script(data) {
        let goes_on = match kind {
            FILL => {
                node.fill(UP);
                relay(&mut node, &mut below);
                true
            }
            TICK => {
                node.now += Duration::from_millis(100 * body.len() as u64);
                node.replica.tick(node.now);
                !node.settle(UP)
            }
            AGAIN => false,
            ENTRY => {
                let (version, epoch) = (node.version(), node.replica.lineage().head());
                let mut entries = Vec::new();
                let (flags, payload) = body.split_first().unwrap_or((&0, &[]));
                Entry::write(&mut entries, 5, version.seq.min(1 << 60), *flags, payload);
                let (epoch, entries) = (epoch.unwrap_or_default().id, entries.into());
                node.says(
                    UP,
                    &Message::Entries { epoch, first: version.seq + 1, entries, patches: None },
                )
            }
            SNAPSHOT => {
                history += 1;
                feed_snapshot(&mut node, history, body)
            }
            kind => node.takes(UP, kind, body),
        };
        holds(&node);
        if !goes_on {
            node.replica.link_down(UP, node.now);
            node.replica.upstream_up(UP, PROTOCOL_VERSION, node.now);
            node.settle(UP);
        }
    }
    relay(&mut node, &mut below);
}

/// Feeds a snapshot of this state, at the version of the follower or at the next one.
fn feed_snapshot(node: &mut Node, history: u64, state: &[u8]) -> bool {
    let seq = node.version().seq.min(1 << 60) + history % 2;
    let head = SnapshotHead {
        version: Version { epoch: EPOCH, seq },
        history,
        len: state.len() as u64,
        crc: crc32fast::hash(state),
        lineage: Lineage::founded(EPOCH),
    };
    let middle = state.len() / 2;
    let (first, second) = state.split_at(middle);
    let part = |offset: usize, bytes: &[u8]| Message::SnapshotPart {
        offset: offset as u64,
        bytes: Bytes::copy_from_slice(bytes),
    };
    node.says(UP, &Message::SnapshotHead(head))
        && (first.is_empty() || node.says(UP, &part(0, first)))
        && (second.is_empty() || node.says(UP, &part(middle, second)))
}

/// Checks the properties of any replica: its version lies on its lineage, and its state survives
/// its codec.
fn holds(node: &Node) {
    let replica = &node.replica;
    if !replica.lineage().is_empty() {
        assert!(replica.lineage().contains(replica.version()), "off its lineage");
    }
    let frozen = replica.machine().freeze();
    let bytes = frozen.encode().expect("it encodes");
    let again = Shelved::decode_state(&bytes).expect("it decodes");
    assert_eq!(Shelved::digest_state(&again), frozen.digest(), "another digest");
    assert!(again == *replica.machine().state(), "another state");
}

/// Lets `below` follow `node` for a while. Checks that both have the same state if they are then at
/// the same version.
fn relay(node: &mut Node, below: &mut Node) {
    node.replica.link_down(DOWN, node.now);
    node.replica.downstream_up(DOWN, node.now);
    below.replica.link_down(UP, below.now);
    below.replica.upstream_up(UP, PROTOCOL_VERSION, below.now);
    for _ in 0..8 {
        node.settle(DOWN);
        let up = below.fill(UP);
        let down = node.fill(DOWN);
        if up.is_empty() && down.is_empty() {
            break;
        }
        if !deliver(node, DOWN, &up) || !deliver(below, UP, &down) {
            break;
        }
    }
    let both = (&node.replica, &below.replica);
    let same_place = both.0.lineage() == both.1.lineage() && node.version() == below.version();
    if same_place && both.0.history() == both.1.history() {
        let digests = (both.0.machine().freeze().digest(), both.1.machine().freeze().digest());
        assert_eq!(digests.0, digests.1, "a relay and its follower differ at one version");
    }
}

fn deliver(node: &mut Node, link: LinkId, bytes: &[u8]) -> bool {
    let mut buffer = BytesMut::from(bytes);
    while let Ok(Some(frame)) = Decoder::new(usize::MAX).decode(&mut buffer) {
        if !node.takes(link, frame.kind, &frame.body) {
            return false;
        }
    }
    true
}

pub(crate) fn payload(action: &Put) -> Vec<u8> {
    rmp_serde::to_vec_named(action).expect("it encodes")
}

pub(crate) fn puts() -> [Put; 5] {
    [
        Put::Map("one".into(), 1),
        Put::List(2),
        Put::Plain { key: 3, text: "three".into() },
        Put::Nothing,
        Put::Refused,
    ]
}

pub(crate) fn state() -> Vec<u8> {
    let mut machine = machine();
    for action in puts() {
        let _ = machine.apply(&payload(&action));
    }
    machine.freeze().encode().expect("it encodes")
}

fn put_message(out: &mut Vec<u8>, message: &Message) {
    let (kind, body) = parts(message);
    put(out, kind, &body);
}

pub(super) fn guest_seeds() -> Vec<(&'static str, Vec<u8>)> {
    let mut dispatches = Vec::new();
    put_message(&mut dispatches, &attach());
    put(&mut dispatches, FILL, b"");
    put_message(&mut dispatches, &Message::SessionOpen { hop: 1, request: 1 });
    put(&mut dispatches, FILL, b"");
    for action in puts() {
        put(&mut dispatches, ENTRY, &payload(&action));
    }
    put(&mut dispatches, FILL, b"");
    let mut asks = dispatches.clone();
    for _ in 0..4 {
        put_message(&mut asks, &Message::Heal { seq: 0 });
        put_message(&mut asks, &Message::Heartbeat { seq: 3 });
        put(&mut asks, FILL, b"");
        put(&mut asks, TICK, &[0; 4]);
    }
    put_message(&mut asks, &Message::Detach);
    put(&mut asks, AGAIN, b"");
    asks.extend_from_slice(&dispatches);
    vec![("dispatches", dispatches), ("asks", asks)]
}

pub(super) fn snapshot_seeds() -> Vec<(&'static str, Vec<u8>)> {
    let status = Message::Status(Status {
        hop: 3,
        connected: true,
        mode: Mode::Action,
        version: Some(Version { epoch: EPOCH, seq: 1 }),
        path: vec![NodeId(5)],
    });
    let mut joins = Vec::new();
    put(&mut joins, AGAIN, b"");
    put_message(&mut joins, &status);
    put(&mut joins, SNAPSHOT, &state());
    for action in puts() {
        put(&mut joins, ENTRY, &[&[0], &payload(&action)[..]].concat());
    }
    put(&mut joins, FILL, b"");
    let mut heals = joins.clone();
    put_message(&mut heals, &Message::Digest { seq: 4, digest: 1 });
    put(&mut heals, FILL, b"");
    put(&mut heals, SNAPSHOT, &state());
    let later = Lineage::founded(EPOCH).continued(Epoch { number: 2, id: 78 }, 4);
    put_message(&mut heals, &Message::Lineage(later));
    put(&mut heals, TICK, &[0; 4]);
    let mut nested = Vec::new();
    put(&mut nested, AGAIN, b"");
    put_message(&mut nested, &status);
    put(&mut nested, SNAPSHOT, &[&b"M"[..], &[0x91; 2000]].concat());
    put(&mut nested, AGAIN, b"");
    put_message(&mut nested, &status);
    put(&mut nested, SNAPSHOT, b"M\x81\xa4list\xdd\xff\xff\xff\xff\x01");
    put(&mut nested, AGAIN, b"");
    put_message(&mut nested, &status);
    put(&mut nested, SNAPSHOT, &[&b"J"[..], &[b'['; 2000]].concat());
    vec![("joins", joins), ("heals", heals), ("nested", nested)]
}

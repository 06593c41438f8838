//! The article's store in memory, which the benchmarks of the hot paths share.

use std::time::Duration;

use samestate::ReducerMachine;
use samestate_proto::replication::{Config, LinkId, Output, Received, Replica, Resync};
use samestate_proto::wire::{Attach, Codec, Decoder, Frame, Message, PROTOCOL_VERSION};
use samestate_proto::{Epoch, Mode, NodeId, TOKEN_KEY_BYTES, TokenKey};

/// The article's reducer: a push; past 500, the oldest 100 go first.
#[allow(clippy::ptr_arg, reason = "a reducer takes its action by reference")]
fn ring(state: &mut Vec<String>, action: &String) {
    if state.len() > 500 {
        state.drain(..100);
    }
    state.push(action.clone());
}

pub(crate) type Ring = ReducerMachine<Vec<String>, String>;

fn machine() -> Ring {
    ReducerMachine::new(Vec::new(), ring, Codec::MessagePack)
}

fn config() -> Config {
    Config { mode: Mode::Action, resync: Resync::Off, ..Config::new("tasks") }
}

pub(crate) const NOW: Duration = Duration::ZERO;

pub(crate) fn sequencer() -> Replica<Ring> {
    let (epoch, key) = (Epoch { number: 1, id: 7 }, TokenKey::new([7; TOKEN_KEY_BYTES]));
    Replica::sequencer(config(), NodeId(1), machine(), epoch, key, NOW)
}

pub(crate) fn frames(bytes: &[u8]) -> Vec<Frame> {
    let mut buffer = bytes::BytesMut::from(bytes);
    let decoder = Decoder::new(64 << 20);
    std::iter::from_fn(|| decoder.decode(&mut buffer).expect("our own frames")).collect()
}

/// Attaches a link that follows the sequencer, past its first snapshot.
pub(crate) fn attach(replica: &mut Replica<Ring>, link: LinkId) {
    replica.downstream_up(link, NOW);
    let attach = Attach {
        protocol: PROTOCOL_VERSION,
        node: NodeId(100 + link.0),
        store: "tasks".into(),
        schema_version: 1,
        codec: Codec::MessagePack,
        resume: Some(replica.version()),
        partial: None,
        takes_patches: false,
    };
    let mut bytes = Vec::new();
    Message::Attach(attach).write(&mut bytes, replica.channel());
    for frame in frames(&bytes) {
        let received = replica.receive(link, &frame, NOW).expect("it attaches");
        assert!(matches!(received, Received::Done));
    }
    drain(replica, link, &mut Vec::new());
}

/// Reads all that a link has to send; returns the bytes.
pub(crate) fn drain(replica: &mut Replica<Ring>, link: LinkId, out: &mut Vec<u8>) -> usize {
    let mut sent = 0;
    loop {
        out.clear();
        replica.fill(link, out, 256 << 10, NOW);
        if out.is_empty() {
            return sent;
        }
        sent += out.len();
    }
}

pub(crate) fn take(replica: &mut Replica<Ring>, frame: &Frame) {
    let received = replica.receive(LinkId(1), frame, NOW).expect("it follows");
    if let Received::Decode(decode) = received {
        let decoded = decode.run::<Ring>();
        replica.install(LinkId(1), decoded, NOW).expect("it decodes");
    }
}

/// Carries frames and jobs to and fro until both are quiet.
pub(crate) fn exchange(upper: &mut Replica<Ring>, lower: &mut Replica<Ring>) {
    loop {
        let (mut up, mut down) = (Vec::new(), Vec::new());
        lower.fill(LinkId(1), &mut up, usize::MAX, NOW);
        frames(&up).iter().for_each(|frame| take(upper, frame));
        for output in upper.take_outputs() {
            if let Output::Run(job) = output {
                upper.finish(job.run(), Duration::ZERO, NOW);
            }
        }
        lower.take_outputs();
        upper.fill(LinkId(1), &mut down, usize::MAX, NOW);
        frames(&down).iter().for_each(|frame| take(lower, frame));
        if up.is_empty() && down.is_empty() && !upper.has_outputs() {
            return;
        }
    }
}

/// A sequencer, and a replica that follows it over link 1.
pub(crate) fn pair() -> (Replica<Ring>, Replica<Ring>) {
    let mut upper = sequencer();
    upper.downstream_up(LinkId(1), NOW);
    let mut lower = Replica::follower(config(), NodeId(2), machine(), NOW);
    lower.upstream_up(LinkId(1), PROTOCOL_VERSION, NOW);
    exchange(&mut upper, &mut lower);
    (upper, lower)
}

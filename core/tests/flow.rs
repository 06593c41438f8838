//! Flow near the end of the log: a moving link is waited for, a stopped one is not.

use std::time::Duration;

use bytes::BytesMut;
use samestate::replication::{
    Config, Dispatched, Epoch, LinkId, Mode, NodeId, Output, Received, Replica, Resolution, Resync,
    TOKEN_KEY_BYTES, TokenKey,
};
use samestate::store::Reduced;
use samestate::wire::{Attach, Codec, Decoder, Message, PROTOCOL_VERSION};

type Texts = Reduced<Vec<u64>, String>;

const LINK: LinkId = LinkId(1);
const LOG_BYTES: usize = 256 << 10;

fn sequencer() -> Replica<Texts> {
    let reducer = |lengths: &mut Vec<u64>, text: &String| lengths.push(text.len() as u64);
    let machine = Reduced::new(Vec::new(), reducer, Codec::MessagePack, false);
    let (mode, resync) = (Mode::Action, Resync::Off);
    let config = Config { mode, resync, log_bytes_max: LOG_BYTES, ..Config::new("texts") };
    let epoch = Epoch { number: 1, id: 7 };
    let key = TokenKey::new([3; TOKEN_KEY_BYTES]);
    let mut replica = Replica::sequencer(config, NodeId(1), machine, epoch, key, Duration::ZERO);
    attach(&mut replica);
    replica
}

fn attach(replica: &mut Replica<Texts>) {
    replica.downstream_up(LINK, Duration::ZERO);
    let attach = Attach {
        protocol: PROTOCOL_VERSION,
        node: NodeId(2),
        store: "texts".into(),
        schema_version: 1,
        codec: Codec::MessagePack,
        resume: Some(replica.version()),
    };
    let mut bytes = Vec::new();
    Message::Attach(attach).write(&mut bytes, replica.channel());
    let frame = Decoder::new(1 << 20).decode(&mut BytesMut::from(&bytes[..]));
    let frame = frame.expect("our own frame").expect("it is whole");
    let received = replica.receive(LINK, &frame, Duration::ZERO).expect("it attaches");
    assert!(matches!(received, Received::Done));
    read_all(replica, Duration::ZERO);
}

/// Reads all that the link has to send, as a peer that keeps up does.
fn read_all(replica: &mut Replica<Texts>, now: Duration) {
    let mut out = vec![0];
    while !out.is_empty() {
        out.clear();
        replica.fill(LINK, &mut out, 64 << 10, now);
    }
}

/// Dispatches texts of 1 KB until one has to wait; its number.
fn until_one_waits(replica: &mut Replica<Texts>) -> u64 {
    for ticket in 0..1000 {
        let dispatched = replica.dispatch(ticket, &"x".repeat(1000), Duration::ZERO);
        match dispatched.expect("it is taken") {
            Dispatched::Now(resolution) => assert!(matches!(resolution, Resolution::Ok(_))),
            Dispatched::Later => return ticket,
        }
    }
    panic!("the log never came near its end");
}

fn resolved(replica: &mut Replica<Texts>) -> Vec<(u64, Resolution)> {
    let resolved = replica.take_outputs().into_iter().filter_map(|output| match output {
        Output::Resolved { ticket, resolution } => Some((ticket, resolution)),
        _ => None,
    });
    resolved.collect()
}

#[test]
fn local_dispatches_wait_in_their_window_while_a_moving_link_nears_the_end_of_the_log() {
    let mut replica = sequencer();
    let waiting = until_one_waits(&mut replica);
    assert_eq!(replica.version().seq, waiting, "it is not applied yet");
    assert!(resolved(&mut replica).is_empty());
    read_all(&mut replica, Duration::ZERO);
    let resolved = resolved(&mut replica);
    assert!(matches!(&resolved[..], [(ticket, Resolution::Ok(_))] if *ticket == waiting));
    assert_eq!(replica.counters().snapshots_forced, 0, "the link did not fall off");
}

#[test]
fn a_link_that_does_not_move_loses_its_protection_and_falls_off() {
    let mut replica = sequencer();
    until_one_waits(&mut replica);
    let later = Duration::from_secs(1);
    replica.tick(later);
    assert_eq!(resolved(&mut replica).len(), 1, "what waited is applied");
    for ticket in 2000..2400 {
        let taken = replica.dispatch(ticket, &"x".repeat(1000), later);
        assert!(matches!(taken, Ok(Dispatched::Now(_))), "nobody waits for a stopped link");
    }
    read_all(&mut replica, later);
    assert_eq!(replica.counters().snapshots_forced, 1);
    assert!(replica.counters().entries_skipped > 0);
}

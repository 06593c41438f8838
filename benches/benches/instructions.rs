//! The instructions of the hot paths, counted by valgrind: noise does not move them.
//!
//! ```sh
//! scripts/instructions            # counts, and compares with benches/instructions.limits
//! ```
//!
//! The program runs one path for a number of actions. Valgrind counts within the function that is
//! named after the path and nowhere else, so neither the start nor the preparation counts.

mod ring;

use std::hint::black_box;

use bytes::BytesMut;
use samestate_proto::replication::{LinkId, Replica, StateMachine};
use samestate_proto::wire::{Decoder, Entries, Entry, Frame, Message};

use ring::{NOW, Ring, attach, drain, exchange, frames, pair, sequencer, take};

/// So many actions go into one write of a link.
const BATCH: usize = 64;

/// Runs a path for a number of batches.
type Run = fn(usize);

/// The paths by name.
const PATHS: [(&str, Run); 4] = [
    ("dispatch_to_two_links", dispatch),
    ("apply_at_a_replica", apply),
    ("encode_an_entry", encode),
    ("decode_a_frame", decode),
];

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let Some(name) = arguments.next() else {
        // `cargo bench` runs it so.
        println!("paths, which scripts/instructions counts: {:?}", PATHS.map(|(name, _)| name));
        return;
    };
    let batches = arguments.next().and_then(|number| number.parse().ok());
    let path = PATHS.iter().find(|(other, _)| *other == name);
    let (Some((_, run)), Some(batches)) = (path, batches) else {
        eprintln!("usage: instructions PATH BATCHES; paths: {:?}", PATHS.map(|(name, _)| name));
        std::process::exit(2);
    };
    run(batches);
    println!("{}", batches * BATCH);
}

fn action() -> String {
    format!("task {:>16} of the article", 7)
}

fn dispatch(batches: usize) {
    let mut replica = sequencer();
    (0..2).for_each(|link| attach(&mut replica, LinkId(link)));
    let mut out = Vec::new();
    dispatch_and_drain(&mut replica, &mut out, 10);
    measured_dispatch_to_two_links(&mut replica, &mut out, batches);
}

#[inline(never)]
fn measured_dispatch_to_two_links(replica: &mut Replica<Ring>, out: &mut Vec<u8>, batches: usize) {
    dispatch_and_drain(replica, out, batches);
}

fn dispatch_and_drain(replica: &mut Replica<Ring>, out: &mut Vec<u8>, batches: usize) {
    let action = action();
    for _ in 0..batches {
        for _ in 0..BATCH {
            black_box(replica.dispatch(0, &action, NOW)).expect("the sequencer takes it");
        }
        for link in 0..2 {
            black_box(drain(replica, LinkId(link), out));
        }
    }
}

fn apply(batches: usize) {
    let (mut upper, mut lower) = pair();
    for batch in 0..batches + 10 {
        for _ in 0..BATCH {
            upper.dispatch(0, &action(), NOW).expect("the sequencer takes it");
        }
        let mut out = Vec::new();
        upper.fill(LinkId(1), &mut out, usize::MAX, NOW);
        let frames = frames(&out);
        if batch < 10 {
            frames.iter().for_each(|frame| take(&mut lower, frame));
        } else {
            measured_apply_at_a_replica(&mut lower, &frames);
        }
        exchange(&mut upper, &mut lower);
    }
    assert_eq!(upper.version(), lower.version());
}

#[inline(never)]
fn measured_apply_at_a_replica(replica: &mut Replica<Ring>, frames: &[Frame]) {
    frames.iter().for_each(|frame| take(replica, frame));
}

fn encode(batches: usize) {
    let (replica, action) = (sequencer(), action());
    let (mut payload, mut out) = (Vec::new(), Vec::new());
    for _ in 0..batches {
        out.clear();
        measured_encode_an_entry(replica.machine(), &action, &mut payload, &mut out);
    }
}

#[inline(never)]
fn measured_encode_an_entry(
    machine: &Ring,
    action: &String,
    payload: &mut Vec<u8>,
    out: &mut Vec<u8>,
) {
    for counter in 0..BATCH as u64 {
        payload.clear();
        machine.encode_action(black_box(action), payload).expect("it can be encoded");
        Entry::write(out, 7, counter, 0, payload);
    }
}

fn decode(batches: usize) {
    let mut replica = sequencer();
    attach(&mut replica, LinkId(1));
    for _ in 0..BATCH {
        replica.dispatch(0, &action(), NOW).expect("the sequencer takes it");
    }
    let mut out = Vec::new();
    replica.fill(LinkId(1), &mut out, usize::MAX, NOW);
    for _ in 0..batches {
        measured_decode_a_frame(BytesMut::from(&out[..]));
    }
}

#[inline(never)]
fn measured_decode_a_frame(mut bytes: BytesMut) {
    let decoder = Decoder::new(64 << 20);
    while let Some(frame) = decoder.decode(&mut bytes).expect("our own frames") {
        let message = Message::read(&frame).expect("our own message");
        let Message::Entries { entries, .. } = message else { panic!("{message:?}") };
        for entry in Entries::new(&entries) {
            black_box(entry.expect("our own entry"));
        }
    }
}

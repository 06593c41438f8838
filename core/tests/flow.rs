//! Flow near the end of the log: a moving link is waited for, a stopped one and a slow one are not;
//! and copies over links that are cut or slow.

use std::time::Duration;

use bytes::BytesMut;
use samestate::ReducerMachine;
use samestate_proto::replication::{
    Config, Dispatched, LinkId, Output, Received, Replica, Report, Resolution, Resync,
};
use samestate_proto::wire::{Attach, Codec, Decoder, Message, PROTOCOL_VERSION};
use samestate_proto::{Epoch, Mode, NodeId, TOKEN_KEY_BYTES, TokenKey};

type Texts = ReducerMachine<Vec<u64>, String>;

const LINK: LinkId = LinkId(1);
const LOG_BYTES: usize = 256 << 10;

fn machine(state: Vec<u64>) -> Texts {
    let reducer = |lengths: &mut Vec<u64>, text: &String| lengths.push(text.len() as u64);
    ReducerMachine::new(state, reducer, Codec::MessagePack)
}

fn config() -> Config {
    let (mode, resync) = (Mode::Action, Resync::Off);
    Config { mode, resync, log_bytes_max: LOG_BYTES, ..Config::new("texts") }
}

fn sequencer_with(state: Vec<u64>) -> Replica<Texts> {
    let epoch = Epoch { number: 1, id: 7 };
    let key = TokenKey::new([3; TOKEN_KEY_BYTES]);
    Replica::sequencer(config(), NodeId(1), machine(state), epoch, key, Duration::ZERO)
}

fn sequencer() -> Replica<Texts> {
    let mut replica = sequencer_with(Vec::new());
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
        partial: None,
        takes_patches: false,
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

#[test]
fn writers_wait_for_a_slow_link_no_longer_than_the_grace_period() {
    let mut replica = sequencer();
    let waiting = until_one_waits(&mut replica);
    let (mut ticket, mut reports) = (waiting, Vec::new());
    let mut at_once = 0;
    for tenth in 1..100 {
        let now = Duration::from_millis(100) * tenth;
        // A few KB a tick: it moves, and never catches up.
        replica.fill(LINK, &mut Vec::new(), 1, now);
        replica.tick(now);
        for _ in 0..50 {
            ticket += 1;
            let taken = replica.dispatch(ticket, &"x".repeat(1000), now);
            let ordered = matches!(taken.expect("there is room"), Dispatched::Now(_));
            at_once += u32::from(ordered);
            assert!(ordered || tenth <= 11, "it waits {now:?} later");
        }
        reports.extend(reported(&mut replica));
    }
    assert!(at_once >= 88 * 50, "{at_once}");
    let told = |report: &Report| matches!(report, Report::FellBehind { .. });
    assert_eq!(reports.iter().filter(|report| told(report)).count(), 1, "{reports:?}");
    assert!(replica.counters().snapshots_forced > 0, "the link fell off");
}

/// A link of more than 4 MiB a second sets the pace, for however long: a dispatch waits behind
/// those of its window, and no longer.
#[test]
fn writers_get_what_a_fast_link_carries_and_wait_for_no_more_than_their_window() {
    const LINK_BYTES: usize = 5 << 20;
    const PACE_BYTES: u64 = 4 << 20;
    const TEXT_BYTES: usize = 1000;
    let step = Duration::from_millis(10);
    let mut replica = sequencer();
    let (mut ticket, mut longest) = (0, Duration::ZERO);
    let mut begun: std::collections::VecDeque<Duration> = std::collections::VecDeque::new();
    let (mut left, mut ordered_before) = (0, 0);
    for at in 1..=3_000 {
        let now = step * at;
        left += LINK_BYTES / 100;
        while left > 0 {
            let mut out = Vec::new();
            replica.fill(LINK, &mut out, left.min(64 << 10), now);
            left = left.saturating_sub(out.len().max(1));
            if out.is_empty() {
                left = 0;
            }
        }
        replica.tick(now);
        // As many as the node takes.
        while let Ok(dispatched) = replica.dispatch(ticket, &"x".repeat(TEXT_BYTES), now) {
            ticket += 1;
            if matches!(dispatched, Dispatched::Later) {
                begun.push_back(now);
            }
        }
        for _ in resolved(&mut replica) {
            let waited = now - begun.pop_front().expect("it waited");
            longest = longest.max(waited);
        }
        if at % 100 == 0 {
            let ordered = replica.version().seq;
            let bytes = (ordered - ordered_before) * TEXT_BYTES as u64;
            assert!(bytes >= PACE_BYTES, "{bytes} bytes in a second, {now:?} later");
            ordered_before = ordered;
        }
    }
    assert!(longest <= Duration::from_secs(2), "{longest:?}: a window of 8 MiB at 4 MiB a second");
    assert_eq!(replica.counters().snapshots_forced, 0, "the link did not fall off");
}

fn reported(replica: &mut Replica<Texts>) -> Vec<Report> {
    let reports = replica.take_outputs().into_iter().filter_map(|output| match output {
        Output::Report(report) => Some(report),
        _ => None,
    });
    reports.collect()
}

/// A sequencer with a big state, and a follower over a link that is cut.
struct Pair {
    server: Replica<Texts>,
    client: Replica<Texts>,
    link: LinkId,
    now: Duration,
    /// The offsets at which the received parts of snapshots began.
    offsets: Vec<u64>,
    reports: Vec<Report>,
}

/// The length of a snapshot's part in a frame.
const PART_BYTES: u64 = 16 << 10;

/// So many numbers, each nine bytes when encoded.
const BIG: usize = 60_000;

impl Pair {
    fn new() -> Self {
        let server = sequencer_with(vec![u64::MAX; BIG]);
        let client = Replica::follower(config(), NodeId(2), machine(Vec::new()), Duration::ZERO);
        let (link, now) = (LinkId(1), Duration::ZERO);
        let mut pair = Pair { server, client, link, now, offsets: Vec::new(), reports: Vec::new() };
        pair.connect();
        pair
    }

    fn connect(&mut self) {
        self.link.0 += 1;
        self.server.downstream_up(self.link, self.now);
        self.client.upstream_up(self.link, PROTOCOL_VERSION, self.now);
        self.up();
    }

    fn cut(&mut self) {
        self.server.link_down(self.link, self.now);
        self.client.link_down(self.link, self.now);
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.server.tick(self.now);
        self.client.tick(self.now);
        self.up();
    }

    fn up(&mut self) {
        let mut out = vec![0];
        while !out.is_empty() {
            out.clear();
            self.client.fill(self.link, &mut out, 64 << 10, self.now);
            for frame in frames(&out) {
                self.server.receive(self.link, &frame, self.now).expect("it is understood");
            }
            self.jobs();
        }
    }

    /// Carries about so many bytes down; whether there were any.
    fn down(&mut self, bytes: usize) -> bool {
        let mut out = Vec::new();
        self.server.fill(self.link, &mut out, bytes, self.now);
        for frame in frames(&out) {
            if let Ok(Message::SnapshotPart { offset, .. }) = Message::read(&frame) {
                self.offsets.push(offset);
            }
            let received = self.client.receive(self.link, &frame, self.now);
            if let Received::Decode(decode) = received.expect("it is understood") {
                let decoded = decode.run::<Texts>();
                self.client.install(self.link, decoded, self.now).expect("it is a state");
            }
        }
        self.jobs();
        !out.is_empty()
    }

    fn jobs(&mut self) {
        for output in self.server.take_outputs() {
            match output {
                Output::Run(job) => self.server.finish(job.run(), Duration::ZERO, self.now),
                Output::Report(report) => self.reports.push(report),
                Output::Cut(link, fault) => panic!("{link} is cut: {fault}"),
                _ => {}
            }
        }
    }

    /// Dispatches so many texts of 1 KB at the sequencer.
    fn write(&mut self, count: u64) {
        for ticket in 0..count {
            let text = "x".repeat(1000);
            let taken = self.server.dispatch(ticket, &text, self.now).expect("it is taken");
            assert!(matches!(taken, Dispatched::Now(_)), "nobody waits");
        }
        self.jobs();
    }

    fn are_same(&mut self) {
        while self.down(1 << 20) {}
        assert_eq!(self.client.version(), self.server.version());
        assert_eq!(self.client.machine().state(), self.server.machine().state());
    }
}

fn frames(bytes: &[u8]) -> Vec<samestate_proto::wire::Frame> {
    let mut buffer = BytesMut::from(bytes);
    let next = || Decoder::new(8 << 20).decode(&mut buffer).expect("our own frames");
    std::iter::from_fn(next).collect()
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn an_interrupted_copy_goes_on_where_it_stopped() {
    let mut pair = Pair::new();
    for _ in 0..6 {
        pair.down(64 << 10);
        pair.down(64 << 10);
        pair.cut();
        pair.write(3);
        pair.pass(SECOND);
        pair.connect();
    }
    pair.are_same();
    let once: Vec<u64> = (0..pair.offsets.len() as u64).map(|part| part * PART_BYTES).collect();
    assert_eq!(pair.offsets, once, "no byte came twice");
    let counters = pair.server.counters();
    assert!(counters.snapshots_resumed >= 4 && counters.snapshots_cut == 1, "{counters:?}");
}

#[test]
fn a_copy_that_the_sender_has_no_more_begins_anew() {
    let mut pair = Pair::new();
    pair.down(64 << 10);
    pair.down(64 << 10);
    pair.cut();
    pair.write(400);
    for _ in 0..40 {
        pair.pass(SECOND);
    }
    pair.write(1);
    pair.connect();
    pair.are_same();
    assert_eq!(pair.server.counters().snapshots_resumed, 0);
    let begun = pair.offsets.iter().filter(|offset| **offset == 0).count();
    assert_eq!(begun, 2, "{:?}", pair.offsets);
}

#[test]
fn what_is_written_while_a_copy_moves_is_kept_beyond_the_log() {
    let mut pair = Pair::new();
    pair.down(1);
    pair.down(1);
    pair.write(400);
    pair.pass(SECOND);
    assert!(pair.server.gauges().log_bytes > LOG_BYTES, "it is held");
    pair.are_same();
    let counters = pair.server.counters();
    assert_eq!((counters.snapshots_forced, counters.snapshots_cut), (0, 1), "{counters:?}");
    pair.write(1);
    assert!(pair.server.gauges().log_bytes <= LOG_BYTES, "and let go");
}

#[test]
fn a_copy_behind_which_too_much_is_written_falls_off_again_and_says_which_limit_to_raise() {
    let mut pair = Pair::new();
    for _ in 0..3 {
        pair.down(1);
        pair.down(1);
        // No tick: nobody waits for a link that has not moved for a while.
        pair.now += SECOND;
        pair.write(1000);
        assert!(pair.server.gauges().log_bytes <= LOG_BYTES + 9 * BIG + (64 << 10));
        while pair.server.counters().snapshots_forced == 0 && pair.down(64 << 10) {}
    }
    pair.are_same();
    assert!(pair.server.counters().snapshots_forced > 0);
    let words = "fell off the log again right after a snapshot: raise log_bytes_max";
    let told = pair.reports.iter().filter(|report| report.to_string().contains(words)).count();
    assert_eq!(told, 1, "{:?}", pair.reports);
}

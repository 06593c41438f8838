//! One replica, driven by hand: the tests write the messages of its peers and read its own.
//!
//! The simulator drives whole clusters of well-behaved nodes. These tests put one node where such a
//! cluster seldom or never gets it, message by message.

mod above;
mod below;
mod bounds;
mod doubts;
mod driver;
mod due;
mod durable;
mod faults;
mod fetching;
mod following;
mod healing;
mod ordering;
mod patches;
mod relay;
mod renewed;
mod replaced;
mod unrestorable;

use std::time::Duration;

use bytes::BytesMut;

use super::{Job, Received, Replica};
#[cfg(samestate_mutants)]
use crate::replication::snapshots::tests as snapshots;
use crate::replication::{
    Config, Fault, LinkFault, LinkId, Output, Report, Resolution, Resync, StateMachine, StateView,
};
use crate::wire::{Attach, Decoder, Entry, Message, PROTOCOL_VERSION, SnapshotHead, Status};
use crate::{Claim, Epoch, Lineage, Mode, NodeId, Token, TokenKey, Version};

const MS: Duration = Duration::from_millis(1);
const UP: LinkId = LinkId(1);
const DOWN: LinkId = LinkId(2);
const OTHER: LinkId = LinkId(3);
const FIRST_LIFE: Epoch = Epoch { number: 1, id: 11 };
const SECOND_LIFE: Epoch = Epoch { number: 2, id: 22 };

/// Mutants that the swarm does not show, and the test that does.
#[cfg(samestate_mutants)]
const HELD: &[(crate::Mutant, fn())] = &[
    (
        crate::Mutant::LineageUntoldAmidSnapshot,
        relay::a_node_that_is_getting_a_snapshot_is_told_of_another_lineage,
    ),
    (
        crate::Mutant::HealNotAskedAgain,
        healing::a_copy_that_goes_wrong_while_its_attach_is_under_way_asks_when_that_is_answered,
    ),
    (
        crate::Mutant::SnapshotsUnbounded,
        bounds::no_more_snapshots_are_sent_at_once_than_memory_is_meant_for,
    ),
    (
        crate::Mutant::CopiesKept,
        bounds::no_more_snapshots_are_kept_for_links_that_lag_than_memory_is_meant_for,
    ),
    (
        crate::Mutant::InterruptedUnbounded,
        snapshots::of_the_interrupted_snapshots_the_newest_few_are_kept_each_once,
    ),
    (
        crate::Mutant::NewestInterruptedGivesWay,
        snapshots::of_the_interrupted_snapshots_the_newest_few_are_kept_each_once,
    ),
    (
        crate::Mutant::LineageBeforeSnapshot,
        relay::a_node_that_resumes_a_snapshot_hears_of_a_lineage_not_before_its_head,
    ),
    (crate::Mutant::FetchedTwice, fetching::a_node_that_gets_a_state_already_gets_no_other),
    (
        crate::Mutant::HealedFromBefore,
        doubts::a_sequencer_heals_a_node_below_with_a_state_that_is_not_behind_it,
    ),
    (
        crate::Mutant::DoubtsHeededAlways,
        doubts::a_relay_that_cannot_tell_heals_first_though_not_for_each_node_that_says_so,
    ),
    (
        crate::Mutant::PartOfAnyProtocol,
        above::a_snapshot_of_the_first_protocol_never_goes_on_where_another_link_ended,
    ),
    (
        crate::Mutant::UnsendableForEver,
        unrestorable::a_relay_refuses_such_a_state_and_sends_the_next_one,
    ),
];

#[cfg(samestate_mutants)]
#[test]
fn each_mutant_held_by_a_replica_driven_by_hand_fails_its_test() {
    for (mutant, test) in HELD {
        let run = std::panic::catch_unwind(|| mutant.put_in(test));
        assert!(run.is_err(), "{mutant} is not found");
    }
}

/// A state that is the actions one after another. An action that begins with `!` is rejected, as by
/// a panic if it says so. A state that ends with `?` cannot be encoded, one that ends with `~` does
/// not survive its encoding, and the reducer of one that begins with `%` is elsewhere. A patch is
/// the action in capital letters, one of an action that begins with `#` is too large, and one that
/// contains `^` does not fit.
#[derive(Clone, Default)]
struct Tape(Vec<u8>);

impl StateView for Tape {
    fn encode(&self) -> Result<Vec<u8>, String> {
        if self.0.ends_with(b"?") { Err("it ends so".into()) } else { Ok(self.0.clone()) }
    }

    fn digest(&self) -> Result<u64, String> {
        Ok(u64::from(crc32fast::hash(&self.0)))
    }

    fn check(&self, bytes: &[u8]) -> Result<(), String> {
        if bytes == self.0 && !self.0.ends_with(b"~") { Ok(()) } else { Err("it differs".into()) }
    }
}

impl StateMachine for Tape {
    type Input = [u8];
    type Action = Vec<u8>;
    type State = Vec<u8>;
    type StateView = Tape;

    fn apply(&mut self, payload: &[u8]) -> Result<Vec<u8>, Fault> {
        let why = || "as it says".to_owned();
        match payload {
            b"!undone" => return Err(Fault::RolledBack(why())),
            b"!poisoned" => return Err(Fault::Poisoned(why())),
            [b'!', ..] => return Err(Fault::Rejected(why())),
            _ => {}
        }
        self.0.extend_from_slice(payload);
        Ok(payload.to_vec())
    }

    fn takes_patches(&self) -> bool {
        true
    }

    fn apply_and_diff(
        &mut self,
        payload: &[u8],
        patch: &mut Vec<u8>,
        bytes_max: usize,
    ) -> Result<(Vec<u8>, bool), Fault> {
        patch.extend_from_slice(&payload.to_ascii_uppercase());
        let action = self.apply(payload)?;
        Ok((action, !payload.starts_with(b"#") && payload.len() <= bytes_max))
    }

    fn apply_patch(&mut self, payload: &[u8], patch: &[u8]) -> Result<Vec<u8>, Fault> {
        if patch.contains(&b'^') {
            return Err(Fault::Misfit("as it says".into()));
        }
        self.0.extend_from_slice(patch);
        Ok(payload.to_vec())
    }

    fn encode_action(&self, action: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        out.extend_from_slice(action);
        Ok(())
    }

    fn check_action(&self, _action: &[u8], _payload: &[u8]) -> Result<(), String> {
        Ok(())
    }

    fn reduces(&self) -> bool {
        !self.0.starts_with(b"%")
    }

    fn freeze(&self) -> Tape {
        self.clone()
    }

    fn decode_state(bytes: &[u8]) -> Result<Vec<u8>, String> {
        Ok(bytes.to_vec())
    }

    fn digest_state(state: &Vec<u8>) -> Result<u64, String> {
        Ok(u64::from(crc32fast::hash(state)))
    }

    fn install(&mut self, state: Vec<u8>) {
        self.0 = state;
    }
}

/// A replica, and what it asked for so far.
struct Node {
    replica: Replica<Tape>,
    now: Duration,
    jobs: Vec<Job<Tape>>,
    reports: Vec<Report>,
    cut: Vec<(LinkId, LinkFault)>,
    woken: Vec<LinkId>,
    resolved: Vec<(u64, Resolution)>,
}

impl Node {
    fn new(replica: Replica<Tape>) -> Node {
        let (now, jobs, reports) = (Duration::ZERO, Vec::new(), Vec::new());
        let (cut, woken, resolved) = Default::default();
        Node { replica, now, jobs, reports, cut, woken, resolved }
    }

    fn sequencer(adjust: impl FnOnce(&mut Config)) -> Node {
        let (config, key) = (config(adjust), TokenKey::new([7; 32]));
        let node = NodeId(100);
        let replica =
            Replica::sequencer(config, node, Tape::default(), FIRST_LIFE, key, Duration::ZERO);
        Node::new(replica)
    }

    fn follower(adjust: impl FnOnce(&mut Config)) -> Node {
        Node::new(Replica::follower(config(adjust), NodeId(100), Tape::default(), Duration::ZERO))
    }

    /// A follower that got the state `state` of its upstream, version 1 of the first life.
    fn attached(state: &[u8], adjust: impl FnOnce(&mut Config)) -> Node {
        let mut node = Node::follower(adjust);
        node.replica.upstream_up(UP, PROTOCOL_VERSION, node.now);
        node.hears(UP, Message::Status(status(1)));
        node.gets_snapshot(1, state);
        assert!(node.replica.is_connected());
        node.says(UP);
        node
    }

    /// Takes a message of a peer, and decodes and installs the snapshot that it completes.
    fn hear(&mut self, link: LinkId, message: Message) -> Result<(), LinkFault> {
        let mut bytes = Vec::new();
        message.write(&mut bytes, self.replica.channel());
        let frame = Decoder::new(usize::MAX).decode(&mut BytesMut::from(&bytes[..]));
        let frame = frame.expect("it is whole").expect("it is whole");
        let received = self.replica.receive(link, &frame, self.now);
        if let Ok(Received::Decode(decode)) = received {
            let decoded = decode.run::<Tape>();
            self.replica.install(link, decoded, self.now)?;
        } else {
            received?;
        }
        self.take_outputs();
        Ok(())
    }

    fn hears(&mut self, link: LinkId, message: Message) {
        self.hear(link, message).expect("it takes it");
    }

    fn gets_snapshot(&mut self, seq: u64, state: &[u8]) {
        self.gets(head(seq, state), state);
    }

    /// Gets a whole state from upstream.
    fn gets(&mut self, head: SnapshotHead, state: &[u8]) {
        self.hears(UP, Message::SnapshotHead(head));
        if !state.is_empty() {
            let bytes = bytes::Bytes::copy_from_slice(state);
            self.hears(UP, Message::SnapshotPart { offset: 0, bytes });
        }
    }

    /// Gets one action from upstream.
    fn gets_entry(&mut self, action: &[u8], flags: u8) {
        let (first, epoch) = (self.replica.version().seq + 1, FIRST_LIFE.id);
        let entries = entry(9, first, flags, action);
        self.hears(UP, Message::Entries { epoch, first, entries: entries.into(), patches: None });
    }

    /// A node below asks for the store.
    fn is_asked(&mut self, link: LinkId, resume: Option<Version>) {
        self.replica.downstream_up(link, self.now);
        self.hears(link, Message::Attach(attach(link, resume)));
    }

    /// A node below asks for the store and then for a session. Returns the number under which this
    /// node asks for the session above.
    fn is_asked_for_a_session(&mut self) -> u64 {
        self.is_asked(DOWN, None);
        let hop = self.replica.hop;
        self.hears(DOWN, Message::SessionOpen { hop, request: 5 });
        let said = self.says(UP);
        let [Message::SessionOpen { request, .. }] = said[..] else { panic!("{said:?}") };
        request
    }

    /// The next messages over a link, of about so many bytes.
    fn says_up_to(&mut self, link: LinkId, budget: usize) -> Vec<Message> {
        let mut bytes = Vec::new();
        self.replica.fill(link, &mut bytes, budget, self.now);
        self.take_outputs();
        let (mut bytes, mut messages) = (BytesMut::from(&bytes[..]), Vec::new());
        while let Some(frame) = Decoder::new(usize::MAX).decode(&mut bytes).expect("frames") {
            messages.push(Message::read(&frame).expect("a message"));
        }
        messages
    }

    /// All that it has to say over a link now.
    fn says(&mut self, link: LinkId) -> Vec<Message> {
        let mut all = Vec::new();
        loop {
            let messages = self.says_up_to(link, 1 << 20);
            if messages.is_empty() {
                return all;
            }
            all.extend(messages);
        }
    }

    fn passes(&mut self, time: Duration) {
        self.now += time;
        self.replica.tick(self.now);
        self.take_outputs();
    }

    fn dispatches(&mut self, action: &[u8]) {
        self.replica.dispatch(0, action, self.now).expect("it is taken");
        self.take_outputs();
    }

    /// Does the work that it asked for.
    fn works(&mut self) {
        for job in std::mem::take(&mut self.jobs) {
            self.replica.finish(job.run(), Duration::ZERO, self.now);
        }
        self.take_outputs();
    }

    fn take_outputs(&mut self) {
        for output in self.replica.take_outputs() {
            match output {
                Output::Run(job) => self.jobs.push(job),
                Output::Report(report) => self.reports.push(report),
                Output::Cut(link, fault) => self.cut.push((link, fault)),
                Output::Wake(link) => self.woken.push(link),
                Output::Resolved { ticket, resolution } => {
                    self.resolved.push((ticket, resolution));
                }
                Output::Connected(_) | Output::Note(_) => {}
            }
        }
    }
}

fn config(adjust: impl FnOnce(&mut Config)) -> Config {
    let mut config = Config::new("store");
    config.resync = Resync::Off;
    adjust(&mut config);
    config
}

fn version(seq: u64) -> Version {
    Version { epoch: FIRST_LIFE, seq }
}

fn first_life() -> Lineage {
    Lineage::founded(FIRST_LIFE)
}

fn claim(session: u64) -> Claim {
    Claim { session, token: Token::from_bytes([session as u8; 16]) }
}

/// An upstream in sync, at this version of the first life.
fn status(seq: u64) -> Status {
    let (mode, version, path) = (Mode::Action, Some(version(seq)), vec![NodeId(200)]);
    Status { hop: 1, connected: true, mode, version, path }
}

fn head(seq: u64, state: &[u8]) -> SnapshotHead {
    let (len, crc) = (state.len() as u64, crc32fast::hash(state));
    SnapshotHead { version: version(seq), history: 5, len, crc, lineage: first_life() }
}

/// The versions of the snapshots that begin in these messages.
fn snapshots_in(messages: Vec<Message>) -> Vec<u64> {
    let seq = |message: &Message| match message {
        Message::SnapshotHead(head) => Some(head.version.seq),
        _ => None,
    };
    messages.iter().filter_map(seq).collect()
}

fn attach(link: LinkId, resume: Option<Version>) -> Attach {
    Attach {
        protocol: PROTOCOL_VERSION,
        node: NodeId(300 + link.0),
        store: "store".into(),
        schema_version: 1,
        codec: crate::wire::Codec::default(),
        resume,
        partial: None,
        takes_patches: false,
    }
}

fn entry(session: u64, counter: u64, flags: u8, action: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    Entry::write(&mut bytes, session, counter, flags, action);
    bytes
}

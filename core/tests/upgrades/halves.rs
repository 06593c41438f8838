//! A server's and a client's half of a conversation, without sockets, clocks or chance: the same
//! inputs give the same bytes.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use samestate::ReducerMachine;
use samestate::Reject;
use samestate_proto::replication::{Config, LinkId, Output, Received, Replica, Resync};
use samestate_proto::wire::{Codec, PROTOCOL_VERSION};
use samestate_proto::{Epoch, Mode, NodeId, TOKEN_KEY_BYTES, TokenKey};

use super::tape::{Event, frame, frames};

type List = ReducerMachine<Vec<u32>, u32>;

/// Refused by the reducer.
pub(super) const REFUSED: u32 = 0;

fn push(list: &mut Vec<u32>, item: &u32) -> Result<(), Reject> {
    match *item {
        REFUSED => Err("zero is not taken".into()),
        item => {
            list.push(item);
            Ok(())
        }
    }
}

/// A server that sends patches to the clients that take them, and actions to others.
fn config() -> Config {
    Config { mode: Mode::Delta, resync: Resync::Verify(2), ..Config::new("list") }
}

fn machine(state: Vec<u32>) -> List {
    ReducerMachine::new(state, push, Codec::MessagePack).with_patches()
}

/// One end of the conversation.
pub(super) struct Half {
    replica: Replica<List>,
    protocol: u16,
    links: BTreeSet<u64>,
    now: Duration,
    ticket: u64,
    is_server: bool,
    /// The frames that the half wrote, by link, in order.
    pub(super) written: VecDeque<(u64, Bytes)>,
}

impl Half {
    pub(super) fn server() -> Self {
        let (epoch, key) = (Epoch { number: 1, id: 0xe0 }, TokenKey::new([7; TOKEN_KEY_BYTES]));
        let machine = machine(vec![5]);
        let replica = Replica::sequencer(config(), NodeId(1), machine, epoch, key, Duration::ZERO);
        Half::of(replica, PROTOCOL_VERSION)
    }

    /// A client that agreed on this version of the protocol.
    pub(super) fn client(protocol: u16) -> Self {
        let machine = machine(Vec::new());
        Half::of(Replica::follower(config(), NodeId(2), machine, Duration::ZERO), protocol)
    }

    fn of(replica: Replica<List>, protocol: u16) -> Self {
        let is_server = replica.is_sequencer();
        let (links, written) = (BTreeSet::new(), VecDeque::new());
        Half { replica, protocol, links, now: Duration::ZERO, ticket: 0, is_server, written }
    }

    pub(super) fn state(&self) -> Vec<u32> {
        self.replica.machine().state().to_vec()
    }

    /// Something happens that is of this end's concern, or not.
    pub(super) fn happens(&mut self, event: Event) {
        match event {
            Event::Link(link) if self.is_server => {
                self.links.insert(link);
                self.replica.downstream_up(LinkId(link), self.now);
            }
            Event::Link(1) => {
                self.links.insert(1);
                self.replica.upstream_up(LinkId(1), self.protocol, self.now);
            }
            Event::Server(item) if self.is_server => self.dispatch(item),
            Event::Client(item) if !self.is_server => self.dispatch(item),
            Event::Wait(ms) => {
                self.now += Duration::from_millis(ms);
                self.replica.tick(self.now);
            }
            _ => {}
        }
        self.drain();
    }

    fn dispatch(&mut self, item: u32) {
        self.ticket += 1;
        self.replica.dispatch(self.ticket, &item, self.now).expect("it is taken");
    }

    /// A frame comes over a link.
    pub(super) fn hears(&mut self, link: u64, bytes: &[u8]) {
        let link = LinkId(link);
        match self.replica.receive(link, &frame(bytes), self.now).expect("it is understood") {
            Received::Done => {}
            Received::Decode(snapshot) => {
                let decoded = snapshot.run::<List>();
                self.replica.install(link, decoded, self.now).expect("it is a state");
            }
        }
        self.drain();
    }

    /// Does what is to be done, and writes what is to be said.
    fn drain(&mut self) {
        loop {
            for output in self.replica.take_outputs() {
                match output {
                    Output::Run(job) => self.replica.finish(job.run(), Duration::ZERO, self.now),
                    Output::Cut(link, fault) => panic!("{link} is cut: {fault}"),
                    _ => {}
                }
            }
            let mut quiet = !self.replica.has_outputs();
            for link in self.links.clone() {
                let mut out = Vec::new();
                self.replica.fill(LinkId(link), &mut out, 1 << 20, self.now);
                quiet &= out.is_empty();
                self.written.extend(frames(&out).into_iter().map(|frame| (link, frame)));
            }
            if quiet && !self.replica.has_outputs() {
                return;
            }
        }
    }
}

//! Messages to the nodes below, and messages from them.

use bytes::Bytes;

use super::super::order::OF_ANOTHER_SESSION;
use super::super::timers::KEPT_FOR;
use super::*;
use crate::wire::{PartialSnapshot, RefusalKind};

static STATE: [u8; 40_000] = [7; 40_000];

fn lineage_of(node: &Node) -> Message {
    Message::Lineage(node.replica.lineage().clone())
}

fn has_snapshot(messages: &[Message]) -> bool {
    messages.iter().any(|message| matches!(message, Message::SnapshotHead(_)))
}

/// The bytes of a snapshot, and where the first of them belong.
fn parts(messages: &[Message]) -> (Option<u64>, Vec<u8>) {
    let (mut first, mut all) = (None, Vec::new());
    for message in messages {
        match message {
            Message::SnapshotPart { offset, bytes } => {
                first.get_or_insert(*offset);
                all.extend_from_slice(bytes);
            }
            Message::SnapshotChunk(bytes) => all.extend_from_slice(bytes),
            _ => {}
        }
    }
    (first, all)
}

/// A sequencer at version 3, whose log has all of it.
fn at_three() -> Node {
    let mut node = Node::sequencer(|_| {});
    node.is_asked(OTHER, None);
    for action in [b"a", b"b", b"c"] {
        node.dispatches(action);
    }
    node.says(OTHER);
    node.works();
    node.says(OTHER);
    node
}

#[test]
fn a_node_goes_on_from_where_it_stands_if_that_is_of_this_history() {
    let mut node = at_three();
    node.is_asked(DOWN, Some(version(1)));
    let said = node.says(DOWN);
    assert!(said.contains(&lineage_of(&node)) && !has_snapshot(&said), "{said:?}");
    let entries = said.iter().find_map(|message| match message {
        Message::Entries { epoch, first, .. } => Some((*epoch, *first)),
        _ => None,
    });
    assert_eq!(entries, Some((FIRST_LIFE.id, 2)));
}

#[test]
fn a_node_of_another_history_or_from_beyond_this_one_gets_a_snapshot() {
    for resume in [Version { epoch: SECOND_LIFE, seq: 1 }, version(4)] {
        let mut node = at_three();
        node.is_asked(DOWN, Some(resume));
        let before = node.says(DOWN);
        node.works();
        let said = [before, node.says(DOWN)].concat();
        assert!(has_snapshot(&said), "{said:?}");
    }
}

/// A sequencer that sent about half of a snapshot before the link ended.
fn interrupted() -> (Node, PartialSnapshot) {
    let mut node = Node::sequencer(|_| {});
    node.dispatches(&STATE);
    node.is_asked(DOWN, None);
    node.says(DOWN);
    node.works();
    let said = [node.says_up_to(DOWN, 1), node.says_up_to(DOWN, 1)].concat();
    let Message::SnapshotHead(head) = &said[0] else { panic!("{said:?}") };
    let have = parts(&said).1.len() as u64;
    assert!(have > 0 && have < head.len, "{have}");
    node.replica.link_down(DOWN, node.now);
    (node, PartialSnapshot::new(head, have))
}

fn asks_for_the_rest(node: &mut Node, partial: PartialSnapshot, protocol: u16) -> Vec<Message> {
    node.replica.downstream_up(DOWN, node.now);
    let attach = Attach { protocol, partial: Some(partial), ..attach(DOWN, None) };
    node.hears(DOWN, Message::Attach(attach));
    let before = node.says(DOWN);
    node.works();
    [before, node.says(DOWN)].concat()
}

#[test]
fn an_interrupted_snapshot_goes_on_where_it_ended_if_its_receiver_comes_back_in_time() {
    let (mut node, partial) = interrupted();
    node.replica.snapshots.drop_newest();
    node.passes(node.replica.config.dead_after * KEPT_FOR - MS);
    let said = asks_for_the_rest(&mut node, partial, PROTOCOL_VERSION);
    let (first, rest) = parts(&said);
    assert_eq!((first, rest.len() as u64), (Some(partial.have), partial.len - partial.have));
    assert_eq!(node.replica.counters().snapshots_resumed, 1);
}

#[test]
fn an_interrupted_snapshot_is_dropped_after_a_while() {
    let (mut node, partial) = interrupted();
    node.replica.snapshots.drop_newest();
    node.passes(node.replica.config.dead_after * KEPT_FOR);
    assert_eq!(node.replica.holdings().snapshots, 0);
    assert_eq!(parts(&asks_for_the_rest(&mut node, partial, PROTOCOL_VERSION)).0, Some(0));
}

#[test]
fn a_part_of_another_snapshot_is_not_gone_on_from() {
    let (mut node, partial) = interrupted();
    let other = PartialSnapshot { crc: partial.crc ^ 1, ..partial };
    assert_eq!(parts(&asks_for_the_rest(&mut node, other, PROTOCOL_VERSION)).0, Some(0));
}

#[test]
fn a_peer_of_the_first_protocol_gets_chunks_without_offsets() {
    let mut node = Node::sequencer(|_| {});
    node.dispatches(&STATE);
    node.replica.downstream_up(DOWN, node.now);
    node.hears(DOWN, Message::Attach(Attach { protocol: 1, ..attach(DOWN, None) }));
    node.says(DOWN);
    node.works();
    let said = node.says(DOWN);
    assert_eq!(parts(&said), (None, STATE.to_vec()));
}

#[test]
fn whoever_does_not_fit_is_refused_in_words_and_hears_nothing_else() {
    let good = || attach(DOWN, None);
    let wrong = [
        (RefusalKind::Protocol, Attach { protocol: 9, ..good() }),
        (RefusalKind::Store, Attach { store: "another".into(), ..good() }),
        (RefusalKind::Schema, Attach { schema_version: 2, ..good() }),
        (RefusalKind::Codec, Attach { codec: crate::wire::Codec::Json, ..good() }),
        (RefusalKind::Loop, Attach { node: NodeId(100), ..good() }),
        (RefusalKind::Loop, Attach { node: NodeId(200), ..good() }),
    ];
    for (kind, attach) in wrong {
        let mut relay = Node::attached(b"a", |_| {});
        relay.replica.downstream_up(DOWN, relay.now);
        relay.hears(DOWN, Message::Attach(attach));
        let said = relay.says(DOWN);
        assert!(matches!(&said[..], [Message::Refused(refusal)] if refusal.kind == kind));
        assert!(matches!(&relay.reports[..], [Report::Refuses(_)]));
        relay.gets_entry(b"b", 0);
        assert_eq!(relay.says(DOWN), []);
    }
}

#[test]
fn a_message_out_of_its_place_cuts_the_link() {
    let mut node = Node::sequencer(|_| {});
    node.replica.downstream_up(DOWN, node.now);
    assert!(node.hear(DOWN, Message::Fetch).is_err(), "before it asked for the store");
    node.hears(DOWN, Message::Attach(attach(DOWN, None)));
    assert!(node.hear(DOWN, Message::Attach(attach(DOWN, None))).is_err(), "a second time");
    assert!(node.hear(DOWN, Message::Credit { bytes: 1 }).is_err(), "from downstream");
    assert!(node.hear(LinkId(77), Message::Fetch).is_err(), "over no link");
}

#[test]
fn a_dispatch_of_nothing_or_of_another_session_cuts_its_own_link() {
    for mut node in [Node::sequencer(|_| {}), Node::attached(b"a", |_| {})] {
        node.is_asked(DOWN, None);
        let hop = node.replica.hop;
        let dispatch = |entries: Vec<u8>| {
            let (claim, oldest, entries) = (claim(9), 1, Bytes::from(entries));
            Message::Dispatch { hop, claim, oldest, entries }
        };
        let nothing = node.hear(DOWN, dispatch(Vec::new()));
        assert_eq!(nothing, Err(LinkFault::Unexpected("a dispatch of nothing")));
        if !node.replica.is_sequencer() {
            let other = node.hear(DOWN, dispatch(entry(8, 1, 0, b"x")));
            assert_eq!(other, Err(LinkFault::Unexpected(OF_ANOTHER_SESSION)));
        }
        let mut damaged = entry(9, 1, 0, b"x");
        *damaged.last_mut().expect("it has bytes") ^= 1;
        if !node.replica.is_sequencer() {
            assert!(matches!(node.hear(DOWN, dispatch(damaged)), Err(LinkFault::Wire(_))));
            assert!(!node.says(UP).iter().any(|said| matches!(said, Message::Dispatch { .. })));
        }
    }
}

#[test]
fn a_dispatch_of_an_old_attachment_is_dropped() {
    let mut relay = Node::attached(b"a", |_| {});
    relay.is_asked(DOWN, None);
    relay.hears(UP, Message::Credit { bytes: 1 << 20 });
    for (hop, forwarded) in [(relay.replica.hop - 1, 0), (relay.replica.hop, 1)] {
        let entries = Bytes::from(entry(9, 1, 0, b"x"));
        relay.hears(DOWN, Message::Dispatch { hop, claim: claim(9), oldest: 1, entries });
        let said = relay.says(UP);
        let sent = said.iter().filter(|said| matches!(said, Message::Dispatch { .. }));
        assert_eq!(sent.count(), forwarded);
    }
    assert_eq!(relay.replica.counters().stale_hops, 1);
}

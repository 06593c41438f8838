//! Messages from upstream that break the rules, and the links below that end.

use bytes::Bytes;

use super::*;
use crate::wire::{Entries, FLAG_DIGEST, FLAG_VOID, PATH_MAX};

fn part(offset: u64, bytes: &[u8]) -> Message {
    Message::SnapshotPart { offset, bytes: Bytes::copy_from_slice(bytes) }
}

/// A node that is getting the state `abcd`, and has `ab` of it.
fn amid_a_snapshot() -> Node {
    let mut node = Node::follower(|_| {});
    node.replica.upstream_up(UP, PROTOCOL_VERSION, node.now);
    node.hears(UP, Message::Status(status(1)));
    node.hears(UP, Message::SnapshotHead(head(1, b"abcd")));
    node.hears(UP, part(0, b"ab"));
    node
}

#[test]
fn a_part_of_a_snapshot_follows_the_one_before_or_begins_the_snapshot_anew() {
    let parts: [(u64, &[u8], bool); 5] = [
        (2, b"cd", true),
        (0, b"abcd", true),
        (1, b"b", false),
        (3, b"d", false),
        (2, b"cde", false),
    ];
    for (offset, bytes, fits) in parts {
        let mut node = amid_a_snapshot();
        assert_eq!(node.hear(UP, part(offset, bytes)).is_ok(), fits, "{offset}");
        assert_eq!(node.replica.machine().0 == b"abcd", fits);
    }
}

#[test]
fn a_snapshot_of_other_bytes_than_were_sent_cuts_the_link() {
    let mut node = amid_a_snapshot();
    assert_eq!(node.hear(UP, part(2, b"ce")), Err(LinkFault::SnapshotChecksum));
    assert_eq!(node.replica.machine().0, b"");
}

#[test]
fn entries_amid_a_snapshot_or_of_another_life_cut_the_link() {
    let entries = |epoch: u64| {
        let entries = entry(9, 2, 0, b"b").into();
        Message::Entries { epoch, first: 2, entries, patches: None }
    };
    let fault = amid_a_snapshot().hear(UP, entries(FIRST_LIFE.id)).expect_err("it is no time");
    assert_eq!(fault, LinkFault::Unexpected("entries inside a snapshot"));
    let mut node = Node::attached(b"a", |_| {});
    assert_eq!(node.hear(UP, entries(SECOND_LIFE.id)), Err(LinkFault::Epoch));
    assert_eq!(node.replica.version(), version(1));
}

#[test]
fn a_path_to_the_sequencer_through_this_node_or_of_too_many_nodes_cuts_the_link() {
    let others = |count: usize| (0..count as u64).map(|at| NodeId(1000 + at)).collect::<Vec<_>>();
    let through = |at: usize| {
        let mut path = others(3);
        path[at] = NodeId(100);
        path
    };
    let paths = [
        (through(0), false),
        (through(1), false),
        (through(2), false),
        (others(PATH_MAX), false),
        (others(PATH_MAX - 1), true),
    ];
    for (path, fits) in paths {
        let mut node = Node::follower(|_| {});
        node.replica.upstream_up(UP, PROTOCOL_VERSION, node.now);
        let heard = node.hear(UP, Message::Status(Status { path, ..status(1) }));
        assert_eq!(heard, if fits { Ok(()) } else { Err(LinkFault::Loop(NodeId(100))) });
    }
}

#[test]
fn a_node_is_in_sync_again_once_it_has_what_its_upstream_had_when_it_was() {
    let mut node = Node::attached(b"a", |_| {});
    node.hears(UP, Message::Status(Status { connected: false, ..status(1) }));
    assert!(!node.replica.is_connected());
    node.hears(UP, Message::Status(status(3)));
    for connected in [false, false, true] {
        assert_eq!(node.replica.is_connected(), connected, "{}", node.replica.version());
        node.gets_entry(b"b", 0);
    }
}

/// Checks that the entries after one that fails here are not applied in its place.
#[test]
fn an_entry_that_fails_here_ends_its_batch() {
    let mut node = Node::attached(b"a", |_| {});
    let entries = [entry(9, 2, 0, b"b"), entry(9, 3, 0, b"!no"), entry(9, 4, 0, b"d")].concat();
    let (epoch, first) = (FIRST_LIFE.id, 2);
    node.hears(UP, Message::Entries { epoch, first, entries: entries.into(), patches: None });
    assert_eq!((node.replica.version(), &node.replica.machine().0[..]), (version(2), &b"ab"[..]));
    assert!(matches!(node.reports[..], [Report::FailedHere { seq: 3, .. }]), "{:?}", node.reports);
    assert_eq!(node.replica.counters().applied, 1);
}

#[test]
fn a_relay_passes_on_the_mark_of_an_entry_and_no_other_flag() {
    let mut relay = Node::attached(b"a", |_| {});
    relay.is_asked(DOWN, Some(version(1)));
    relay.says(DOWN);
    relay.gets_entry(b"b", FLAG_DIGEST | FLAG_VOID);
    let said = relay.says(DOWN);
    let [Message::Entries { entries, .. }] = &said[..] else { panic!("{said:?}") };
    let flags = Entries::new(entries).map(|entry| entry.expect("it is whole").flags);
    assert_eq!(flags.collect::<Vec<_>>(), [FLAG_DIGEST]);
}

/// Checks that a part of a snapshot is of no use once entries go on from where the node stands.
#[test]
fn a_part_of_a_snapshot_is_dropped_when_the_upstream_goes_on_with_entries() {
    let mut node = Node::attached(b"a", |_| {});
    node.hears(UP, Message::SnapshotHead(head(5, b"abcde")));
    node.hears(UP, part(0, b"ab"));
    let attached_with = |node: &mut Node| {
        node.replica.link_down(UP, node.now);
        node.replica.upstream_up(UP, PROTOCOL_VERSION, node.now);
        let said = node.says(UP);
        let [Message::Attach(attach)] = &said[..] else { panic!("{said:?}") };
        attach.partial.map(|partial| partial.have)
    };
    assert_eq!(attached_with(&mut node), Some(2));
    node.hears(UP, Message::Status(status(5)));
    node.hears(UP, Message::Lineage(first_life()));
    assert_eq!(attached_with(&mut node), None);
}

/// Checks that a link below that ends leaves no dispatch, no request and no way back.
#[test]
fn what_came_over_a_link_below_goes_with_it() {
    let mut relay = Node::attached(b"a", |_| {});
    let request = relay.is_asked_for_a_session();
    let hop = relay.replica.hop;
    let (claim, entries) = (claim(9), entry(9, 1, 0, b"x").into());
    relay.hears(DOWN, Message::Dispatch { hop, claim, oldest: 1, entries });
    assert_eq!(relay.replica.relayed.routes.of(claim), Some(DOWN));
    relay.replica.link_down(DOWN, relay.now);
    assert_eq!(relay.replica.relayed.routes.of(claim), None);
    relay.hears(UP, Message::Credit { bytes: 1 << 20 });
    assert_eq!(relay.says(UP), []);
    relay.hears(UP, Message::SessionOpened { request, claim, at: version(1) });
    assert_eq!(relay.replica.relayed.routes.of(claim), None);
}

/// Checks that a dispatch which comes before the way up is answered waits nowhere.
#[test]
fn a_dispatch_that_comes_before_the_upstream_has_answered_is_dropped() {
    let mut relay = Node::attached(b"a", |_| {});
    relay.is_asked(DOWN, None);
    relay.replica.link_down(UP, relay.now);
    relay.replica.upstream_up(UP, PROTOCOL_VERSION, relay.now);
    let (hop, entries) = (relay.replica.hop, entry(9, 1, 0, b"x").into());
    relay.hears(DOWN, Message::Dispatch { hop, claim: claim(9), oldest: 1, entries });
    let upstream = relay.replica.upstream.as_ref().expect("it is there");
    assert_eq!((upstream.forwards.len(), upstream.forwards_bytes), (0, 0));
}

#[test]
fn a_snapshot_never_begins_with_the_part_of_another_one() {
    let mut node = amid_a_snapshot();
    node.replica.link_down(UP, node.now);
    node.replica.upstream_up(UP, PROTOCOL_VERSION, node.now);
    node.hears(UP, Message::Status(status(1)));
    node.hears(UP, Message::SnapshotHead(head(2, b"xy")));
    node.hears(UP, part(0, b"xy"));
    assert_eq!(node.replica.machine().0, b"xy");
}

/// Checks that the whole path and the mode are told below, and that the mode there is another.
#[test]
fn another_way_up_is_told_below_with_its_path_and_its_mode() {
    let mut relay = Node::attached(b"a", |_| {});
    relay.is_asked(DOWN, None);
    relay.says(DOWN);
    let path = vec![NodeId(201), NodeId(202), NodeId(203)];
    let ways =
        [Status { path, ..status(1) }, Status { mode: Mode::Snapshot, ..status(1) }, status(1)];
    for status in ways {
        let expected = [vec![NodeId(100)], status.path.clone()].concat();
        let mode = status.mode;
        relay.hears(UP, Message::Status(status));
        let said = relay.says(DOWN);
        let [Message::Status(told)] = &said[..] else { panic!("{said:?}") };
        assert_eq!((&told.path, told.mode), (&expected, mode));
        assert_eq!(relay.replica.downstreams[&DOWN].mode, mode);
    }
}

/// Checks that a node does not wait for a version that its upstream has lost.
#[test]
fn a_node_whose_upstream_lost_what_it_had_is_in_sync_where_it_stands() {
    let mut node = Node::follower(|_| {});
    node.replica.upstream_up(UP, PROTOCOL_VERSION, node.now);
    node.hears(UP, Message::Status(status(3)));
    node.gets_snapshot(1, b"a");
    assert!(!node.replica.is_connected());
    node.hears(UP, Message::Lineage(first_life().continued(SECOND_LIFE, 1)));
    assert!(node.replica.is_connected());
}

#[test]
fn a_request_for_a_session_of_an_old_way_up_is_not_answered() {
    for mut node in [Node::sequencer(|_| {}), Node::attached(b"a", |_| {})] {
        node.is_asked(DOWN, None);
        node.says(DOWN);
        let hop = node.replica.hop - 1;
        node.hears(DOWN, Message::SessionOpen { hop, request: 1 });
        assert_eq!((node.says(DOWN), node.says(UP)), (vec![], vec![]));
        assert_eq!(node.replica.counters().stale_hops, 1);
    }
}

/// Checks that a node does not ask what became of its dispatches while no one can know.
#[test]
fn a_node_that_is_not_in_sync_asks_nothing_about_its_dispatches() {
    for connected in [false, true] {
        let mut node = Node::attached(b"a", |_| {});
        node.hears(UP, Message::Credit { bytes: 1 << 20 });
        node.replica.dispatch(7, b"x", node.now).expect("it is taken");
        let said = node.says(UP);
        let [Message::SessionOpen { request, .. }] = said[..] else { panic!("{said:?}") };
        node.hears(UP, Message::SessionOpened { request, claim: claim(9), at: version(1) });
        assert!(matches!(node.says(UP)[..], [Message::Dispatch { .. }]));
        node.hears(UP, Message::Status(Status { connected, ..status(1) }));
        let every = node.replica.config.dead_after / 4;
        let mut asked = 0;
        for _ in 0..8 {
            node.passes(every);
            node.replica.heard(UP, node.now);
            let said = node.says(UP);
            asked += said.iter().filter(|said| matches!(said, Message::Dispatch { .. })).count();
        }
        assert_eq!(asked > 0, connected);
    }
}

#[test]
fn a_link_that_has_not_asked_for_the_store_hears_nothing_of_it() {
    let mut node = Node::sequencer(|_| {});
    node.replica.downstream_up(DOWN, node.now);
    node.passes(node.replica.config.heartbeat * 2);
    assert_eq!((node.says(DOWN), &node.woken[..]), (vec![], &[][..]));
}

//! Messages to the node above, and the handling of its messages.

use super::super::Dispatched;
use super::*;

fn attaches(messages: &[Message]) -> &Attach {
    match messages {
        [Message::Attach(attach)] => attach,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_part_of_a_snapshot_outlives_two_links() {
    let state = [7; 5000];
    let mut node = Node::follower(|_| {});
    node.replica.upstream_up(UP, PROTOCOL_VERSION, node.now);
    node.hears(UP, Message::Status(status(1)));
    node.hears(UP, Message::SnapshotHead(head(1, &state)));
    let bytes = bytes::Bytes::copy_from_slice(&state[..3000]);
    node.hears(UP, Message::SnapshotPart { offset: 0, bytes });
    for _ in 0..3 {
        node.replica.link_down(UP, node.now);
        node.replica.upstream_up(UP, PROTOCOL_VERSION, node.now);
        let have = attaches(&node.says(UP)).partial.map(|partial| partial.have);
        assert_eq!(have, Some(3000));
    }
    node.hears(UP, Message::Status(status(1)));
    node.hears(UP, Message::SnapshotHead(head(1, &state)));
    let bytes = bytes::Bytes::copy_from_slice(&state[3000..]);
    node.hears(UP, Message::SnapshotPart { offset: 3000, bytes });
    assert!(node.replica.is_connected());
    assert_eq!(node.replica.machine().0, state);
}

#[test]
fn a_request_for_a_session_says_over_which_link_it_came_and_is_answered_there() {
    let mut relay = Node::attached(b"a", |_| {});
    for link in [DOWN, OTHER] {
        relay.is_asked(link, None);
        relay.says(link);
    }
    let hop = relay.replica.hop;
    relay.hears(DOWN, Message::SessionOpen { hop, request: 5 });
    let said = relay.says(UP);
    let [Message::SessionOpen { hop: 1, request }] = said[..] else { panic!("{said:?}") };
    assert_eq!(request >> 32, DOWN.0);
    let (claim, at) = (claim(9), version(1));
    relay.hears(UP, Message::SessionOpened { request, claim, at });
    assert_eq!(relay.says(DOWN), [Message::SessionOpened { request: 5, claim, at }]);
    assert_eq!(relay.says(OTHER), []);
}

#[test]
fn credit_never_goes_back() {
    let mut relay = Node::attached(b"a", |_| {});
    for bytes in [1000, 500] {
        relay.hears(UP, Message::Credit { bytes });
        let upstream = relay.replica.upstream.as_ref().expect("it is there");
        assert_eq!(upstream.room(), 1000);
    }
}

#[test]
fn another_path_to_the_sequencer_is_told_even_if_it_is_as_long() {
    let mut relay = Node::attached(b"a", |_| {});
    relay.is_asked(DOWN, None);
    relay.says(DOWN);
    let path = vec![NodeId(201)];
    relay.hears(UP, Message::Status(Status { path, ..status(1) }));
    let said = relay.says(DOWN);
    let [Message::Status(told)] = &said[..] else { panic!("{said:?}") };
    assert_eq!(told.path, [NodeId(100), NodeId(201)]);
}

#[test]
fn a_state_is_asked_for_once_until_it_has_come() {
    let mut node = Node::attached(b"a", |_| {});
    for _ in 0..2 {
        node.replica.fetch(node.now);
    }
    assert_eq!(node.says(UP), [Message::Fetch]);
    node.gets_snapshot(1, b"a");
    node.gets_entry(b"b", 0);
    node.gets_snapshot(2, b"ab");
    node.replica.fetch(node.now);
    assert_eq!(node.says(UP), [Message::Fetch]);
}

#[test]
fn the_lag_is_behind_what_the_upstream_named_last() {
    let mut node = Node::attached(b"a", |_| {});
    let lag = |node: &Node| node.replica.gauges().upstream.and_then(|upstream| upstream.lag);
    assert_eq!(lag(&node), Some(0));
    node.hears(UP, Message::Status(status(4)));
    assert_eq!(lag(&node), Some(3));
    node.hears(UP, Message::Heartbeat { seq: 6 });
    assert_eq!(lag(&node), Some(5));
}

#[test]
fn a_sequencer_that_has_stopped_is_not_in_sync() {
    let mut node = Node::sequencer(|_| {});
    assert!(node.replica.is_connected());
    node.replica.stop_unrestorable(version(0), "it is lost".into(), node.now);
    assert!(!node.replica.is_connected());
}

#[test]
fn a_resync_is_cut_just_at_the_multiples_of_its_interval() {
    let mut node = Node::sequencer(|config| config.resync = Resync::Snapshot(3));
    node.is_asked(DOWN, None);
    node.says(DOWN);
    node.works();
    node.says(DOWN);
    for seq in 1..=6 {
        node.dispatches(b"a");
        assert_eq!(node.jobs.len(), usize::from(seq % 3 == 0), "at {seq}");
        node.works();
        node.says(DOWN);
    }
}

#[test]
fn those_who_dispatch_wait_for_a_link_that_moves_and_is_about_to_fall_off_the_log() {
    let mut node = Node::sequencer(|config| config.log_bytes_max = 64 << 10);
    node.is_asked(DOWN, None);
    node.says(DOWN);
    node.works();
    node.says(DOWN);
    let orders = |node: &mut Node| {
        let dispatched = node.replica.dispatch(0, &[7; 1000], node.now).expect("it is taken");
        node.take_outputs();
        matches!(dispatched, Dispatched::Now(_))
    };
    let taken = (0..200).take_while(|_| orders(&mut node)).count();
    assert!((40..64).contains(&taken), "{taken}");
    node.says(DOWN);
    node.passes(MS);
    assert!(orders(&mut node), "it has caught up");
}

/// Gets the state from an upstream that speaks the first version of the protocol.
fn gets_chunks(node: &mut Node, state: &[u8]) {
    node.hears(UP, Message::Status(status(1)));
    node.hears(UP, Message::SnapshotHead(head(1, state)));
    for chunk in state.chunks(2000) {
        node.hears(UP, Message::SnapshotChunk(bytes::Bytes::copy_from_slice(chunk)));
    }
}

#[test]
fn a_snapshot_of_the_first_protocol_comes_in_chunks_without_offsets() {
    let mut node = Node::follower(|_| {});
    node.replica.upstream_up(UP, 1, node.now);
    gets_chunks(&mut node, &[7; 5000]);
    assert!(node.replica.is_connected());
    assert_eq!(node.replica.machine().0, [7; 5000]);
}

/// Checks that what had come over a newer protocol is dropped: the first one begins anew.
#[test]
pub(super) fn a_snapshot_of_the_first_protocol_never_goes_on_where_another_link_ended() {
    let state = [7; 5000];
    let mut node = Node::follower(|_| {});
    node.replica.upstream_up(UP, PROTOCOL_VERSION, node.now);
    node.hears(UP, Message::Status(status(1)));
    node.hears(UP, Message::SnapshotHead(head(1, &state)));
    let bytes = bytes::Bytes::copy_from_slice(&state[..3000]);
    node.hears(UP, Message::SnapshotPart { offset: 0, bytes });
    node.replica.link_down(UP, node.now);
    node.replica.upstream_up(UP, 1, node.now);
    assert_eq!(attaches(&node.says(UP)).partial, None);
    gets_chunks(&mut node, &state);
    assert_eq!(node.replica.machine().0, state);
}

#[test]
fn parts_of_a_snapshot_in_the_form_of_another_protocol_cut_the_link() {
    let bytes = || bytes::Bytes::from_static(&[7; 100]);
    let forms =
        [Message::SnapshotChunk(bytes()), Message::SnapshotPart { offset: 0, bytes: bytes() }];
    for (protocol, form) in [(1, 0), (2, 1), (PROTOCOL_VERSION, 1)] {
        for (index, part) in forms.iter().enumerate() {
            let mut node = Node::follower(|_| {});
            node.replica.upstream_up(UP, protocol, node.now);
            node.hears(UP, Message::Status(status(1)));
            node.hears(UP, Message::SnapshotHead(head(1, &[7; 200])));
            assert_eq!(node.hear(UP, part.clone()).is_ok(), index == form);
        }
    }
}

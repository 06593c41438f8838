//! Nodes that ask for a state among the actions, because their reducer is elsewhere.

use super::*;

/// A sequencer at version 1 with a node below that is there too.
fn at_one() -> Node {
    let mut node = Node::sequencer(|_| {});
    node.dispatches(b"a");
    node.is_asked(DOWN, None);
    node.says(DOWN);
    node.works();
    assert_eq!(snapshots_in(node.says(DOWN)), [1]);
    node
}

/// Snapshots and entries in their order, by the seq at which they were cut or begin.
fn order(messages: &[Message]) -> Vec<(&'static str, u64)> {
    let one = |message: &Message| match message {
        Message::SnapshotHead(head) => Some(("snapshot", head.version.seq)),
        Message::Entries { first, .. } => Some(("entries", *first)),
        _ => None,
    };
    messages.iter().filter_map(one).collect()
}

#[test]
fn the_entries_go_on_up_to_the_state_that_was_asked_for_and_from_there() {
    let mut node = at_one();
    node.dispatches(b"b");
    assert_eq!(order(&node.says(DOWN)), [("entries", 2)]);
    node.dispatches(b"c");
    node.hears(DOWN, Message::Fetch);
    assert_eq!(order(&node.says(DOWN)), []);
    node.dispatches(b"d");
    node.works();
    let said = order(&node.says(DOWN));
    assert_eq!(said, [("entries", 3), ("snapshot", 3), ("entries", 4)]);
}

#[test]
fn a_state_that_was_cut_before_the_link_stood_there_is_none_that_was_asked_for() {
    let mut node = at_one();
    node.dispatches(b"b");
    node.says(DOWN);
    node.hears(DOWN, Message::Fetch);
    node.says(DOWN);
    node.works();
    assert_eq!(order(&node.says(DOWN)), [("snapshot", 2)]);
}

#[test]
pub(super) fn a_node_that_gets_a_state_already_gets_no_other() {
    let mut node = Node::sequencer(|_| {});
    node.dispatches(&[7; 40_000]);
    node.is_asked(DOWN, None);
    node.says(DOWN);
    node.hears(DOWN, Message::Fetch);
    node.works();
    let begun = [node.says_up_to(DOWN, 1), node.says_up_to(DOWN, 1)].concat();
    assert_eq!(order(&begun), [("snapshot", 1)]);
    node.hears(DOWN, Message::Fetch);
    node.dispatches(b"b");
    assert_eq!(order(&node.says(DOWN)), [("entries", 2)]);
    node.works();
    assert_eq!(order(&node.says(DOWN)), []);
}

#[test]
fn a_state_is_asked_for_when_the_upstream_has_answered_and_over_each_link_until_it_comes() {
    let mut node = Node::follower(|_| {});
    node.replica.fetch(node.now);
    for _ in 0..2 {
        node.replica.upstream_up(UP, PROTOCOL_VERSION, node.now);
        node.replica.fetch(node.now);
        let said = node.says(UP);
        assert!(matches!(said[..], [Message::Attach(_)]), "{said:?}");
        node.hears(UP, Message::Status(status(1)));
        assert_eq!(node.says(UP), [Message::Fetch]);
        node.hears(UP, Message::Status(Status { hop: 2, ..status(1) }));
        assert_eq!(node.says(UP), [], "it was asked over this link");
        node.replica.link_down(UP, node.now);
    }
    node.replica.upstream_up(UP, PROTOCOL_VERSION, node.now);
    node.hears(UP, Message::Status(status(1)));
    assert_eq!(node.replica.fetched(), None);
    node.gets_snapshot(1, b"a");
    assert_eq!(node.replica.fetched(), Some(version(1)));
    node.replica.link_down(UP, node.now);
    node.says(UP);
    node.replica.upstream_up(UP, PROTOCOL_VERSION, node.now);
    node.hears(UP, Message::Status(status(1)));
    assert!(!node.says(UP).contains(&Message::Fetch), "it has come");
}

#[test]
fn a_sequencer_asks_no_one_for_its_state() {
    let mut node = Node::sequencer(|_| {});
    node.replica.fetch(node.now);
    assert!(!node.replica.fetching.is_asked());
}

//! A copy that is wrong.

use super::*;
use crate::wire::FLAG_DIGEST;

/// A copy whose digest is still being made, though its upstream's is there and differs.
fn about_to_differ() -> Node {
    let mut node = Node::attached(b"a", |_| {});
    node.gets_entry(b"b", FLAG_DIGEST);
    node.hears(UP, Message::Digest { seq: 2, digest: 1 });
    assert_eq!((node.jobs.len(), &node.reports[..]), (1, &[][..]));
    node
}

fn heals(messages: &[Message]) -> Vec<u64> {
    let seq = |message: &Message| match message {
        Message::Heal { seq } => Some(*seq),
        _ => None,
    };
    messages.iter().filter_map(seq).collect()
}

#[test]
fn a_copy_that_differs_asks_for_a_snapshot_and_takes_no_entries_until_it_comes() {
    let mut node = about_to_differ();
    node.works();
    assert_eq!(heals(&node.says(UP)), [2]);
    assert!(!node.replica.is_connected());
    node.gets_entry(b"c", 0);
    assert_eq!(node.replica.version(), version(2));
    node.gets_snapshot(3, b"abc");
    assert!(node.replica.is_connected());
    assert_eq!((node.replica.version(), &node.replica.machine().0[..]), (version(3), &b"abc"[..]));
}

#[test]
pub(super) fn a_copy_that_goes_wrong_while_its_attach_is_under_way_asks_when_that_is_answered() {
    let mut node = about_to_differ();
    node.replica.link_down(UP, node.now);
    node.replica.upstream_up(UP, PROTOCOL_VERSION, node.now);
    node.works();
    assert_eq!(node.reports, [Report::Diverged(version(2))]);
    let before = node.says(UP);
    assert!(matches!(&before[..], [Message::Attach(attach)] if attach.resume == Some(version(2))));
    node.hears(UP, Message::Status(status(2)));
    assert_eq!(heals(&node.says(UP)), [0]);
    assert!(!node.replica.is_connected());
    node.gets_snapshot(2, b"ab");
    assert!(node.replica.is_connected());
}

#[test]
fn a_copy_that_went_wrong_while_it_was_away_asks_for_a_snapshot_from_the_beginning() {
    let mut node = about_to_differ();
    node.replica.link_down(UP, node.now);
    node.works();
    node.replica.upstream_up(UP, PROTOCOL_VERSION, node.now);
    let said = node.says(UP);
    assert!(matches!(&said[..], [Message::Attach(attach)] if attach.resume.is_none()));
    node.hears(UP, Message::Status(status(2)));
    assert_eq!(heals(&node.says(UP)), [] as [u64; 0], "the attach said it");
}

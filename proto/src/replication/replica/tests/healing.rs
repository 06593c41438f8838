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

/// Checks that the digest of the sequencer is passed on whatever this copy is like, and to nodes
/// that run the actions alone.
#[test]
fn a_relay_passes_on_digests_while_its_own_copy_heals_and_to_those_that_get_actions() {
    for (mode, told) in [(Mode::Action, 1), (Mode::Snapshot, 0)] {
        let mut relay = Node::attached(b"a", |config| config.mode = mode);
        relay.is_asked(DOWN, Some(version(1)));
        relay.gets_entry(b"b", FLAG_DIGEST);
        relay.says(DOWN);
        relay.works();
        relay.says(DOWN);
        relay.gets_entry(b"!no", 0);
        assert!(!relay.replica.is_connected(), "it heals");
        relay.hears(UP, Message::Digest { seq: 2, digest: 1 });
        let said = relay.says(DOWN);
        let digests = said.iter().filter(|said| matches!(said, Message::Digest { .. })).count();
        assert_eq!(digests, told, "{mode:?}: {said:?}");
    }
}

/// Checks this whichever of the two digests is there first.
#[test]
fn a_copy_below_no_relay_that_differs_again_after_a_heal_is_not_healed_again() {
    for ours_first in [true, false] {
        let mut node = Node::attached(b"a", |_| {});
        for seq in [2, 3] {
            node.gets_entry(b"b", FLAG_DIGEST);
            let digest = Message::Digest { seq, digest: 1 };
            if ours_first {
                node.works();
                node.hears(UP, digest);
            } else {
                node.hears(UP, digest);
                node.works();
            }
            if seq == 2 {
                node.gets_snapshot(2, b"xy");
            }
        }
        let [Report::Diverged(_), Report::NonDeterministic(_)] = &node.reports[..] else {
            panic!("{:?}", node.reports)
        };
    }
}

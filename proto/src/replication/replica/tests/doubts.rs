//! A relay, and nodes below it whose copies are wrong.

use super::*;
use crate::wire::FLAG_DIGEST;

fn digest(state: &[u8]) -> u64 {
    u64::from(crc32fast::hash(state))
}

fn heals(node: &mut Node) -> usize {
    node.says(UP).iter().filter(|message| matches!(message, Message::Heal { .. })).count()
}

/// The versions of the snapshots that go over a link now, work for them included.
fn snapshots(node: &mut Node, link: LinkId) -> Vec<u64> {
    let before = node.says(link);
    node.works();
    snapshots_in([before, node.says(link)].concat())
}

/// A relay at version 1 with a node below that is there too.
fn relay() -> Node {
    let mut relay = Node::attached(b"a", |_| {});
    relay.is_asked(DOWN, None);
    assert_eq!(snapshots(&mut relay, DOWN), [1]);
    relay
}

/// A relay at version 2, whose digest of that is being made; the sequencer's is `theirs`.
fn digesting(theirs: u64) -> Node {
    let mut relay = relay();
    relay.gets_entry(b"b", FLAG_DIGEST);
    relay.hears(UP, Message::Digest { seq: 2, digest: theirs });
    relay.says(DOWN);
    relay.hears(DOWN, Message::Heal { seq: 2 });
    assert_eq!((relay.says(DOWN), relay.jobs.len()), (vec![], 1), "its digest comes first");
    relay
}

/// Two versions more, of which the relay can check the first alone. Returns the second.
fn gets_two_marks(relay: &mut Node) -> u64 {
    for action in [b"x", b"y"] {
        relay.gets_entry(action, FLAG_DIGEST);
        let (seq, digest) = (relay.replica.version().seq, digest(&relay.replica.machine().0));
        relay.hears(UP, Message::Digest { seq, digest });
    }
    relay.works();
    relay.says(DOWN);
    relay.replica.version().seq
}

#[test]
fn a_relay_that_finds_its_copy_right_heals_a_node_below_from_it() {
    let mut relay = digesting(digest(b"ab"));
    relay.works();
    assert_eq!((snapshots(&mut relay, DOWN), heals(&mut relay)), (vec![2], 0));
    let counters = relay.replica.counters();
    assert_eq!((counters.heals_through_relay, counters.heals_unfounded), (1, 1));
    assert_eq!(counters.heals_deferred, 0);
}

#[test]
fn a_relay_that_finds_its_copy_wrong_heals_first_and_never_passes_it_on() {
    let mut relay = digesting(1);
    relay.works();
    assert_eq!((snapshots(&mut relay, DOWN), heals(&mut relay)), (vec![], 1));
    relay.gets_snapshot(2, b"xy");
    assert_eq!(snapshots(&mut relay, DOWN), [2]);
    assert_eq!(relay.replica.snapshots.newest().map(|newest| &newest.bytes[..]), Some(&b"xy"[..]));
    let counters = relay.replica.counters();
    assert_eq!((counters.heals_through_relay, counters.heals_unfounded), (1, 0));
}

/// Checks that a digest that is being made of one version keeps no node waiting that doubts
/// another: nothing would say whether its doubt is founded.
#[test]
fn a_doubt_of_another_version_than_the_one_being_digested_is_answered_at_once() {
    let mut relay = relay();
    for action in [b"b", b"c"] {
        relay.gets_entry(action, FLAG_DIGEST);
    }
    for seq in [2, 3] {
        relay.hears(UP, Message::Digest { seq, digest: 5 });
    }
    relay.says(DOWN);
    relay.hears(DOWN, Message::Heal { seq: 3 });
    assert_eq!(heals(&mut relay), 1);
}

#[test]
fn a_link_that_ends_while_its_peer_waits_for_a_digest_is_forgotten() {
    let mut relay = digesting(digest(b"ab"));
    relay.replica.link_down(DOWN, relay.now);
    relay.works();
    assert_eq!(relay.replica.counters().heals_through_relay, 0);
}

#[test]
pub(super) fn a_relay_that_cannot_tell_heals_first_though_not_for_each_node_that_says_so() {
    let mut relay = relay();
    let dead_after = relay.replica.config.dead_after;
    for (passed, heeded) in [(MS, true), (dead_after - MS, false), (MS, true)] {
        relay.passes(passed);
        relay.hears(UP, Message::Heartbeat { seq: 0 });
        let seq = gets_two_marks(&mut relay);
        let deferred = relay.replica.counters().heals_deferred;
        relay.hears(DOWN, Message::Heal { seq });
        assert_eq!(heals(&mut relay), usize::from(heeded), "at {seq}");
        let counters = relay.replica.counters();
        assert_eq!(counters.heals_deferred - deferred, u64::from(heeded));
        if heeded {
            assert_eq!(snapshots(&mut relay, DOWN), [] as [u64; 0], "not from this copy");
            relay.gets_snapshot(seq, b"right");
        }
        assert_eq!(snapshots(&mut relay, DOWN), [seq]);
    }
    assert_eq!(relay.replica.counters().heals_unfounded, 0);
}

/// Checks that a copy that failed to apply an action is healed without a doubt of the relay's: it
/// names no digest.
#[test]
fn a_node_below_that_names_no_digest_gets_the_state_at_once() {
    let mut relay = relay();
    gets_two_marks(&mut relay);
    relay.hears(DOWN, Message::Heal { seq: 0 });
    assert_eq!((snapshots(&mut relay, DOWN), heals(&mut relay)), (vec![3], 0));
    let counters = relay.replica.counters();
    assert_eq!((counters.heals_through_relay, counters.heals_unfounded), (1, 0));
}

#[test]
pub(super) fn a_sequencer_heals_a_node_below_with_a_state_that_is_not_behind_it() {
    let mut node = Node::sequencer(|_| {});
    node.is_asked(DOWN, None);
    assert_eq!(snapshots(&mut node, DOWN), [0]);
    node.dispatches(b"a");
    node.says(DOWN);
    node.hears(DOWN, Message::Heal { seq: 1 });
    assert_eq!(snapshots(&mut node, DOWN), [1], "the one of before is there still");
    assert_eq!(node.replica.counters().heals_through_relay, 0);
}

/// Checks that a node below that is ahead of its relay does not wait until the relay is there: it
/// takes the state that there is, and goes on from there.
#[test]
fn a_node_below_that_is_ahead_of_its_relay_gets_the_state_that_there_is() {
    for asks in [Message::Heal { seq: 4 }, Message::Fetch] {
        let mut relay = relay();
        relay.is_asked(OTHER, Some(version(4)));
        relay.says(OTHER);
        relay.hears(OTHER, asks);
        assert_eq!(snapshots(&mut relay, OTHER), [1]);
    }
}

#[test]
fn a_node_below_that_asks_before_its_relay_has_a_state_gets_that_and_not_entries() {
    for asks in [Message::Heal { seq: 1 }, Message::Fetch] {
        let mut relay = Node::follower(|_| {});
        relay.is_asked(DOWN, Some(version(1)));
        relay.hears(DOWN, asks);
        relay.replica.upstream_up(UP, PROTOCOL_VERSION, relay.now);
        relay.hears(UP, Message::Status(status(1)));
        relay.gets_snapshot(1, b"a");
        assert_eq!(snapshots(&mut relay, DOWN), [1]);
    }
}

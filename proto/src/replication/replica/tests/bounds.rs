//! Memory that peers cannot make grow.

use super::super::serve::CONTROL_BYTES_LIMIT;
use super::super::timers::{CONTROL_BYTES_MAX, FORWARDS_BYTES_MAX};
use super::*;
use crate::replication::downstream::Feed;
use crate::replication::snapshots::SNAPSHOTS_MAX;

/// Gives each of many nodes below the beginning of a snapshot, or all of one, while the log moves
/// on behind it. Returns the most snapshots that were in memory, and how many nodes got one.
fn storm(node: &mut Node, links: std::ops::Range<u64>, parts: usize, ends: bool) -> (usize, usize) {
    let (mut most, mut begun) = (0, 0);
    for link in links.map(LinkId) {
        node.is_asked(link, None);
        node.says_up_to(link, 1);
        node.says_up_to(link, 1);
        node.works();
        let said: Vec<_> = (0..parts).flat_map(|_| node.says_up_to(link, 1)).collect();
        begun += usize::from(said.iter().any(|said| matches!(said, Message::SnapshotHead(_))));
        for _ in 0..4 {
            node.dispatches(&[8; 600]);
        }
        most = most.max(node.replica.holdings().snapshots);
        if ends {
            node.replica.link_down(link, node.now);
        }
        most = most.max(node.replica.holdings().snapshots);
    }
    (most, begun)
}

fn with_a_short_log() -> Node {
    let mut node = Node::sequencer(|config| {
        (config.log_bytes_max, config.catch_up_bytes_max) = (1024, 0);
        config.pressure_grace = Duration::ZERO;
    });
    node.dispatches(&[7; 60_000]);
    node
}

#[test]
pub(super) fn no_more_snapshots_are_sent_at_once_than_memory_is_meant_for() {
    let mut node = with_a_short_log();
    let (most, begun) = storm(&mut node, 10..20, 2, false);
    assert_eq!(begun, SNAPSHOTS_MAX, "the others wait");
    assert!(most <= SNAPSHOTS_MAX + 1, "{most}");
}

#[test]
fn no_more_snapshots_are_kept_for_links_that_ended_than_memory_is_meant_for() {
    let mut node = with_a_short_log();
    let (most, begun) = storm(&mut node, 10..20, 2, true);
    assert_eq!(begun, 10, "there is room again each time");
    assert!(most <= SNAPSHOTS_MAX + 1, "{most}");
}

#[test]
pub(super) fn no_more_snapshots_are_kept_for_links_that_lag_than_memory_is_meant_for() {
    let mut node = with_a_short_log();
    for link in (10..20).map(LinkId) {
        node.is_asked(link, None);
        node.says(link);
        node.works();
        let (mut said, mut moved_on) = (Vec::new(), false);
        while !matches!(node.replica.downstreams[&link].feed, Feed::Cursor) {
            said.extend(node.says_up_to(link, 1));
            if !std::mem::replace(&mut moved_on, true) {
                // More than a link may be behind, and less than the log holds.
                node.dispatches(&[8; 600]);
            }
        }
        assert_eq!(snapshots_in(said).len(), 1);
        assert!(node.replica.downstreams[&link].copy.is_some(), "it has not caught up");
        assert!(node.replica.holdings().snapshots <= SNAPSHOTS_MAX + 1, "at {link:?}");
        // The next link needs another snapshot: the log does not go on from this one.
        (0..4).for_each(|_| node.dispatches(&[8; 600]));
    }
}

fn dispatch(hop: u32, entries: Vec<u8>) -> Message {
    Message::Dispatch { hop, claim: claim(9), oldest: 1, entries: entries.into() }
}

fn credit(messages: &[Message]) -> Option<u64> {
    messages.iter().rev().find_map(|message| match message {
        Message::Credit { bytes } => Some(*bytes),
        _ => None,
    })
}

#[test]
fn a_peer_that_dispatches_beyond_its_credit_is_cut() {
    let mut node = Node::sequencer(|_| {});
    node.is_asked(DOWN, None);
    let granted = credit(&node.says(DOWN)).expect("it gets credit");
    node.replica.pressure.set(true);
    let hop = node.replica.hop;
    let bytes = entry(9, 1, 0, &[7; 1000]);
    for _ in 0..granted.div_ceil(bytes.len() as u64) {
        node.hears(DOWN, dispatch(hop, bytes.clone()));
    }
    let fault = node.hear(DOWN, dispatch(hop, bytes)).expect_err("its credit is spent");
    assert_eq!(fault, LinkFault::Unexpected("dispatches beyond its credit"));
}

#[test]
fn a_peer_that_does_not_read_its_answers_gets_no_credit_and_is_cut_in_the_end() {
    let mut node = Node::sequencer(|_| {});
    node.is_asked(DOWN, None);
    node.says(DOWN);
    let (hop, mut request) = (node.replica.hop, 0);
    let queued = |node: &Node| node.replica.downstreams[&DOWN].control.len();
    while queued(&node) < CONTROL_BYTES_MAX {
        request += 1;
        node.hears(DOWN, Message::SessionOpen { hop, request });
    }
    let before = node.replica.downstreams[&DOWN].granted;
    let spent = entry(9, 1, 0, &vec![7; before as usize / 2 + 1000]);
    node.hears(DOWN, dispatch(hop, spent));
    assert_eq!(node.replica.downstreams[&DOWN].granted, before);
    while queued(&node) <= CONTROL_BYTES_LIMIT {
        request += 1;
        node.hears(DOWN, Message::SessionOpen { hop, request });
    }
    let fault = node.hear(DOWN, Message::SessionOpen { hop, request }).expect_err("too many");
    assert_eq!(fault, LinkFault::Unexpected("more requests than it reads answers to"));
}

#[test]
fn a_relay_gives_no_credit_while_much_waits_to_go_up() {
    let mut relay = Node::attached(b"a", |_| {});
    relay.is_asked(DOWN, None);
    relay.is_asked(OTHER, None);
    let hop = relay.replica.hop;
    let (mut sent, bytes) = (0, entry(9, 1, 0, &[7; 1000]));
    while relay.replica.downstreams[&DOWN].received < relay.replica.downstreams[&DOWN].granted {
        relay.hears(DOWN, dispatch(hop, bytes.clone()));
        sent += bytes.len();
        assert!(sent < 2 * FORWARDS_BYTES_MAX, "it goes on without end");
    }
    assert!(sent >= FORWARDS_BYTES_MAX, "{sent}");
    relay.hears(UP, Message::Credit { bytes: 4 << 20 });
    relay.says(UP);
    relay.passes(MS);
    assert!(credit(&relay.says(DOWN)) > Some(sent as u64), "there is room again");
}

/// Checks that snapshots on links that do not move give way just when their time is up, and to a
/// node that waits alone.
#[test]
fn old_snapshots_are_taken_back_after_a_while_from_links_that_do_not_move_when_others_wait() {
    for waits in [true, false] {
        let mut node = with_a_short_log();
        storm(&mut node, 10..12, 2, false);
        if waits {
            node.is_asked(LinkId(12), None);
            node.says(LinkId(12));
        }
        let sending = |node: &Node| node.replica.snapshots_sending();
        assert_eq!(sending(&node), SNAPSHOTS_MAX);
        let dead_after = node.replica.config.dead_after;
        node.passes(dead_after - MS);
        assert_eq!(sending(&node), SNAPSHOTS_MAX);
        node.says(LinkId(12));
        node.woken.clear();
        node.passes(MS);
        assert_eq!(sending(&node), if waits { 0 } else { SNAPSHOTS_MAX });
        assert_eq!(node.woken.contains(&LinkId(12)), waits);
    }
}

#[test]
fn a_peer_that_has_spent_all_its_credit_to_the_byte_is_cut_at_the_next_dispatch() {
    let mut node = Node::sequencer(|_| {});
    node.is_asked(DOWN, None);
    let granted = credit(&node.says(DOWN)).expect("it gets credit") as usize;
    node.replica.pressure.set(true);
    let (hop, header) = (node.replica.hop, entry(9, 1, 0, b"").len());
    node.hears(DOWN, dispatch(hop, entry(9, 1, 0, &vec![7; granted - header])));
    assert_eq!(node.replica.downstreams[&DOWN].received, granted as u64);
    node.hear(DOWN, dispatch(hop, entry(9, 2, 0, b""))).expect_err("its credit is spent");
}

#[test]
fn a_link_that_has_got_its_snapshot_makes_room_for_those_that_wait() {
    let mut node = with_a_short_log();
    storm(&mut node, 10..13, 2, false);
    assert_eq!(node.replica.snapshots_sending(), SNAPSHOTS_MAX);
    node.says(LinkId(12));
    node.woken.clear();
    while node.replica.snapshots_sending() == SNAPSHOTS_MAX {
        assert!(!node.says_up_to(LinkId(10), 1).is_empty());
    }
    assert!(node.woken.contains(&LinkId(12)));
}

/// Checks that the log is kept behind the oldest of the snapshots that are on their way, for as
/// long as the largest of them is.
#[test]
fn the_log_is_kept_behind_each_snapshot_that_is_on_its_way() {
    let mut node = Node::sequencer(|config| {
        (config.log_bytes_max, config.catch_up_bytes_max) = (1024, 1 << 20);
        config.pressure_grace = Duration::ZERO;
    });
    node.dispatches(&[7; 60_000]);
    for (link, more) in [(10, 40), (11, 45)] {
        node.is_asked(LinkId(link), None);
        node.says_up_to(LinkId(link), 1);
        node.says_up_to(LinkId(link), 1);
        node.works();
        (0..2).for_each(|_| drop(node.says_up_to(LinkId(link), 1)));
        node.replica.snapshots.drop_newest();
        (0..more).for_each(|_| node.dispatches(&[8; 1000]));
    }
    let sending = node.replica.snapshots_sending();
    assert_eq!((sending, node.replica.log.serves(1)), (2, true), "{}", node.replica.log.base());
}

/// Checks that dispatches which waited for a link go on when the pressure has fallen, however that
/// was noticed.
#[test]
fn dispatches_that_wait_go_on_after_dispatches_of_others_found_the_pressure_fallen() {
    let mut node = Node::sequencer(|config| config.log_bytes_max = 64 << 10);
    node.is_asked(DOWN, None);
    node.says(DOWN);
    node.works();
    node.says(DOWN);
    while !node.replica.pressure.is_on() {
        node.dispatches(&[7; 1000]);
        assert!(node.replica.version().seq < 100, "it never waits");
    }
    node.replica.dispatch(7, b"x", node.now).expect("it is taken");
    node.replica.pressure.set(false);
    node.replica.dispatch(8, b"y", node.now).expect("it is taken, and overtakes none");
    node.take_outputs();
    assert_eq!(node.resolved, []);
    node.passes(MS);
    let order: Vec<_> = node.resolved.iter().map(|(ticket, _)| *ticket).collect();
    assert_eq!(order, [7, 8]);
    assert!(node.replica.machine().0.ends_with(b"xy"));
}

#[test]
fn no_more_is_sent_upwards_than_there_is_credit_for() {
    let mut node = Node::attached(b"a", |_| {});
    (0..3).for_each(|_| node.dispatches(&[7; 200]));
    let said = node.says(UP);
    let [Message::SessionOpen { request, .. }] = said[..] else { panic!("{said:?}") };
    node.hears(UP, Message::SessionOpened { request, claim: claim(9), at: version(1) });
    assert_eq!(node.says(UP), []);
    for credit in [100, 400] {
        node.hears(UP, Message::Credit { bytes: credit });
        let said = node.says(UP);
        let [Message::Dispatch { entries, .. }] = &said[..] else { panic!("{said:?}") };
        assert_eq!(crate::wire::Entries::new(entries).count(), 1, "the last may exceed it");
    }
}

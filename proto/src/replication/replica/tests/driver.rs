//! Calls of a driver, and the bounds and times that a whole cluster seldom reaches.

use super::super::Dispatched;
use super::*;
use crate::Mode;
use crate::replication::keeping::UNSAVED_BYTES_MAX;
use crate::replication::replica::Refused;

/// Dispatches an action under this ticket.
fn offer(node: &mut Node, ticket: u64, action: &[u8]) -> Result<Dispatched, Refused> {
    let dispatched = node.replica.dispatch(ticket, action, node.now);
    node.take_outputs();
    dispatched
}

/// The links that were cut.
fn cut(node: &mut Node) -> Vec<LinkId> {
    std::mem::take(&mut node.cut).into_iter().map(|(link, _)| link).collect()
}

#[test]
fn an_action_may_be_so_long_and_no_longer() {
    for mut node in [
        Node::sequencer(|config| config.action_bytes_max = 10),
        Node::attached(b"a", |config| config.action_bytes_max = 10),
    ] {
        assert!(offer(&mut node, 1, &[7; 10]).is_ok());
        let refused = offer(&mut node, 2, &[7; 11]).err();
        assert_eq!(refused, Some(Refused::TooLong { len: 11, limit: 10 }));
    }
}

#[test]
fn a_window_takes_so_many_dispatches_that_wait_for_the_disk_or_the_upstream() {
    let mut durable = Node::sequencer(|config| config.window = 3);
    durable.replica.keep(true);
    for mut node in [durable, Node::attached(b"a", |config| config.window = 3)] {
        for ticket in 0..3 {
            assert!(node.replica.has_room());
            assert!(matches!(offer(&mut node, ticket, b"b"), Ok(Dispatched::Later)));
        }
        assert!(!node.replica.has_room());
        assert_eq!(node.replica.under_way(), 3);
        assert_eq!(offer(&mut node, 3, b"b").err(), Some(Refused::Busy(3)));
    }
}

#[test]
fn a_window_takes_so_many_bytes_of_dispatches() {
    let mut node = Node::attached(b"a", |config| config.window_bytes = 20);
    for ticket in 0..2 {
        assert!(node.replica.has_room() && offer(&mut node, ticket, &[7; 10]).is_ok());
    }
    assert!(!node.replica.has_room());
    assert_eq!(offer(&mut node, 3, b"b").err(), Some(Refused::Busy(2)));
}

#[test]
fn dispatches_wait_while_the_disk_is_far_behind_and_go_on_when_it_has_caught_up() {
    let mut node = Node::sequencer(|_| {});
    node.replica.keep(false);
    let (action, mut ordered, mut records) = (vec![7; 1 << 20], 0, Vec::new());
    while matches!(offer(&mut node, ordered, &action), Ok(Dispatched::Now(_))) {
        ordered += 1;
        node.replica.take_records(&mut records);
        assert!(ordered < 20, "it goes on without end");
    }
    let most = UNSAVED_BYTES_MAX as u64 >> 20;
    assert!((most..=most + 1).contains(&ordered), "{ordered}");
    assert_eq!((node.resolved.len(), node.replica.version().seq), (0, ordered));
    node.replica.committed(ordered, records.len(), node.now);
    node.take_outputs();
    let version = node.replica.version();
    assert_eq!(version.seq, ordered + 1);
    assert_eq!(node.resolved, [(ordered, Resolution::Ok(version))]);
}

#[test]
fn a_large_action_has_more_time_to_be_answered() {
    let second = Duration::from_secs(1);
    let mut node = Node::attached(b"a", |config| config.dispatch_deadline = Some(second));
    assert!(offer(&mut node, 1, b"b").is_ok() && offer(&mut node, 2, &[7; 128 << 10]).is_ok());
    let mut expires = |passed: Duration, ticket| {
        node.passes(passed - 2 * MS);
        assert_eq!(node.resolved, []);
        node.passes(2 * MS);
        let resolved = std::mem::take(&mut node.resolved);
        assert_eq!(resolved, [(ticket, Resolution::OutcomeUnknown)]);
    };
    expires(second + MS, 1);
    // The large one has as much more time as it takes over a slow line.
    expires(second * 2, 2);
}

#[test]
fn a_store_that_ends_or_is_orphaned_resolves_what_is_under_way() {
    let ends: [fn(&mut Replica<Tape>, Duration); 3] = [
        |replica, now| replica.orphan(now),
        |replica, now| replica.close(now),
        |replica, now| replica.fail("a bug", now),
    ];
    for (number, end) in ends.into_iter().enumerate() {
        let mut node = Node::attached(b"a", |_| {});
        assert!(matches!(offer(&mut node, 7, b"b"), Ok(Dispatched::Later)));
        end(&mut node.replica, node.now);
        node.take_outputs();
        assert_eq!(node.resolved, [(7, Resolution::OutcomeUnknown)]);
        let ended = number > 0;
        assert_eq!((node.replica.takes_none(), node.replica.is_connected()), (ended, !ended));
        end(&mut node.replica, node.now);
        node.take_outputs();
        let poisoned = usize::from(number == 2);
        assert_eq!(node.reports, vec![Report::Poisoned("a bug".into()); poisoned], "said once");
    }
}

#[test]
fn a_backup_is_of_a_sequencer_whose_state_is_whole() {
    assert!(Node::attached(b"a", |_| {}).replica.hold().is_none());
    let (node, mut poisoned, mut stopped) =
        (Node::sequencer(|_| {}), Node::sequencer(|_| {}), Node::sequencer(|_| {}));
    assert_eq!(node.replica.hold().map(|(image, _)| image.version), Some(version(0)));
    poisoned.replica.fail("a bug", poisoned.now);
    stopped.replica.stop_unrestorable(version(0), "it is lost".into(), stopped.now);
    assert!(poisoned.replica.hold().is_none() && stopped.replica.hold().is_none());
}

#[test]
fn a_link_is_cut_when_nothing_is_heard_of_its_peer_and_not_while_bytes_come() {
    let mut relay = Node::attached(b"a", |_| {});
    relay.is_asked(DOWN, None);
    let step = relay.replica.config.dead_after / 4;
    let heard = |relay: &mut Node, links: &[LinkId]| {
        links.iter().for_each(|link| relay.replica.heard(*link, relay.now));
    };
    for (silent, other) in [(DOWN, UP), (UP, DOWN)] {
        for _ in 0..8 {
            relay.passes(step);
            heard(&mut relay, &[DOWN, UP]);
            assert_eq!(cut(&mut relay), []);
        }
        for _ in 0..4 {
            relay.passes(step);
            heard(&mut relay, &[other]);
        }
        assert_eq!(cut(&mut relay), [], "it has just so long");
        relay.passes(MS);
        assert_eq!(cut(&mut relay), [silent]);
        heard(&mut relay, &[DOWN, UP]);
    }
}

/// Checks that a process that was stopped itself takes none of its peers for dead: their messages
/// may still be unread.
#[test]
fn a_process_that_was_stopped_forgives_its_peers_their_silence() {
    let mut relay = Node::attached(b"a", |_| {});
    relay.is_asked(DOWN, None);
    let dead_after = relay.replica.config.dead_after;
    relay.passes(dead_after * 10);
    assert_eq!(cut(&mut relay), []);
    for _ in 0..5 {
        relay.passes(dead_after / 4);
    }
    assert_eq!(cut(&mut relay), [DOWN, UP], "but not for ever");
}

#[test]
fn a_relay_that_gets_states_where_it_is_to_pass_on_actions_says_so_once() {
    for (mode, below, said) in
        [(Mode::Snapshot, true, 1), (Mode::Snapshot, false, 0), (Mode::Action, true, 0)]
    {
        let mut relay = Node::follower(|_| {});
        if below {
            relay.is_asked(DOWN, None);
        }
        relay.replica.upstream_up(UP, PROTOCOL_VERSION, relay.now);
        for hop in [1, 2] {
            relay.hears(UP, Message::Status(Status { mode, hop, ..status(1) }));
        }
        let is = |report: &&Report| matches!(report, Report::FedBySnapshots);
        assert_eq!(relay.reports.iter().filter(is).count(), said, "{mode:?}");
    }
}

#[test]
fn a_snapshot_may_be_so_long_and_no_longer() {
    for (len, fits) in [(100, true), (101, false)] {
        let mut node = Node::follower(|config| config.snapshot_bytes_max = 100);
        node.replica.upstream_up(UP, PROTOCOL_VERSION, node.now);
        node.hears(UP, Message::Status(status(1)));
        let state = vec![7; len];
        assert_eq!(node.hear(UP, Message::SnapshotHead(head(1, &state))).is_ok(), fits);
    }
}

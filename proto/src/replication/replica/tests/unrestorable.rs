//! States that cannot be restored from their encoding.

use super::super::Dispatched;
use super::*;
use crate::replication::Resolution;
use crate::replication::replica::Refused;
use crate::wire::RefusalKind;

fn is_refused(messages: &[Message]) -> bool {
    let state = RefusalKind::State;
    matches!(messages, [.., Message::Refused(refusal)] if refusal.kind == state)
}

fn reported(node: &Node) -> usize {
    let is = |report: &&Report| matches!(report, Report::Unrestorable { .. });
    node.reports.iter().filter(is).count()
}

/// A node below asks for the state that is there.
fn asked(node: &mut Node, link: LinkId) -> Vec<Message> {
    node.is_asked(link, None);
    let before = node.says(link);
    node.works();
    [before, node.says(link)].concat()
}

#[test]
fn a_sequencer_with_such_a_state_stops_and_refuses_all_for_its_reason() {
    let mut node = Node::sequencer(|_| {});
    node.is_asked(OTHER, None);
    node.dispatches(b"?");
    assert!(node.replica.is_connected());
    assert!(is_refused(&asked(&mut node, DOWN)));
    assert!(!node.replica.is_connected() && node.replica.stopped().is_some());
    let refused = node.replica.dispatch(0, b"a", node.now);
    assert!(matches!(refused, Err(Refused::Unrestorable(_))), "{refused:?}");
    assert!(is_refused(&node.says(OTHER)), "whoever waits for a state hears of it too");
    assert_eq!((reported(&node), node.jobs.len()), (1, 0));
}

#[test]
fn a_dispatch_to_a_sequencer_that_stopped_is_rejected() {
    let mut node = Node::sequencer(|_| {});
    node.is_asked(DOWN, None);
    node.says(DOWN);
    node.works();
    node.says(DOWN);
    let (hop, request) = (node.replica.hop, 1);
    node.hears(DOWN, Message::SessionOpen { hop, request });
    let said = node.says(DOWN);
    let [Message::SessionOpened { claim, .. }] = said[..] else { panic!("{said:?}") };
    node.replica.stop_unrestorable(version(0), "it is lost".into(), node.now);
    node.says(DOWN);
    let entries = entry(claim.session, 1, 0, b"a").into();
    node.hears(DOWN, Message::Dispatch { hop, claim, oldest: 1, entries });
    let said = node.says(DOWN);
    let rejected = said.iter().any(|message| match message {
        Message::Answers { answers, .. } => {
            matches!(answers[0].outcome, crate::wire::Outcome::Rejected(_))
        }
        _ => false,
    });
    assert!(rejected, "{said:?}");
    assert_eq!(node.replica.version(), version(0));
}

#[test]
pub(super) fn a_relay_refuses_such_a_state_and_sends_the_next_one() {
    let mut relay = Node::attached(b"?", |_| {});
    assert!(is_refused(&asked(&mut relay, DOWN)));
    assert_eq!(reported(&relay), 1);
    assert!(is_refused(&asked(&mut relay, OTHER)) && reported(&relay) == 1, "said once");
    assert!(relay.replica.is_connected() && relay.replica.stopped().is_none());
    relay.gets_entry(b"b", 0);
    assert_eq!(snapshots_in(asked(&mut relay, LinkId(4))), [2]);
    relay.gets_entry(b"?", 0);
    relay.replica.snapshots.drop_newest();
    assert!(is_refused(&asked(&mut relay, LinkId(5))));
    assert_eq!(reported(&relay), 2, "one was good in between");
}

#[test]
fn such_a_state_of_a_relay_is_of_no_concern_once_it_was_replaced() {
    let mut relay = Node::attached(b"?", |_| {});
    assert!(is_refused(&asked(&mut relay, DOWN)));
    relay.gets_snapshot(1, b"a");
    relay.replica.snapshots.drop_newest();
    assert_eq!(snapshots_in(asked(&mut relay, OTHER)), [1]);
}

#[test]
fn who_waits_for_such_a_state_is_woken_to_be_refused_and_it_is_reported_once() {
    let mut node = Node::sequencer(|_| {});
    node.dispatches(b"?");
    node.is_asked(DOWN, None);
    node.says(DOWN);
    node.woken.clear();
    node.works();
    assert_eq!((&node.woken[..], reported(&node)), (&[DOWN][..], 1));
    for _ in 0..2 {
        node.replica.stop_unrestorable(version(1), "it is lost".into(), node.now);
        node.take_outputs();
    }
    assert_eq!(reported(&node), 1);
}

/// A durable sequencer whose one dispatch waits for the disk.
fn waits_for_the_disk(action: &[u8]) -> Node {
    let mut node = Node::sequencer(|_| {});
    node.replica.keep(true);
    let dispatched = node.replica.dispatch(7, action, node.now);
    assert!(matches!(dispatched, Ok(Dispatched::Later)));
    node.take_outputs();
    assert_eq!(node.resolved, []);
    node
}

#[test]
fn what_will_never_be_on_disk_for_it_is_rejected() {
    let mut node = waits_for_the_disk(b"a");
    node.replica.stop_unrestorable(version(1), "it is lost".into(), node.now);
    node.take_outputs();
    assert!(matches!(&node.resolved[..], [(7, Resolution::Rejected(why))] if why.contains("lost")));
    node.replica.committed(1, 0, node.now);
    node.take_outputs();
    assert_eq!(node.resolved.len(), 1);
}

#[test]
fn what_may_be_on_its_way_to_the_disk_is_unknown() {
    let mut node = waits_for_the_disk(b"?");
    asked(&mut node, DOWN);
    assert_eq!(node.resolved, [(7, Resolution::OutcomeUnknown)]);
}

/// Checks that a node that no longer orders looks at its state anew: its reducer may be another.
#[test]
fn a_sequencer_that_stopped_for_such_a_state_and_becomes_a_client_knows_of_none() {
    let mut node = Node::sequencer(|_| {});
    node.dispatches(b"?");
    asked(&mut node, DOWN);
    assert!(node.replica.unsendable().is_some());
    node.replica.follow(node.now);
    assert!(node.replica.unsendable().is_none());
    assert!(is_refused(&asked(&mut node, OTHER)) && reported(&node) == 2, "it was looked at");
}

#[test]
fn a_state_that_is_encoded_and_does_not_survive_that_is_found_by_a_check() {
    let mut node = Node::sequencer(|_| {});
    node.dispatches(b"~");
    assert!(is_refused(&asked(&mut node, DOWN)));
    assert_eq!((reported(&node), node.replica.is_connected()), (1, false));
}

/// Finishes the one snapshot that is being cut, at this cost. Returns whether it was checked.
fn cuts(node: &mut Node, cost: Duration) -> bool {
    let [job] = &mut node.jobs[..] else { panic!("{} jobs", node.jobs.len()) };
    let checked = matches!(job, Job::Cut { check: true, .. });
    let done = node.jobs.remove(0).run();
    node.replica.finish(done, cost, node.now);
    node.take_outputs();
    checked
}

/// Checks that the next check is put off by the cost of the last one, and by nothing else.
#[test]
fn snapshots_are_checked_as_often_as_the_budget_allows() {
    let mut node = Node::sequencer(|config| config.verify_budget = 0.5);
    let second = Duration::from_secs(1);
    let next = |node: &mut Node, link| {
        node.dispatches(b"a");
        node.replica.snapshots.drop_newest();
        node.is_asked(LinkId(link), None);
        node.says(LinkId(link));
        node.replica.link_down(LinkId(link), node.now);
    };
    next(&mut node, 10);
    assert!(cuts(&mut node, second));
    // Two seconds of wait for one of a check; a cut that is not checked costs nothing.
    for (link, passed, checked) in [(11, second, false), (12, second, true)] {
        node.passes(passed);
        next(&mut node, link);
        assert_eq!(cuts(&mut node, second * 9), checked, "{link}");
    }
}

/// Checks that a check of a state that was replaced meanwhile says nothing of the new state.
#[test]
fn a_check_of_a_state_that_was_replaced_puts_off_none_of_the_new_state() {
    let mut relay = Node::attached(b"a", |_| {});
    relay.is_asked(DOWN, None);
    relay.says(DOWN);
    relay.gets_snapshot(2, b"~");
    cuts(&mut relay, Duration::from_secs(100));
    relay.replica.snapshots.drop_newest();
    assert!(is_refused(&asked(&mut relay, OTHER)));
}

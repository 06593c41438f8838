//! Reducers that fail, disks that stall, and nodes that leave.

use super::super::Dispatched;
use super::*;
use crate::replication::replica::Refused;
use crate::wire::{Entries, FLAG_DIGEST, Outcome};

fn offer(node: &mut Node, action: &[u8]) -> Result<Dispatched, Refused> {
    let dispatched = node.replica.dispatch(7, action, node.now);
    node.take_outputs();
    dispatched
}

fn is_rejected(dispatched: &Result<Dispatched, Refused>) -> bool {
    matches!(dispatched, Ok(Dispatched::Now(Resolution::Rejected(_))))
}

/// A node below a sequencer, with a session of its own.
fn with_session(node: &mut Node) -> Claim {
    node.is_asked(DOWN, None);
    node.says(DOWN);
    node.works();
    node.says(DOWN);
    let (hop, request) = (node.replica.hop, 1);
    node.hears(DOWN, Message::SessionOpen { hop, request });
    let said = node.says(DOWN);
    let [Message::SessionOpened { claim, .. }] = said[..] else { panic!("{said:?}") };
    claim
}

fn outcomes(messages: &[Message]) -> Vec<Outcome> {
    let of = |message: &Message| match message {
        Message::Answers { answers, .. } => answers.clone(),
        _ => Vec::new(),
    };
    messages.iter().flat_map(of).map(|answer| answer.outcome).collect()
}

#[test]
fn a_panic_that_was_undone_is_reported_and_the_store_goes_on() {
    let mut node = Node::sequencer(|_| {});
    assert!(is_rejected(&offer(&mut node, b"!undone")));
    assert!(matches!(node.reports[..], [Report::PanicUndone(_)]), "{:?}", node.reports);
    assert!(node.replica.is_connected());
    assert!(matches!(offer(&mut node, b"a"), Ok(Dispatched::Now(Resolution::Ok(_)))));
}

#[test]
fn a_panic_that_could_not_be_undone_is_reported_and_poisons_the_store() {
    let mut node = Node::sequencer(|_| {});
    assert!(is_rejected(&offer(&mut node, b"!poisoned")));
    assert!(matches!(node.reports[..], [Report::Poisoned(_)]), "{:?}", node.reports);
    assert!(!node.replica.is_connected() && node.replica.takes_none());
    assert_eq!(offer(&mut node, b"a").err(), Some(Refused::Poisoned));
}

#[test]
fn an_action_that_fails_at_a_follower_alone_is_reported_and_its_copy_healed() {
    let mut node = Node::attached(b"a", |_| {});
    node.gets_entry(b"!no", 0);
    assert!(matches!(node.reports[..], [Report::FailedHere { seq: 2, .. }]), "{:?}", node.reports);
    assert_eq!(node.says(UP), [Message::Heal { seq: 0 }]);
    assert!(!node.replica.is_connected());
}

#[test]
fn a_session_that_is_claimed_without_its_token_is_reported_once_for_each_link() {
    let mut node = Node::sequencer(|_| {});
    let mut claim = with_session(&mut node);
    claim.token = Token::from_bytes([1; 16]);
    for counter in [1, 2] {
        let (hop, entries) = (node.replica.hop, entry(claim.session, counter, 0, b"a").into());
        node.hears(DOWN, Message::Dispatch { hop, claim, oldest: 1, entries });
    }
    assert!(matches!(node.reports[..], [Report::Unproved(_)]), "{:?}", node.reports);
    assert_eq!(node.replica.version(), version(0));
    assert_eq!(node.replica.counters().claims_unproved, 2);
}

#[test]
fn a_durable_store_whose_disk_stalls_is_not_in_sync_until_it_does_not() {
    let mut node = Node::sequencer(|_| {});
    node.replica.keep(true);
    assert!(matches!(offer(&mut node, b"a"), Ok(Dispatched::Later)));
    node.replica.set_stalled(true, node.now);
    node.take_outputs();
    assert_eq!(node.resolved, [(7, Resolution::OutcomeUnknown)]);
    assert!(!node.replica.is_connected());
    assert_eq!(offer(&mut node, b"b").err(), Some(Refused::Stalled));
    node.replica.committed(1, 0, node.now);
    node.replica.set_stalled(false, node.now);
    assert!(node.replica.is_connected() && offer(&mut node, b"b").is_ok());
}

/// Checks that what the stall of a disk leaves open is unknown, and what was rejected is not: no
/// disk changes that.
#[test]
fn a_stalled_disk_leaves_open_what_was_applied_and_not_what_was_rejected() {
    let mut node = Node::sequencer(|_| {});
    node.replica.keep(true);
    let claim = with_session(&mut node);
    let mut entries = entry(claim.session, 1, 0, b"a");
    entries.extend(entry(claim.session, 2, 0, b"!no"));
    let (hop, entries) = (node.replica.hop, entries.into());
    node.hears(DOWN, Message::Dispatch { hop, claim, oldest: 1, entries });
    assert_eq!(outcomes(&node.says(DOWN)), []);
    node.replica.set_stalled(true, node.now);
    let said = outcomes(&node.says(DOWN));
    assert!(matches!(said[..], [Outcome::Unknown, Outcome::Rejected(_)]), "{said:?}");
}

#[test]
fn a_sequencer_that_becomes_a_client_keeps_no_records_and_holds_nothing_back() {
    let mut node = Node::sequencer(|_| {});
    node.replica.keep(true);
    assert!(matches!(offer(&mut node, b"a"), Ok(Dispatched::Later)));
    assert!(node.replica.has_records() && node.replica.shown() == 0);
    node.replica.follow(node.now);
    node.take_outputs();
    assert_eq!(node.resolved, [(7, Resolution::OutcomeUnknown)]);
    assert!(!node.replica.has_records() && node.replica.shown() == 1);
}

#[test]
fn a_durable_store_that_ends_resolves_what_waits_for_its_disk() {
    let mut node = Node::sequencer(|_| {});
    node.replica.keep(true);
    assert!(matches!(offer(&mut node, b"a"), Ok(Dispatched::Later)));
    node.replica.close(node.now);
    node.take_outputs();
    assert_eq!(node.resolved, [(7, Resolution::OutcomeUnknown)]);
}

#[test]
fn a_node_below_that_takes_its_leave_is_forgotten_and_hears_nothing_more() {
    let mut node = Node::sequencer(|_| {});
    with_session(&mut node);
    node.hears(DOWN, Message::Detach);
    node.dispatches(b"a");
    assert_eq!(node.says(DOWN), []);
    assert_eq!(node.replica.gauges().downstream.len(), 0);
}

#[test]
fn actions_are_marked_only_while_there_is_a_copy_to_be_verified() {
    let mut node = Node::sequencer(|config| config.resync = Resync::Verify(1));
    node.dispatches(b"a");
    assert_eq!(node.jobs.len(), 0);
    with_session(&mut node);
    node.dispatches(b"b");
    assert_eq!(node.jobs.len(), 1);
    let marked = node.says(DOWN).iter().any(|message| match message {
        Message::Entries { entries, .. } => {
            Entries::new(entries).any(|entry| entry.expect("it is whole").flags & FLAG_DIGEST != 0)
        }
        _ => false,
    });
    assert!(marked);
}

#[test]
fn subscribers_have_changes_as_soon_as_these_are_committed() {
    let mut node = Node::sequencer(|_| {});
    node.replica.keep(true);
    node.replica.set_changes_wanted(true);
    assert!(matches!(offer(&mut node, b"a"), Ok(Dispatched::Later)));
    assert_eq!((node.replica.has_changes(), node.replica.changes_pushed()), (false, 1));
    assert!(node.replica.pop_change().is_none());
    node.replica.committed(1, 0, node.now);
    assert!(node.replica.has_changes());
    let told = node.replica.pop_change().map(|(change, bytes)| (change.to(), bytes));
    assert_eq!(told, Some((version(1), 1)));
    assert_eq!((node.replica.has_changes(), node.replica.changes_taken()), (false, 1));
}

/// Checks that nothing of its past holds back a sequencer that becomes a client: neither a panic,
/// nor what is under way to it, nor an upstream of before.
#[test]
fn a_poisoned_sequencer_that_becomes_a_client_begins_anew() {
    let mut node = Node::sequencer(|_| {});
    with_session(&mut node);
    assert!(is_rejected(&offer(&mut node, b"!poisoned")));
    let hop = node.replica.hop;
    node.says(DOWN);
    node.replica.follow(node.now);
    node.take_outputs();
    assert_ne!(node.replica.hop, hop);
    let said = node.says(DOWN);
    assert!(said.iter().any(|said| matches!(said, Message::Status(told) if told.hop != hop)));
    node.replica.upstream_up(UP, PROTOCOL_VERSION, node.now);
    node.hears(UP, Message::Status(status(1)));
    node.gets_snapshot(1, b"a");
    assert!(node.replica.is_connected() && !node.replica.takes_none());
    assert!(offer(&mut node, b"b").is_ok());
    node.replica.follow(node.now);
    assert_eq!(node.hear(UP, Message::Heartbeat { seq: 1 }), Err(LinkFault::UnknownLink(UP)));
}

//! A sequencer that judges the dispatches of a node below.

use super::*;
use crate::replication::probes::PROBE;
use crate::wire::{Answer, FLAG_VOID, Outcome};

/// A sequencer, and the session of a node below it that has its state.
fn with_session() -> (Node, Claim) {
    let mut node = Node::sequencer(|_| {});
    for link in [DOWN, OTHER] {
        node.is_asked(link, None);
        node.says(link);
        node.works();
        node.says(link);
    }
    let (hop, request) = (node.replica.hop, 1);
    node.hears(DOWN, Message::SessionOpen { hop, request });
    let said = node.says(DOWN);
    let [Message::SessionOpened { claim, .. }] = said[..] else { panic!("{said:?}") };
    (node, claim)
}

fn dispatch(node: &Node, claim: Claim, entries: Vec<u8>) -> Message {
    Message::Dispatch { hop: node.replica.hop, claim, oldest: 1, entries: entries.into() }
}

/// The answers that go back, by frame.
fn answers(node: &mut Node) -> Vec<Vec<Answer>> {
    let of = |message| match message {
        Message::Answers { answers, .. } => Some(answers),
        _ => None,
    };
    node.says(DOWN).into_iter().filter_map(of).collect()
}

fn applied(counter: u64, seq: u64) -> Answer {
    Answer { counter, outcome: Outcome::Applied(version(seq)) }
}

#[test]
fn a_batch_of_a_session_that_is_not_known_is_answered_once() {
    let (mut node, _) = with_session();
    let entries = [entry(77, 1, 0, b"a"), entry(77, 2, 0, b"b")].concat();
    node.hears(DOWN, dispatch(&node, claim(77), entries));
    assert_eq!(answers(&mut node), [[Answer { counter: 1, outcome: Outcome::Expired }]]);
}

/// Checks that a number that its origin gave up is passed over, however often it comes.
#[test]
fn a_dispatch_that_its_origin_gave_up_takes_its_number_and_is_never_applied() {
    let (mut node, claim) = with_session();
    let void = || entry(claim.session, 1, FLAG_VOID, b"");
    let entries = [void(), entry(claim.session, 2, 0, b"b")].concat();
    node.hears(DOWN, dispatch(&node, claim, entries));
    let unknown = Answer { counter: 1, outcome: Outcome::Unknown };
    assert_eq!(answers(&mut node), [[unknown.clone(), applied(2, 1)]]);
    for again in [void(), entry(claim.session, 1, 0, b"a")] {
        node.hears(DOWN, dispatch(&node, claim, again));
        assert_eq!(answers(&mut node), [[unknown.clone()]]);
    }
    assert_eq!((node.replica.version().seq, &node.replica.machine().0[..]), (1, &b"b"[..]));
}

#[test]
fn each_of_many_dispatches_in_a_frame_is_answered() {
    let (mut node, claim) = with_session();
    let entries: Vec<u8> =
        (1..=1200).flat_map(|counter| entry(claim.session, counter, 0, b"a")).collect();
    node.hears(DOWN, dispatch(&node, claim, entries));
    let answers = answers(&mut node);
    assert!(answers.len() > 1, "a frame has its bound");
    assert_eq!(answers.concat(), (1..=1200).map(|at| applied(at, at)).collect::<Vec<_>>());
}

/// Checks that the dispatches before one that cuts the link are ordered, answered and told to all.
#[test]
fn what_comes_before_an_entry_that_cuts_the_link_is_ordered() {
    let mut damaged = entry(0, 2, 0, b"b");
    *damaged.last_mut().expect("it has bytes") ^= 1;
    let (_, claim) = with_session();
    for cutting in
        [damaged, entry(claim.session - 1, 2, 0, b"b"), entry(claim.session + 1, 2, 0, b"b")]
    {
        let (mut node, claim) = with_session();
        let entries = [entry(claim.session, 1, 0, b"a"), cutting].concat();
        node.woken.clear();
        node.hear(DOWN, dispatch(&node, claim, entries)).expect_err("it cuts the link");
        node.take_outputs();
        assert_eq!((node.replica.version().seq, node.replica.counters().applied), (1, 1));
        assert!(node.woken.contains(&OTHER));
        assert_eq!(answers(&mut node), [[applied(1, 1)]]);
    }
}

#[test]
fn a_probe_is_answered_and_orders_nothing() {
    let (mut node, claim) = with_session();
    let entries = [
        entry(claim.session, 1, 0, b"a"),
        entry(claim.session, PROBE, FLAG_VOID, b""),
        entry(claim.session, 2, 0, b"b"),
    ];
    node.hears(DOWN, dispatch(&node, claim, entries.concat()));
    let probed = Answer { counter: PROBE, outcome: Outcome::Unknown };
    assert_eq!(answers(&mut node), [[applied(1, 1), probed, applied(2, 2)]]);
}

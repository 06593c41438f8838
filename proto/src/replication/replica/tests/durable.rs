//! Records for the disk, and what is made of them later.

use super::super::Dispatched;
use super::*;
use crate::replication::{Image, ReplayFault};
use crate::wire::{Answer, Outcome};

fn waits(node: &mut Node, ticket: u64) {
    let dispatched = node.replica.dispatch(ticket, b"a", node.now);
    assert!(matches!(dispatched, Ok(Dispatched::Later)), "{dispatched:?}");
    node.take_outputs();
}

#[test]
fn a_dispatch_that_is_on_disk_resolves_once_and_takes_no_room_any_more() {
    let mut node = Node::sequencer(|_| {});
    node.replica.keep(true);
    node.is_asked(DOWN, Some(version(0)));
    node.says(DOWN);
    for ticket in [1, 2] {
        waits(&mut node, ticket);
    }
    assert_eq!((node.replica.under_way(), node.says(DOWN).len()), (2, 0));
    node.woken.clear();
    for seq in [1, 2] {
        node.replica.committed(seq, 0, node.now);
        node.take_outputs();
        let resolved = std::mem::take(&mut node.resolved);
        assert_eq!(resolved, [(seq, Resolution::Ok(version(seq)))]);
        assert_eq!(node.replica.under_way() as u64, 2 - seq);
        assert!(std::mem::take(&mut node.woken).contains(&DOWN));
        assert!(matches!(node.says(DOWN)[..], [Message::Entries { .. }]));
    }
}

#[test]
fn a_dispatch_waits_for_the_disk_until_its_deadline_if_it_has_one() {
    for deadline in [Some(Duration::from_secs(1)), None] {
        let mut node = Node::sequencer(|config| config.dispatch_deadline = deadline);
        node.replica.keep(true);
        waits(&mut node, 7);
        node.passes(Duration::from_secs(1) - MS);
        assert_eq!(node.resolved, []);
        node.passes(Duration::from_secs(10));
        let unknown = [(7, Resolution::OutcomeUnknown)];
        assert_eq!(node.resolved, &unknown[..usize::from(deadline.is_some())]);
        assert_eq!(node.replica.under_way(), usize::from(deadline.is_none()));
        node.replica.committed(1, 0, node.now);
        node.take_outputs();
        assert_eq!(node.resolved.len(), 1);
    }
}

/// The image of a sequencer at version 1, the records of what it did then, and the claim of the
/// session in which action 2 and a rejected one were dispatched. Action 3 was its own.
fn kept() -> (Image, Vec<u8>, Claim) {
    let mut node = Node::sequencer(|_| {});
    node.replica.keep(false);
    node.dispatches(b"a");
    node.replica.take_records(&mut Vec::new());
    let image = node.replica.image();
    node.is_asked(DOWN, None);
    let hop = node.replica.hop;
    node.hears(DOWN, Message::SessionOpen { hop, request: 1 });
    let claim = node.says(DOWN).iter().find_map(|message| match message {
        Message::SessionOpened { claim, .. } => Some(*claim),
        _ => None,
    });
    let claim = claim.expect("it gets a session");
    let entries = [entry(claim.session, 1, 0, b"b"), entry(claim.session, 2, 0, b"!no")].concat();
    node.hears(DOWN, Message::Dispatch { hop, claim, oldest: 1, entries: entries.into() });
    node.dispatches(b"c");
    let mut records = Vec::new();
    let span = node.replica.take_records(&mut records).expect("there are some");
    assert_eq!((span.before, span.last, &node.replica.machine().0[..]), (1, 3, &b"abc"[..]));
    (image, records, claim)
}

#[test]
fn a_restored_sequencer_has_the_actions_and_the_outcomes_of_its_records() {
    let (mut image, records, claim) = kept();
    let mut tape = Tape(b"a".to_vec());
    for _ in 0..2 {
        // The second time it has all of it already.
        image.replay(&mut tape, 1, &records).expect("they follow");
        assert_eq!((image.version, &tape.0[..]), (version(3), &b"abc"[..]));
    }
    let key = TokenKey::new([7; 32]);
    let replica = Replica::restored(
        config(|_| {}),
        NodeId(100),
        tape,
        &image,
        SECOND_LIFE,
        key,
        Duration::ZERO,
    );
    let mut node = Node::new(replica);
    node.is_asked(DOWN, Some(version(3)));
    node.says(DOWN);
    let again = [
        entry(claim.session, 1, 0, b"b"),
        entry(claim.session, 2, 0, b"!no"),
        entry(claim.session, 3, 0, b"d"),
    ];
    let (hop, entries) = (node.replica.hop, again.concat().into());
    node.hears(DOWN, Message::Dispatch { hop, claim, oldest: 1, entries });
    let said = node.says(DOWN);
    let answers = said.iter().find_map(|message| match message {
        Message::Answers { answers, .. } => Some(answers.clone()),
        _ => None,
    });
    let [first, second, third] = &answers.expect("it is answered")[..] else { panic!("{said:?}") };
    assert_eq!(*first, Answer { counter: 1, outcome: Outcome::Applied(version(2)) });
    assert!(matches!(second.outcome, Outcome::Rejected(_)), "{second:?}");
    assert!(matches!(third.outcome, Outcome::Applied(at) if at.seq == 4), "{third:?}");
    assert_eq!(node.replica.machine().0, b"abcd");
}

#[test]
fn records_that_begin_after_the_image_are_not_replayed() {
    let (mut image, records, _) = kept();
    let mut tape = Tape(b"a".to_vec());
    let fault = image.replay(&mut tape, 2, &records);
    assert_eq!(fault, Err(ReplayFault::Gap { at: 1, got: 3 }));
    assert_eq!((image.version, &tape.0[..]), (version(1), &b"a"[..]));
}

#[test]
fn records_of_an_action_that_the_image_has_in_part_go_on_from_there() {
    let (mut image, records, _) = kept();
    let mut tape = Tape(b"a".to_vec());
    image.replay(&mut tape, 0, &records).expect("the first of them is there");
    assert_eq!((image.version, &tape.0[..]), (version(2), &b"ac"[..]));
}

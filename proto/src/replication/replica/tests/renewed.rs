//! A way up that is made anew, and the lineages that come over it.

use bytes::Bytes;

use super::*;
use crate::wire::{Answer, Outcome};

fn is_dispatch(message: &Message) -> bool {
    matches!(message, Message::Dispatch { .. })
}

/// A relay with a node below, whose dispatch waits for credit.
fn with_a_dispatch_that_waits() -> Node {
    let mut relay = Node::attached(b"a", |_| {});
    relay.is_asked(DOWN, None);
    let (hop, entries) = (relay.replica.hop, Bytes::from(entry(9, 1, 0, b"x")));
    relay.hears(DOWN, Message::Dispatch { hop, claim: claim(9), oldest: 1, entries });
    relay
}

fn waiting_bytes(relay: &Node) -> usize {
    relay.replica.upstream.as_ref().map_or(0, |upstream| upstream.forwards_bytes)
}

/// Checks that no dispatch passes a renewed way up twice: its origin sends it again by itself.
#[test]
fn dispatches_that_wait_to_go_up_are_dropped_when_the_way_up_is_made_anew() {
    for (hop, kept) in [(1, true), (2, false)] {
        let mut relay = with_a_dispatch_that_waits();
        let hop_below = relay.replica.hop;
        relay.hears(UP, Message::Status(Status { hop, ..status(1) }));
        assert_eq!((waiting_bytes(&relay) > 0, relay.replica.hop == hop_below), (kept, kept));
        relay.hears(UP, Message::Credit { bytes: 1 << 20 });
        assert_eq!(relay.says(UP).iter().any(is_dispatch), kept, "hop {hop}");
        assert_eq!(waiting_bytes(&relay), 0);
    }
}

/// A change of the way up, and whether a request from before it is still answered.
type Renewal = (bool, fn(&mut Node));

#[test]
fn a_request_for_a_session_is_not_answered_once_the_way_up_is_made_anew() {
    let renewals: [Renewal; 4] = [
        (true, |_| {}),
        (true, |relay| relay.hears(UP, Message::Status(status(2)))),
        (false, |relay| relay.hears(UP, Message::Status(Status { hop: 2, ..status(1) }))),
        (false, |relay| {
            relay.replica.link_down(UP, relay.now);
            relay.replica.upstream_up(UP, PROTOCOL_VERSION, relay.now);
            relay.hears(UP, Message::Status(status(1)));
        }),
    ];
    for (number, (answered, renew)) in renewals.into_iter().enumerate() {
        let mut relay = Node::attached(b"a", |_| {});
        let request = relay.is_asked_for_a_session();
        renew(&mut relay);
        relay.says(DOWN);
        relay.hears(UP, Message::SessionOpened { request, claim: claim(9), at: version(1) });
        let said = relay.says(DOWN);
        let is_answer = |said: &Message| matches!(said, Message::SessionOpened { .. });
        assert_eq!(said.iter().any(is_answer), answered, "{number}: {said:?}");
    }
}

/// Checks that a claim which the sequencer does not know gets its answer, and no more: its way back
/// is still the first to give way.
#[test]
fn an_answer_that_a_session_has_expired_proves_no_claim() {
    let mut relay = Node::attached(b"a", |_| {});
    for link in [DOWN, OTHER] {
        relay.is_asked(link, None);
        relay.says(link);
    }
    let dispatch = |relay: &mut Node, link, session| {
        let (hop, entries) = (relay.replica.hop, entry(session, 1, 0, b"x").into());
        relay.hears(link, Message::Dispatch { hop, claim: claim(session), oldest: 1, entries });
    };
    let answered = |relay: &mut Node, session, outcome: Outcome| {
        let answers = vec![Answer { counter: 1, outcome }];
        relay.hears(UP, Message::Answers { claim: claim(session), answers });
        let said = relay.says(DOWN);
        said.iter().any(|said| matches!(said, Message::Answers { .. }))
    };
    let hop = relay.replica.hop;
    relay.hears(DOWN, Message::SessionOpen { hop, request: 1 });
    let said = relay.says(UP);
    let [Message::SessionOpen { request, .. }] = said[..] else { panic!("{said:?}") };
    relay.hears(UP, Message::SessionOpened { request, claim: claim(9000), at: version(1) });
    for (session, outcome) in [(1, Outcome::Expired), (2, Outcome::Unknown)] {
        dispatch(&mut relay, DOWN, session);
        assert!(answered(&mut relay, session, outcome));
    }
    relay.hears(UP, Message::Credit { bytes: 1 << 30 });
    for session in 3..3 + 5000 {
        dispatch(&mut relay, OTHER, session);
        relay.says(UP);
    }
    assert!(!answered(&mut relay, 1, Outcome::Expired), "it gave way to the others");
    assert!(answered(&mut relay, 2, Outcome::Unknown), "it was proved");
    assert!(answered(&mut relay, 9000, Outcome::Unknown), "it was granted");
}

#[test]
fn a_lineage_that_is_known_already_is_not_told_again() {
    let mut relay = Node::attached(b"a", |_| {});
    relay.is_asked(DOWN, Some(version(1)));
    relay.says(DOWN);
    relay.hears(UP, Message::Lineage(first_life()));
    assert_eq!(relay.says(DOWN), []);
    let lineage = first_life().continued(SECOND_LIFE, 1);
    for told in [1, 0] {
        relay.hears(UP, Message::Lineage(lineage.clone()));
        let said = relay.says(DOWN);
        assert_eq!(said, vec![Message::Lineage(lineage.clone()); told]);
    }
}

#[test]
fn a_lineage_that_comes_while_a_copy_heals_is_left_to_the_snapshot() {
    let mut node = Node::attached(b"a", |_| {});
    node.gets_entry(b"!no", 0);
    assert!(!node.replica.is_connected());
    // This copy lies on the second of these, and not on the first.
    for began in [0, 1] {
        let lineage = first_life().continued(SECOND_LIFE, began);
        node.hears(UP, Message::Lineage(lineage));
        assert_eq!(node.replica.lineage(), &first_life());
    }
    let lineage = first_life().continued(SECOND_LIFE, 1);
    node.gets(SnapshotHead { lineage: lineage.clone(), ..head(1, b"x") }, b"x");
    assert_eq!((node.replica.lineage(), node.replica.is_connected()), (&lineage, true));
}

#[test]
fn a_lineage_that_comes_amid_a_snapshot_is_that_of_the_snapshot() {
    for (began, fits) in [(1, true), (0, false)] {
        let mut node = Node::follower(|_| {});
        node.replica.upstream_up(UP, PROTOCOL_VERSION, node.now);
        node.hears(UP, Message::Status(status(1)));
        node.hears(UP, Message::SnapshotHead(head(1, b"a")));
        let lineage = first_life().continued(SECOND_LIFE, began);
        assert_eq!(node.hear(UP, Message::Lineage(lineage.clone())).is_ok(), fits);
        if fits {
            let bytes = Bytes::from_static(b"a");
            node.hears(UP, Message::SnapshotPart { offset: 0, bytes });
            assert_eq!(node.replica.lineage(), &lineage);
        }
    }
}

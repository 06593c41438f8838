//! Tests of dispatches at their origin.

use super::*;
use crate::Token;

const SECOND: Duration = Duration::from_secs(1);

const CLAIM: Claim = Claim { session: 40, token: Token::from_bytes([1; 16]) };

fn sent() -> Origin {
    let mut origin = Origin::default();
    origin.push(7, vec![1], None);
    origin.session_requested(3);
    assert!(origin.session_opened(3, CLAIM, Version::default()));
    assert!(origin.write_unsent(&mut Vec::new(), 100) > 0 && !origin.has_unsent());
    origin
}

fn answer(counter: u64) -> Answer {
    Answer { counter, outcome: Outcome::Unknown }
}

/// Lets the oldest dispatch wait for so long that a probe is sent.
fn probe(origin: &mut Origin, from: Duration) {
    origin.inquire(from, SECOND);
    origin.inquire(from + SECOND, SECOND);
    assert!(origin.has_unsent(), "the probe");
    assert_eq!(origin.write_unsent(&mut Vec::new(), 100), crate::wire::ENTRY_HEADER_BYTES);
    assert!(!origin.has_unsent());
}

#[test]
fn time_alone_sends_nothing_again() {
    let mut origin = sent();
    for second in 0..100 {
        origin.inquire(SECOND * second, SECOND);
        origin.write_unsent(&mut Vec::new(), 100);
    }
    assert_eq!(origin.take_resent(), 0);
}

#[test]
fn a_dispatch_whose_answer_was_lost_is_sent_again_once_that_is_known() {
    let mut origin = sent();
    probe(&mut origin, SECOND);
    origin.answered(CLAIM, vec![answer(PROBE)]);
    assert!(origin.has_unsent(), "what was sent before the probe has passed, without an answer");
    origin.write_unsent(&mut Vec::new(), 100);
    assert_eq!(origin.take_resent(), 1);
}

#[test]
fn an_answer_before_that_to_the_probe_leaves_nothing_to_send_again() {
    let mut origin = sent();
    probe(&mut origin, SECOND);
    origin.answered(CLAIM, vec![answer(1), answer(PROBE)]);
    assert!(!origin.has_unsent());
}

#[test]
fn an_answer_to_an_earlier_probe_says_nothing_of_what_was_sent_after_it() {
    let mut origin = sent();
    probe(&mut origin, SECOND);
    probe(&mut origin, SECOND * 3);
    origin.push(8, vec![2], None);
    origin.write_unsent(&mut Vec::new(), 100);
    origin.answered(CLAIM, vec![answer(1), answer(PROBE)]);
    probe(&mut origin, SECOND * 6);
    origin.answered(CLAIM, vec![answer(PROBE)]);
    assert!(!origin.has_unsent(), "that was the second probe's, and 2 may be on its way");
    origin.answered(CLAIM, vec![answer(PROBE)]);
    assert!(origin.has_unsent(), "2 was lost");
}

#[test]
fn a_session_is_asked_for_again_under_the_same_request() {
    let mut origin = Origin::default();
    origin.push(7, vec![1], None);
    origin.session_requested(3);
    origin.inquire(SECOND, SECOND);
    assert!(!origin.wants_session());
    origin.inquire(SECOND * 2, SECOND);
    assert!(origin.wants_session());
    assert_eq!(origin.request(), Some(3));
    origin.session_requested(3);
    assert!(!origin.wants_session());
    assert!(origin.session_opened(3, CLAIM, Version::default()), "either answer will do");
}

#[test]
fn an_answer_counts_once_its_lineage_and_its_entry_are_here() {
    let epoch = crate::Epoch { number: 1, id: 5 };
    let version = Version { epoch, seq: 4 };
    let mut origin = sent();
    origin.answered(CLAIM, vec![Answer { counter: 1, outcome: Outcome::Applied(version) }]);
    origin.reached(4, &Lineage::default());
    assert!(!origin.has_resolved(), "another lineage");
    let lineage = Lineage::founded(epoch);
    origin.reached(3, &lineage);
    assert!(!origin.has_resolved(), "not applied here yet");
    origin.reached(4, &lineage);
    assert_eq!(origin.take_resolved(), [(7, Resolution::Ok(version))]);
}

#[test]
fn an_answer_to_another_claim_of_the_session_counts_for_nothing() {
    let mut origin = sent();
    let claim = Claim { token: Token::from_bytes([2; 16]), ..CLAIM };
    let outcome = Outcome::Rejected("no".into());
    assert!(!origin.answered(claim, vec![Answer { counter: 1, outcome }]));
    assert!(!origin.has_resolved());
}

/// Checks that a dispatch that was given up is sent as a void, so that the sequencer can pass over
/// its number, and that no answer resolves it a second time.
#[test]
fn a_dispatch_that_was_given_up_keeps_its_number_until_it_is_answered() {
    let outcomes =
        [Outcome::Unknown, Outcome::Rejected("no".into()), Outcome::Applied(Version::default())];
    for outcome in outcomes {
        let mut origin = Origin::default();
        origin.push(7, vec![1], Some(SECOND));
        origin.session_requested(3);
        assert!(origin.session_opened(3, CLAIM, Version::default()));
        origin.write_unsent(&mut Vec::new(), 100);
        origin.expire(SECOND);
        assert_eq!(origin.take_resolved(), [(7, Resolution::OutcomeUnknown)]);
        origin.reached(0, &Lineage::default());
        assert_eq!((origin.len(), origin.awaits()), (1, Some((CLAIM, 1))));
        origin.resend();
        let mut bytes = Vec::new();
        origin.write_unsent(&mut bytes, 100);
        let (entry, _) = crate::wire::Entries::first(&bytes).expect("an entry");
        assert_eq!((entry.flags, entry.counter, entry.payload), (FLAG_VOID, 1, &[][..]));
        origin.answered(CLAIM, vec![Answer { counter: 1, outcome }]);
        origin.reached(0, &Lineage::default());
        assert_eq!((origin.take_resolved(), origin.len(), origin.bytes()), (vec![], 0, 0));
    }
}

#[test]
fn a_dispatch_that_comes_after_others_were_resolved_is_sent() {
    let mut origin = sent();
    origin.answered(CLAIM, vec![answer(1)]);
    origin.reached(0, &Lineage::default());
    assert!(origin.is_empty());
    origin.push(8, vec![2], None);
    assert!(origin.has_unsent());
    let mut bytes = Vec::new();
    origin.write_unsent(&mut bytes, 100);
    let (entry, _) = crate::wire::Entries::first(&bytes).expect("an entry");
    assert_eq!(entry.counter, 2);
}

#[test]
fn an_answer_of_another_life_resolves_nothing() {
    let in_epoch = |number: u32| crate::Epoch { number, id: u64::from(number) };
    let mut origin = sent();
    let version = Version { epoch: in_epoch(2), seq: 1 };
    origin.answered(CLAIM, vec![Answer { counter: 1, outcome: Outcome::Applied(version) }]);
    origin.reached(9, &Lineage::founded(in_epoch(1)));
    assert!(!origin.has_resolved());
}

#[test]
fn a_dispatch_without_an_answer_is_asked_about_once_in_a_while() {
    let mut origin = sent();
    probe(&mut origin, SECOND);
    origin.inquire(SECOND * 2 + SECOND / 2, SECOND);
    assert!(!origin.has_unsent(), "it was asked lately");
    origin.inquire(SECOND * 3, SECOND);
    assert!(origin.has_unsent());
}

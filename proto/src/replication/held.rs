//! Bugs that no simulation shows, since no scenario comes there, each with a property that it
//! breaks.

use std::time::Duration;

use bytes::Bytes;

use super::origin::Origin;
use super::routes::Routes;
use super::upstream::{Forward, Upstream};
use super::verify::Verify;
use super::{Change, Changes, Config, Counters, Holder, Jump, LinkId, Note, Sessions};
use crate::wire::{Answer, Outcome};
use crate::{Claim, Epoch, Lineage, Mutant, Token, TokenKey, Version};

/// Holds, or does not.
type Property = fn() -> bool;

const HELD: &[(Mutant, Property)] = &[
    (Mutant::TokenUnchecked, a_session_is_begun_with_its_token_only),
    (Mutant::OneTokenForAll, each_session_has_a_token_of_its_own),
    (Mutant::NewestRouteGivesWay, the_route_unused_for_longest_gives_way),
    (Mutant::LostLivesKept, lives_that_were_lost_leave_the_lineage),
    (Mutant::FramesOfActionsAlone, a_frame_is_longer_than_the_longest_action),
    (Mutant::FallBelongsToNoLink, a_note_of_a_fall_names_its_link),
    (Mutant::ResentNotAdded, each_counter_is_added),
    (Mutant::LastReasonTold, the_gravest_of_the_dropped_reasons_is_told),
    (Mutant::ConfirmedForEver, a_copy_that_was_replaced_is_not_confirmed),
    (Mutant::ForgottenStillCounted, what_a_lost_link_left_is_not_counted),
    (Mutant::LostAnswerKept, a_dispatch_whose_answer_was_lost_with_its_life_is_sent_again),
    (Mutant::UnsentLostToo, what_never_left_outlives_its_session),
];

#[test]
fn each_property_holds_and_its_mutant_breaks_it() {
    for (mutant, holds) in HELD {
        assert!(holds(), "{mutant}: it does not hold without it");
        assert!(!mutant.put_in(holds), "{mutant}: it holds with it");
    }
}

fn key() -> TokenKey {
    TokenKey::new([7; 32])
}

fn epoch(number: u32) -> Epoch {
    Epoch { number, id: u64::from(number) }
}

fn claim(session: u64) -> Claim {
    Claim { session, token: Token::default() }
}

fn a_session_is_begun_with_its_token_only() -> bool {
    let mut sessions = Sessions::new(4, 4);
    let claim = sessions.issue(1, Holder::default(), &key());
    !sessions.begin(Claim { token: Token::default(), ..claim }, 1) && sessions.begin(claim, 1)
}

fn each_session_has_a_token_of_its_own() -> bool {
    let mut sessions = Sessions::new(4, 4);
    let [one, other] = [(); 2].map(|()| sessions.issue(1, Holder::default(), &key()));
    one.token != other.token
}

fn the_route_unused_for_longest_gives_way() -> bool {
    let mut routes = Routes::default();
    for session in 1..=3 {
        routes.learn(claim(session), LinkId(session), 2);
    }
    let known = |session| routes.of(claim(session)).is_some();
    !known(1) && known(2) && known(3)
}

fn lives_that_were_lost_leave_the_lineage() -> bool {
    let lineage = Lineage::founded(epoch(1)).continued(epoch(2), 40).continued(epoch(3), 20);
    lineage.epochs() == [(epoch(1), 0), (epoch(3), 20)]
}

fn a_frame_is_longer_than_the_longest_action() -> bool {
    let config = Config::new("store");
    config.frame_bytes_max() > config.action_bytes_max
}

fn a_note_of_a_fall_names_its_link() -> bool {
    Note::FellOff { link: LinkId(3), skipped: 1 }.link() == Some(LinkId(3))
}

fn each_counter_is_added() -> bool {
    let mut sum = Counters { resent: 2, ..Counters::default() };
    sum += Counters { resent: 3, ..Counters::default() };
    sum.resent == 5
}

fn the_gravest_of_the_dropped_reasons_is_told() -> bool {
    let mut changes = Changes::<u64>::new(1, 100);
    changes.set_wanted(true, Version::default());
    let (from, to) = (Version::default(), Version::default());
    for why in [Jump::HistoryLost, Jump::Jumped, Jump::Jumped] {
        changes.push(Change::Jumped { why, from, to }, 0);
    }
    changes.take(u64::MAX)[0] == Change::Jumped { why: Jump::HistoryLost, from, to }
}

fn a_copy_that_was_replaced_is_not_confirmed() -> bool {
    let mut verify = Verify::default();
    verify.keep(200, 1, 0);
    verify.claim(200, 1, 0);
    verify.replaced(false);
    verify.tell(200);
    verify.doubts(200)
}

fn what_a_lost_link_left_is_not_counted() -> bool {
    let mut upstream =
        Upstream::new(LinkId(1), crate::wire::PROTOCOL_VERSION, false, Duration::ZERO);
    let (via, entries) = (LinkId(2), Bytes::from_static(b"entry"));
    upstream.forwards_bytes = entries.len();
    upstream.forwards.push_back(Forward { via, claim: claim(1), oldest: 1, entries });
    upstream.forget(via);
    upstream.forwards.is_empty() && upstream.forwards_bytes == 0
}

/// An origin in a session that was issued at the beginning of the first epoch, with one dispatch.
fn in_a_session() -> Origin {
    let mut origin = Origin::default();
    origin.push(7, vec![1], None);
    origin.session_requested(3);
    origin.session_opened(3, claim(9), Version { epoch: epoch(1), seq: 0 });
    origin
}

fn a_dispatch_whose_answer_was_lost_with_its_life_is_sent_again() -> bool {
    let mut origin = in_a_session();
    origin.write_unsent(&mut Vec::new(), 100);
    let outcome = Outcome::Applied(Version { epoch: epoch(1), seq: 4 });
    origin.answered(claim(9), vec![Answer { counter: 1, outcome }]);
    let lineage = Lineage::founded(epoch(1)).continued(epoch(2), 2);
    origin.lineage_changed(&lineage) && origin.has_unsent()
}

fn what_never_left_outlives_its_session() -> bool {
    let mut origin = in_a_session();
    origin.session_lost();
    !origin.has_resolved() && origin.len() == 1 && origin.wants_session()
}

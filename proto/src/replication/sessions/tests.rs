use proptest::prelude::*;

use super::*;
use crate::Version;

fn applied(seq: u64) -> Outcome {
    Outcome::Applied(Version { seq, ..Version::default() })
}

fn key() -> TokenKey {
    TokenKey::new([7; 32])
}

fn held_over(link: u64) -> Holder {
    Holder::new(LinkId(link), 0)
}

fn with_one_settled() -> (Sessions, Claim) {
    let mut sessions = Sessions::new(4, 8);
    let session = sessions.issue(100, held_over(1), &key());
    assert!(sessions.begin(session, 1));
    assert_eq!(sessions.judge(session.session, 1), Verdict::Accept);
    sessions.settle(session.session, 1, applied(1));
    (sessions, session)
}

#[test]
fn a_dispatch_sent_again_gets_the_first_answer() {
    let (mut sessions, session) = with_one_settled();
    assert_eq!(sessions.judge(session.session, 1), Verdict::Known(applied(1)));
    sessions.settle(session.session, 2, Outcome::Rejected("no".into()));
    assert_eq!(sessions.judge(session.session, 2), Verdict::Known(Outcome::Rejected("no".into())));
}

#[test]
fn a_gap_is_never_accepted() {
    let (sessions, session) = with_one_settled();
    assert_eq!(sessions.judge(session.session, 3), Verdict::Gap);
    assert_eq!(sessions.judge(session.session, 2), Verdict::Accept);
}

#[test]
fn an_outcome_that_is_no_longer_kept_is_unknown() {
    let (mut sessions, session) = with_one_settled();
    sessions.begin(session, 2);
    assert_eq!(sessions.judge(session.session, 1), Verdict::Known(Outcome::Unknown));
}

#[test]
fn the_origins_oldest_lets_it_pass_over_what_it_gave_up() {
    let (mut sessions, session) = with_one_settled();
    sessions.begin(session, 5);
    assert_eq!(sessions.judge(session.session, 4), Verdict::Known(Outcome::Unknown));
    assert_eq!(sessions.judge(session.session, 5), Verdict::Accept);
}

#[test]
fn the_number_below_which_an_origin_awaits_nothing_never_goes_back() {
    let (mut sessions, session) = with_one_settled();
    for oldest in [5, 2] {
        assert!(sessions.begin(session, oldest));
        assert_eq!(sessions.judge(session.session, 2), Verdict::Known(Outcome::Unknown));
        assert_eq!(sessions.judge(session.session, 5), Verdict::Accept);
    }
}

#[test]
fn a_session_that_is_known_already_is_kept_as_it_is_and_its_number_not_given_again() {
    let (mut sessions, session) = with_one_settled();
    let row = sessions.row(session.session);
    assert!(sessions.begin(session, 1));
    sessions.settle(session.session, 2, applied(2));
    sessions.reissued(session.session, &row);
    assert_eq!(sessions.judge(session.session, 2), Verdict::Known(applied(2)));
    let mut next = Sessions::new(4, 8);
    next.reissued(session.session, &row);
    assert_ne!(next.issue(100, held_over(1), &key()).session, session.session);
    assert!(next.begin(session, 1), "it is there still");
}

#[test]
fn the_table_is_bounded_and_forgets_the_session_unused_for_longest() {
    let mut sessions = Sessions::new(2, 8);
    let first = sessions.issue(100, held_over(1), &key());
    let second = sessions.issue(100, held_over(1), &key());
    sessions.begin(first, 1);
    let third = sessions.issue(100, held_over(1), &key());
    assert!(sessions.begin(first, 1) && sessions.begin(third, 1));
    assert!(!sessions.begin(second, 1));
    assert_eq!(sessions.judge(second.session, 1), Verdict::Known(Outcome::Expired));
    assert_eq!(sessions.len(), 2);
}

#[test]
fn a_link_that_asks_for_many_sessions_drives_out_its_own() {
    let mut sessions = Sessions::new(4, 8);
    let ours = sessions.issue(100, held_over(1), &key());
    let theirs: Vec<_> = (0..10).map(|_| sessions.issue(100, held_over(2), &key())).collect();
    assert!(sessions.begin(ours, 1), "unused for the longest, but not of the greedy link");
    assert!(sessions.begin(theirs[9], 1) && !sessions.begin(theirs[0], 1));
    assert_eq!(sessions.len(), 4);
}

#[test]
fn who_asks_for_many_sessions_through_a_relay_drives_out_no_neighbours() {
    let mut sessions = Sessions::new(4, 8);
    let behind = |link, via| Holder::new(LinkId(link), Holder::branch(LinkId(via)) | 77);
    let elsewhere = sessions.issue(100, behind(2, 7), &key());
    let neighbour = sessions.issue(100, behind(1, 8), &key());
    let greedy: Vec<_> = (0..10).map(|_| sessions.issue(100, behind(1, 9), &key())).collect();
    assert!(sessions.begin(elsewhere, 1) && sessions.begin(neighbour, 1));
    assert!(sessions.begin(greedy[9], 1) && !sessions.begin(greedy[0], 1));
    assert_eq!(sessions.len(), 4);
}

#[test]
fn a_claim_that_is_not_proved_is_of_no_session_and_changes_none() {
    let (mut sessions, session) = with_one_settled();
    let before = sessions.clone();
    let token = Token::from_bytes([0; crate::TOKEN_BYTES]);
    assert!(!sessions.begin(Claim { token, ..session }, 900));
    assert_eq!(sessions.table, before.table, "nor is it kept for longer");
    assert_eq!(sessions.by_holder, before.by_holder);
    assert!(sessions.begin(session, 1));
}

#[test]
fn a_session_proves_itself_to_the_next_life_by_what_was_kept_of_it() {
    let (sessions, session) = with_one_settled();
    let mut next = Sessions::new(4, 8);
    next.reissued(session.session, &sessions.row(session.session));
    assert!(next.begin(session, 1));
    assert_eq!(next.judge(session.session, 1), Verdict::Known(applied(1)));
}

#[test]
fn an_outcome_that_is_replayed_twice_takes_the_place_of_one() {
    let (sessions, session) = with_one_settled();
    let mut next = Sessions::new(4, 2);
    next.reissued(session.session, &sessions.row(session.session));
    for counter in [1, 2, 2] {
        next.replayed(session.session, counter, applied(counter));
    }
    assert_eq!(next.judge(session.session, 1), Verdict::Known(applied(1)));
    assert_eq!(next.judge(session.session, 3), Verdict::Accept);
}

#[test]
fn a_session_known_from_its_entries_alone_is_proved_by_the_token_that_names_it() {
    let (_, claim) = with_one_settled();
    let mut standby = Sessions::new(4, 8);
    standby.replayed(claim.session, 1, applied(1));
    standby.replayed(9, 1, applied(2));
    assert!(!standby.begin(Claim { token: Token::default(), ..claim }, 1));
    assert!(!standby.begin(Claim { session: 9, ..claim }, 1), "it names another");
    assert!(standby.begin(claim, 1));
    assert_eq!(standby.judge(claim.session, 1), Verdict::Known(applied(1)));
    assert_eq!(standby.judge(claim.session, 2), Verdict::Accept);
}

#[test]
fn the_sessions_of_all_branches_behind_one_link_count_together() {
    let mut sessions = Sessions::new(5, 4);
    let issue = |sessions: &mut Sessions, link, branch| {
        let holder = Holder::new(LinkId(link), Holder::branch(LinkId(branch)));
        sessions.issue(1, holder, &key()).session
    };
    let of_two = [issue(&mut sessions, 2, 0), issue(&mut sessions, 2, 0)];
    let of_one = [10, 11, 12].map(|branch| issue(&mut sessions, 1, branch));
    issue(&mut sessions, 3, 0);
    assert!(of_two.iter().all(|session| sessions.knows(*session)));
    assert_eq!(of_one.map(|session| sessions.knows(session)), [false, true, true]);
}

proptest! {
    /// Checks that claims without proof leave the sessions unchanged.
    #[test]
    fn claims_without_proof_leave_no_trace(
        steps in prop::collection::vec(
            (0usize..3, any::<bool>(), 0u64..12, any::<[u8; 16]>()),
            0..80,
        ),
    ) {
        let (mut with, mut without) = (Sessions::new(4, 3), Sessions::new(4, 3));
        let mut claims = Vec::new();
        for holder in 0..3 {
            claims.push(with.issue(100, held_over(holder), &key()));
            without.issue(100, held_over(holder), &key());
        }
        for (at, honest, number, guess) in steps {
            let claim = claims[at];
            if !honest {
                let guess = Claim { token: Token::from_bytes(guess), ..claim };
                prop_assert!(!with.begin(guess, number));
                continue;
            }
            for sessions in [&mut with, &mut without] {
                prop_assert!(sessions.begin(claim, number / 2));
                if sessions.judge(claim.session, number) == Verdict::Accept {
                    sessions.settle(claim.session, number, applied(number));
                }
            }
        }
        prop_assert_eq!(&with.table, &without.table);
        prop_assert_eq!(&with.by_holder, &without.by_holder);
    }
}

/// Returns sessions that were read from a file with these rows, each of a session, its holder and
/// the time of its last use.
fn read(rows: &[(u64, u64, u64)], clock: u64) -> Sessions {
    #[derive(serde::Serialize)]
    struct File {
        table: BTreeMap<u64, Session>,
        // An index that contradicts the rows, as a damaged or hostile file may hold one.
        by_holder: BTreeMap<Holder, Held>,
        clock: u64,
        issued: u64,
    }
    let row = |&(session, holder, used)| {
        (session, Session { used, holder: held_over(holder), ..Session::default() })
    };
    let by_holder = BTreeMap::from([(held_over(41), Held::from([(1, 78)]))]);
    let file = File { table: rows.iter().map(row).collect(), by_holder, clock, issued: u64::MAX };
    let bytes = rmp_serde::to_vec_named(&file).expect("it encodes");
    rmp_serde::from_slice(&bytes).expect("every file is read")
}

proptest! {
    /// Checks that sessions that were read from any file stay bounded, and that the first to go
    /// are those that were not used for the longest time.
    #[test]
    fn sessions_of_any_file_are_bounded_and_go_in_the_order_of_their_last_use(
        rows in prop::collection::btree_map(0u64..9, (0u64..2, any_use()), 0..6),
        clock in any_use(),
    ) {
        let rows = rows.into_iter().map(|(id, (holder, used))| (id, holder, used));
        let rows: Vec<_> = rows.collect();
        let mut sessions = read(&rows, clock).bounded(3, 2);
        let again = rmp_serde::to_vec_named(&sessions).expect("it encodes");
        let again: Sessions = rmp_serde::from_slice(&again).expect("it is read");
        prop_assert_eq!(&again.table, &sessions.table, "it is read again unchanged");
        prop_assert_eq!(&again.by_holder, &sessions.by_holder);
        prop_assert_eq!(again.clock, sessions.clock);
        for number in 1..6 {
            let claim = sessions.issue(u64::MAX - 2, held_over(7), &key());
            prop_assert!(sessions.begin(claim, 1), "session {} of the new epoch", number);
            prop_assert!(sessions.len() <= 3);
        }
        // One link alone keeps its sessions as long as there are no others to compare with.
        let alone: Vec<_> = rows.iter().map(|&(id, _, used)| (id, 0, used)).collect();
        let mut sessions = read(&alone, clock).bounded(2, 2);
        sessions.replayed(100, 1, applied(1));
        let mut oldest_first = alone.clone();
        oldest_first.sort_by_key(|&(id, _, used)| (used, id));
        for (place, (id, ..)) in oldest_first.iter().rev().enumerate() {
            prop_assert_eq!(sessions.table.contains_key(id), place < 1, "session {}", id);
        }
    }
}

/// The times of a last use that are easy to get wrong.
fn any_use() -> impl Strategy<Value = u64> {
    prop_oneof![0u64..4, Just(u64::MAX / 2), Just(u64::MAX - 1), Just(u64::MAX)]
}

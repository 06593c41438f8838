//! The sequencer's memory of sessions and their dispatches: each dispatch is ordered at most once.
//!
//! A session accepts exactly the dispatch numbered `max(highest + 1, oldest)`, where `oldest` is
//! the lowest number that its origin still awaits. What became of the dispatches from `oldest` up
//! is kept, so that one sent again gets the answer that the first got.

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::LinkId;
use crate::mutant::mutant;
use crate::wire::Outcome;
use crate::{Claim, Token, TokenKey};

/// The longest text of a rejection that is kept and sent, in bytes.
pub(super) const REASON_BYTES_MAX: usize = 256;

/// The holder of a session: the link that it was issued over, and the link of the relay there that
/// it was requested over, if there is one.
///
/// A relay puts its own link into the higher half of a request's number. What a client puts there
/// tells apart no more than its own sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Holder(u64);

impl Holder {
    /// Of a request with this number, that came over `link`.
    pub fn new(link: LinkId, request: u64) -> Self {
        Holder(link.0 << 32 | request >> 32)
    }

    /// Returns the part that a relay adds to the number of a request that came to it over `link`.
    pub(super) fn branch(link: LinkId) -> u64 {
        link.0 << 32
    }

    fn link(self) -> u64 {
        self.0 >> 32
    }
}

/// The sessions of one holder, by when they were last used.
type Held = BTreeMap<u64, u64>;

/// The number of sessions, and the time since which the first of them was not used. The greatest
/// weight is evicted.
type Weight = (usize, Reverse<u64>);

fn weight(held: &Held) -> Weight {
    (held.len(), Reverse(held.keys().next().copied().unwrap_or(u64::MAX)))
}

/// The state of one session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Session {
    /// The token that proves that a dispatch belongs to this session. `None`, as in rows without
    /// one: nothing does.
    token: Option<Token>,
    highest: u64,
    oldest: u64,
    /// The outcomes of the dispatches `oldest..=highest`, as far as kept.
    outcomes: VecDeque<(u64, Outcome)>,
    used: u64,
    holder: Holder,
}

/// The treatment of a dispatch that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is the next one: order it, and [`Sessions::settle`] it.
    Accept,
    /// It came before: this became of it.
    Known(Outcome),
    /// One before it is missing; it will come again, behind that one.
    Gap,
}

/// All sessions, bounded in number.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Sessions {
    table: BTreeMap<u64, Session>,
    by_holder: BTreeMap<Holder, Held>,
    clock: u64,
    issued: u64,
    capacity: usize,
    window: usize,
}

impl Sessions {
    /// At most `capacity` sessions with `window` outcomes each.
    pub fn new(capacity: usize, window: usize) -> Self {
        Sessions { capacity: capacity.max(1), window: window.max(1), ..Sessions::default() }
    }

    /// The same sessions within other bounds.
    pub fn bounded(mut self, capacity: usize, window: usize) -> Self {
        (self.capacity, self.window) = (capacity.max(1), window.max(1));
        self
    }

    /// Issues a session in the epoch with this random id to `holder`. If there is no room, the link
    /// with the most sessions loses one: of its holders, the one with the most sessions loses the
    /// session that was not used for the longest time. So a node cannot evict the sessions of
    /// others by requesting many.
    pub fn issue(&mut self, epoch_id: u64, holder: Holder, key: &TokenKey) -> Claim {
        self.issued += 1;
        let mut session = epoch_id.wrapping_add(self.issued);
        while session == 0 || self.table.contains_key(&session) {
            self.issued += 1;
            session = epoch_id.wrapping_add(self.issued);
        }
        let token = key.token(session);
        self.admit(session, Session { token: Some(token), holder, ..Session::default() });
        Claim { session, token }
    }

    fn admit(&mut self, session: u64, row: Session) {
        while self.table.len() >= self.capacity + usize::from(mutant!(SessionsOneMore)) {
            let Some(stale) = self.stalest() else { break };
            self.forget(stale);
        }
        self.table.insert(session, row);
        self.touch(session);
    }

    /// A session as it is kept on disk.
    pub fn row(&self, session: u64) -> Vec<u8> {
        let row = self.table.get(&session).map(rmp_serde::to_vec_named);
        row.and_then(Result::ok).unwrap_or_default()
    }

    /// Restores a session that was issued in an earlier epoch, from its row on disk.
    pub fn reissued(&mut self, session: u64, row: &[u8]) {
        if !self.table.contains_key(&session)
            && let Ok(row) = rmp_serde::from_slice(row)
        {
            self.admit(session, row);
        }
    }

    /// Records the outcome of a dispatch in an earlier epoch.
    pub fn replayed(&mut self, session: u64, counter: u64, outcome: Outcome) {
        match self.table.get(&session) {
            Some(known) if known.highest >= counter => return,
            Some(_) => self.touch(session),
            None => self.admit(session, Session::default()),
        }
        self.settle(session, counter, outcome);
    }

    fn stalest(&self) -> Option<u64> {
        let (mut heaviest, mut most) = ((0, Reverse(u64::MAX)), None);
        let mut holders = self.by_holder.iter().peekable();
        while let Some((holder, held)) = holders.next() {
            let (mut count, mut unused_since) = weight(held);
            let mut greediest = held;
            while let Some((_, other)) = holders.next_if(|next| next.0.link() == holder.link()) {
                count += other.len();
                unused_since = unused_since.max(weight(other).1);
                greediest = if weight(other) > weight(greediest) { other } else { greediest };
            }
            if (count, unused_since) > heaviest {
                (heaviest, most) = ((count, unused_since), Some(greediest));
            }
        }
        most?.values().next().copied()
    }

    fn forget(&mut self, session: u64) {
        let Some(entry) = self.table.remove(&session) else { return };
        if let Some(of_one) = self.by_holder.get_mut(&entry.holder) {
            of_one.remove(&entry.used);
            if of_one.is_empty() {
                self.by_holder.remove(&entry.holder);
            }
        }
    }

    fn touch(&mut self, session: u64) {
        if let Some(entry) = self.table.get_mut(&session) {
            self.clock += 1;
            let of_one = self.by_holder.entry(entry.holder).or_default();
            of_one.remove(&entry.used);
            entry.used = self.clock;
            of_one.insert(self.clock, session);
        }
    }

    /// Notes that a batch of this session arrived whose origin awaits nothing below `oldest`.
    /// False, and nothing changes, if the session is not known (any more) or the claim is not
    /// proved.
    pub fn begin(&mut self, claim: Claim, oldest: u64) -> bool {
        let session = claim.session;
        let token = self.table.get(&session).and_then(|entry| entry.token);
        if !token.is_some_and(|token| token.is(&claim.token) || mutant!(TokenUnchecked)) {
            return false;
        }
        self.touch(session);
        let Some(entry) = self.table.get_mut(&session) else { return false };
        entry.oldest = entry.oldest.max(oldest);
        let oldest = entry.oldest + u64::from(mutant!(OldestOutcomeDropped));
        while entry.outcomes.front().is_some_and(|kept| kept.0 < oldest) {
            entry.outcomes.pop_front();
        }
        true
    }

    /// Returns whether a session is known, with a token that proves it.
    pub fn knows(&self, session: u64) -> bool {
        self.table.get(&session).is_some_and(|entry| entry.token.is_some())
    }

    /// Decides the treatment of dispatch `counter` of a session that [`Sessions::begin`] knew.
    pub fn judge(&self, session: u64, counter: u64) -> Verdict {
        let Some(entry) = self.table.get(&session) else {
            return Verdict::Known(Outcome::Expired);
        };
        let next = entry.highest.saturating_add(1).max(entry.oldest);
        if counter == next {
            return Verdict::Accept;
        }
        if counter > next {
            return Verdict::Gap;
        }
        let known = entry.outcomes.binary_search_by_key(&counter, |kept| kept.0);
        Verdict::Known(known.map_or(Outcome::Unknown, |at| entry.outcomes[at].1.clone()))
    }

    /// Keeps what became of the dispatch that was accepted.
    pub fn settle(&mut self, session: u64, counter: u64, outcome: Outcome) {
        if let Some(entry) = self.table.get_mut(&session) {
            entry.highest = counter;
            entry.outcomes.push_back((counter, outcome));
            if entry.outcomes.len() > self.window - usize::from(mutant!(OutcomesOneShort)) {
                entry.outcomes.pop_front();
            }
        }
    }

    /// Returns the number of known sessions.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Returns whether no session is known.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }
}

#[cfg(test)]
mod tests {
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
        assert_eq!(
            sessions.judge(session.session, 2),
            Verdict::Known(Outcome::Rejected("no".into()))
        );
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
    fn a_row_without_a_token_can_be_claimed_by_nobody() {
        let mut sessions = Sessions::new(4, 8);
        sessions.replayed(9, 1, applied(1));
        assert!(!sessions.begin(Claim { session: 9, token: Token::default() }, 1));
        let claim = Claim { session: 9, token: key().token(9) };
        assert!(!sessions.begin(claim, 1));
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
}

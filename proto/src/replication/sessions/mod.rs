//! The sequencer's memory of sessions and their dispatches: each dispatch is ordered at most once.
//!
//! A session accepts exactly the dispatch numbered `max(highest + 1, oldest)`, where `oldest` is
//! the lowest number that its origin still awaits. What became of the dispatches from `oldest` up
//! is kept, so that one sent again gets the answer that the first got.

mod kept;
#[cfg(test)]
mod tests;

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
    /// The token that proves that a dispatch belongs to this session. `None` if the session is
    /// known from its entries alone: then the token proves it whose session this is.
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
#[serde(from = "kept::Kept")]
pub struct Sessions {
    table: BTreeMap<u64, Session>,
    /// An index of `table`, so it is built anew from the rows that were read.
    #[serde(skip_serializing)]
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
        let (session, token) = loop {
            self.issued = self.issued.wrapping_add(1);
            let number = epoch_id.wrapping_add(self.issued);
            let token = key.token(number);
            let session = if mutant!(OneTokenForAll) { number } else { token.session() };
            if session != 0 && !self.table.contains_key(&session) {
                break (session, token);
            }
        };
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
        let Some(entry) = self.table.get_mut(&session) else { return false };
        let proved = match entry.token {
            Some(token) => token.is(&claim.token),
            None => claim.token.session() == session,
        };
        if !proved && !mutant!(TokenUnchecked) {
            return false;
        }
        entry.token.get_or_insert(claim.token);
        self.touch(session);
        let Some(entry) = self.table.get_mut(&session) else { return false };
        entry.oldest = entry.oldest.max(oldest);
        let oldest = entry.oldest + u64::from(mutant!(OldestOutcomeDropped));
        while entry.outcomes.front().is_some_and(|kept| kept.0 < oldest) {
            entry.outcomes.pop_front();
        }
        true
    }

    /// Returns whether a session is known, with the token that proves it.
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
            if entry.outcomes.len() >= self.window - usize::from(mutant!(OutcomesOneShort)) {
                entry.outcomes.pop_front();
            }
            entry.outcomes.push_back((counter, outcome));
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

//! The links over which the answers of sessions go back, bounded.
//!
//! A route belongs to a claim, the session's number and its token together: a node that claims a
//! session under another token gets a route of its own, and redirects no other. Whether a claim is
//! true is for the sequencer to decide. Until an answer or a grant of the sequencer has come by,
//! the route is the first to be evicted.

use std::collections::BTreeMap;

use super::LinkId;
use crate::Claim;
use crate::mutant::mutant;

#[derive(Clone, Copy, Debug)]
struct Route {
    link: LinkId,
    used: u64,
    proved: bool,
}

/// The routes back, by claim. The one that was unused for the longest time is evicted first, and
/// unproved ones before all others.
#[derive(Debug, Default)]
pub(super) struct Routes {
    by_claim: BTreeMap<Claim, Route>,
    /// The routes, by their proof and the time of their last use.
    by_use: BTreeMap<(bool, u64), Claim>,
    clock: u64,
}

impl Routes {
    /// A dispatch under this claim came over `link`. At most `capacity` claims are known.
    pub(super) fn learn(&mut self, claim: Claim, link: LinkId, capacity: usize) {
        let known = self.by_claim.get(&claim).copied();
        if known.is_none() {
            while self.by_claim.len() >= capacity.max(1) {
                let newest = mutant!(NewestRouteGivesWay);
                let stale = if newest { self.by_use.pop_last() } else { self.by_use.pop_first() };
                let Some((_, stale)) = stale else { break };
                self.by_claim.remove(&stale);
            }
        }
        self.clock += 1;
        let proved = known.is_some_and(|known| known.proved);
        self.put(claim, Route { link, used: self.clock, proved });
    }

    /// The sequencer took the claim for true.
    pub(super) fn prove(&mut self, claim: Claim) {
        if let Some(route) = self.by_claim.get(&claim).copied().filter(|route| !route.proved) {
            self.put(claim, Route { proved: true, ..route });
        }
    }

    fn put(&mut self, claim: Claim, route: Route) {
        if let Some(before) = self.by_claim.insert(claim, route) {
            self.by_use.remove(&(before.proved, before.used));
        }
        self.by_use.insert((route.proved, route.used), claim);
    }

    /// The link is gone.
    pub(super) fn forget(&mut self, link: LinkId) {
        self.by_claim.retain(|_, route| route.link != link);
        let by_claim = &self.by_claim;
        self.by_use.retain(|_, claim| by_claim.contains_key(claim));
    }

    /// Returns the link for the answers of this claim.
    pub(super) fn of(&self, claim: Claim) -> Option<LinkId> {
        self.by_claim.get(&claim).map(|route| route.link)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{TOKEN_BYTES, Token};

    fn claim(session: u64, token: u8) -> Claim {
        Claim { session, token: Token::from_bytes([token; TOKEN_BYTES]) }
    }

    #[test]
    fn the_way_back_unused_for_the_longest_gives_way() {
        let (mut routes, a, b) = (Routes::default(), LinkId(1), LinkId(2));
        routes.learn(claim(10, 0), a, 2);
        routes.learn(claim(5, 0), b, 2);
        routes.learn(claim(10, 0), a, 2);
        routes.learn(claim(7, 0), b, 2);
        let of = |routes: &Routes| [10, 5, 7].map(|session| routes.of(claim(session, 0)));
        assert_eq!(of(&routes), [Some(a), None, Some(b)]);
        routes.forget(b);
        assert_eq!(of(&routes), [Some(a), None, None]);
        // What is gone gives way to nothing more: there is room for another.
        routes.learn(claim(8, 0), a, 2);
        assert_eq!((routes.of(claim(10, 0)), routes.by_use.len()), (Some(a), 2));
    }

    #[test]
    fn another_claim_of_a_session_turns_nothing_aside() {
        let (mut routes, origin, thief) = (Routes::default(), LinkId(1), LinkId(2));
        routes.learn(claim(5, 1), origin, 8);
        routes.learn(claim(5, 2), thief, 8);
        assert_eq!(routes.of(claim(5, 1)), Some(origin));
        assert_eq!(routes.of(claim(5, 2)), Some(thief));
    }

    #[test]
    fn the_token_moves_a_way_back_to_another_link() {
        let (mut routes, before, after) = (Routes::default(), LinkId(1), LinkId(2));
        routes.learn(claim(5, 1), before, 8);
        routes.learn(claim(5, 1), after, 8);
        routes.forget(before);
        assert_eq!(routes.of(claim(5, 1)), Some(after));
    }

    #[test]
    fn a_flood_of_claims_that_nobody_took_for_true_drives_out_no_proved_one() {
        let (mut routes, origin, thief) = (Routes::default(), LinkId(1), LinkId(2));
        for session in 0..4 {
            routes.learn(claim(session, 1), origin, 8);
            routes.prove(claim(session, 1));
        }
        for session in 0..1000 {
            routes.learn(claim(session, 2), thief, 8);
        }
        let all = (0..4).all(|session| routes.of(claim(session, 1)) == Some(origin));
        assert!(all && routes.by_claim.len() == 8 && routes.by_use.len() == 8);
    }

    #[test]
    fn a_way_back_stays_proved_when_another_dispatch_comes_by_it() {
        let (mut routes, origin, thief) = (Routes::default(), LinkId(1), LinkId(2));
        routes.learn(claim(1, 1), origin, 4);
        routes.prove(claim(1, 1));
        routes.learn(claim(1, 1), origin, 4);
        for session in 10..20 {
            routes.learn(claim(session, 1), thief, 4);
        }
        assert_eq!(routes.of(claim(1, 1)), Some(origin));
    }

    proptest! {
        /// A claim's answers go to the link that made just this claim last, whatever others claim.
        #[test]
        fn a_way_back_is_turned_by_its_own_token_alone(
            steps in prop::collection::vec((0u64..3, 0u8..3, 0u64..4), 0..100),
        ) {
            let mut routes = Routes::default();
            let mut last = BTreeMap::new();
            for (session, token, link) in steps {
                routes.learn(claim(session, token), LinkId(link), 9);
                last.insert((session, token), LinkId(link));
                for ((session, token), link) in &last {
                    prop_assert_eq!(routes.of(claim(*session, *token)), Some(*link));
                }
            }
        }
    }
}

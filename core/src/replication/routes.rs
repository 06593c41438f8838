//! Which link a session's answers go back over, bounded.

use std::collections::BTreeMap;

use super::LinkId;

/// The ways back, by session. The one unused for the longest gives way.
#[derive(Debug, Default)]
pub(super) struct Routes {
    by_session: BTreeMap<u64, (LinkId, u64)>,
    by_use: BTreeMap<u64, u64>,
    clock: u64,
}

impl Routes {
    /// A dispatch of `session` came over `link`. At most `capacity` sessions are known.
    pub(super) fn learn(&mut self, session: u64, link: LinkId, capacity: usize) {
        match self.by_session.get(&session) {
            Some((_, used)) => _ = self.by_use.remove(used),
            None => {
                while self.by_session.len() >= capacity.max(1) {
                    let Some((_, stale)) = self.by_use.pop_first() else { break };
                    self.by_session.remove(&stale);
                }
            }
        }
        self.clock += 1;
        self.by_session.insert(session, (link, self.clock));
        self.by_use.insert(self.clock, session);
    }

    /// The link is gone.
    pub(super) fn forget(&mut self, link: LinkId) {
        self.by_session.retain(|_, (via, _)| *via != link);
        let by_session = &self.by_session;
        self.by_use.retain(|_, session| by_session.contains_key(session));
    }

    /// Where its answers go.
    pub(super) fn of(&self, session: u64) -> Option<LinkId> {
        self.by_session.get(&session).map(|route| route.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_back_unused_for_the_longest_gives_way() {
        let (mut routes, a, b) = (Routes::default(), LinkId(1), LinkId(2));
        routes.learn(10, a, 2);
        routes.learn(5, b, 2);
        routes.learn(10, a, 2);
        routes.learn(7, b, 2);
        assert_eq!((routes.of(10), routes.of(5), routes.of(7)), (Some(a), None, Some(b)));
        routes.forget(b);
        assert_eq!((routes.of(10), routes.of(7)), (Some(a), None));
    }
}

//! Requests for a session that are under way through a node.

use std::collections::BTreeMap;

use super::LinkId;

/// Requests under way, at most; past it, one of them counts as lost.
const REQUESTS_MAX: usize = 65_536;

/// A request that a node below made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    /// The link that it came over.
    pub(super) via: LinkId,
    /// Its number there.
    pub(super) number: u64,
}

/// The requests that were passed on, by the number under which they were.
#[derive(Debug)]
pub(super) struct Requests {
    passed_on: BTreeMap<u32, Asked>,
    last: u32,
}

impl Requests {
    /// Begins to number with the one after `last`.
    pub(super) fn after(last: u32) -> Self {
        Requests { passed_on: BTreeMap::new(), last }
    }

    /// Returns a number that no request had lately.
    pub(super) fn number(&mut self) -> u32 {
        self.last = self.last.wrapping_add(1);
        self.last
    }

    /// Passes a request on. Returns the number for it.
    pub(super) fn pass_on(&mut self, asked: Asked) -> u32 {
        let number = self.number();
        while self.passed_on.len() >= REQUESTS_MAX {
            self.passed_on.pop_first();
        }
        self.passed_on.insert(number, asked);
        number
    }

    /// Takes the request that was passed on under this number.
    pub(super) fn take(&mut self, number: u32) -> Option<Asked> {
        self.passed_on.remove(&number)
    }

    /// Removes the requests of a link that is gone.
    pub(super) fn forget(&mut self, link: LinkId) {
        self.passed_on.retain(|_, asked| asked.via != link);
    }

    /// The way up was made anew: no answer comes to what was passed on.
    pub(super) fn forget_all(&mut self) {
        self.passed_on.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_answered_once_and_only_where_it_came_from() {
        let mut requests = Requests::after(u32::MAX - 1);
        let (a, b) = (LinkId(1), LinkId(2));
        let first = requests.pass_on(Asked { via: a, number: 7 });
        let second = requests.pass_on(Asked { via: b, number: 7 });
        assert_eq!((first, second), (u32::MAX, 0));
        assert_eq!(requests.take(second).map(|asked| (asked.via, asked.number)), Some((b, 7)));
        assert!(requests.take(second).is_none());
        requests.forget(a);
        assert!(requests.take(first).is_none());
    }

    #[test]
    fn requests_without_end_are_bounded() {
        let mut requests = Requests::after(0);
        for number in 0..2 * REQUESTS_MAX as u64 {
            requests.pass_on(Asked { via: LinkId(1), number });
        }
        assert_eq!(requests.passed_on.len(), REQUESTS_MAX);
        requests.forget_all();
        assert!(requests.passed_on.is_empty());
    }
}

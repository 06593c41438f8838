//! Comparing digests: what this node kept, what the sequencer says, and what follows from it.

use std::collections::VecDeque;
use std::time::Duration;

use crate::mutant::mutant;

/// The number of versions whose digests are kept.
const KEPT_MAX: usize = 4;

/// The number of versions for which the node remembers that it passed on the digest.
const TOLD_MAX: usize = 64;

/// The result of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// This node's state is the same.
    Same,
    /// This node's state differs: heal.
    Diverged,
    /// It differs again, right after healing: the reducer is not deterministic. Said once.
    NonDeterministic,
}

#[derive(Debug, Default)]
pub(super) struct Verify {
    /// This node's digests: seq and digest.
    kept: VecDeque<(u64, u64)>,
    /// The sequencer's, until ours for the same seq is there.
    claimed: VecDeque<(u64, u64)>,
    /// The seq up to which the copy was found right.
    confirmed: Option<u64>,
    /// The marks at which the sequencer's digest was passed on since this copy was last replaced. A
    /// node below can have found a difference only at one of them.
    told: VecDeque<u64>,
    /// The mark of which this node's digest is being made.
    digesting: Option<u64>,
    last_mark: u64,
    not_before: Duration,
    /// This copy was found to differ, and is to be replaced.
    diverged: bool,
    /// The number of times that the copy was replaced for a difference, without having been found
    /// right since.
    heals: usize,
    given_up: bool,
}

impl Verify {
    /// Returns whether the sequencer marks the action `seq` to be verified.
    pub(super) fn marks(&self, every: u64, seq: u64, now: Duration) -> bool {
        let early = u64::from(mutant!(MarksOneEarly));
        let due = seq.saturating_add(early) >= self.last_mark.saturating_add(every.max(1));
        let may = now >= self.not_before || mutant!(BudgetIgnored);
        self.digesting.is_none() && due && may
    }

    /// Notes a mark at `seq`.
    pub(super) fn marked(&mut self, seq: u64) {
        self.last_mark = seq;
    }

    /// Returns whether to begin the digest of `seq` now: one at a time.
    pub(super) fn begin(&mut self, seq: u64) -> bool {
        let begins = self.digesting.is_none();
        self.digesting.get_or_insert(seq);
        begins
    }

    /// Returns whether this node's digest of `seq` is being made.
    pub(super) fn is_digesting(&self, seq: u64) -> bool {
        self.digesting == Some(seq)
    }

    /// A digest is ready, and cost this much; `budget` is the share of a core it may take.
    pub(super) fn finish(&mut self, cost: Duration, budget: f64, now: Duration) {
        self.digesting = None;
        let pause = cost.as_secs_f64() / budget.clamp(1e-6, 1.0);
        let pause = Duration::try_from_secs_f64(pause).unwrap_or(Duration::MAX);
        self.not_before = now.saturating_add(pause);
    }

    /// Keeps this node's own digest. `relays` stand between this node and the sequencer, and each
    /// may have handed it a bad copy once before it found out for itself.
    pub(super) fn keep(&mut self, seq: u64, digest: u64, relays: usize) -> Option<Finding> {
        self.kept.push_back((seq, digest));
        if self.kept.len() > KEPT_MAX {
            self.kept.pop_front();
        }
        self.compare(seq, relays)
    }

    /// Takes the sequencer's digest.
    pub(super) fn claim(&mut self, seq: u64, digest: u64, relays: usize) -> Option<Finding> {
        self.claimed.push_back((seq, digest));
        if self.claimed.len() > KEPT_MAX {
            // The one that is awaited stays: otherwise a copy whose digests are slow is never found
            // right, and its next difference passes for one that healing does not help.
            let awaited = self.digesting;
            let oldest = self.claimed.iter().position(|claimed| Some(claimed.0) != awaited);
            oldest.and_then(|oldest| self.claimed.remove(oldest));
        }
        self.compare(seq, relays)
    }

    fn compare(&mut self, seq: u64, relays: usize) -> Option<Finding> {
        let find = |list: &VecDeque<(u64, u64)>| list.iter().find(|kept| kept.0 == seq).copied();
        let (ours, theirs) = (find(&self.kept)?, find(&self.claimed)?);
        self.claimed.retain(|claimed| claimed.0 > seq);
        if ours.1 == theirs.1 {
            self.confirmed = Some(seq);
            self.heals = 0;
            return Some(Finding::Same);
        }
        if self.given_up {
            return None;
        }
        if self.heals + usize::from(mutant!(GivesUpAtOnce)) > relays {
            self.given_up = true;
            return Some(Finding::NonDeterministic);
        }
        self.diverged = true;
        Some(Finding::Diverged)
    }

    /// Forwards the sequencer's digest of `seq` downstream.
    pub(super) fn tell(&mut self, seq: u64) {
        if self.told.back().is_none_or(|last| *last < seq) {
            self.told.push_back(seq);
        }
        if self.told.len() > TOLD_MAX {
            self.told.pop_front();
        }
    }

    /// Returns whether a node below that differs at `seq` gives cause to doubt this copy: a digest
    /// was told there, and this copy has not been found right since.
    pub(super) fn doubts(&self, seq: u64) -> bool {
        let confirmed = self.confirmed.is_some_and(|confirmed| confirmed >= seq);
        !confirmed && self.told.contains(&seq)
    }

    /// The state was replaced: what was kept of the old one means nothing now. Whether it differed
    /// before counts, and not why else it was replaced. `elsewhere`: by one of another history,
    /// whose reducer may be another.
    pub(super) fn replaced(&mut self, elsewhere: bool) {
        self.kept.clear();
        self.claimed.clear();
        self.told.clear();
        self.confirmed = self.confirmed.filter(|_| mutant!(ConfirmedForEver));
        self.heals += usize::from(std::mem::take(&mut self.diverged));
        if elsewhere {
            self.heals = 0;
        }
        self.given_up &= !elsewhere;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_differs_again_right_after_healing_is_said_once_and_not_healed_in_a_loop() {
        let mut verify = Verify::default();
        assert_eq!(verify.keep(100, 1, 0), None);
        assert_eq!(verify.claim(100, 2, 0), Some(Finding::Diverged));
        verify.replaced(false);
        assert_eq!(verify.claim(200, 2, 0), None, "the sequencer may be first");
        assert_eq!(verify.keep(200, 1, 0), Some(Finding::NonDeterministic));
        assert_eq!(verify.keep(300, 1, 0), None);
        assert_eq!(verify.claim(300, 2, 0), None);
    }

    #[test]
    fn a_comparison_leaves_the_digests_of_later_versions_to_be_compared() {
        let mut verify = Verify::default();
        for seq in [100, 200, 300] {
            assert_eq!(verify.claim(seq, 7, 0), None);
        }
        assert_eq!(verify.keep(200, 7, 0), Some(Finding::Same));
        assert_eq!(verify.keep(100, 8, 0), None, "it was right later");
        assert_eq!(verify.keep(300, 8, 0), Some(Finding::Diverged));
    }

    /// Checks that one difference counts as one heal, however often the copy is replaced.
    #[test]
    fn a_copy_that_was_replaced_more_often_than_it_differed_is_healed_again() {
        let mut verify = Verify::default();
        assert_eq!(verify.keep(100, 1, 1), None);
        assert_eq!(verify.claim(100, 2, 1), Some(Finding::Diverged));
        (0..3).for_each(|_| verify.replaced(false));
        assert_eq!(verify.keep(200, 1, 1), None);
        assert_eq!(verify.claim(200, 2, 1), Some(Finding::Diverged));
    }

    #[test]
    fn a_digest_that_takes_long_is_still_compared() {
        let mut verify = Verify::default();
        assert!(verify.begin(100));
        for seq in (100..2000).step_by(100) {
            assert_eq!(verify.claim(seq, 7, 0), None);
        }
        assert!(verify.claimed.len() <= KEPT_MAX);
        assert_eq!(verify.keep(100, 8, 0), Some(Finding::Diverged));
    }

    #[test]
    fn a_copy_that_a_bad_relay_handed_over_is_healed_once_more() {
        let mut verify = Verify::default();
        for seq in [100, 200] {
            assert_eq!(verify.keep(seq, 1, 1), None);
            assert_eq!(verify.claim(seq, 2, 1), Some(Finding::Diverged));
            verify.replaced(false);
        }
        assert_eq!(verify.keep(300, 1, 1), None);
        assert_eq!(verify.claim(300, 2, 1), Some(Finding::NonDeterministic));
    }

    #[test]
    fn a_copy_that_was_replaced_for_another_reason_is_healed_when_it_differs() {
        let mut verify = Verify::default();
        verify.replaced(false);
        assert_eq!(verify.keep(100, 1, 0), None);
        assert_eq!(verify.claim(100, 2, 0), Some(Finding::Diverged));
    }

    #[test]
    fn a_node_below_gives_cause_to_doubt_only_where_it_was_told_a_digest() {
        let mut verify = Verify::default();
        for seq in [100, 200, 300] {
            verify.tell(seq);
        }
        assert!(verify.doubts(100) && verify.doubts(300));
        assert!(![0, 150, 301, u64::MAX].iter().any(|seq| verify.doubts(*seq)));
        assert_eq!(verify.keep(200, 1, 0), None);
        assert_eq!(verify.claim(200, 1, 0), Some(Finding::Same));
        assert!(!verify.doubts(100) && !verify.doubts(200), "this copy is right");
        assert!(verify.doubts(300));
        verify.replaced(false);
        assert!(!verify.doubts(300), "this copy is another");
    }

    #[test]
    fn a_digest_is_being_made_of_one_version_until_it_is_finished() {
        let mut verify = Verify::default();
        assert!(!verify.is_digesting(0) && !verify.is_digesting(7));
        verify.begin(7);
        assert!(verify.is_digesting(7) && !verify.is_digesting(6) && !verify.is_digesting(8));
        verify.finish(Duration::ZERO, 1.0, Duration::ZERO);
        assert!(!verify.is_digesting(7));
    }

    #[test]
    fn so_many_versions_are_remembered_as_told_and_no_more() {
        let (mut verify, most) = (Verify::default(), TOLD_MAX as u64);
        for seq in [1, 1, 2, 1].into_iter().chain(3..=most) {
            verify.tell(seq);
        }
        assert_eq!((verify.told.len(), verify.doubts(1)), (TOLD_MAX, true), "each once");
        verify.tell(most + 1);
        assert!(!verify.doubts(1) && verify.doubts(2) && verify.doubts(most + 1));
    }

    #[test]
    fn digests_are_compared_whichever_comes_first_as_long_as_they_are_kept() {
        let last = KEPT_MAX as u64;
        for seq in 0..=last {
            let (mut ours, mut theirs) = (Verify::default(), Verify::default());
            for kept in 0..=last {
                assert_eq!((ours.keep(kept, 1, 0), theirs.claim(kept, 1, 0)), (None, None));
            }
            let found = (seq > 0).then_some(Finding::Diverged);
            assert_eq!((ours.claim(seq, 2, 0), theirs.keep(seq, 2, 0)), (found, found), "{seq}");
        }
    }

    #[test]
    fn a_copy_that_was_right_in_between_is_healed_again_when_it_differs() {
        let mut verify = Verify::default();
        for seq in [100, 300, 500] {
            assert_eq!(verify.keep(seq, 1, 0), None);
            assert_eq!(verify.claim(seq, 2, 0), Some(Finding::Diverged));
            verify.replaced(false);
            assert_eq!(verify.keep(seq + 100, 1, 0), None);
            assert_eq!(verify.claim(seq + 100, 1, 0), Some(Finding::Same));
        }
    }

    #[test]
    fn marks_stretch_to_keep_the_budget() {
        let mut verify = Verify::default();
        let second = Duration::from_secs(1);
        assert!(verify.marks(100, 100, second));
        verify.marked(100);
        assert!(verify.begin(100) && !verify.begin(100));
        verify.finish(Duration::from_millis(10), 0.01, second);
        assert!(!verify.marks(100, 200, second), "10 ms at 1 % of a core is one second");
        assert!(verify.marks(100, 200, second * 2));
    }
}

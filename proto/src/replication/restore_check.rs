//! The check that the encoded state decodes to the same state, and what it found.

use std::time::Duration;

use crate::Version;

/// The check of snapshots, within a share of one core.
#[derive(Debug, Default)]
pub(super) struct RestoreCheck {
    /// The state of this version cannot be restored from its encoding, and why.
    failed: Option<(Version, String)>,
    /// The next check is within the budget from here on.
    not_before: Duration,
}

impl RestoreCheck {
    /// Notes that the state at `version` cannot be restored. Returns whether that is news: no
    /// earlier one was found since a state last could.
    pub(super) fn fail(&mut self, version: Version, why: String) -> bool {
        self.failed.replace((version, why)).is_none()
    }

    /// Returns the version whose state cannot be restored, and why.
    pub(super) fn failed(&self) -> Option<(Version, &str)> {
        self.failed.as_ref().map(|(version, why)| (*version, why.as_str()))
    }

    /// Returns whether the next snapshot is to be checked: always after one that failed, and
    /// otherwise within the budget.
    pub(super) fn is_due(&self, now: Duration) -> bool {
        self.failed.is_some() || now >= self.not_before
    }

    /// Notes that a snapshot passed. The check took so much CPU time, and `budget` is the share of
    /// a core that checks may take.
    pub(super) fn pass(&mut self, cost: Duration, budget: f64, now: Duration) {
        self.failed = None;
        self.not_before = now + cost.div_f64(budget.clamp(1e-6, 1.0));
    }

    /// Another state was put in place, or this node no longer orders: nothing is known to be wrong.
    pub(super) fn reset(&mut self) {
        self.failed = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn checks_keep_to_their_budget_but_the_next_one_after_a_failure_is_due_at_once() {
        let mut check = RestoreCheck::default();
        assert!(check.is_due(Duration::ZERO));
        check.pass(Duration::from_millis(10), 0.01, SECOND);
        assert!(!check.is_due(SECOND) && check.is_due(SECOND * 2));
        assert!(check.fail(Version::default(), "it is lost".into()));
        assert!(!check.fail(Version::default(), "it is lost".into()), "said already");
        assert!(check.is_due(SECOND));
        check.pass(Duration::ZERO, 0.01, SECOND);
        assert_eq!(check.failed(), None);
        assert!(check.fail(Version::default(), "it is lost".into()), "it was good in between");
    }
}

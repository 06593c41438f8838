//! Exit codes: one documented type for all commands.

use std::process::{ExitCode as ProcessCode, Termination};

use samestate_report::Verdict;

/// The exit code of `samestate`. Scripts rely on the numbers.
///
/// If several apply, the first of 1, 3, 6 and 5 is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum ExitCode {
    /// All went well, and everything expected was found.
    Pass = 0,
    /// The run could not be done.
    NotDone = 1,
    /// The command line or a scenario is wrong; nothing was started.
    Usage = 2,
    /// An expectation was not met, or an invariant was violated.
    Failed = 3,
    /// Nothing was selected.
    NothingSelected = 4,
    /// Worse than the baseline.
    Regressed = 5,
    /// The run says nothing: the load generator was the bottleneck.
    Inconclusive = 6,
    /// Interrupted by the user; a partial record is kept, and no verdict given.
    Interrupted = 130,
}

impl ExitCode {
    /// Returns the exit code of a verdict.
    pub fn of(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Pass => Self::Pass,
            Verdict::Fail => Self::Failed,
            Verdict::Inconclusive => Self::Inconclusive,
            Verdict::Interrupted => Self::Interrupted,
        }
    }

    /// The exit code of several runs together: that of the one that matters most.
    pub fn worst(codes: impl IntoIterator<Item = Self>) -> Self {
        const BY_WEIGHT: [ExitCode; 8] = [
            ExitCode::Interrupted,
            ExitCode::Usage,
            ExitCode::NotDone,
            ExitCode::Failed,
            ExitCode::Inconclusive,
            ExitCode::Regressed,
            ExitCode::NothingSelected,
            ExitCode::Pass,
        ];
        let weight = |code: &Self| BY_WEIGHT.iter().position(|other| other == code);
        codes.into_iter().min_by_key(weight).unwrap_or(Self::Pass)
    }
}

impl Termination for ExitCode {
    fn report(self) -> ProcessCode {
        ProcessCode::from(self as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_could_not_be_done_outweighs_one_that_failed() {
        use ExitCode::{Failed, Inconclusive, NotDone, Pass, Regressed};
        assert_eq!(ExitCode::worst([Pass, Failed, NotDone]), NotDone);
        assert_eq!(ExitCode::worst([Regressed, Inconclusive]), Inconclusive);
        assert_eq!(ExitCode::worst([Regressed, Failed]), Failed);
        assert_eq!(ExitCode::worst([]), Pass);
    }
}

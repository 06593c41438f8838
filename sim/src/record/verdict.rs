//! The verdict of a case: the one place that decides it.
//!
//! A case that was interrupted has no verdict. A case fails by a violation that its scenario does
//! not ask for, by an expectation that is not met, and by a run that did not go as planned. It is
//! inconclusive if an expectation was not measured, or if the measurement cannot be trusted.
//! Otherwise it passes.

use samestate_report::{Case, Verdict};

use super::sums::Pace;

/// A load that issued less than this share of what was due was itself the bottleneck.
const ISSUED_SHARE_MIN: f64 = 0.95;

/// So was one that was later than this against its own schedule, at the 99th percentile.
const LAG_NS_MAX: u64 = 10_000_000;

/// The findings that decide a verdict. Of several that apply, the first counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    /// The run ended before its time.
    pub(crate) interrupted: bool,
    /// Something that has to hold does not.
    pub(crate) failed: bool,
    /// Something that has to be known is not.
    pub(crate) inconclusive: bool,
}

impl Findings {
    /// Returns the verdict.
    pub(crate) fn verdict(self) -> Verdict {
        if self.interrupted {
            Verdict::Interrupted
        } else if self.failed {
            Verdict::Fail
        } else if self.inconclusive {
            Verdict::Inconclusive
        } else {
            Verdict::Pass
        }
    }
}

/// Returns the case of a run that could not be done: it says nothing of the scenario.
pub(crate) fn not_done(why: impl std::fmt::Display) -> Case {
    let verdict = Findings { inconclusive: true, ..Findings::default() }.verdict();
    Case { verdict, because: vec![format!("the run could not be done: {why}")], ..Case::default() }
}

/// Gives the verdict of a case, and the reasons that neither an expectation nor a violation says.
/// `trouble` holds the ways in which the run did not go as planned.
pub(super) fn judge(case: &mut Case, pace: &Pace, trouble: Vec<String>, interrupted: bool) {
    let mut inconclusive = Vec::new();
    let share = pace.issued as f64 / pace.due.max(1) as f64;
    if pace.due > 0 && share < ISSUED_SHARE_MIN {
        inconclusive.push(format!(
            "the load generator issued {:.0} % of the intended dispatches, under {:.0} %",
            share * 100.0,
            ISSUED_SHARE_MIN * 100.0
        ));
    }
    let lag_ns = pace.lag.quantile_ns(0.99).unwrap_or(0);
    if lag_ns > LAG_NS_MAX {
        inconclusive.push(format!(
            "the load generator was {:.1} ms behind its own schedule (99th percentile), over {} \
             ms: latencies are partly its own",
            lag_ns as f64 / 1e6,
            LAG_NS_MAX / 1_000_000
        ));
    }
    if case.faults.planned > 0 && case.faults.injected == 0 {
        inconclusive.push(format!("none of {} planned faults was injected", case.faults.planned));
    }
    let violated = case.unwanted_violations().next().is_some();
    let unmet = case.failed_expectations().next().is_some();
    let unmeasured = case.unmeasured_expectations().next().is_some();
    let findings = Findings {
        interrupted,
        failed: violated || unmet || !trouble.is_empty(),
        inconclusive: unmeasured || !inconclusive.is_empty(),
    };
    case.verdict = findings.verdict();
    case.because.append(&mut inconclusive);
    case.because.extend(trouble);
}

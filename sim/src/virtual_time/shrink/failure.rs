//! A seed that a search found, made as small as it gets.

use super::{Progress, Shrunk, shrink};
use crate::scenario::Scenario;
use crate::virtual_time::run::{Options, simulate};
use crate::virtual_time::search::{Failure, Why, why_of};

/// Shrinks what failed, simulated as it was found, for as long as the same invariant is violated.
/// `None` for what is not shrunk: an expectation that was not met, say.
pub fn shrink_failure(
    failure: &Failure,
    options: &Options,
    progress: impl FnMut(&Progress),
) -> Option<Shrunk> {
    let Why::Violation(_, violation) = &failure.why else { return None };
    let fails = |candidate: &Scenario| {
        let shown = shown_by(candidate, options);
        shown.is_some_and(|found| found.invariant == violation.invariant)
    };
    Some(shrink(&failure.scenario, fails, progress)).filter(|shrunk| shrunk.reproduced)
}

/// The violation that a scenario shows, if it shows one. Once the user has had enough, nothing
/// does, and shrinking soon ends.
fn shown_by(scenario: &Scenario, options: &Options) -> Option<crate::invariants::Violation> {
    let enough = |flag: &std::sync::Arc<std::sync::atomic::AtomicBool>| {
        flag.load(std::sync::atomic::Ordering::Relaxed)
    };
    if options.interrupt.as_ref().is_some_and(enough) {
        return None;
    }
    let outcome = simulate(&scenario.plan("shrunk").ok()?, options).ok()?;
    match why_of(&outcome)? {
        Why::Violation(_, violation) => Some(violation),
        _ => None,
    }
}

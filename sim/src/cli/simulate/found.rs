//! What is left of a scenario that shows a violation: shrunk, and written as a file of its own.

use std::path::Path;

use super::Wanted;
use crate::scenario::Scenario;
use crate::virtual_time::shrink::{Found, shrink, write_found};
use crate::virtual_time::{Options, Why, simulate, why_of};

/// Shrinks a scenario that fails, writes it into the folder, and says how to run it again.
pub(super) fn shrink_and_write(
    name: &str,
    scenario: &Scenario,
    why: &Why,
    folder: &Path,
    wanted: &Wanted,
) {
    let Why::Violation(_, violation) = why else { return };
    if !wanted.shrinks {
        return;
    }
    let invariant = violation.invariant.to_string();
    let fails = |candidate: &Scenario| {
        // Once the user has had enough, nothing fails any more, and shrinking soon ends.
        !wanted.interrupted() && shows(candidate, &invariant)
    };
    let shrunk = shrink(scenario, fails, |_| {});
    if !shrunk.reproduced {
        eprintln!("error: seed {} does not show it again: it is not shrunk", scenario.seed);
        return;
    }
    let found = Found {
        invariant: invariant.clone(),
        detail: violation.to_string(),
        origin: format!("seed {} of {name}", scenario.seed),
    };
    let path = folder.join("found.yaml");
    if let Err(error) = write_found(&path, &shrunk, &found) {
        eprintln!("error: {error}");
        return;
    }
    eprintln!("shrunk from {} to {} in {} tries", shrunk.before, shrunk.after, shrunk.tries);
    eprintln!("run it again: samestate simulate {} --trace", path.display());
}

/// Whether a scenario shows a violation of this invariant.
fn shows(scenario: &Scenario, invariant: &str) -> bool {
    let Ok(plan) = scenario.plan("shrunk") else { return false };
    let Ok(outcome) = simulate(&plan, &Options::default()) else { return false };
    let why = why_of(&outcome);
    matches!(why, Some(Why::Violation(_, found)) if found.invariant.to_string() == invariant)
}

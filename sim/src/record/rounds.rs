//! The repeats of the cases of a run, as they come.

use std::time::SystemTime;

use samestate_report::{Case, Repeat};

use super::machine::utc;

/// The cases of a run with the repeats that were done so far.
#[derive(Debug, Default)]
pub(crate) struct Rounds {
    cases: Vec<Vec<(Repeat, Case)>>,
}

impl Rounds {
    /// Takes in a repeat of the case at a position, which was begun at an instant. `seed` is that
    /// of the repeat, if it has one of its own.
    pub(crate) fn push(&mut self, at: usize, case: Case, started: SystemTime, seed: Option<u64>) {
        if self.cases.len() <= at {
            self.cases.resize_with(at + 1, Vec::new);
        }
        let repeat = Repeat { started: Some(utc(started)), seed, ..Repeat::of(&case) };
        self.cases[at].push((repeat, case));
    }

    /// Returns the cases; one that was never begun is missing.
    pub(crate) fn cases(self) -> Vec<Case> {
        self.cases.into_iter().filter(|runs| !runs.is_empty()).map(Case::of_repeats).collect()
    }
}

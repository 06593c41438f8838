//! A scenario that fails, made as small as it gets and still fails.
//!
//! First everything that is drawn is written out, instant by instant, which changes nothing of what
//! happens; then parts are taken away, half of them at a time, then a quarter and so on, for as
//! long as the rest still fails (delta debugging, *ddmin* of Zeller and Hildebrandt, "Simplifying
//! and Isolating Failure-Inducing Input", 2002); then what is left is made simpler, value by value.
//! Each candidate validates. The same scenario and the same answers give the same result.
//!
//! | module | subject |
//! |---|---|
//! | `search` | the order of candidates, and the choice of those to keep |
//! | `explicit` | every instant, link and fault by itself |
//! | `remove` | a scenario without some of its nodes or stores |
//! | `simplify` | one value made simpler at a time |
//! | `times` | instants and lengths in rounder numbers |
//! | `file` | the result, as a file to keep |

mod explicit;
mod failure;
mod file;
mod remove;
mod search;
mod simplify;
mod times;

use std::fmt;

use crate::load::Arrivals;
use crate::scenario::{Arrival, Plan, Scenario};
pub use failure::shrink_failure;
pub use file::{Found, FoundError, found_text, write_found};
use search::Search;

/// The default number of times that a scenario is tried.
pub const TRIES_MAX: u32 = 5_000;

/// The size of a scenario.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Processes.
    pub nodes: usize,
    /// Stores.
    pub stores: usize,
    /// Links.
    pub links: usize,
    /// Intended dispatches; for a closed loop, how many are under way at once.
    pub actions: usize,
    /// Faults, each time that one strikes.
    pub faults: usize,
    /// Events.
    pub events: usize,
}

impl Counts {
    /// Returns the size of a plan.
    pub fn of(plan: &Plan) -> Self {
        let loads = plan.phases.iter().flat_map(|phase| phase.load.iter().map(move |l| (phase, l)));
        let actions = loads.map(|(phase, load)| match &load.arrival {
            Arrival::Closed(closed) => closed.in_flight.get() as usize,
            open => Arrivals::new(open, phase.duration, plan.seed, load.stream).count(),
        });
        Self {
            nodes: plan.nodes.len(),
            stores: plan.stores.len(),
            links: plan.links.len(),
            actions: actions.sum(),
            faults: plan.faults.len(),
            events: plan.events.len(),
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { nodes, stores, links, actions, faults, events } = self;
        write!(
            f,
            "{nodes} nodes, {stores} stores, {links} links, {actions} actions, {faults} faults, \
             {events} events"
        )
    }
}

/// The progress of shrinking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The number of candidates that were run.
    pub tries: u32,
    /// The largest number of candidates to run.
    pub tries_max: u32,
    /// The size of the smallest scenario that fails, so far.
    pub smallest: Counts,
}

/// The result of shrinking.
#[derive(Clone, Debug, PartialEq)]
pub struct Shrunk {
    /// The smallest scenario found that fails.
    pub scenario: Scenario,
    /// True if the given scenario fails at all. If it does not, it is returned unchanged.
    pub reproduced: bool,
    /// True if the result failed each time that it was replayed. What does not has a cause outside
    /// the simulation: a reducer that reads a clock, say.
    pub is_certain: bool,
    /// The number of candidates that were run.
    pub tries: u32,
    /// True if the tries ran out before every candidate was tried.
    pub is_exhausted: bool,
    /// The size at first.
    pub before: Counts,
    /// The size that is left.
    pub after: Counts,
}

/// Makes a scenario smaller for as long as `fails` says that it still fails, in [`TRIES_MAX`] runs
/// at most. `progress` is told after each.
pub fn shrink(
    scenario: &Scenario,
    fails: impl FnMut(&Scenario) -> bool,
    progress: impl FnMut(&Progress),
) -> Shrunk {
    shrink_within(scenario, TRIES_MAX, fails, progress)
}

/// The same, in so many runs at most. The smallest scenarios are then replayed, because one that
/// fails by chance is of little use: the result is the smallest that fails each time, if one does.
pub fn shrink_within(
    scenario: &Scenario,
    tries_max: u32,
    mut fails: impl FnMut(&Scenario) -> bool,
    mut progress: impl FnMut(&Progress),
) -> Shrunk {
    let before = scenario.plan("before").map_or_else(|_| Counts::default(), |p| Counts::of(&p));
    let mut search = Search::new(scenario.clone(), before, tries_max, &mut fails, &mut progress);
    let reproduced = search.reproduces();
    if reproduced {
        search.offer(explicit::written_out(scenario));
        search.exhaust();
    }
    let is_exhausted = search.is_exhausted();
    let is_certain = reproduced && search.make_certain();
    let tries = search.tries();
    let (scenario, after) = search.into_smallest();
    Shrunk { scenario, reproduced, is_certain, tries, is_exhausted, before, after }
}

#[cfg(test)]
mod tests;

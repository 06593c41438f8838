//! Many seeds, on all cores: the first that shows a violation, or all of them.

use std::ops::Range;
use std::panic::resume_unwind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use samestate_report::{Outcome as Met, Verdict};

use super::run::{Options, Outcome, simulate};
use super::world::Moments;
use crate::invariants::Violation;
use crate::scenario::Scenario;

/// A function that returns the scenarios of a seed.
pub type Source<'a> = dyn Fn(u64) -> Vec<Scenario> + Sync + 'a;

/// The subject and the options of a search.
#[derive(Clone, Debug)]
pub struct Search {
    /// The name of the scenarios.
    pub name: String,
    /// The seeds.
    pub seeds: Range<u64>,
    /// The options of each simulation.
    pub options: Options,
    /// The number of threads; no more than there are seeds are used.
    pub threads: usize,
    /// True if the search continues after the first seed that fails.
    pub all: bool,
    /// One seed in so many is simulated twice, and has to come to the same history; 0 for none.
    pub twice_every: u64,
}

/// The reason why a seed fails.
#[derive(Clone, Debug)]
pub enum Why {
    /// An invariant does not hold, and when that was seen.
    Violation(Duration, Violation),
    /// The expectations of the scenario that do not hold, in words.
    Unmet(Vec<String>),
    /// Simulated twice, it came to two histories.
    Undetermined,
    /// Something that is expected has no sample, so that nothing can be said of it.
    Inconclusive(String),
    /// It cannot be simulated, or not to its end.
    NotPlayable(String),
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Why::Violation(at, violation) => {
                write!(f, "{violation} ({:.3} s into virtual time)", at.as_secs_f64())
            }
            Why::Unmet(unmet) => write!(f, "expected, and not so: {}", unmet.join("; ")),
            Why::Undetermined => f.write_str(
                "simulated twice, it came to two histories: its reducer is not deterministic, or \
                 the simulator is at fault",
            ),
            Why::Inconclusive(why) | Why::NotPlayable(why) => f.write_str(why),
        }
    }
}

/// A seed that fails.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// The scenario of the seed.
    pub scenario: Scenario,
    /// The reason.
    pub why: Why,
}

/// The progress of a search.
#[derive(Clone, Copy, Debug, Default)]
pub struct Glance {
    /// Seeds that are done.
    pub seeds: u64,
    /// Seeds that failed.
    pub failed: u64,
    /// Virtual time in all.
    pub virtual_time: Duration,
}

/// The result of a search.
#[derive(Clone, Debug, Default)]
pub struct Searched {
    /// Seeds that were simulated.
    pub seeds: u64,
    /// Of these, twice.
    pub twice: u64,
    /// Virtual time in all.
    pub virtual_time: Duration,
    /// The moments of all seeds together.
    pub moments: Moments,
    /// All histories, in the order of the seeds, as one number.
    pub history: u64,
    /// The seeds that failed, in their order.
    pub failures: Vec<Failure>,
    /// Seeds that neither failed nor hold: something that is expected has no sample in them.
    pub inconclusive: u64,
    /// The first of those, and why.
    pub unsure: Option<(u64, String)>,
}

impl Search {
    /// Simulates the seeds. `watch` is called now and then, from any thread; once it returns
    /// `false`, no further seed is begun.
    pub fn run(&self, source: &Source<'_>, watch: &(dyn Fn(Glance) -> bool + Sync)) -> Searched {
        // Counted from the first seed and no further than the last, so that no range wraps.
        let begun = AtomicU64::new(0);
        let stop = AtomicBool::new(false);
        let glance = Mutex::new(Glance::default());
        let count = self.seeds.end.saturating_sub(self.seeds.start);
        let threads = u64::try_from(self.threads).unwrap_or(1).clamp(1, count.max(1));
        let next = || {
            let further = |begun| (begun < count).then(|| begun + 1);
            let begun = begun.fetch_update(Ordering::Relaxed, Ordering::Relaxed, further);
            Some(self.seeds.start + begun.ok()?)
        };
        let work = || {
            let mut done = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let Some(seed) = next() else { break };
                let one = self.seed(seed, source);
                let now = {
                    let Ok(mut glance) = glance.lock() else { break };
                    glance.seeds += 1;
                    glance.failed += one.failures.len() as u64;
                    glance.virtual_time += one.virtual_time;
                    *glance
                };
                let enough = !self.all && !one.failures.is_empty();
                if !watch(now) || enough {
                    stop.store(true, Ordering::Relaxed);
                }
                done.push((seed, one));
            }
            done
        };
        let mut done: Vec<(u64, Searched)> = thread::scope(|scope| {
            let start = |_| thread::Builder::new().spawn_scoped(scope, work).ok();
            let workers: Vec<_> = (0..threads).filter_map(start).collect();
            if workers.is_empty() {
                // The system gives no thread more than this one.
                return work();
            }
            let joined = workers.into_iter().map(thread::ScopedJoinHandle::join);
            joined.flat_map(|done| done.unwrap_or_else(|panic| resume_unwind(panic))).collect()
        });
        done.sort_by_key(|one| one.0);
        let mut all = Searched::default();
        for (_, one) in done {
            all.seeds += one.seeds;
            all.twice += one.twice;
            all.virtual_time += one.virtual_time;
            all.moments.add(&one.moments);
            all.history = all.history.rotate_left(17) ^ one.history;
            all.failures.extend(one.failures);
            all.inconclusive += one.inconclusive;
            all.unsure = all.unsure.or(one.unsure);
        }
        all
    }

    fn seed(&self, seed: u64, source: &Source<'_>) -> Searched {
        let mut searched = Searched { seeds: 1, ..Searched::default() };
        let twice = self.twice_every > 0 && seed.is_multiple_of(self.twice_every);
        for mut scenario in source(seed) {
            scenario.seed = seed;
            let why = match self.once(&scenario) {
                Err(why) => Some(why),
                Ok(outcome) => {
                    searched.virtual_time += outcome.virtual_time;
                    searched.moments.add(&outcome.moments);
                    searched.history = searched.history.rotate_left(9) ^ outcome.history;
                    let same = !twice
                        || self.once(&scenario).is_ok_and(|again| again.history == outcome.history);
                    searched.twice += u64::from(twice);
                    if let Some(why) = doubt_of(&outcome) {
                        searched.inconclusive = 1;
                        searched.unsure.get_or_insert((seed, why));
                    }
                    // A violation says more: a reducer that is not deterministic shows both.
                    why_of(&outcome).or_else(|| (!same).then_some(Why::Undetermined))
                }
            };
            searched.failures.extend(why.map(|why| Failure { seed, scenario, why }));
        }
        searched
    }

    fn once(&self, scenario: &Scenario) -> Result<Outcome, Why> {
        let plan = scenario.plan(&self.name);
        let plan = plan.map_err(|error| Why::NotPlayable(error.render(false)))?;
        let recorded = self.options.recorded || !plan.expect.is_empty();
        let options = Options { recorded, ..self.options.clone() };
        simulate(&plan, &options).map_err(|error| Why::NotPlayable(error.to_string()))
    }
}

/// Returns the reason why an outcome is neither a failure nor a pass, if it is neither.
fn doubt_of(outcome: &Outcome) -> Option<String> {
    let case = outcome.case.as_ref().filter(|case| case.verdict == Verdict::Inconclusive)?;
    let unmeasured = case.unmeasured_expectations().map(samestate_report::Expectation::in_a_line);
    Some(unmeasured.chain(case.because.iter().cloned()).collect::<Vec<_>>().join("; "))
}

/// Returns the reason why an outcome is a failure, if it is one. A scenario may ask for a
/// violation.
pub fn why_of(outcome: &Outcome) -> Option<Why> {
    let judged = outcome.case.as_ref().map(|case| case.verdict);
    if judged.is_some_and(|verdict| verdict != Verdict::Fail) {
        return None;
    }
    if let Some((at, violation)) = outcome.violation.clone() {
        return Some(Why::Violation(at, violation));
    }
    let case = outcome.case.as_ref()?;
    let unmet = case.expectations.iter().filter(|one| one.outcome == Met::Failed);
    let unmet =
        unmet.map(|one| format!("{} {}, and it is {}", one.what, one.expected, one.measured));
    let found = case.violations.iter();
    let found = found.map(|one| format!("{} at {}: {}", one.invariant, one.at, one.detail));
    Some(Why::Unmet(unmet.chain(found).collect()))
}

//! A plan, simulated: what it came to.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use samestate_report::Case;
use samestate_report::perfetto::Timeline;

use super::play::{Adjust, Simulation};
use super::trace::Trace;
use super::world::Moments;
use crate::invariants::Violation;
use crate::load::UnknownReducer;
use crate::scenario::Plan;

/// The options of a simulation.
#[derive(Clone, Default)]
pub struct Options {
    /// Changes the settings of every replica, after the plan has set them.
    pub adjust: Option<Adjust>,
    /// A record is made of it, as of a run on real processes.
    pub recorded: bool,
    /// A trace for profiler viewers is drawn of it, if it is recorded.
    pub profiled: bool,
    /// Keeps what happened, for people: so many moments, and as many messages.
    pub traced: Option<usize>,
    /// Becomes true when the user wants it to end.
    pub interrupt: Option<Arc<AtomicBool>>,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Options { adjust, recorded, profiled, traced, interrupt: _ } = self;
        let adjusted = adjust.is_some();
        write!(f, "adjusted: {adjusted}, recorded: {recorded}, ")?;
        write!(f, "profiled: {profiled}, traced: {traced:?}")
    }
}

/// The result of a simulation.
#[derive(Debug)]
pub struct Outcome {
    /// A hash over all that happened: the same plan twice gives the same.
    pub history: u64,
    /// The length of the simulation, in virtual time.
    pub virtual_time: Duration,
    /// The moments on the way.
    pub moments: Moments,
    /// The violation, and the time at which it was seen: the simulation ended there.
    pub violation: Option<(Duration, Violation)>,
    /// The measures, if a record was wanted.
    pub case: Option<Case>,
    /// The trace for profiler viewers, if one was wanted.
    pub profile: Option<Timeline>,
    /// The last events, if a trace was wanted.
    pub trace: Option<Trace>,
    /// The names of slots. The trace numbers the slots.
    pub slots: Vec<String>,
}

/// The reason why a plan was not simulated to its end.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// The plan names a reducer that this program does not have.
    #[error(transparent)]
    UnknownReducer(#[from] UnknownReducer),
    /// The protocol or the simulator panicked, at this place and in these words.
    #[error(
        "the protocol or the simulator panicked, not a reducer: {0}; this is a bug: report it with \
         the scenario and its seed"
    )]
    Panicked(String),
}

/// Simulates a plan: in this thread, on virtual time, everything drawn from the plan's seed.
///
/// # Errors
///
/// If a reducer is not known, or if something but a reducer panics.
pub fn simulate(plan: &Plan, options: &Options) -> Result<Outcome, SimulateError> {
    match catch_unwind(AssertUnwindSafe(|| quietly(|| simulated(plan, options)))) {
        Ok(outcome) => Ok(outcome?),
        Err(_) => Err(SimulateError::Panicked(LAST_PANIC.take())),
    }
}

fn simulated(plan: &Plan, options: &Options) -> Result<Outcome, UnknownReducer> {
    let played = Simulation::new(plan, options)?.run();
    let mut world = played.world;
    let violation = world.violated_at().zip(world.violation().cloned());
    Ok(Outcome {
        history: world.history(),
        virtual_time: world.now(),
        moments: world.moments(),
        violation,
        case: played.case,
        profile: played.profile,
        trace: world.take_trace(),
        slots: played.names,
    })
}

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
    /// The place and the words of the last panic that was not printed.
    static LAST_PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs something in which reducers panic on purpose: the library catches that, and nothing is
/// printed of it in this thread.
fn quietly<T>(run: impl FnOnce() -> T) -> T {
    /// Lets panics be printed again, also after one that went through `run`.
    struct Loud;
    impl Drop for Loud {
        fn drop(&mut self) {
            QUIET.set(false);
        }
    }
    static HOOK: std::sync::Once = std::sync::Once::new();
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| match QUIET.get() {
            true => LAST_PANIC.set(info.to_string().replace('\n', " ")),
            false => usual(info),
        }));
    });
    QUIET.set(true);
    let _loud = Loud;
    run()
}

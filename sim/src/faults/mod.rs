//! Faults: the things that are broken on purpose.
//!
//! A scenario file writes a fault as a [`FaultSpec`], the plan holds it as a [`Fault`] at each
//! instant at which it strikes, and a runner injects it. Each kind of fault has a file of its own
//! here, with both of its forms and all that is known of it: the key, the thing that it strikes,
//! the mistakes that it may hold, the line that `explain` draws, and the reason why `run` cannot
//! inject it. `simulate` injects every kind. The list of the kinds stands below.
//!
//! A fault counts as injected if it left evidence: a process that a signal ended, connections that
//! were open and then were not. [`FaultLog`] keeps both sides, fault by fault.
//!
//! - `kinds`: the enums that are made of the list;
//! - `spec`, `plan`: the questions that every kind answers, as written and as planned;
//! - `outages`: processes that are down or stand still, and faults that collide;
//! - `log`: the faults of a run;
//! - `testing`: a check that holds for every kind.

#[macro_use]
mod kinds;

mod blackhole;
mod corrupt;
mod cut;
mod disk;
mod fail;
mod half_open;
mod kill;
mod log;
pub(crate) mod outages;
mod pause;
mod plan;
mod slip;
mod spec;
#[cfg(test)]
mod testing;

use crate::scenario::Span;
pub use blackhole::{Blackhole, BlackholeSpec, Direction};
pub use corrupt::{Corrupt, CorruptSpec, OneWay};
pub use cut::{Cut, CutSpec};
pub use disk::{Disk, DiskSpec};
pub use fail::{Fail, FailSpec};
pub use half_open::{HalfOpen, HalfOpenSpec};
pub use kill::{Kill, KillMoment, KillSpec};
pub use log::FaultLog;
pub use pause::{Pause, PauseSpec};
pub use plan::TimedFault;
pub(crate) use plan::{Planned, PlannedHalt, Target};
pub use slip::{Slip, SlipSpec};
pub(crate) use spec::{Halt, Kind, Lasts, Mistake, ReplicaMut, Spec, SpecTarget, TimesMut, When};
use spec::{LOSSY_NETWORK, TAMPERED_REDUCER, is_false};

kinds! {
    /// Something that is broken on purpose. `run` does `cut`, `kill` and `pause`; `simulate` does
    /// all of them.
    ///
    /// `at` alone: once. `every`: again and again from `at` (or one period in), `times` at most.
    /// `times` alone: at that many instants drawn from the seed, spread over the run.
    enum FaultSpec {
        /// The connections of a link are cut, and refused for a while.
        Cut(CutSpec),
        /// A process is killed with `kill -9`, and started again after a while.
        Kill(KillSpec),
        /// A process stands still for a while, as by `SIGSTOP` and `SIGCONT`.
        Pause(PauseSpec),
        /// Nothing arrives over a link for a while, and all of it later.
        Blackhole(BlackholeSpec),
        /// Nothing arrives any more over a link's connections, and neither end is told.
        HalfOpen(HalfOpenSpec),
        /// A bit of what arrives next over a link is flipped.
        Corrupt(CorruptSpec),
        /// A replica applies the next action twice, unnoticed.
        Slip(SlipSpec),
        /// The reducer panics at the next action, at one replica only.
        Fail(FailSpec),
        /// The disk of a process fails for a while, or its calls do not return.
        Disk(DiskSpec),
    }
}

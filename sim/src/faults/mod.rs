//! Faults: the things that are broken on purpose.
//!
//! A scenario file writes a fault as a [`FaultSpec`], the plan holds it as a [`Fault`] at each
//! instant at which it strikes, and a runner injects it. Each kind of fault has a file of its own
//! here, with both of its forms and all that is known of it: the key, the thing that it strikes,
//! the mistakes that it may hold, the line that `explain` draws, its form for each runner, and the
//! reason why `run` cannot inject it. `simulate` injects every kind. The list of the kinds stands
//! below.
//!
//! A fault counts as injected if it left evidence: a process that a signal ended, connections that
//! were open and then were not. [`FaultLog`] keeps both sides, fault by fault.
//!
//! - `kinds`: the enums that are made of the list;
//! - `spec`, `plan`: the questions that every kind answers, as written and as planned;
//! - `link`: the forms that all faults of a link have, for both runners;
//! - `outages`: processes that are down or stand still, and faults that collide;
//! - `log`: the faults of a run;
//! - `testing`: a check that holds for every kind.

#[macro_use]
mod kinds;

mod bandwidth;
mod blackhole;
mod churn;
mod corrupt;
mod cut;
mod delay;
mod disk;
mod fail;
mod half_open;
mod jitter;
mod kill;
mod link;
mod log;
mod one_way;
pub(crate) mod outages;
mod pause;
mod plan;
mod refuse;
mod reset;
mod slip;
mod slow_reader;
mod spec;
#[cfg(test)]
mod testing;
mod wrong_password;

use crate::scenario::Span;
pub use bandwidth::{Bandwidth, BandwidthSpec};
pub use blackhole::{Blackhole, BlackholeSpec};
pub use churn::{Churn, ChurnSpec};
pub use corrupt::{Corrupt, CorruptSpec};
pub use cut::{Cut, CutSpec};
pub use delay::{Delay, DelaySpec};
pub use disk::{Disk, DiskSpec};
pub use fail::{Fail, FailSpec};
pub use half_open::{HalfOpen, HalfOpenSpec};
pub use jitter::{Jitter, JitterSpec};
pub use kill::{Kill, KillMoment, KillSpec};
pub(crate) use link::LinkFault;
pub use link::{Direction, OneDirection, Shape, Ways};
pub use log::FaultLog;
pub use one_way::{OneWay, OneWaySpec};
pub use pause::{Pause, PauseSpec};
pub use plan::TimedFault;
pub(crate) use plan::{Planned, PlannedHalt, Target};
pub use refuse::{Refuse, RefuseSpec};
pub use reset::{Reset, ResetSpec};
pub use slip::{Slip, SlipSpec};
pub(crate) use slow_reader::PULSE;
pub use slow_reader::{Reader, SlowReader, SlowReaderSpec};
pub(crate) use spec::{Halt, Kind, Lasts, Mistake, ReplicaMut, Spec, SpecTarget, TimesMut, When};
use spec::{TAMPERED_REDUCER, is_false};
pub use wrong_password::{WrongPassword, WrongPasswordSpec};

kinds! {
    /// Something that is broken on purpose. `simulate` does all of them; `run` does all that real
    /// processes and sockets can be made to do, which is all but `slip`, `fail`, `disk`, and some
    /// options of `kill`.
    ///
    /// `at` alone: once. `every`: again and again from `at` (or one period in), `times` at most.
    /// `times` alone: at that many instants drawn from the seed, spread over the run.
    enum FaultSpec {
        /// The connections of a link are cut, and refused for a while.
        Cut(CutSpec),
        /// A process is killed with `kill -9`, and started again after a while.
        Kill(KillSpec),
        /// A worker of a cluster, drawn each time, is killed and started again after a while.
        Churn(ChurnSpec),
        /// A process stands still for a while, as by `SIGSTOP` and `SIGCONT`.
        Pause(PauseSpec),
        /// Nothing arrives over a link for a while, and all of it later.
        Blackhole(BlackholeSpec),
        /// Nothing arrives any more over a link's connections, and neither end is told.
        HalfOpen(HalfOpenSpec),
        /// The connections of a link are reset, and may be made again at once.
        Reset(ResetSpec),
        /// New connections of a link are refused for a while. Those that are open stay.
        Refuse(RefuseSpec),
        /// A link's server asks for another password for a while.
        WrongPassword(WrongPasswordSpec),
        /// Bytes pass over a link in one direction only for a while; the others arrive later.
        OneWay(OneWaySpec),
        /// All bytes over a link arrive later for a while.
        Delay(DelaySpec),
        /// Bytes over a link arrive later for a while, by changing times.
        Jitter(JitterSpec),
        /// Each connection of a link carries a bounded number of bytes a second for a while.
        Bandwidth(BandwidthSpec),
        /// A reader takes few bytes, or none, for a while.
        SlowReader(SlowReaderSpec),
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

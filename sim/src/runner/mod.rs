//! The runner: clusters of real processes, driven over a control channel.
//!
//! | module | holds |
//! |---|---|
//! | `run` | [`run_scenario`]: a scenario's cases in turn, and their record |
//! | `play` | one case, from the first process to the last word of each node |
//! | `schedule`, `injure` | the acts of a run at their instants; faults injected and reverted |
//! | `stage` | the environment of a case: folder, guardian, control socket, proxies |
//! | `nodes` | the runner's picture of its nodes |
//! | `guardian` | the process that outlives the runner, so that no node does |
//! | `proxy` | a link's bytes by way of the runner, so that it can be cut |
//! | `family` | the descendants of a process, and how to end all of them |
//! | `beyond` | the requests of a scenario that real processes cannot fulfil |
//! | `progress` | the progress of a run, as it is shown |
//!
//! The program of a node process is [`node`](crate::node); both sides speak over
//! [`control`](crate::control).

mod beyond;
mod family;
mod guardian;
mod injure;
mod nodes;
mod play;
mod progress;
mod proxy;
mod run;
mod schedule;
mod stage;

pub use beyond::beyond_run;
pub(crate) use guardian::serve as guard;
pub use progress::Watching;
pub(crate) use run::logs_kept;
pub use run::{Ran, RunOptions, run_scenario};

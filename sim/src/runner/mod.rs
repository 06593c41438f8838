//! The runner: clusters of real processes, driven over a control channel.
//!
//! | module | holds |
//! |---|---|
//! | `run` | [`run_scenario`]: a scenario's cases in turn, and their record |
//! | `case` | one case, from the first process to the last word of each node |
//! | `schedule`, `inject` | the acts of a run at their instants; faults injected and reverted |
//! | `env` | the environment of a case: folder, guardian, control socket, proxies |
//! | `nodes` | the runner's picture of its nodes |
//! | `guardian` | the process that outlives the runner, so that no node does |
//! | `proxy` | a link's bytes by way of the runner, so that it can be cut |
//! | `unsupported` | the requests of a scenario that real processes cannot fulfil |
//! | `progress` | the progress of a run, as it is shown |
//!
//! The program of a node process is [`node`](crate::node); both sides communicate over
//! [`control`](crate::control).

mod case;
mod env;
mod guardian;
mod inject;
mod nodes;
mod null;
mod progress;
mod proxy;
mod run;
mod schedule;
mod unsupported;

pub(crate) use guardian::serve as guard;
pub use progress::Watching;
pub(crate) use run::logs_kept;
pub use run::{Ran, RunOptions, run_scenario};
pub use unsupported::unsupported_by_run;
